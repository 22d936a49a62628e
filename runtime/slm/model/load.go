package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Model is a loaded transformer. It is read-only and safe for concurrent use until its file is closed.
type Model struct {
	Config
	embedding kernel.Matrix
	norm      norm // of the states before the output; in an encoder, of embeddings
	output    linear
	layers    []layer
	positions kernel.Matrix // an embedding for each position, where the architecture has them
	tokenType []float32     // added to each embedding; nil: nothing
	headIn    linear        // a classifier: its layer with tanh, where there is one
	headOut   linear
	weights   []kernel.Matrix // all that are multiplied with

	drop   func([]byte)  // from memory, what of the file is not needed; nil: keep it
	looked atomic.Uint64 // rows of the embedding looked up
}

// lookedRows is after how many rows the embedding's pages are dropped: the system may map as much as 2 MB around each.
const lookedRows = 8

// BytesPerToken is how many bytes of weights the decoding of one token reads.
func (m *Model) BytesPerToken() int64 {
	n := len(m.output.weight.Data)
	for i := range m.layers {
		l := &m.layers[i]
		for _, w := range []*linear{&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down} {
			n += len(w.weight.Data)
		}
		if l.conv != nil {
			n += len(l.conv.in.weight.Data) + len(l.conv.out.weight.Data)
		}
		if x := l.experts; x != nil {
			n += (len(x.gate[0].weight.Data) + len(x.up[0].weight.Data) + len(x.down[0].weight.Data)) * m.ExpertsUsed
		}
	}
	return int64(n)
}

// layer holds one block's weights.
type layer struct {
	attnNorm, ffnNorm norm // before the parts; in an encoder, after their sums
	postAttn, postFFN norm // of results, before they are added
	qNorm, kNorm      norm // of each head
	q, k, v, o        linear
	gate, up, down    linear
	experts           *experts   // in the place of the three; nil: none
	conv              *shortConv // in the place of attention; nil: attention
	rope              int        // which of the model's kinds of RoPE; -1: none
	window            int        // tokens that a token sees, itself included; 0: all before it
}

// linear is a matrix with what some files apply to its product: one factor for all, and a bias.
type linear struct {
	name   string // of the tensor, for adapters
	from   int    // its first row in the tensor, which may hold several matrices
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
	if l.scale != 1 {
		kernel.Scale(rows, l.scale)
	}
}

func (l *linear) applyBias(rows []float32, n int) {
	for i := 0; i < n && l.bias != nil; i++ {
		kernel.Add(rows[i*len(l.bias):(i+1)*len(l.bias)], l.bias)
	}
}

// Load validates the file's hyperparameters and tensors. vocab is the number of tokens the tokenizer has; the file's
// embedding must have as many rows. context is how long sequences may become, 0 for as long as the model was made for:
// models with LongRoPE have other factors for long contexts.
func Load(f *gguf.File, vocab, context int) (*Model, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	if vocab < 1 || vocab > maxVocab {
		return nil, fmt.Errorf("%w: a vocabulary of %d", gguf.ErrFormat, vocab)
	}
	c.Vocab = vocab
	m := &Model{Config: *c}
	l := loader{f: f, c: &m.Config}
	m.embedding = l.matrix("token_embd.weight", c.Vocab, c.Dim)
	if c.positions {
		m.positions = l.matrix("position_embd.weight", c.Context, c.Dim)
	}
	if c.encoder {
		l.loadEncoder(m)
	} else {
		name := "output_norm"
		if c.conv {
			name = "token_embd_norm" // a misnomer of the files
		}
		m.norm = l.norm(name, c.Dim)
		m.output = linear{weight: m.embedding, scale: 1}
		if l.has("output.weight") && !c.tied {
			m.output = l.linear("output", c.Vocab, c.Dim)
		}
	}
	if c.Pooling == PoolRank {
		l.loadHead(m)
	}
	if context <= 0 || context > c.Context {
		context = c.Context
	}
	l.frequencies(context)
	for i := 0; i < c.Layers && l.err == nil; i++ {
		m.layers = append(m.layers, l.layer(i))
	}
	if m.weights = l.made; m.output.weight.Same(&m.embedding) { // tied: else only single rows of it are read
		m.weights = append(m.weights, m.embedding)
	}
	return m, l.err
}

