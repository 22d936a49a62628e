package quantize

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func reference(t *testing.T, name string) *gguf.File {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	path := filepath.Join(dir, "stories260K", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference data: %v; set LEDGE_REFS", err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// widen pads a tensor of the source with zeros to the shape it has in the reference, whose feed-forward layers are wider.
func widen(t *testing.T, src gguf.Tensor, dims []int) gguf.Tensor {
	out := gguf.Tensor{Name: src.Name, Type: src.Type, Dims: dims}
	n := src.Type.RowBytes(src.Dims[0])
	wide := src.Type.RowBytes(dims[0])
	out.Data = make([]byte, wide*out.Rows())
	for i := range src.Rows() {
		copy(out.Data[i*wide:], src.Data[i*n:(i+1)*n])
	}
	return out
}

func TestFile_EqualsLlamaQuantizeBitForBit(t *testing.T) {
	source := reference(t, "stories260K-f32.gguf")
	for _, name := range []string{"Q4_0", "Q5_0", "Q8_0", "Q6_K", "Q4_K_M"} {
		t.Run(name, func(t *testing.T) {
			want := reference(t, "stories260K-ffn256-"+name+".gguf")
			b := &gguf.Builder{}
			b.Copy(source, func(string) bool { return false })
			for _, w := range want.Tensors() {
				src, ok := source.Tensor(w.Name)
				if !ok {
					t.Fatalf("the source has no %s", w.Name)
				}
				wide := widen(t, src, w.Dims)
				b.Add(w.Name, wide.Type, wide.Dims, wide.Data)
			}
			var wide, out bytes.Buffer
			if _, err := b.WriteTo(&wide); err != nil {
				t.Fatal(err)
			}
			in, err := gguf.Parse(wide.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			recipe, err := RecipeOf(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := File(context.Background(), in, &out, Options{Recipe: recipe, Threads: 2}); err != nil {
				t.Fatal(err)
			}
			got, err := gguf.Parse(out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range want.Tensors() {
				g, _ := got.Tensor(w.Name)
				if g.Type != w.Type {
					t.Errorf("%s is %s, not %s", w.Name, g.Type, w.Type)
					continue
				}
				if !bytes.Equal(g.Data, w.Data) {
					size, wrong := w.Type.BlockBytes(), 0
					for i := 0; i < len(w.Data); i += size {
						if !bytes.Equal(g.Data[i:i+size], w.Data[i:i+size]) {
							wrong++
						}
					}
					t.Errorf("%s (%s): %d of %d blocks differ", w.Name, w.Type, wrong, len(w.Data)/size)
				}
			}
		})
	}
}

func tiny(t *testing.T) *gguf.File {
	t.Helper()
	var b bytes.Buffer
	if err := slmtest.Tiny.Write(&b); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile_EveryRecipeGivesAReadableFile(t *testing.T) {
	in := tiny(t)
	for _, name := range Names() {
		r, err := RecipeOf(name)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		var last Progress
		if err := File(context.Background(), in, &out, Options{Recipe: r, Progress: func(p Progress) { last = p }}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := gguf.Parse(out.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(f.Tensors()) != len(in.Tensors()) || len(f.Keys()) < len(in.Keys()) || last.Done != last.Total {
			t.Errorf("%s: %d tensors, %d keys, progress %+v", name, len(f.Tensors()), len(f.Keys()), last)
		}
	}
}

func TestFile_RefusesWhatIsQuantizedAlready(t *testing.T) {
	r, _ := RecipeOf("q8_0")
	var once bytes.Buffer
	if err := File(context.Background(), tiny(t), &once, Options{Recipe: r}); err != nil {
		t.Fatal(err)
	}
	f, _ := gguf.Parse(once.Bytes())
	r, _ = RecipeOf("Q4_0")
	if err := File(context.Background(), f, &bytes.Buffer{}, Options{Recipe: r}); err == nil {
		t.Error("a Q8_0 file was quantized again")
	}
	if _, err := RecipeOf("Q9"); err == nil {
		t.Error("Q9 is a recipe")
	}
}

func TestFile_StopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, _ := RecipeOf("Q4_0")
	if err := File(ctx, tiny(t), &bytes.Buffer{}, Options{Recipe: r}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestRecipe_FallsBackWhereBlocksDoNotFit(t *testing.T) {
	for _, tc := range []struct {
		to   kernel.Type
		n    int
		want kernel.Type
	}{{kernel.Q4_K, 896, kernel.Q5_0}, {kernel.Q6_K, 896, kernel.Q8_0}, {kernel.Q5_K, 896, kernel.Q5_1}, {kernel.Q2_K, 64, kernel.IQ4_NL}, {kernel.Q4_K, 512, kernel.Q4_K}, {kernel.Q4_0, 33, kernel.F16}} {
		if got := fallback(tc.to, tc.n); got != tc.want {
			t.Errorf("%s for rows of %d: %s, not %s", tc.to, tc.n, got, tc.want)
		}
	}
}
