package kernel

import "math"

// RMSNorm writes x / rms(x) * weight. The sum is taken in float64, as ggml does.
func RMSNorm(dst, x, weight []float32, eps float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v * v)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+float64(eps)))
	for i, v := range x {
		dst[i] = v * scale * weight[i]
	}
}

// Softmax replaces x by its softmax.
func Softmax(x []float32) {
	top := float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for i, v := range x {
		e := float32(math.Exp(float64(v - top)))
		x[i] = e
		sum += float64(e)
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
}

// SiLUMul replaces gate by silu(gate) * up.
func SiLUMul(gate, up []float32) { active.siluMul(gate, up[:len(gate)]) }

func siluMulGo(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + float32(math.Exp(float64(-g)))) * up[i]
	}
}

// Add adds y to x.
func Add(x, y []float32) {
	for i, v := range y {
		x[i] += v
	}
}

// Dot is the product of two vectors; b is at least as long as a.
func Dot(a, b []float32) float32 { return active.product(a, b[:len(a)]) }

// Axpy adds a*x to dst, which is at least as long as x.
func Axpy(dst []float32, a float32, x []float32) { active.axpy(dst[:len(x)], a, x) }

func productGo(a, b []float32) float32 {
	var s [4]float32
	i := 0
	b = b[:len(a)]
	for ; i+4 <= len(a); i += 4 {
		s[0] += a[i] * b[i]
		s[1] += a[i+1] * b[i+1]
		s[2] += a[i+2] * b[i+2]
		s[3] += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s[0] += a[i] * b[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func axpyGo(dst []float32, a float32, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += a * v
	}
}
