package model

import (
	"context"
	"fmt"

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
	ws                                  kernel.Workspace
	x, normed, out, q, k, v, att, h, up []float32
	logits                              []float32
	units                               []unit
	attention                           []attention
	products                            []kernel.Product
	parts, routes, expertIn             []float32 // of experts
	chosen                              []choice
	low                                 []float32 // products with the first matrices of adapters
	places                              []rowPlace
	angles                              [2]angles // of the kinds of RoPE
}

// angles are the cosines and sines of a pass's rows, for one kind of RoPE.
type angles struct{ cos, sin []float32 }

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
	f, err := m.run(ctx, p, sc, in)
	if err != nil {
		return nil, err
	}
	wanted := 0
	for _, i := range in {
		wanted += i.Logits
	}
	return f.logits(wanted), nil
}

// Hidden appends tokens of one sequence and returns the normalised state after each, a row of Dim values a token. The
// result is valid until the scratch is used again.
func (m *Model) Hidden(ctx context.Context, p *kernel.Pool, sc *Scratch, s *Sequence, tokens []int32) ([]float32, error) {
	f, err := m.run(ctx, p, sc, []Input{{s, tokens, 0}})
	if err != nil {
		return nil, err
	}
	out := grow(&sc.normed, f.n*m.Dim)
	m.norm.apply(out, sc.x)
	return out, nil
}

// run passes the inputs' tokens through all layers; the states are in sc.x.
func (m *Model) run(ctx context.Context, p *kernel.Pool, sc *Scratch, in []Input) (*pass, error) {
	if m.encoder {
		return nil, fmt.Errorf("model: %s is an encoder", m.Architecture)
	}
	f := &pass{m: m, p: p, sc: sc, in: in}
	for _, i := range in {
		if len(i.Tokens) == 0 || i.Logits < 0 || i.Logits > len(i.Tokens) || i.Seq.kv.m != m {
			return nil, fmt.Errorf("model: %d tokens and %d rows of logits for a sequence", len(i.Tokens), i.Logits)
		}
		if m.positions.Data != nil && i.Seq.n+len(i.Tokens) > m.Context {
			return nil, fmt.Errorf("model: %d tokens, and the model has positions for %d", i.Seq.n+len(i.Tokens), m.Context)
		}
		f.n += len(i.Tokens)
		if err := m.checkTokens(i.Tokens); err != nil {
			return nil, err
		}
	}
	if f.n == 0 || f.n > MaxRows {
		return nil, fmt.Errorf("model: a pass of %d tokens, not 1 to %d", f.n, MaxRows)
	}
	for _, i := range in {
		i.Seq.reserve(len(i.Tokens))
	}
	f.place()
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
	return f, nil
}

func (m *Model) checkTokens(tokens []int32) error {
	for _, t := range tokens {
		if t < 0 || int(t) >= m.Vocab {
			return fmt.Errorf("model: token %d is not between 0 and %d", t, m.Vocab-1)
		}
	}
	return nil
}

// pass is one forward pass: n rows, the inputs' tokens one after the other.
type pass struct {
	m  *Model
	p  *kernel.Pool
	sc *Scratch
	in []Input
	n  int
}

// rowPlace is a row's token and where it is in its sequence.
type rowPlace struct {
	seq      *Sequence
	token    int32
	position int
}

// place notes where the rows are.
func (f *pass) place() {
	f.sc.places = f.sc.places[:0]
	for _, in := range f.in {
		for i, t := range in.Tokens {
			f.sc.places = append(f.sc.places, rowPlace{in.Seq, t, in.Seq.n + i})
		}
	}
}

// shareElements is how many elements of the states are worth the workers' time where a row takes some steps an element. It is
// a variable for the tests, whose models are small.
var shareElements = 16 << 10

