package model

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Model is a loaded transformer. It is read-only and safe for concurrent use until its file is closed.
type Model struct {
	Config
	embedding kernel.Matrix
	norm      []float32
	output    linear
	layers    []layer
	inverse   []float32 // one RoPE frequency factor a pair of dimensions; nil: all 1
}

// BytesPerToken is how many bytes of weights the decoding of one token reads.
func (m *Model) BytesPerToken() int64 {
	n := len(m.output.weight.Data)
	for i := range m.layers {
		l := &m.layers[i]
		for _, w := range []*linear{&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down} {
			n += len(w.weight.Data)
		}
	}
	return int64(n)
}

// layer holds one block's weights.
type layer struct {
	attnNorm, ffnNorm []float32
	q, k, v, o        linear
	gate, up, down    linear
	window            int // tokens that a token sees, itself included; 0: all before it
}

// linear is a matrix with what some files apply to its product: one factor for all, and a bias.
type linear struct {
	name   string // of the tensor, for adapters
	weight kernel.Matrix
	scale  float32   // 1 without one
	bias   []float32 // nil without one
}

// scaleThenBias finishes n rows of products of the attention, in llama.cpp's order.
func (l *linear) scaleThenBias(rows []float32, n int) {
	l.applyScale(rows)
	l.applyBias(rows, n)
}

// biasThenScale finishes n rows of products of the feed-forward part, where llama.cpp has the other order.
func (l *linear) biasThenScale(rows []float32, n int) {
	l.applyBias(rows, n)
	l.applyScale(rows)
}

func (l *linear) applyScale(rows []float32) {
	if l.scale == 1 {
		return
	}
	for i := range rows {
		rows[i] *= l.scale
	}
}

func (l *linear) applyBias(rows []float32, n int) {
	for i := 0; i < n && l.bias != nil; i++ {
		kernel.Add(rows[i*len(l.bias):(i+1)*len(l.bias)], l.bias)
	}
}

// Load validates the file's hyperparameters and tensors. vocab is the number of tokens the tokenizer has; the file's
// embedding must have as many rows.
func Load(f *gguf.File, vocab int) (*Model, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	if vocab < 1 || vocab > maxVocab {
		return nil, fmt.Errorf("%w: a vocabulary of %d", gguf.ErrFormat, vocab)
	}
	c.Vocab = vocab
	l := loader{f: f}
	m := &Model{Config: *c}
	qDim, kvDim := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	m.embedding = l.matrix("token_embd.weight", c.Vocab, c.Dim)
	m.norm = l.vector("output_norm.weight", c.Dim)
	m.output = linear{weight: m.embedding, scale: 1} // tied
	if _, ok := f.Tensor("output.weight"); ok {
		m.output = l.linear("output", c.Vocab, c.Dim)
	}
	if _, ok := f.Tensor("rope_freqs.weight"); ok {
		m.inverse = l.vector("rope_freqs.weight", c.RopeDims/2)
	}
	for i := 0; i < c.Layers && l.err == nil; i++ {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s", i, s) }
		m.layers = append(m.layers, layer{
			attnNorm: l.vector(name("attn_norm.weight"), c.Dim),
			ffnNorm:  l.vector(name("ffn_norm.weight"), c.Dim),
			q:        l.linear(name("attn_q"), qDim, c.Dim),
			k:        l.linear(name("attn_k"), kvDim, c.Dim),
			v:        l.linear(name("attn_v"), kvDim, c.Dim),
			o:        l.linear(name("attn_output"), c.Dim, qDim),
			gate:     l.feedForward(name("ffn_gate"), c, c.FFN, c.Dim),
			up:       l.feedForward(name("ffn_up"), c, c.FFN, c.Dim),
			down:     l.feedForward(name("ffn_down"), c, c.Dim, c.FFN),
		})
	}
	for _, expert := range []string{"blk.0.ffn_gate_exps.weight", "blk.0.ffn_gate_inp.weight"} {
		if _, ok := f.Tensor(expert); ok && l.err != nil {
			return nil, fmt.Errorf("models with experts are not supported (%s)", expert)
		}
	}
	return m, l.err
}

// loader fetches tensors; after a fault err is set and it returns nothing more.
type loader struct {
	f   *gguf.File
	err error
}

func (l *loader) tensor(name string, dims ...int) (gguf.Tensor, bool) {
	if l.err != nil {
		return gguf.Tensor{}, false
	}
	t, ok := l.f.Tensor(name)
	if !ok {
		l.err = fmt.Errorf("%w: the tensor %s is missing", gguf.ErrFormat, name)
		return t, false
	}
	have := append([]int(nil), t.Dims...)
	for len(have) > len(dims) && have[len(have)-1] == 1 {
		have = have[:len(have)-1]
	}
	if fmt.Sprint(have) != fmt.Sprint(dims) {
		l.err = fmt.Errorf("%w: the tensor %s is %v, expected %v", gguf.ErrFormat, name, t.Dims, dims)
		return t, false
	}
	return t, true
}

func (l *loader) matrix(name string, rows, cols int) kernel.Matrix {
	t, ok := l.tensor(name, cols, rows)
	if !ok {
		return kernel.Matrix{}
	}
	if !t.Type.Supported() {
		l.err = fmt.Errorf("the tensor %s has the type %s, which is not supported", name, t.Type)
		return kernel.Matrix{}
	}
	return kernel.Matrix{Type: t.Type, Rows: rows, Cols: cols, Data: t.Data}
}

// vector copies a vector of float32: its place in the file need not be aligned.
func (l *loader) vector(name string, n int) []float32 {
	t, ok := l.tensor(name, n)
	if !ok {
		return nil
	}
	if t.Type != kernel.F32 {
		l.err = fmt.Errorf("the tensor %s has the type %s, expected F32", name, t.Type)
		return nil
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[i*4:]))
	}
	return out
}

// linear fetches a matrix with its factor and bias, where there are any.
func (l *loader) linear(name string, rows, cols int) linear {
	out := linear{name: name + ".weight", weight: l.matrix(name+".weight", rows, cols), scale: 1}
	if _, ok := l.f.Tensor(name + ".scale"); ok {
		if v := l.vector(name+".scale", 1); v != nil {
			out.scale = v[0]
		}
	}
	if _, ok := l.f.Tensor(name + ".bias"); ok {
		out.bias = l.vector(name+".bias", rows)
	}
	return out
}

// feedForward fetches a matrix of the feed-forward part. llama.cpp applies its factor and bias for llama only.
func (l *loader) feedForward(name string, c *Config, rows, cols int) linear {
	if c.Architecture == "llama" {
		return l.linear(name, rows, cols)
	}
	return linear{name: name + ".weight", weight: l.matrix(name+".weight", rows, cols), scale: 1}
}
