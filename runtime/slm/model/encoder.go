package model

import (
	"context"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Pooling is how the states of a text's tokens become one vector.
type Pooling int

// The poolings, with the numbers that files have.
const (
	PoolNone Pooling = iota // the file does not say
	PoolMean
	PoolFirst // the first token's state (CLS)
	PoolLast
	PoolRank // a classifier's score of the first token's state, or of a decoder's last one
)

// Encoder says whether the model reads whole texts: it has states of tokens, and no logits.
func (m *Model) Encoder() bool { return m.encoder }

// Ranks says whether the model has a head that scores a text.
func (m *Model) Ranks() bool { return m.headOut.weight.Data != nil || m.headIn.weight.Data != nil }

// loadEncoder fetches what only encoders have.
func (l *loader) loadEncoder(m *Model) {
	c := l.c
	m.norm = l.norm("token_embd_norm", c.Dim)
	if t, ok := l.f.Tensor("token_types.weight"); ok && l.err == nil {
		// A text is all of the first type, as llama.cpp has it.
		types := l.matrix("token_types.weight", t.Rows(), c.Dim)
		if l.err == nil {
			m.tokenType = make([]float32, c.Dim)
			kernel.Dequantize(types.Type, m.tokenType, types.Row(0))
		}
	}
}

// loadHead fetches the classifier of a model that ranks.
func (l *loader) loadHead(m *Model) {
	labels, _ := l.f.Strings(l.c.Architecture + ".classifier.output_labels")
	if l.has("cls.weight") {
		m.headIn = l.linear("cls", l.c.Dim, l.c.Dim)
	}
	if l.has("cls.output.weight") {
		m.headOut = l.linear("cls.output", max(len(labels), 1), l.c.Dim)
	}
}

// Encode passes whole texts through an encoder and returns the states after the last layer: a row of Dim values for each
// token, the first text's first. Texts do not see each other, and what one gets does not depend on the others. The result
// is valid until the scratch is used again.
func (m *Model) Encode(ctx context.Context, p *kernel.Pool, sc *Scratch, texts [][]int32) ([]float32, error) {
	if !m.encoder {
		return nil, fmt.Errorf("model: %s is no encoder", m.Architecture)
	}
	f := pass{m: m, p: p, sc: sc}
	for _, text := range texts {
		if len(text) == 0 || len(text) > m.Context {
			return nil, fmt.Errorf("model: a text of %d tokens, not 1 to %d", len(text), m.Context)
		}
		if err := m.checkTokens(text); err != nil {
			return nil, err
		}
		f.n += len(text)
	}
	x := grow(&sc.x, f.n*m.Dim)
	pairs := m.RopeDims / 2
	cos, sin := grow(&sc.angles[0].cos, f.n*pairs), grow(&sc.angles[0].sin, f.n*pairs)
	for _, text := range texts {
		for i, t := range text {
			m.embedToken(x[:m.Dim], t, i)
			x = x[m.Dim:]
			if pairs > 0 {
				m.ropes[0].fill(cos[:pairs], sin[:pairs], i)
				cos, sin = cos[pairs:], sin[pairs:]
			}
		}
	}
	m.norm.apply(sc.x, sc.x)
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.encoderBlock(&m.layers[i], texts)
	}
	return sc.x, nil
}

// encoderBlock computes one layer of an encoder, which normalises after each sum.
func (f *pass) encoderBlock(l *layer, texts [][]int32) {
	m, sc, n := f.m, f.sc, f.n
	x, out := sc.x[:n*m.Dim], grow(&sc.out, n*m.Dim)
	q, k, v := f.project(l, x)
	att := grow(&sc.att, len(q))
	f.attendWhole(texts, q, k, v, att)
	f.multiply(att, product{&l.o, out})
	l.o.scaleThenBias(out, n)
	kernel.Add(x, out)
	l.attnNorm.apply(x, x)
	f.feedForward(l, x, out)
	kernel.Add(x, out)
	l.ffnNorm.apply(x, x)
}

// attendWhole computes attention of every token to all of its text, with a running softmax over blocks of keys.
func (f *pass) attendWhole(texts [][]int32, q, k, v, out []float32) {
	type piece struct{ begin, length, from, to, head int }
	var pieces []piece
	begin := 0
	for _, text := range texts {
		for i := 0; i < len(text); i += queryBlock {
			for h := range f.m.Heads {
				pieces = append(pieces, piece{begin, len(text), i, min(i+queryBlock, len(text)), h})
			}
		}
		begin += len(text)
	}
	m := f.m
	dim, qDim, kvDim, group := m.HeadDim, m.Heads*m.HeadDim, m.KVHeads*m.HeadDim, m.Heads/m.KVHeads
	f.p.Run(len(pieces), func(i int) {
		p := pieces[i]
		var scores [PageTokens]float32
		for r := p.from; r < p.to; r++ {
			at := (p.begin+r)*qDim + p.head*dim
			query, dst := q[at:at+dim], out[at:at+dim]
			clear(dst)
			top, sum := float32(math.Inf(-1)), float32(0)
			for from := 0; from < p.length; from += len(scores) {
				block := scores[:min(len(scores), p.length-from)]
				row := func(rows []float32, t int) []float32 {
					at := (p.begin+from+t)*kvDim + p.head/group*dim
					return rows[at : at+dim]
				}
				best := top
				for t := range block {
					block[t] = kernel.Dot(query, row(k, t)) * m.scoreScale
					best = max(best, block[t])
				}
				if sum > 0 && best > top {
					shrink := exp32(top - best)
					sum *= shrink
					kernel.Scale(dst, shrink)
				}
				top = best
				for t, s := range block {
					w := exp32(s - top)
					sum += w
					kernel.Axpy(dst, w, row(v, t))
				}
			}
			kernel.Scale(dst, 1/sum)
		}
	})
}

// Rank returns the classifier's scores of a state: one a label, most often a single one.
func (m *Model) Rank(p *kernel.Pool, sc *Scratch, state []float32) ([]float32, error) {
	if !m.Ranks() || len(state) != m.Dim {
		return nil, fmt.Errorf("model: %s has no classifier", m.Architecture)
	}
	apply := func(l *linear, x []float32) []float32 {
		y := make([]float32, l.weight.Rows)
		kernel.MatMul(p, &sc.ws, &l.weight, y, x, 1)
		l.scaleThenBias(y, 1)
		return y
	}
	scores := state
	if m.headIn.weight.Data != nil {
		scores = apply(&m.headIn, scores)
		for i, v := range scores {
			scores[i] = float32(math.Tanh(float64(v)))
		}
	}
	if m.headOut.weight.Data != nil {
		scores = apply(&m.headOut, scores)
	}
	if !m.encoder {
		kernel.Softmax(scores)
	}
	return scores, nil
}

func (c *Config) readPooling(h *hyper) {
	n, ok := h.f.Uint(h.arch + ".pooling_type")
	switch {
	case !ok || n == math.MaxUint32:
	case n > uint64(PoolRank):
		h.err = fmt.Errorf("%w: %s.pooling_type is %d, which is not known", gguf.ErrFormat, h.arch, n)
	default:
		c.Pooling = Pooling(n)
	}
}
