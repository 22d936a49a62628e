package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/quantize"
)

// shape is a well-known model's size. Speed depends on shape and types only, so that random weights serve.
type shape struct {
	name, architecture     string
	layers, dim, heads, kv int
	ffn, vocab             int
	base                   float32 // of RoPE
	bias                   bool    // on queries, keys and values
}

var shapes = []shape{
	{"smollm2-135m", "llama", 30, 576, 9, 3, 1536, 49152, 100000, false},
	{"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 4864, 151936, 1000000, true},
	{"llama-3.2-1b", "llama", 16, 2048, 32, 8, 8192, 128256, 500000, false},
}

func shapeNamed(name string) (shape, error) {
	names := ""
	for _, s := range shapes {
		if s.name == name {
			return s, nil
		}
		names += " " + s.name
	}
	return shape{}, fmt.Errorf("no shape %q; there are:%s", name, names)
}

// file returns the path of the shape in a type, and makes the file if it is not there.
func (s shape) file(ctx context.Context, dir, recipe string) (string, error) {
	path := filepath.Join(dir, s.name+"-"+recipe+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	types, err := s.types(ctx, dir, recipe)
	if err != nil {
		return "", err
	}
	part, err := os.CreateTemp(dir, "part-*.gguf")
	if err != nil {
		return "", err
	}
	defer os.Remove(part.Name())
	if _, err := s.builder(types, false).WriteTo(part); err != nil {
		part.Close()
		return "", err
	}
	if err := part.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(part.Name(), path)
}

// types asks the recipe what each tensor becomes, with a file of the same tensors that have one row each: the mixes look
// at names and the length of rows, not at their number.
func (s shape) types(ctx context.Context, dir, recipe string) (map[string]kernel.Type, error) {
	r, err := quantize.RecipeOf(recipe)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(dir, "types")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	write := func(name string, to func(*os.File) error) (*gguf.File, error) {
		f, err := os.Create(filepath.Join(work, name))
		if err != nil {
			return nil, err
		}
		if err := to(f); err != nil {
			f.Close()
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		return gguf.Open(f.Name())
	}
	source, err := write("f16.gguf", func(f *os.File) error {
		_, err := s.builder(nil, true).WriteTo(f)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	small, err := write("small.gguf", func(f *os.File) error {
		return quantize.File(ctx, source, f, quantize.Options{Recipe: r})
	})
	if err != nil {
		return nil, err
	}
	defer small.Close()
	types := map[string]kernel.Type{}
	for _, t := range small.Tensors() {
		types[t.Name] = t.Type
	}
	return types, nil
}

// builder lays the model out; with oneRow set every matrix has one row. Matrices that types does not name are F16.
func (s shape) builder(types map[string]kernel.Type, oneRow bool) *gguf.Builder {
	b := &gguf.Builder{}
	b.Set("general.architecture", s.architecture)
	b.Set("general.name", "random "+s.name)
	head := s.dim / s.heads
	for key, v := range map[string]int{"block_count": s.layers, "embedding_length": s.dim, "attention.head_count": s.heads, "attention.head_count_kv": s.kv,
		"feed_forward_length": s.ffn, "context_length": 8192, "rope.dimension_count": head} {
		b.Set(s.architecture+"."+key, uint32(v))
	}
	b.Set(s.architecture+".attention.layer_norm_rms_epsilon", float32(1e-5))
	b.Set(s.architecture+".rope.freq_base", s.base)
	if !oneRow {
		s.vocabulary(b)
	}
	p := &pool{rows: map[poolKey][][]byte{}, random: rand.New(rand.NewPCG(1, 0))}
	vector := func(name string, n int, value func() float32) {
		data := make([]byte, n*4)
		for i := range n {
			binary.LittleEndian.PutUint32(data[i*4:], math.Float32bits(value()))
		}
		b.Add(name, kernel.F32, []int{n}, data)
	}
	one := func() float32 { return 1 }
	matrix := func(name string, cols, rows int) {
		name += ".weight"
		t, ok := types[name]
		if !ok {
			t = kernel.F16
		}
		if oneRow {
			rows = 1
		}
		b.AddLater(name, t, []int{cols, rows}, rows*t.RowBytes(cols), func() ([]byte, error) { return p.matrix(t, cols, rows), nil })
	}
	matrix("token_embd", s.dim, s.vocab)
	vector("output_norm.weight", s.dim, one)
	for i := range s.layers {
		name := func(n string) string { return fmt.Sprintf("blk.%d.%s", i, n) }
		vector(name("attn_norm.weight"), s.dim, one)
		vector(name("ffn_norm.weight"), s.dim, one)
		for _, m := range []struct {
			name string
			rows int
		}{{"attn_q", s.dim}, {"attn_k", s.kv * head}, {"attn_v", s.kv * head}} {
			matrix(name(m.name), s.dim, m.rows)
			if s.bias {
				vector(name(m.name)+".bias", m.rows, p.weight)
			}
		}
		matrix(name("attn_output"), s.dim, s.dim)
		matrix(name("ffn_gate"), s.dim, s.ffn)
		matrix(name("ffn_up"), s.dim, s.ffn)
		matrix(name("ffn_down"), s.ffn, s.dim)
	}
	return b
}

// vocabulary sets bytes and then made-up words, as many as the shape has.
func (s shape) vocabulary(b *gguf.Builder) {
	var tokens []string
	var scores []float32
	var kinds []int32
	add := func(piece string, kind int32) {
		tokens, scores, kinds = append(tokens, piece), append(scores, -float32(len(tokens))), append(kinds, kind)
	}
	add("<unk>", 2)
	add("<s>", 3)
	add("</s>", 3)
	for c := range 256 {
		add(fmt.Sprintf("<0x%02X>", c), 6)
	}
	for len(tokens) < s.vocab {
		add(fmt.Sprintf("w%x", len(tokens)), 1)
	}
	b.Set("tokenizer.ggml.model", "llama")
	b.Set("tokenizer.ggml.tokens", tokens)
	b.Set("tokenizer.ggml.scores", scores)
	b.Set("tokenizer.ggml.token_type", kinds)
	b.Set("tokenizer.ggml.bos_token_id", uint32(1))
	b.Set("tokenizer.ggml.eos_token_id", uint32(2))
}

// pool makes matrices of rows that are drawn from a few hundred random ones, since quantizing takes its time.
type pool struct {
	rows   map[poolKey][][]byte
	random *rand.Rand
}

type poolKey struct {
	t    kernel.Type
	cols int
}

const poolRows = 256

func (p *pool) weight() float32 { return float32(p.random.NormFloat64() * 0.02) }

func (p *pool) matrix(t kernel.Type, cols, rows int) []byte {
	key := poolKey{t, cols}
	for len(p.rows[key]) < min(rows, poolRows) {
		x := make([]float32, cols)
		for i := range x {
			x[i] = p.weight()
		}
		row := make([]byte, t.RowBytes(cols))
		kernel.Quantize(t, row, x)
		p.rows[key] = append(p.rows[key], row)
	}
	var out bytes.Buffer
	out.Grow(rows * t.RowBytes(cols))
	for range rows {
		out.Write(p.rows[key][p.random.IntN(len(p.rows[key]))])
	}
	return out.Bytes()
}
