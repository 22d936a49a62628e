package gguf

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// maxParts is far above real models: files are cut at some gigabytes.
const maxParts = 1024

// openParts opens the other parts of a model that is split into several files, and adds their tensors to the first's.
// llama.cpp's gguf-split names them PREFIX-00001-of-00003.gguf and so on; metadata is in the first.
func (f *File) openParts(path string) error {
	count, ok := f.Uint("split.count")
	if !ok || count <= 1 {
		return nil
	}
	if count > maxParts {
		return badf("it claims to be one of %d parts, more than %d", count, maxParts)
	}
	prefix, ok := strings.CutSuffix(path, partSuffix(1, int(count)))
	if no, _ := f.Uint("split.no"); no != 0 {
		return badf("it is part %d of %d; open the first, whose name ends in %s", no+1, count, partSuffix(1, int(count)))
	}
	if !ok {
		return badf("it is the first of %d parts, so its name must end in %s, and %s does not", count, partSuffix(1, int(count)), filepath.Base(path))
	}
	for i := 2; i <= int(count); i++ {
		if err := f.openPart(prefix+partSuffix(i, int(count)), uint64(i-1), count); err != nil {
			return err
		}
	}
	if want, ok := f.Uint("split.tensors.count"); ok && want != uint64(len(f.tensors)) {
		return badf("its %d parts have %d tensors, and it claims %d", count, len(f.tensors), want)
	}
	return nil
}

func partSuffix(i, count int) string { return fmt.Sprintf("-%05d-of-%05d.gguf", i, count) }

func (f *File) openPart(path string, no, count uint64) error {
	b, unmap, err := mapFile(path)
	if err != nil {
		return fmt.Errorf("part %d of %d: %w", no+1, count, err)
	}
	p, err := Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), errors.Join(err, unmap()))
	}
	f.parts = append(f.parts, part{b, unmap})
	if err := f.addPart(p, no, count); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// addPart takes over a part's tensors.
func (f *File) addPart(p *File, no, count uint64) error {
	if n, ok := p.Uint("split.no"); !ok || n != no {
		return badf("split.no is not %d", no)
	}
	if n, ok := p.Uint("split.count"); !ok || n != count {
		return badf("split.count is not %d", count)
	}
	if len(f.tensors)+len(p.tensors) > maxTensors {
		return badf("all parts together have more than %d tensors", maxTensors)
	}
	for _, t := range p.tensors {
		if _, twice := f.byName[t.Name]; twice {
			return badf("the tensor %s is in two parts", clip(t.Name))
		}
		f.byName[t.Name] = len(f.tensors)
		f.tensors = append(f.tensors, t)
	}
	return nil
}

// part is the memory map of a further file.
type part struct {
	bytes []byte
	unmap func() error
}