// rows has work done for all rows, by several workers when there are many. A row's work is the same either way.
func (f *pass) rows(work func(from, to int)) {
	if f.n == 1 || f.n*f.m.Dim < shareElements {
		work(0, f.n)
		return
	}
	parts := min(f.n, f.p.Threads()*4)
	f.p.Run(parts, func(i int) { work(f.n*i/parts, f.n*(i+1)/parts) })
}

func (f *pass) embed() {
	x, dim := grow(&f.sc.x, f.n*f.m.Dim), f.m.Dim
	f.rows(func(from, to int) {
		for i, p := range f.sc.places[from:to] {
			f.m.embedToken(x[(from+i)*dim:(from+i+1)*dim], p.token, p.position)
		}
	})
}

// normalize applies a norm to the rows of x.
func (f *pass) normalize(n *norm, dst, x []float32) {
	dim := f.m.Dim
	f.rows(func(from, to int) { n.apply(dst[from*dim:to*dim], x[from*dim:to*dim]) })
}

// embedToken writes the embedding of a token at a position.
func (m *Model) embedToken(dst []float32, token int32, position int) {
	kernel.Dequantize(m.embedding.Type, dst, m.embedding.Row(int(token)))
	if m.drop != nil && m.looked.Add(1)%lookedRows == 0 {
		m.drop(m.embedding.Data)
	}
	if m.embedScale != 1 {
		kernel.Scale(dst, m.embedScale)
	}
	if m.tokenType != nil {
		kernel.Add(dst, m.tokenType)
	}
	if m.positions.Data != nil {
		at := make([]float32, m.Dim)
		kernel.Dequantize(m.positions.Type, at, m.positions.Row(position))
		kernel.Add(dst, at)
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
			m.norm.apply(to[:m.Dim], sc.x[r*m.Dim:(r+1)*m.Dim])
			to = to[m.Dim:]
		}
	}
	logits := grow(&sc.logits, wanted*m.Vocab)
	kernel.MatMul(f.p, &sc.ws, &m.output.weight, logits, normed, wanted)
	m.output.scaleThenBias(logits, wanted)
	if m.logitScale != 1 {
		kernel.Scale(logits, 1/m.logitScale)
	}
	if m.logitLimit > 0 {
		kernel.SoftCap(logits, m.logitLimit)
	}
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
	x := sc.x[:n*m.Dim]
	normed, out := grow(&sc.normed, n*m.Dim), grow(&sc.out, n*m.Dim)
	f.normalize(&l.attnNorm, normed, x)
	if l.conv != nil {
		f.convolve(index, normed, out)
	} else {
		f.attention(index, normed, out)
	}
	f.addResult(&l.postAttn, x, out)
	if l.ffnNorm.weight != nil {
		f.normalize(&l.ffnNorm, normed, x)
	}
	if l.experts != nil {
		f.passExperts(l, normed, out)
	} else {
		f.feedForward(l, normed, out)
	}
	f.addResult(&l.postFFN, x, out)
}

// addResult adds a part's result to the states.
func (f *pass) addResult(post *norm, x, out []float32) {
	dim := f.m.Dim
	f.rows(func(from, to int) {
		x, out := x[from*dim:to*dim], out[from*dim:to*dim]
		if post.weight != nil {
			post.apply(out, out)
		}
		if f.m.addScale != 1 {
			kernel.Scale(out, f.m.addScale)
		}
		kernel.Add(x, out)
	})
}

// attention computes the attention of one layer for normalised rows.
func (f *pass) attention(index int, normed, out []float32) {
	l := &f.m.layers[index]
	q, k, v := f.project(l, normed)
	f.store(index, k, v)
	att := grow(&f.sc.att, len(q))
	f.attend(index, q, att)
	f.multiply(att, product{&l.o, out})
	l.o.scaleThenBias(out, f.n)
}

