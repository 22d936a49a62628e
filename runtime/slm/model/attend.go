package model

import (
	"math"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// queryBlock is how many tokens of a sequence share the work of reading its pages.
const queryBlock = 8

// unit is a piece of the attention's work: some tokens of one sequence, and one of its key-value heads.
type unit struct {
	s           *Sequence
	first, rows int // rows of the pass
	position    int // of the first row in its sequence
	head        int
}

// attention is the scratch space of one unit.
type attention struct {
	k, v   []float32 // a page's rows
	scores [PageTokens]float32
	top    []float32 // a query: the highest score so far
	sum    []float32 // a query: the sum of the weights so far, relative to top
}

// attend computes causal attention of all rows over their sequences' pages with a running softmax: a page at a time, so
// that no row of scores is as long as the context. A row's result depends on its own sequence alone.
func (f *pass) attend(index int, q, out []float32) {
	m, sc := f.m, f.sc
	units := sc.units[:0]
	row := 0
	for _, in := range f.in {
		for i := 0; i < len(in.Tokens); i += queryBlock {
			for h := range m.KVHeads {
				units = append(units, unit{s: in.Seq, first: row + i, rows: min(queryBlock, len(in.Tokens)-i), position: in.Seq.n + i, head: h})
			}
		}
		row += len(in.Tokens)
	}
	sc.units = units
	for len(sc.attention) < len(units) {
		sc.attention = append(sc.attention, attention{})
	}
	f.p.Run(len(units), func(i int) { m.attendUnit(&units[i], &sc.attention[i], index, q, out) })
}

func (m *Model) attendUnit(u *unit, a *attention, index int, q, out []float32) {
	group, dim := m.Heads/m.KVHeads, m.HeadDim
	queries := u.rows * group
	grow(&a.k, PageTokens*dim)
	grow(&a.v, PageTokens*dim)
	top, sum := grow(&a.top, queries), grow(&a.sum, queries)
	for i := range queries {
		top[i], sum[i] = float32(math.Inf(-1)), 0
		clear(m.headRow(out, u, i, group))
	}
	last := u.position + u.rows // one past the last position that any row sees
	window := m.layers[index].window
	from := 0
	if window > 0 {
		from = max(u.position-window+1, 0) / PageTokens
	}
	for page := from; page*PageTokens < last; page++ {
		begin := page * PageTokens
		n := min(PageTokens, last-begin)
		keys := u.s.pages[page].load(index, 0, u.head, n, a.k)
		values := u.s.pages[page].load(index, 1, u.head, n, a.v)
		for i := range queries {
			position := u.position + i/group
			low := 0
			if window > 0 {
				low = max(position-window+1-begin, 0)
			}
			high := min(n, position+1-begin)
			if low >= high {
				continue
			}
			query, dst := m.headRow(q, u, i, group), m.headRow(out, u, i, group)
			scores := a.scores[low:high]
			best := top[i]
			kernel.Scores(scores, query, keys[low*dim:], m.scoreScale)
			if m.scoreCap > 0 {
				kernel.SoftCap(scores, m.scoreCap)
			}
			for _, s := range scores {
				best = max(best, s)
			}
			if best > top[i] {
				if sum[i] > 0 {
					shrink := exp32(top[i] - best)
					sum[i] *= shrink
					kernel.Scale(dst, shrink)
				}
				top[i] = best
			}
			sum[i] += kernel.ExpSum(scores, best)
			kernel.WeightedSum(dst, scores, values[low*dim:])
		}
	}
	for i := range queries {
		inverse := 1 / sum[i]
		kernel.Scale(m.headRow(out, u, i, group), inverse)
	}
}

func exp32(x float32) float32 { return float32(math.Exp(float64(x))) }

// headRow is query i of a unit in a matrix of rows x heads x dimensions.
func (m *Model) headRow(rows []float32, u *unit, i, group int) []float32 {
	at := ((u.first+i/group)*m.Heads + u.head*group + i%group) * m.HeadDim
	return rows[at : at+m.HeadDim]
}
