package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// writePart writes one file of a split model, with a tensor for each name.
func writePart(t *testing.T, path string, meta map[string]any, tensors ...string) {
	t.Helper()
	b := &Builder{}
	for key, v := range meta {
		b.Set(key, v)
	}
	for i, name := range tensors {
		b.Add(name, kernel.F32, []int{2}, []byte{byte(i), byte(len(name)), 0, 0, 0, 0, 0, name[0]})
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func split(no, count, tensors int) map[string]any {
	return map[string]any{"split.no": uint32(no), "split.count": uint32(count), "split.tensors.count": int32(tensors)}
}

func TestOpen_ReadsSplitModels(t *testing.T) {
	dir := t.TempDir()
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("m-%05d-of-00003.gguf", i)) }
	first := split(0, 3, 4)
	first["general.name"] = "split"
	writePart(t, name(1), first, "a")
	writePart(t, name(2), split(1, 3, 4), "b", "c")
	writePart(t, name(3), split(2, 3, 4), "d")
	f, err := Open(name(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "c", "d"} {
		if tensor, ok := f.Tensor(want); !ok || tensor.Data[7] != want[0] {
			t.Errorf("tensor %s: %v", want, tensor)
		}
	}
	var all, each bytes.Buffer
	for i := 1; i <= 3; i++ {
		b, err := os.ReadFile(name(i))
		if err != nil {
			t.Fatal(err)
		}
		each.Write(b)
	}
	if n, err := f.WriteTo(&all); err != nil || n != f.Size() || !bytes.Equal(all.Bytes(), each.Bytes()) {
		t.Errorf("%d of %d bytes written: %v", n, f.Size(), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(name(2)); err == nil || !strings.Contains(err.Error(), "open the first") {
		t.Errorf("the second part: %v", err)
	}
}

func TestOpen_RefusesBrokenSplits(t *testing.T) {
	for name, tc := range map[string]struct {
		second  func(t *testing.T, path string)
		rename  bool
		tensors int
		want    string
	}{
		"a part is missing":      {func(*testing.T, string) {}, false, 2, "part 2 of 2"},
		"a part is another":      {func(t *testing.T, p string) { writePart(t, p, split(2, 3, 2), "b") }, false, 2, "split.no"},
		"a part of another size": {func(t *testing.T, p string) { writePart(t, p, split(1, 3, 2), "b") }, false, 2, "split.count"},
		"a tensor twice":         {func(t *testing.T, p string) { writePart(t, p, split(1, 2, 2), "a") }, false, 2, "in two parts"},
		"a tensor is missing":    {func(t *testing.T, p string) { writePart(t, p, split(1, 2, 2), "b") }, false, 3, "claims 3"},
		"no GGUF": {func(t *testing.T, p string) {
			if err := os.WriteFile(p, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, 2, "GGUF"},
		"another name": {func(t *testing.T, p string) { writePart(t, p, split(1, 2, 2), "b") }, true, 2, "must end in"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m-00001-of-00002.gguf")
		writePart(t, path, split(0, 2, tc.tensors), "a")
		tc.second(t, filepath.Join(dir, "m-00002-of-00002.gguf"))
		if tc.rename {
			if err := os.Rename(path, filepath.Join(dir, "m.gguf")); err != nil {
				t.Fatal(err)
			}
			path = filepath.Join(dir, "m.gguf")
		}
		f, err := Open(path)
		if err == nil {
			err = errors.Join(errors.New("it was opened"), f.Close())
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