// project computes the rows' queries, keys and values.
func (f *pass) project(l *layer, normed []float32) (q, k, v []float32) {
	m, sc, n := f.m, f.sc, f.n
	qDim, kvDim := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	q, k, v = grow(&sc.q, n*qDim), grow(&sc.k, n*kvDim), grow(&sc.v, n*kvDim)
	f.multiply(normed, product{&l.q, q}, product{&l.k, k}, product{&l.v, v})
	f.rows(func(from, to int) {
		q, k, v := q[from*qDim:to*qDim], k[from*kvDim:to*kvDim], v[from*kvDim:to*kvDim]
		l.q.scaleThenBias(q, to-from)
		l.k.scaleThenBias(k, to-from)
		l.v.scaleThenBias(v, to-from)
		for i := range to - from {
			f.turn(l, &l.qNorm, q[i*qDim:(i+1)*qDim], from+i)
			f.turn(l, &l.kNorm, k[i*kvDim:(i+1)*kvDim], from+i)
		}
	})
	return q, k, v
}

// turn normalises and rotates the heads of a row, the i-th of the pass.
func (f *pass) turn(l *layer, heads *norm, row []float32, i int) {
	if heads.weight != nil {
		heads.applyHeads(row, f.m.HeadDim)
	}
	if l.rope >= 0 {
		pairs := f.m.RopeDims / 2
		a := &f.sc.angles[l.rope]
		f.m.rotate(row, a.cos[i*pairs:(i+1)*pairs], a.sin[i*pairs:(i+1)*pairs])
	}
}

// feedForward computes the feed-forward part of one layer for normalised rows.
func (f *pass) feedForward(l *layer, normed, out []float32) {
	m, sc, n := f.m, f.sc, f.n
	h, up := grow(&sc.h, n*m.FFN), []float32(nil)
	if m.gating == gateNone {
		f.multiply(normed, product{&l.up, h})
		l.up.biasThenScale(h, n)
	} else {
		up = grow(&sc.up, n*m.FFN)
		f.multiply(normed, product{&l.gate, h}, product{&l.up, up})
		l.gate.biasThenScale(h, n)
		l.up.biasThenScale(up, n)
	}
	f.activate(h, up)
	f.multiply(h, product{&l.down, out})
	l.down.biasThenScale(out, n)
}

// activate replaces h by its activation, times up where there is a gate.
func (f *pass) activate(h, up []float32) {
	f.p.Run((len(h)+activationPart-1)/activationPart, func(c int) {
		from, to := c*activationPart, min((c+1)*activationPart, len(h))
		switch gelu := f.m.gelu; {
		case gelu && up == nil:
			kernel.GELU(h[from:to])
		case gelu:
			kernel.GELUMul(h[from:to], up[from:to])
		case up == nil:
			kernel.SiLU(h[from:to])
		default:
			kernel.SiLUMul(h[from:to], up[from:to])
		}
	})
}

// activationPart is how many elements are worth a chunk.
const activationPart = 2048

// store puts the rows' keys and values into their sequences' pages.
func (f *pass) store(index int, k, v []float32) {
	dim, heads := f.m.HeadDim, f.m.KVHeads
	f.rows(func(from, to int) {
		for i := from; i < to; i++ {
			p := &f.sc.places[i]
			page, at := p.seq.pages[p.position/PageTokens], p.position%PageTokens
			for h := range heads {
				row := (i*heads + h) * dim
				page.store(index, 0, h, at, k[row:row+dim])
				page.store(index, 1, h, at, v[row:row+dim])
			}
		}
	})
}

// angles fills the cosines and sines of the rows' positions.
func (f *pass) angles() {
	m := f.m
	pairs := m.RopeDims / 2
	for kind := range f.sc.angles {
		if m.usesRope[kind] {
			a := &f.sc.angles[kind]
			cos, sin := grow(&a.cos, f.n*pairs), grow(&a.sin, f.n*pairs)
			f.rows(func(from, to int) {
				for i := from; i < to; i++ {
					m.ropes[kind].fill(cos[i*pairs:(i+1)*pairs], sin[i*pairs:(i+1)*pairs], f.sc.places[i].position)
				}
			})
		}
	}
}
