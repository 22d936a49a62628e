package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/quantize"
)

func newModelQuantizeCommand() *cobra.Command {
	var in, out, kind string
	var threads int
	var force, asJSON bool
	c := &cobra.Command{
		Use: "quantize", Short: "Write a model with its weights in a smaller type",
		Long: "Write a model with its weights in a smaller type, rounded as llama.cpp does without an importance matrix.\n\n" +
			"The source must be in F32, F16 or BF16. A mix such as Q4_K_M gives some tensors more bits; tensors whose rows do not fit\n" +
			"a type's blocks get the next larger type that does. The output is complete or not there at all.\n\nTypes: " + strings.Join(quantize.Names(), ", "),
		Example: "  ledge model quantize --model model-f16.gguf --type Q4_K_M -o model-q4.gguf\n  ledge model quantize --model model-f32.gguf --type q8_0 -o model-q8.gguf --force",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case in == "":
				return usagef("--model FILE.gguf is missing")
			case out == "":
				return usagef("-o FILE.gguf is missing")
			case kind == "":
				return usagef("--type is missing; it is one of %s", strings.Join(quantize.Names(), ", "))
			case threads < 0 || threads > 1024:
				return usagef("--threads %d is not between 0 and 1024", threads)
			}
			recipe, err := quantize.RecipeOf(kind)
			if err != nil {
				return usageError{err}
			}
			begun := time.Now()
			progress := newProgress(c.ErrOrStderr(), "quantizing")
			before, after, err := quantizeFile(c.Context(), in, out, force, quantize.Options{Recipe: recipe, Threads: threads,
				Progress: func(p quantize.Progress) { progress.show(p.Done, p.Total) }})
			progress.end()
			if err != nil {
				return err
			}
			took := time.Since(begun)
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"file": out, "type": recipe.Name, "source_bytes": before, "bytes": after, "duration_ms": took.Milliseconds()})
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s, %.1f MiB from %.1f MiB, in %.1f s\n", out, recipe.Name, float64(after)/(1<<20), float64(before)/(1<<20), took.Seconds())
			return nil
		},
	}
	c.Flags().StringVar(&in, "model", "", "GGUF `FILE` in F32, F16 or BF16")
	c.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write")
	c.Flags().StringVar(&kind, "type", "", "type or mix to write")
	c.Flags().IntVarP(&threads, "threads", "t", 0, "threads (default: one a processor)")
	c.Flags().BoolVar(&force, "force", false, "replace the output if it exists")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func quantizeFile(ctx context.Context, in, out string, force bool, o quantize.Options) (before, after int64, err error) {
	f, err := gguf.Open(in)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if same, err := sameFile(in, out); err != nil {
		return 0, 0, err
	} else if same {
		return 0, 0, fmt.Errorf("%s is the source; write to another file", out)
	}
	if _, err := os.Lstat(out); err == nil && !force {
		return 0, 0, fmt.Errorf("%s exists; choose another name or replace it with --force", out)
	}
	err = writeAtomically(out, func(w io.Writer) error { return quantize.File(ctx, f, w, o) })
	if err != nil {
		return 0, 0, fmt.Errorf("quantize %s: %w", in, err)
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, 0, err
	}
	return f.Size(), info.Size(), nil
}

func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(x, y), err
}

// writeAtomically writes a file beside its name and moves it there when it is complete and on the disk.
func writeAtomically(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err = write(w); err != nil {
		return err
	}
	if err = errors.Join(w.Flush(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// progress shows how far long work is, on a terminal only.
type progress struct {
	w    io.Writer
	what string
	last time.Time
	any  bool
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{w: w, what: what}
}

func (p *progress) show(done, total int64) {
	if p.w == nil || total == 0 || time.Since(p.last) < 100*time.Millisecond && done < total {
		return
	}
	p.last, p.any = time.Now(), true
	fmt.Fprintf(p.w, "\r%s %3d%%  %d of %d MiB", p.what, done*100/total, done>>20, total>>20)
}

func (p *progress) end() {
	if p.any {
		fmt.Fprintln(p.w)
	}
}
