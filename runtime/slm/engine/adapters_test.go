package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

const rank, alpha = 4, 8

// makeAdapter writes a random adapter for the model in base, and a copy of the model with the adapter merged into its
// weights.
func makeAdapter(t testing.TB, base string, seed uint64, meta map[string]string, extra string) (adapter, merged string) {
	t.Helper()
	f, err := gguf.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(seed, 7))
	random := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(r.NormFloat64() * 0.1)
		}
		return out
	}
	bytes := func(v []float32) []byte {
		var out []byte
		for _, x := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
		return out
	}
	ad, full := &gguf.Builder{}, &gguf.Builder{}
	for key, v := range map[string]string{"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"} {
		if other, ok := meta[key]; ok {
			v = other
		}
		ad.Set(key, v)
	}
	ad.Set("adapter.lora.alpha", float32(alpha))
	for _, key := range f.Keys() {
		if v, ok := f.Uint(key); ok {
			full.Set(key, uint32(v))
		} else if v, ok := f.Float(key); ok {
			full.Set(key, float32(v))
		} else if v, ok := f.String(key); ok {
			full.Set(key, v)
		}
	}
	tokens, scores, types := slmtest.Vocabulary()
	full.Set("tokenizer.ggml.tokens", tokens)
	full.Set("tokenizer.ggml.scores", scores)
	full.Set("tokenizer.ggml.token_type", types)
	for _, tensor := range f.Tensors() {
		data := slices.Clone(tensor.Data)
		if len(tensor.Dims) == 2 && tensor.Name != "token_embd.weight" {
			in, out := tensor.Dims[0], tensor.Dims[1]
			a, b := random(rank*in), random(out*rank)
			ad.Add(tensor.Name+".lora_a", kernel.F32, []int{in, rank}, bytes(a))
			ad.Add(tensor.Name+".lora_b", kernel.F32, []int{rank, out}, bytes(b))
			for o := range out {
				for i := range in {
					w := math.Float32frombits(binary.LittleEndian.Uint32(data[(o*in+i)*4:]))
					for k := range rank {
						w += float32(alpha) / rank * b[o*rank+k] * a[k*in+i]
					}
					binary.LittleEndian.PutUint32(data[(o*in+i)*4:], math.Float32bits(w))
				}
			}
		}
		full.Add(tensor.Name, tensor.Type, tensor.Dims, data)
	}
	if extra != "" {
		ad.Add(extra, kernel.F32, []int{64, 4}, make([]byte, 1024))
	}
	write := func(name string, b io.WriterTo) string {
		path := filepath.Join(t.TempDir(), name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.WriteTo(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("adapter.gguf", ad), write("merged.gguf", full)
}

// TestAdapters_EqualMergedWeights answers with two adapters and without, all at once in the same steps, and compares
// with models that have the adapters in their weights.
func TestAdapters_EqualMergedWeights(t *testing.T) {
	base := writeModel(t, slmtest.Tiny)
	e := open(t, base, Options{Threads: 2, ExactKV: true})
	prompt := randomPrompt(5, 60)
	collect := func(e *Engine, adapter string) []Token {
		var out []Token
		if _, err := e.Generate(context.Background(), Request{Prompt: prompt, MaxTokens: 12, Adapter: adapter, Logprobs: true}, func(tok Token) error {
			out = append(out, tok)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return out
	}
	want := [][]Token{collect(e, "")}
	names := []string{"", "one", "two"}
	for i, name := range names[1:] {
		adapter, merged := makeAdapter(t, base, uint64(i+1), nil, "")
		if err := e.LoadAdapter(name, adapter); err != nil {
			t.Fatal(err)
		}
		want = append(want, collect(open(t, merged, Options{Threads: 1, ExactKV: true}), ""))
	}
	if want[0][0].Logprob == want[1][0].Logprob {
		t.Fatal("the adapter changes nothing")
	}
	var all sync.WaitGroup
	for i := range 9 {
		all.Go(func() {
			got := collect(e, names[i%3])
			for k := range got {
				w := want[i%3]
				if len(got) != len(w) || got[k].ID != w[k].ID || math.Abs(got[k].Logprob-w[k].Logprob) > 1e-3 {
					t.Errorf("adapter %q, token %d: %d (%g), merged %d (%g)", names[i%3], k, got[k].ID, got[k].Logprob, w[k].ID, w[k].Logprob)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestAdapters_UnloadWhileInUse(t *testing.T) {
	base := writeModel(t, slmtest.Tiny)
	e := open(t, base, Options{Threads: 1})
	adapter, _ := makeAdapter(t, base, 1, nil, "")
	if err := e.LoadAdapter("one", adapter); err != nil {
		t.Fatal(err)
	}
	want, _ := answerOf(t, e, Request{Prompt: randomPrompt(1, 10), MaxTokens: 20, Adapter: "one"})
	var got []int32
	_, err := e.Generate(context.Background(), Request{Prompt: randomPrompt(1, 10), MaxTokens: 20, Adapter: "one"}, func(tok Token) error {
		if len(got) == 3 {
			if err := e.UnloadAdapter("one"); err != nil {
				t.Error(err)
			}
		}
		if tok.ID >= 0 {
			got = append(got, tok.ID)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	var unknown *UnknownAdapterError
	if _, err := e.Generate(context.Background(), Request{Prompt: []int32{1}, MaxTokens: 1, Adapter: "one"}, nil); !errors.As(err, &unknown) {
		t.Errorf("after it was unloaded: %v", err)
	}
	if len(e.Adapters()) != 0 {
		t.Errorf("adapters %v", e.Adapters())
	}
}

func TestAdapters_ForAnotherModelAreRefused(t *testing.T) {
	base := writeModel(t, slmtest.Tiny)
	other := slmtest.Tiny
	other.Dim, other.FFN = 128, 256
	wide := open(t, writeModel(t, other), Options{Threads: 1})
	e := open(t, base, Options{Threads: 1})
	good, _ := makeAdapter(t, base, 1, nil, "")
	if err := wide.LoadAdapter("x", good); !errors.Is(err, model.ErrAdapter) {
		t.Errorf("an adapter of another shape: %v", err)
	}
	if err := e.LoadAdapter("x", base); !errors.Is(err, model.ErrAdapter) {
		t.Errorf("a model as adapter: %v", err)
	}
	for name, tc := range map[string]struct {
		meta  map[string]string
		extra string
	}{
		"another architecture": {map[string]string{"general.architecture": "qwen2"}, ""},
		"not LoRA":             {map[string]string{"adapter.type": "other"}, ""},
		"an unknown matrix":    {nil, "blk.9.attn_q.weight.lora_a"},
		"no half of a pair":    {nil, "blk.0.attn_q.weight"},
	} {
		bad, _ := makeAdapter(t, base, 1, tc.meta, tc.extra)
		if err := e.LoadAdapter("x", bad); !errors.Is(err, model.ErrAdapter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(e.Adapters()); n != 0 {
		t.Error(fmt.Sprint(n, " adapters are loaded"))
	}
}
