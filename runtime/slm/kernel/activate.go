package kernel

import (
	"math"
	"sync"
)

// LayerNorm writes (x - mean) / deviation * weight + bias; a bias of nil is none. dst may be x.
func LayerNorm(dst, x, weight, bias []float32, eps float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(x)))
	square := 0.0
	for i, v := range x {
		v -= mean
		dst[i] = v
		square += float64(v * v)
	}
	scale := float32(1 / math.Sqrt(square/float64(len(x))+float64(eps)))
	for i := range dst {
		dst[i] *= scale * weight[i]
	}
	if bias != nil {
		Add(dst, bias)
	}
}

// geluTable is GELU of every half float, rounded to one, as ggml has it: its exact values are part of what equality with
// ggml means.
var geluTable = sync.OnceValue(func() *[1 << 16]float32 {
	t := new([1 << 16]float32)
	for i := range t {
		x := float64(F16ToF32(uint16(i)))
		t[i] = F16ToF32(F32ToF16(float32(0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*x*(1+0.044715*x*x))))))
	}
	return t
})

func gelu(t *[1 << 16]float32, x float32) float32 {
	switch {
	case x <= -10:
		return 0
	case x >= 10:
		return x
	}
	return t[F32ToF16(x)]
}

// GELU replaces x by gelu(x), the approximation with tanh.
func GELU(x []float32) {
	t := geluTable()
	for i, v := range x {
		x[i] = gelu(t, v)
	}
}

// GELUMul replaces gate by gelu(gate) * up.
func GELUMul(gate, up []float32) {
	t := geluTable()
	up = up[:len(gate)]
	for i, g := range gate {
		gate[i] = gelu(t, g) * up[i]
	}
}

// SiLU replaces x by silu(x).
func SiLU(x []float32) {
	for i, v := range x {
		x[i] = v / (1 + float32(math.Exp(float64(-v))))
	}
}

// Scale multiplies x by a factor.
func Scale(x []float32, by float32) {
	for i := range x {
		x[i] *= by
	}
}

// SoftCap keeps x between -cap and cap: cap * tanh(x / cap).
func SoftCap(x []float32, limit float32) {
	inverse := 1 / limit
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v*inverse)))
	}
}
