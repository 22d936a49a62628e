package model

import (
	"context"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// MaxRows is the most tokens of all sequences together that one forward pass takes.
const MaxRows = 512

// Chunk is how many tokens of a prompt are well passed at once: a long prompt is passed in chunks, so that it can be
// canceled and others go on meanwhile.
const Chunk = 64

// Input is one sequence's part of a forward pass.
type Input struct {
	Seq    *Sequence
	Tokens []int32 // to append
	Logits int     // rows of logits wanted: those after the last so many tokens
}

// Scratch holds the buffers of a forward pass. The zero value is ready; it is not safe for concurrent use.
type Scratch struct {
	ws                             kernel.Workspace
	x, normed, q, k, v, att, h, up []float32
	logits                         []float32
	units                          []unit
	attention                      []attention
	products                       []kernel.Product
	low                            []float32 // products with the first matrices of adapters
	cos, sin                       []float32
}

func grow(s *[]float32, n int) []float32 {
	if cap(*s) < n {
		*s = make([]float32, n)
	}
	*s = (*s)[:n]
	return *s
}

// Forward passes tokens of one sequence and returns the logits after the last one, or with all set one row of logits a
// token. The result is valid until the scratch is used again.
func (m *Model) Forward(ctx context.Context, p *kernel.Pool, sc *Scratch, s *Sequence, tokens []int32, all bool) ([]float32, error) {
	rows := 1
	if all {
		rows = len(tokens)
	}
	return m.ForwardBatch(ctx, p, sc, []Input{{s, tokens, rows}})
}

// ForwardBatch appends tokens to several sequences in one pass over the weights and returns the wanted rows of logits,
// the first sequence's first. At most MaxRows tokens go into a pass, and a sequence at most once. Every row is computed
// in an order of its own, so that what a sequence gets does not depend on the others or on the number of threads. When
// it fails, no sequence has become longer. The result is valid until the scratch is used again.
func (m *Model) ForwardBatch(ctx context.Context, p *kernel.Pool, sc *Scratch, in []Input) ([]float32, error) {
	f := pass{m: m, p: p, sc: sc, in: in}
	wanted := 0
	for _, i := range in {
		if len(i.Tokens) == 0 || i.Logits < 0 || i.Logits > len(i.Tokens) || i.Seq.kv.m != m {
			return nil, fmt.Errorf("model: %d tokens and %d rows of logits for a sequence", len(i.Tokens), i.Logits)
		}
		f.n += len(i.Tokens)
		wanted += i.Logits
		for _, t := range i.Tokens {
			if t < 0 || int(t) >= m.Vocab {
				return nil, fmt.Errorf("model: token %d is not between 0 and %d", t, m.Vocab-1)
			}
		}
	}
	if f.n == 0 || f.n > MaxRows {
		return nil, fmt.Errorf("model: a pass of %d tokens, not 1 to %d", f.n, MaxRows)
	}
	for _, i := range in {
		i.Seq.reserve(len(i.Tokens))
	}
	f.embed()
	f.angles()
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.block(i)
	}
	for _, i := range in {
		i.Seq.n += len(i.Tokens)
	}
	return f.logits(wanted), nil
}

// pass is one forward pass: n rows, the inputs' tokens one after the other.
type pass struct {
	m  *Model
	p  *kernel.Pool
	sc *Scratch
	in []Input
	n  int
}

func (f *pass) embed() {
	m := f.m
	x := grow(&f.sc.x, f.n*m.Dim)
	size := m.embedding.Type.RowBytes(m.Dim)
	for _, in := range f.in {
		for _, t := range in.Tokens {
			kernel.Dequantize(m.embedding.Type, x[:m.Dim], m.embedding.Data[int(t)*size:(int(t)+1)*size])
			x = x[m.Dim:]
		}
	}
}

// logits computes the rows that are wanted.
func (f *pass) logits(wanted int) []float32 {
	m, sc := f.m, f.sc
	if wanted == 0 {
		return nil
	}
	normed := grow(&sc.normed, wanted*m.Dim)
	row, to := 0, normed
	for _, in := range f.in {
		row += len(in.Tokens)
		for r := row - in.Logits; r < row; r++ {
			kernel.RMSNorm(to[:m.Dim], sc.x[r*m.Dim:(r+1)*m.Dim], m.norm, m.Eps)
			to = to[m.Dim:]
		}
	}
	logits := grow(&sc.logits, wanted*m.Vocab)
	kernel.MatMul(f.p, &sc.ws, &m.output.weight, logits, normed, wanted)
	m.output.scaleThenBias(logits, wanted)
	return logits
}

// product is a matrix of the model and where the rows' product with it goes.
type product struct {
	l   *linear
	dst []float32
}