func (l *loader) layer(i int) layer {
	c := l.c
	name := func(s string) string { return fmt.Sprintf("blk.%d.%s", i, s) }
	before, after := "attn_norm", "ffn_norm"
	if c.encoder {
		before, after = "attn_output_norm", "layer_output_norm"
	}
	out := layer{window: c.windows[i], rope: -1, attnNorm: l.norm(name(before), c.Dim)}
	if l.has(name(after+".weight")) || !(c.layerNorm && c.gating == gateSeparate) {
		out.ffnNorm = l.norm(name(after), c.Dim) // without it, both parts see the same states (StableLM 2)
	}
	if c.rotation != rotateNone && (c.noRope == 0 || (i+1)%c.noRope != 0) {
		out.rope = 0
		if out.window > 0 {
			out.rope = 1
		}
		c.usesRope[out.rope] = true
	}
	if c.postNorm {
		out.postAttn = l.norm(name("post_attention_norm"), c.Dim)
		out.postFFN = l.norm(name("post_ffw_norm"), c.Dim)
	}
	if c.convs != nil && c.convs[i] {
		out.conv = l.shortConv(name)
	} else {
		l.attention(&out, name)
	}
	if c.Experts > 0 {
		out.experts = l.experts(name)
	} else {
		l.feedForward(&out, name)
	}
	return out
}

func (l *loader) attention(out *layer, name func(string) string) {
	c := l.c
	if c.queryNorm {
		out.qNorm = l.norm(name("attn_q_norm"), c.HeadDim)
		out.kNorm = l.norm(name("attn_k_norm"), c.HeadDim)
	} else if l.has(name("attn_q_norm.weight")) { // each head has weights of its own
		out.qNorm = l.norm(name("attn_q_norm"), c.HeadDim, c.Heads)
		out.kNorm = l.norm(name("attn_k_norm"), c.HeadDim, c.KVHeads)
	}
	qDim, kvDim := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	if l.has(name("attn_qkv.weight")) {
		p := l.parts(name("attn_qkv"), c.Dim, qDim, kvDim, kvDim)
		out.q, out.k, out.v = p[0], p[1], p[2]
	} else {
		out.q = l.linear(name("attn_q"), qDim, c.Dim)
		out.k = l.linear(name("attn_k"), kvDim, c.Dim)
		out.v = l.linear(name("attn_v"), kvDim, c.Dim)
	}
	out.o = l.linear(name("attn_output"), c.Dim, qDim)
}

func (l *loader) feedForward(out *layer, name func(string) string) {
	c := l.c
	switch c.gating {
	case gateFused:
		p := l.parts(name("ffn_up"), c.Dim, c.FFN, c.FFN)
		out.gate, out.up = p[0], p[1]
	case gateSeparate:
		out.gate = l.linear(name("ffn_gate"), c.FFN, c.Dim)
		out.up = l.linear(name("ffn_up"), c.FFN, c.Dim)
	case gateNone:
		out.up = l.linear(name("ffn_up"), c.FFN, c.Dim)
	}
	out.down = l.linear(name("ffn_down"), c.Dim, c.FFN)
	if !c.scaledFFN {
		out.gate.scale, out.up.scale, out.down.scale = 1, 1, 1
	}
}

// contextUnit is what llama.cpp rounds the length of a context up to before it chooses factors.
const contextUnit = 256

