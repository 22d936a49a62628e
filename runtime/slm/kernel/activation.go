package kernel

import "math"

// activation is one row of activations in the form that a weight type is multiplied with.
type activation struct {
	f32    []float32 // F32 weights; F16 and BF16 after rounding
	q      []int8    // blocks of 32 (Q8_0) or 256 (Q8_K)
	scale  []float32 // one a block
	sums   []int16   // Q8_K: sums of 16
	totals []int32   // Q8_0, for panels: sums of 32
	total  []float32 // Q8_1: a block's scale times the sum of its elements
}

// partner is the form of the activations for a weight type.
type partner int

const (
	asF32 partner = iota
	asF16
	asBF16
	asQ8_0
	asQ8_1
	asQ8_K
)

func (t Type) partner() partner {
	switch t {
	case F16:
		return asF16
	case BF16:
		return asBF16
	case Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4:
		return asQ8_0
	case Q4_1, Q5_1:
		return asQ8_1
	case Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS, TQ1_0, TQ2_0, IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S:
		return asQ8_K
	}
	return asF32
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// set brings x into the form.
func (a *activation) set(form partner, x []float32) {
	switch form {
	case asF32:
		a.f32 = x
	case asF16:
		a.f32 = grow(a.f32, len(x))
		for i, v := range x {
			a.f32[i] = F16ToF32(F32ToF16(v))
		}
	case asBF16:
		a.f32 = grow(a.f32, len(x))
		for i, v := range x {
			a.f32[i] = bf16(F32ToBF16(v))
		}
	case asQ8_0:
		a.quantizeQ8_0(x)
		if active.panels {
			a.totals = grow(a.totals, len(a.scale))
			active.totals(a)
		}
	case asQ8_1:
		a.quantizeQ8_1(x)
	case asQ8_K:
		a.q, a.scale, a.sums = grow(a.q, len(x)), grow(a.scale, len(x)/256), grow(a.sums, len(x)/16)
		active.quantizeQ8_K(a, x)
	}
}

func (a *activation) quantizeQ8_0(x []float32) {
	a.q, a.scale = grow(a.q, len(x)), grow(a.scale, len(x)/32)
	active.quantizeQ8_0(a, x)
}

func quantizeQ8_0Go(a *activation, x []float32) {
	for b := range a.scale {
		block := x[b*32 : b*32+32]
		largest := float32(0)
		for _, v := range block {
			largest = max(largest, abs(v))
		}
		d := largest / 127
		inverse := float32(0)
		if d != 0 {
			inverse = 1 / d
		}
		a.scale[b] = F16ToF32(F32ToF16(d))
		for i, v := range block {
			a.q[b*32+i] = int8(roundAway(v * inverse))
		}
	}
}

// quantizeQ8_1 is quantizeQ8_0 with the total of each block, from the scale before it is rounded.
func (a *activation) quantizeQ8_1(x []float32) {
	a.quantizeQ8_0(x)
	a.total = grow(a.total, len(a.scale))
	for b := range a.total {
		largest, sum := float32(0), int32(0)
		for i, v := range x[b*32 : b*32+32] {
			largest = max(largest, abs(v))
			sum += int32(a.q[b*32+i])
		}
		a.total[b] = F16ToF32(F32ToF16(float32(sum) * (largest / 127)))
	}
}

func quantizeQ8_KGo(a *activation, x []float32) {
	for b := range a.scale {
		block := x[b*256 : b*256+256]
		largest, signed := float32(0), float32(0)
		for _, v := range block {
			if abs(v) > largest {
				largest, signed = abs(v), v
			}
		}
		q := a.q[b*256 : b*256+256]
		if largest == 0 {
			a.scale[b] = 0
			clear(q)
		} else {
			inverse := -127 / signed
			for i, v := range block {
				q[i] = int8(min(127, math.RoundToEven(float64(inverse*v))))
			}
			a.scale[b] = 1 / inverse
		}
		for i := range 16 {
			sum := int16(0)
			for _, v := range q[i*16 : i*16+16] {
				sum += int16(v)
			}
			a.sums[b*16+i] = sum
		}
	}
}

func abs(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

func roundAway(v float32) float32 {
	if v < 0 {
		return -float32(math.Floor(float64(-v) + 0.5))
	}
	return float32(math.Floor(float64(v) + 0.5))
}
