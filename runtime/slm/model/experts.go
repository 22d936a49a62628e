package model

import (
	"fmt"
	"slices"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// experts is a feed-forward part of which each token passes the few that a router chooses (Shazeer et al. 2017, as in
// Mixtral and Qwen3-MoE).
type experts struct {
	router         linear
	gate, up, down []linear // one an expert
}

// maxExperts is far above real models.
const maxExperts = 4096

func (c *Config) readExperts(h *hyper) {
	n, ok := h.f.Uint(h.arch + ".expert_count")
	if !c.experts || (!ok || n == 0) && !c.expertsOnly {
		return
	}
	c.Experts = h.integer("expert_count", 0, maxExperts)
	c.ExpertsUsed = h.integer("expert_used_count", 0, maxExperts)
	if h.err == nil && c.ExpertsUsed > c.Experts {
		h.err = fmt.Errorf("%w: %d experts used of %d", gguf.ErrFormat, c.ExpertsUsed, c.Experts)
		return
	}
	c.expertScale = h.number("expert_weights_scale", 0, -1e3, 1e3)
	if c.expertScale == 0 {
		c.expertScale = 1
	}
	whole := c.FFN
	if c.expertsOnly && h.err == nil {
		whole = max(c.FFN/c.ExpertsUsed, 1)
	}
	c.FFN = h.integer("expert_feed_forward_length", whole, maxDim*8)
}

// experts fetches the experts of a layer.
func (l *loader) experts(name func(string) string) *experts {
	c := l.c
	return &experts{router: l.linear(name("ffn_gate_inp"), c.Experts, c.Dim), gate: l.stack(name("ffn_gate_exps"), c.FFN, c.Dim),
		up: l.stack(name("ffn_up_exps"), c.FFN, c.Dim), down: l.stack(name("ffn_down_exps"), c.Dim, c.FFN)}
}

// stack fetches a tensor of one matrix an expert, with a factor for each where there is one.
func (l *loader) stack(name string, rows, cols int) []linear {
	out := make([]linear, l.c.Experts)
	t, ok := l.tensor(name+".weight", cols, rows, l.c.Experts)
	if !ok {
		return out
	}
	if !t.Type.Supported() {
		l.err = fmt.Errorf("the tensor %s.weight has the type %s, which is not supported", name, t.Type)
		return out
	}
	var scale []float32
	if l.has(name+".scale") && l.c.scaledFFN {
		scale = l.vector(name+".scale", l.c.Experts)
	}
	size := rows * t.Type.RowBytes(cols)
	for i := range out {
		out[i] = linear{scale: 1, weight: kernel.NewMatrix(t.Type, rows, cols, t.Data[i*size:(i+1)*size])}
		l.made = append(l.made, out[i].weight)
		if scale != nil {
			out[i].scale = scale[i]
		}
	}
	return out
}

// choice is one expert of one row and its weight.
type choice struct {
	row, slot, expert int
	weight            float32
}

// passExperts computes the feed-forward part of one layer for normalised rows. Each row's experts are summed from the
// likeliest on, so that a row's result does not depend on the others.
func (f *pass) passExperts(l *layer, normed, out []float32) {
	m, n := f.m, f.n
	chosen := f.route(l.experts, normed)
	slices.SortStableFunc(chosen, func(a, b choice) int { return a.expert - b.expert })
	parts := grow(&f.sc.parts, n*m.ExpertsUsed*m.Dim)
	for from := 0; from < len(chosen); {
		to := from
		for to < len(chosen) && chosen[to].expert == chosen[from].expert {
			to++
		}
		f.passExpert(l.experts, normed, chosen[from:to], parts)
		from = to
	}
	clear(out)
	for row := range n {
		dst := out[row*m.Dim : (row+1)*m.Dim]
		for slot := range m.ExpertsUsed {
			at := (row*m.ExpertsUsed + slot) * m.Dim
			kernel.Add(dst, parts[at:at+m.Dim])
		}
	}
}

// route chooses each row's experts: the likeliest of a softmax over all, their shares made to sum to one.
func (f *pass) route(e *experts, normed []float32) []choice {
	m := f.m
	logits := grow(&f.sc.routes, f.n*m.Experts)
	kernel.MatMul(f.p, &f.sc.ws, &e.router.weight, logits, normed, f.n)
	chosen := f.sc.chosen[:0]
	order := make([]int, m.Experts)
	for row := range f.n {
		probs := logits[row*m.Experts : (row+1)*m.Experts]
		kernel.Softmax(probs)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case probs[a] > probs[b]:
				return -1
			case probs[a] < probs[b]:
				return 1
			}
			return 0
		})
		sum := float32(0)
		for _, x := range order[:m.ExpertsUsed] {
			sum += probs[x]
		}
		sum = max(sum, minShare)
		for slot, x := range order[:m.ExpertsUsed] {
			chosen = append(chosen, choice{row, slot, x, probs[x] / sum * m.expertScale})
		}
	}
	f.sc.chosen = chosen
	return chosen
}

// minShare keeps a sum of shares from being no divisor: the smallest normal half float, as in llama.cpp.
const minShare = 6.103515625e-5

// passExpert passes the rows that chose one expert through it, and puts their weighted results into their parts.
func (f *pass) passExpert(e *experts, normed []float32, rows []choice, parts []float32) {
	m, sc, x := f.m, f.sc, rows[0].expert
	in := grow(&sc.expertIn, len(rows)*m.Dim)
	for i, c := range rows {
		copy(in[i*m.Dim:(i+1)*m.Dim], normed[c.row*m.Dim:(c.row+1)*m.Dim])
	}
	h, up := grow(&sc.h, len(rows)*m.FFN), grow(&sc.up, len(rows)*m.FFN)
	kernel.MatMulMany(f.p, &sc.ws, []kernel.Product{{W: &e.gate[x].weight, Dst: h}, {W: &e.up[x].weight, Dst: up}}, in, len(rows))
	e.gate[x].applyScale(h)
	e.up[x].applyScale(up)
	f.activate(h, up)
	kernel.MatMul(f.p, &sc.ws, &e.down[x].weight, in, h, len(rows))
	e.down[x].applyScale(in)
	for i, c := range rows {
		dst := parts[(c.row*m.ExpertsUsed+c.slot)*m.Dim:][:m.Dim]
		for j, v := range in[i*m.Dim : (i+1)*m.Dim] {
			dst[j] = v * c.weight
		}
	}
}