// frequencies fetches RoPE's factors: one set for all contexts, or one of two by the length of the context.
func (l *loader) frequencies(context int) {
	c := l.c
	name := "rope_freqs.weight"
	if !l.has(name) {
		name = "rope_factors_short.weight"
		trained, ok := l.f.Uint(c.Architecture + ".rope.scaling.original_context_length")
		if ok && uint64((context+contextUnit-1)/contextUnit*contextUnit) > trained {
			name = "rope_factors_long.weight"
		}
	}
	if !l.has(name) || c.rotation == rotateNone {
		return
	}
	inverse := l.vector(name, c.RopeDims/2)
	for _, v := range inverse {
		if !(v > 0) && l.err == nil {
			l.err = fmt.Errorf("%w: the tensor %s has the factor %g", gguf.ErrFormat, name, v)
		}
	}
	c.ropes[0].inverse, c.ropes[1].inverse = inverse, inverse
}

// Prepare lays the weights out for this machine's kernels, in memory of their own; the file's bytes are dropped from memory
// part by part. The function returned gives that memory back, and the model must not be used after it.
func (m *Model) Prepare(p *kernel.Pool, f *gguf.File) (release func() error, err error) {
	var matrices []*kernel.Matrix
	for i := range m.weights {
		matrices = append(matrices, &m.weights[i])
	}
	release, err = kernel.Prepare(p, matrices, f.Want, f.Drop)
	f.DropAll() // also the pages that two parts share, and the vocabulary's
	if !m.output.weight.Same(&m.embedding) || m.output.weight.InPanels() {
		m.drop = f.Drop // of the embedding only single rows are read
	}
	return release, err
}

// loader fetches tensors; after a fault err is set and it returns nothing more.
type loader struct {
	f    *gguf.File
	c    *Config
	made []kernel.Matrix // that are multiplied with
	err  error
}

func (l *loader) has(name string) bool {
	_, ok := l.f.Tensor(name)
	return ok
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
	return kernel.NewMatrix(t.Type, rows, cols, t.Data)
}

// vector copies a tensor of float32: its place in the file need not be aligned.
func (l *loader) vector(name string, dims ...int) []float32 {
	if _, ok := l.tensor(name, dims...); !ok {
		return nil
	}
	return l.floats(name)
}

// floats copies all of a tensor whose shape is known to be right.
func (l *loader) floats(name string) []float32 {
	t, _ := l.f.Tensor(name)
	if t.Type != kernel.F32 {
		l.err = fmt.Errorf("the tensor %s has the type %s, expected F32", name, t.Type)
		return nil
	}
	out := make([]float32, len(t.Data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[i*4:]))
	}
	return out
}

// linear fetches a matrix with its factor and bias, where there are any.
func (l *loader) linear(name string, rows, cols int) linear {
	return l.parts(name, cols, rows)[0]
}

// parts fetches matrices that lie one after the other in one tensor, with their common factor and bias.
func (l *loader) parts(name string, cols int, rows ...int) []linear {
	all := 0
	for _, n := range rows {
		all += n
	}
	whole := l.matrix(name+".weight", all, cols)
	scale := float32(1)
	if l.has(name + ".scale") {
		if v := l.vector(name+".scale", 1); v != nil {
			scale = v[0]
		}
	}
	var bias []float32
	if l.has(name + ".bias") {
		bias = l.vector(name+".bias", all)
	}
	out := make([]linear, len(rows))
	from := 0
	for i, n := range rows {
		out[i] = linear{name: name + ".weight", from: from, scale: scale, weight: whole}
		if l.err == nil {
			size := whole.Type.RowBytes(cols)
			out[i].weight = kernel.NewMatrix(whole.Type, n, cols, whole.Data[from*size:(from+n)*size])
			l.made = append(l.made, out[i].weight)
			if bias != nil {
				out[i].bias = bias[from : from+n]
			}
		}
		from += n
	}
	return out
}

// norm fetches the weights of a norm, and its bias where there is one.
func (l *loader) norm(name string, dims ...int) norm {
	out := norm{weight: l.vector(name+".weight", dims...), layer: l.c.layerNorm, eps: l.c.Eps}
	if l.has(name + ".bias") {
		out.bias = l.vector(name+".bias", dims...)
	}
	return out
}
