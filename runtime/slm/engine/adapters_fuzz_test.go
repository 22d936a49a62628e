package engine

import (
	"context"
	"math"
	"os"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// FuzzAdapter reads damaged adapter files. What is taken must be usable: a pass with it does not fail, and its matrices
// change nothing outside themselves.
func FuzzAdapter(f *testing.F) {
	shape := slmtest.Tiny
	shape.Layers, shape.Dim, shape.FFN, shape.Heads, shape.KV = 1, 32, 32, 2, 1
	path := writeModel(f, shape)
	file, err := gguf.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { file.Close() })
	tokens, _, _ := slmtest.Vocabulary()
	m, err := model.Load(file, len(tokens), 0)
	if err != nil {
		f.Fatal(err)
	}
	pool := kernel.NewPool(1)
	f.Cleanup(pool.Close)
	kv, err := m.NewKV(kernel.F32)
	if err != nil {
		f.Fatal(err)
	}
	good, merged := makeAdapter(f, path, 1, nil, "")
	for _, p := range []string{good, merged} {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)*3/4])
	}
	forward := func(t *testing.T, a *model.Adapter) []float32 {
		s := kv.NewSequence()
		defer s.Release()
		s.Adapter = a
		var sc model.Scratch
		logits, err := m.Forward(context.Background(), pool, &sc, s, []int32{1, 300, 301}, false)
		if err != nil {
			t.Fatal(err)
		}
		return logits
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := gguf.Parse(b)
		if err != nil {
			return
		}
		a, err := m.LoadAdapter(parsed)
		if err != nil {
			return
		}
		before := forward(t, nil)
		if n := len(forward(t, a)); n != m.Vocab {
			t.Fatalf("%d logits", n)
		}
		for i, v := range forward(t, nil) {
			if math.Float32bits(v) != math.Float32bits(before[i]) {
				t.Fatal("the model without the adapter is not what it was")
			}
		}
	})
}