// multiply computes the products of the pass's rows of x with matrices of the same width, adapters applied.
func (f *pass) multiply(x []float32, products ...product) {
	list := f.sc.products[:0]
	for _, pr := range products {
		list = append(list, kernel.Product{W: &pr.l.weight, Dst: pr.dst})
	}
	f.sc.products = list
	kernel.MatMulMany(f.p, &f.sc.ws, list, x, f.n)
	for _, pr := range products {
		f.adapt(pr.l, x, pr.dst)
	}
}

// block computes one layer for the rows in sc.x.
func (f *pass) block(index int) {
	m, sc, n := f.m, f.sc, f.n
	l := &m.layers[index]
	qDim, kvDim := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	normed := grow(&sc.normed, n*m.Dim)
	for i := range n {
		kernel.RMSNorm(normed[i*m.Dim:(i+1)*m.Dim], sc.x[i*m.Dim:(i+1)*m.Dim], l.attnNorm, m.Eps)
	}
	q, k, v := grow(&sc.q, n*qDim), grow(&sc.k, n*kvDim), grow(&sc.v, n*kvDim)
	f.multiply(normed, product{&l.q, q}, product{&l.k, k}, product{&l.v, v})
	l.q.scaleThenBias(q, n)
	l.k.scaleThenBias(k, n)
	l.v.scaleThenBias(v, n)
	for i := range n {
		m.rotate(sc, q[i*qDim:(i+1)*qDim], i)
		m.rotate(sc, k[i*kvDim:(i+1)*kvDim], i)
	}
	f.store(index, k, v)
	att := grow(&sc.att, n*qDim)
	f.attend(index, q, att)
	f.multiply(att, product{&l.o, normed})
	l.o.scaleThenBias(normed, n)
	kernel.Add(sc.x[:n*m.Dim], normed)
	for i := range n {
		kernel.RMSNorm(normed[i*m.Dim:(i+1)*m.Dim], sc.x[i*m.Dim:(i+1)*m.Dim], l.ffnNorm, m.Eps)
	}
	h, up := grow(&sc.h, n*m.FFN), grow(&sc.up, n*m.FFN)
	f.multiply(normed, product{&l.gate, h}, product{&l.up, up})
	l.gate.biasThenScale(h, n)
	l.up.biasThenScale(up, n)
	f.p.Run((len(h)+siluPart-1)/siluPart, func(c int) {
		from, to := c*siluPart, min((c+1)*siluPart, len(h))
		kernel.SiLUMul(h[from:to], up[from:to])
	})
	f.multiply(h, product{&l.down, normed})
	l.down.biasThenScale(normed, n)
	kernel.Add(sc.x[:n*m.Dim], normed)
}

// store puts the rows' keys and values into their sequences' pages.
func (f *pass) store(index int, k, v []float32) {
	dim := f.m.HeadDim
	for _, in := range f.in {
		for i := range in.Tokens {
			at := in.Seq.n + i
			page := in.Seq.pages[at/PageTokens]
			for h := range f.m.KVHeads {
				page.store(index, 0, h, at%PageTokens, k[h*dim:(h+1)*dim])
				page.store(index, 1, h, at%PageTokens, v[h*dim:(h+1)*dim])
			}
			k, v = k[f.m.KVHeads*dim:], v[f.m.KVHeads*dim:]
		}
	}
}

// siluPart is how many elements are worth a chunk.
const siluPart = 2048

// angles fills the cosines and sines of the rows' positions. The angle is multiplied step by step in float32, as ggml
// does, so that rounding agrees.
func (f *pass) angles() {
	m, sc := f.m, f.sc
	pairs := m.RopeDims / 2
	cos, sin := grow(&sc.cos, f.n*pairs), grow(&sc.sin, f.n*pairs)
	step := float32(math.Pow(float64(m.RopeBase), -2/float64(m.RopeDims)))
	for _, in := range f.in {
		for i := range in.Tokens {
			theta := float32(in.Seq.n + i)
			for j := range pairs {
				angle := theta / m.RopeScale
				if m.inverse != nil {
					angle /= m.inverse[j]
				}
				c, s := math.Cos(float64(angle)), math.Sin(float64(angle))
				cos[j], sin[j] = float32(c), float32(s)
				theta *= step
			}
			cos, sin = cos[pairs:], sin[pairs:]
		}
	}
}

// rotate applies RoPE to every head of one row, the i-th of the pass.
func (m *Model) rotate(sc *Scratch, row []float32, i int) {
	pairs := m.RopeDims / 2
	cos, sin := sc.cos[i*pairs:(i+1)*pairs], sc.sin[i*pairs:(i+1)*pairs]
	for ; len(row) > 0; row = row[m.HeadDim:] {
		for j := range pairs {
			a, b := 2*j, 2*j+1
			if m.RopeNeox {
				a, b = j, j+pairs
			}
			x, y := row[a], row[b]
			row[a], row[b] = x*cos[j]-y*sin[j], x*sin[j]+y*cos[j]
		}
	}
}
