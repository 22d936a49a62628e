package model

import (
	"context"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Chunk is the most tokens that one forward pass takes: a long prompt is passed in chunks, so that it can be canceled
// and others get their turn.
const Chunk = 64

// Sequence is one conversation's key-value cache, sized when it is made. It is not safe for concurrent use.
type Sequence struct {
	m        *Model
	capacity int
	n        int         // tokens so far
	keys     [][]float32 // a layer: heads x capacity x head dimension
	values   [][]float32
}

// BytesPerToken is what a sequence needs for each token of its capacity.
func (m *Model) BytesPerToken() int64 { return int64(m.Layers) * int64(m.KVHeads*m.HeadDim) * 2 * 4 }

// NewSequence returns an empty cache for capacity tokens.
func (m *Model) NewSequence(capacity int) *Sequence {
	s := &Sequence{m: m, capacity: capacity}
	for range m.Layers {
		s.keys = append(s.keys, make([]float32, capacity*m.KVHeads*m.HeadDim))
		s.values = append(s.values, make([]float32, capacity*m.KVHeads*m.HeadDim))
	}
	return s
}

// Len is the number of tokens in the cache.
func (s *Sequence) Len() int { return s.n }

// Scratch holds the buffers of a forward pass. The zero value is ready; it is not safe for concurrent use.
type Scratch struct {
	ws                             kernel.Workspace
	x, normed, q, k, v, att, h, up []float32
	logits                         []float32
	scores                         [][]float32
	cos, sin                       []float32
}

func grow(s *[]float32, n int) []float32 {
	if cap(*s) < n {
		*s = make([]float32, n)
	}
	*s = (*s)[:n]
	return *s
}

// Forward appends tokens, at most Chunk of them, to the sequence and returns the logits after the last one. The result
// is valid until the scratch is used again. With all set, it returns one row of logits a token.
func (m *Model) Forward(ctx context.Context, p *kernel.Pool, sc *Scratch, s *Sequence, tokens []int32, all bool) ([]float32, error) {
	n := len(tokens)
	if n == 0 || n > Chunk || s.n+n > s.capacity {
		return nil, fmt.Errorf("model: %d tokens after %d do not fit a cache of %d", n, s.n, s.capacity)
	}
	x := grow(&sc.x, n*m.Dim)
	size := m.embedding.Type.RowBytes(m.Dim)
	for i, t := range tokens {
		if t < 0 || int(t) >= m.Vocab {
			return nil, fmt.Errorf("model: token %d is not between 0 and %d", t, m.Vocab-1)
		}
		kernel.Dequantize(m.embedding.Type, x[i*m.Dim:(i+1)*m.Dim], m.embedding.Data[int(t)*size:(int(t)+1)*size])
	}
	m.angles(sc, s.n, n)
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.block(p, sc, s, i, n)
	}
	s.n += n
	rows := 1
	if all {
		rows = n
	}
	normed := grow(&sc.normed, rows*m.Dim)
	for r := range rows {
		from := (n - rows + r) * m.Dim
		kernel.RMSNorm(normed[r*m.Dim:(r+1)*m.Dim], x[from:from+m.Dim], m.norm, m.Eps)
	}
	logits := grow(&sc.logits, rows*m.Vocab)
	kernel.MatMul(p, &sc.ws, &m.output.weight, logits, normed, rows)
	m.output.scaleThenBias(logits, rows)
	return logits, nil
}

