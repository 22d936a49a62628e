// Package quantize writes a model file anew with its weights in smaller types: which type each tensor gets is a recipe,
// and the rounding is ggml's. It knows nothing of how models run. Start reading at [File]; recipe.go has the recipes.
package quantize

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Options say how to quantize.
type Options struct {
	Recipe   Recipe
	Threads  int // 0: one a processor
	Progress func(Progress)
}

// Progress tells of one tensor that is done.
type Progress struct {
	Tensor      string
	From, To    kernel.Type
	Done, Total int64 // bytes of the source
}

// File writes a quantized copy of f to w. The source's weights must be F32, F16 or BF16; tensors that the recipe leaves
// alone are copied. It returns the context's error soon after ctx ends.
func File(ctx context.Context, f *gguf.File, w io.Writer, o Options) error {
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	out := &gguf.Builder{}
	replaced := map[string]bool{"general.file_type": true, "general.quantization_version": true, "general.alignment": true}
	out.Copy(f, func(key string) bool { return replaced[key] || strings.HasPrefix(key, "split.") })
	out.Set("general.quantization_version", uint32(2))
	out.Set("general.file_type", o.Recipe.fileType)
	plan := newPlan(o.Recipe, f)
	var total, done int64
	for _, t := range f.Tensors() {
		total += int64(len(t.Data))
	}
	for _, t := range f.Tensors() {
		to := plan.typeOf(&t)
		if to != t.Type {
			switch t.Type {
			case kernel.F32, kernel.F16, kernel.BF16:
			default:
				return fmt.Errorf("the tensor %s is %s already; quantize from a file in F32, F16 or BF16", t.Name, t.Type)
			}
		}
		size := t.Rows() * to.RowBytes(t.Dims[0])
		out.AddLater(t.Name, to, t.Dims, size, func() ([]byte, error) {
			data := t.Data
			if to != t.Type {
				data = make([]byte, size)
				if err := rows(ctx, &t, to, data, o.Threads); err != nil {
					return nil, err
				}
			}
			if done += int64(len(t.Data)); o.Progress != nil {
				o.Progress(Progress{t.Name, t.Type, to, done, total})
			}
			return data, ctx.Err()
		})
	}
	_, err := out.WriteTo(w)
	return err
}

// rows quantizes the rows of a tensor on several goroutines.
func rows(ctx context.Context, t *gguf.Tensor, to kernel.Type, dst []byte, threads int) error {
	n, count := t.Dims[0], t.Rows()
	from, size := t.Type.RowBytes(n), to.RowBytes(n)
	const chunk = 16
	var next atomic.Int64
	var work sync.WaitGroup
	for range min(threads, (count+chunk-1)/chunk) {
		work.Go(func() {
			x := make([]float32, n)
			for ctx.Err() == nil {
				first := int(next.Add(chunk)) - chunk
				if first >= count {
					return
				}
				for i := first; i < min(first+chunk, count); i++ {
					kernel.Dequantize(t.Type, x, t.Data[i*from:(i+1)*from])
					kernel.Quantize(to, dst[i*size:(i+1)*size], x)
				}
			}
		})
	}
	work.Wait()
	return ctx.Err()
}
