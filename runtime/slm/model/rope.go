package model

import (
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
)

// rope is a rotary position embedding (Su et al. 2021) and its scaling: linear (Chen et al. 2023), YaRN (Peng et al.
// 2023), or a factor for each pair of dimensions (Llama 3, LongRoPE).
type rope struct {
	base  float32
	scale float32 // of positions: 1/factor

	// YaRN leaves fast pairs as they are and scales slow ones; extrapolate is how far it does so (0: all are scaled), low
	// and high are the pairs between which it goes from one to the other.
	extrapolate, low, high float32

	magnitude float32   // of cosines and sines
	inverse   []float32 // a pair: its frequency is divided by this; nil: all 1
}

// readRope reads the scaling, which llama.cpp does not apply to layers with a window where these have a base of their
// own.
func (c *Config) readRope(h *hyper) {
	if h.err != nil || c.rotation == rotateNone {
		return
	}
	c.RopeDims = h.integer("rope.dimension_count", c.HeadDim, maxDim)
	if h.err == nil && (c.RopeDims > c.HeadDim || c.RopeDims%2 != 0) {
		h.err = fmt.Errorf("%w: RoPE over %d dimensions of a head of %d", gguf.ErrFormat, c.RopeDims, c.HeadDim)
		return
	}
	r := rope{base: h.number("rope.freq_base", 10000, 1, 1e12), scale: 1, magnitude: h.number("rope.scaling.attn_factor", 1, 0, 1e3)}
	kind, ok := h.f.String(h.arch + ".rope.scaling.type")
	if !ok {
		kind = "linear"
	}
	factor, ok := h.f.Float(h.arch + ".rope.scaling.factor")
	if !ok {
		factor, _ = h.f.Float(h.arch + ".rope.scale_linear")
	}
	if factor != 0 && !(factor >= 1e-3 && factor <= 1e6) {
		h.fail("rope.scaling.factor is %g", factor)
		return
	}
	switch kind {
	case "none":
		factor = 0
	case "linear", "longrope", "yarn":
	default:
		h.err = fmt.Errorf("RoPE scaling of the type %.40q is not supported; linear, yarn and longrope are", kind)
		return
	}
	if factor != 0 {
		r.scale = 1 / float32(factor)
	}
	c.ropes[0], c.ropes[1] = r, r
	if c.localBase != 0 {
		c.ropes[1] = rope{base: c.localBase, scale: 1, magnitude: r.magnitude}
	}
	if base := h.number("rope.freq_base_swa", 0, 0, 1e12); base >= 1 {
		c.ropes[1].base = base
	}
	if kind == "yarn" {
		trained := h.integer("rope.scaling.original_context_length", c.Context, maxContext)
		for i := range c.ropes {
			c.ropes[i].yarn(c.RopeDims, trained)
		}
	}
}

// YaRN's bounds: a pair that turns more often than this over the trained context is left as it is, and one that turns
// less often is scaled. Files may name others; llama.cpp takes these for all architectures here.
const (
	yarnFast = 32
	yarnSlow = 1
)

// yarn sets what YaRN needs for a number of dimensions and the context that the model was trained with.
func (r *rope) yarn(dims, trained int) {
	pair := func(turns float64) float64 { // the pair that turns so often
		return float64(dims) * math.Log(float64(trained)/(turns*2*math.Pi)) / (2 * math.Log(float64(r.base)))
	}
	r.extrapolate = 1
	r.low = float32(max(math.Floor(pair(yarnFast)), 0))
	r.high = float32(min(math.Ceil(pair(yarnSlow)), float64(dims-1)))
	if r.scale < 1 {
		r.magnitude *= 1 + 0.1*float32(math.Log(float64(1/r.scale)))
	}
}

// fill writes the cosines and sines of a position, one a pair of dimensions. The angle is multiplied step by step in
// float32, as ggml does, so that rounding agrees.
func (r *rope) fill(cos, sin []float32, position int) {
	theta, step := float32(position), float32(math.Pow(float64(r.base), -1/float64(len(cos))))
	for j := range cos {
		full := theta
		if r.inverse != nil {
			full /= r.inverse[j]
		}
		angle := full * r.scale
		if r.extrapolate != 0 {
			ramp := 1 - min(max((float32(j)-r.low)/max(0.001, r.high-r.low), 0), 1)
			mix := ramp * r.extrapolate
			angle = angle*(1-mix) + full*mix
		}
		s, c := math.Sincos(float64(angle))
		cos[j], sin[j] = float32(c)*r.magnitude, float32(s)*r.magnitude
		theta *= step
	}
}

// rotate turns the pairs of dimensions of every head of a row.
func (c *Config) rotate(row, cos, sin []float32) {
	pairs := len(cos)
	for ; len(row) > 0; row = row[c.HeadDim:] {
		for j := range pairs {
			a, b := 2*j, 2*j+1
			if c.rotation == rotateHalves {
				a, b = j, j+pairs
			}
			x, y := row[a], row[b]
			row[a], row[b] = x*cos[j]-y*sin[j], x*sin[j]+y*cos[j]
		}
	}
}