// block computes one layer for n tokens in sc.x.
func (m *Model) block(p *kernel.Pool, sc *Scratch, s *Sequence, index, n int) {
	l := &m.layers[index]
	qDim, kvDim := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	normed := grow(&sc.normed, n*m.Dim)
	for i := range n {
		kernel.RMSNorm(normed[i*m.Dim:(i+1)*m.Dim], sc.x[i*m.Dim:(i+1)*m.Dim], l.attnNorm, m.Eps)
	}
	q, k, v := grow(&sc.q, n*qDim), grow(&sc.k, n*kvDim), grow(&sc.v, n*kvDim)
	kernel.MatMulMany(p, &sc.ws, []kernel.Product{{W: &l.q.weight, Dst: q}, {W: &l.k.weight, Dst: k}, {W: &l.v.weight, Dst: v}}, normed, n)
	l.q.scaleThenBias(q, n)
	l.k.scaleThenBias(k, n)
	l.v.scaleThenBias(v, n)
	for i := range n {
		m.rotate(sc, q[i*qDim:(i+1)*qDim], i)
		m.rotate(sc, k[i*kvDim:(i+1)*kvDim], i)
		for h := range m.KVHeads {
			at := (h*s.capacity + s.n + i) * m.HeadDim
			copy(s.keys[index][at:at+m.HeadDim], k[i*kvDim+h*m.HeadDim:])
			copy(s.values[index][at:at+m.HeadDim], v[i*kvDim+h*m.HeadDim:])
		}
	}
	att := grow(&sc.att, n*qDim)
	m.attend(p, sc, s, index, n, q, att)
	kernel.MatMul(p, &sc.ws, &l.o.weight, normed, att, n)
	l.o.scaleThenBias(normed, n)
	kernel.Add(sc.x[:n*m.Dim], normed)
	for i := range n {
		kernel.RMSNorm(normed[i*m.Dim:(i+1)*m.Dim], sc.x[i*m.Dim:(i+1)*m.Dim], l.ffnNorm, m.Eps)
	}
	h, up := grow(&sc.h, n*m.FFN), grow(&sc.up, n*m.FFN)
	kernel.MatMulMany(p, &sc.ws, []kernel.Product{{W: &l.gate.weight, Dst: h}, {W: &l.up.weight, Dst: up}}, normed, n)
	l.gate.biasThenScale(h, n)
	l.up.biasThenScale(up, n)
	p.Run((len(h)+siluPart-1)/siluPart, func(c int) {
		from, to := c*siluPart, min((c+1)*siluPart, len(h))
		kernel.SiLUMul(h[from:to], up[from:to])
	})
	kernel.MatMul(p, &sc.ws, &l.down.weight, normed, h, n)
	l.down.biasThenScale(normed, n)
	kernel.Add(sc.x[:n*m.Dim], normed)
}

// siluPart is how many elements are worth a chunk.
const siluPart = 2048

// attend computes causal attention of n queries over the cache, one head of one token at a time, on all threads.
func (m *Model) attend(p *kernel.Pool, sc *Scratch, s *Sequence, index, n int, q, out []float32) {
	keys, values := s.keys[index], s.values[index]
	scale := float32(1 / math.Sqrt(float64(m.HeadDim)))
	group := m.Heads / m.KVHeads
	units := n * m.Heads
	for len(sc.scores) < units {
		sc.scores = append(sc.scores, nil)
	}
	p.Run(units, func(unit int) {
		i, h := unit/m.Heads, unit%m.Heads
		length := s.n + i + 1
		base := h / group * s.capacity * m.HeadDim
		query := q[(i*m.Heads+h)*m.HeadDim:][:m.HeadDim]
		scores := grow(&sc.scores[unit], length)
		for t := range scores {
			at := base + t*m.HeadDim
			scores[t] = kernel.Dot(query, keys[at:at+m.HeadDim]) * scale
		}
		kernel.Softmax(scores)
		dst := out[(i*m.Heads+h)*m.HeadDim:][:m.HeadDim]
		clear(dst)
		for t, w := range scores {
			at := base + t*m.HeadDim
			kernel.Axpy(dst, w, values[at:at+m.HeadDim])
		}
	})
}

// angles fills the cosines and sines of n positions. The angle is multiplied step by step in float32, as ggml does, so
// that rounding agrees.
func (m *Model) angles(sc *Scratch, from, n int) {
	pairs := m.RopeDims / 2
	cos, sin := grow(&sc.cos, n*pairs), grow(&sc.sin, n*pairs)
	step := float32(math.Pow(float64(m.RopeBase), -2/float64(m.RopeDims)))
	for i := range n {
		theta := float32(from + i)
		for j := range pairs {
			angle := theta / m.RopeScale
			if m.inverse != nil {
				angle /= m.inverse[j]
			}
			c, s := math.Cos(float64(angle)), math.Sin(float64(angle))
			cos[i*pairs+j], sin[i*pairs+j] = float32(c), float32(s)
			theta *= step
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
