package kernel

import "math"

// What is left of a vector after its last eight goes through the same kernel in a buffer, so that an element's result
// does not depend on where it lies.

func expSumInAVX2(x []float32, top float32) (sum float32) {
	n := len(x) &^ 7
	if n > 0 {
		sum = expSumAVX2(&x[0], top, n)
	}
	if rest := x[n:]; len(rest) > 0 {
		var b [8]float32
		for i := range b {
			b[i] = float32(math.Inf(-1))
		}
		copy(b[:], rest)
		sum += expSumAVX2(&b[0], top, 8)
		copy(rest, b[:])
	}
	return sum
}

func siluMulInAVX2(gate, up []float32) {
	n := len(gate) &^ 7
	if n > 0 {
		siluMulAVX2(&gate[0], &up[:n][0], n)
	}
	if rest := gate[n:]; len(rest) > 0 {
		var g, u [8]float32
		copy(g[:], rest)
		copy(u[:], up[n:])
		siluMulAVX2(&g[0], &u[0], 8)
		copy(rest, g[:])
	}
}

func scoresInAVX2(dst, q, keys []float32, scale float32) {
	if len(q)%8 != 0 || len(q) == 0 || len(dst) == 0 {
		for i := range dst {
			dst[i] = productInAVX2(q, keys[i*len(q):(i+1)*len(q)]) * scale
		}
		return
	}
	scoresAVX2(&q[0], &keys[:len(dst)*len(q)][0], len(q), len(dst), scale, &dst[0])
}

func weightedSumInAVX2(dst, w, rows []float32) {
	if len(dst)%8 != 0 || len(dst) == 0 || len(w) == 0 {
		for i, v := range w {
			axpyInAVX2(dst, v, rows[i*len(dst):(i+1)*len(dst)])
		}
		return
	}
	weightedSumAVX2(&dst[0], &w[0], &rows[:len(w)*len(dst)][0], len(dst), len(w))
}

func fromHalfInAVX2(dst []float32, src []uint16) {
	n := len(src) &^ 7
	if n > 0 {
		fromHalfAVX2(&dst[:n][0], &src[0], n)
	}
	fromHalfGo(dst[n:], src[n:])
}

func toHalfInAVX2(dst []uint16, src []float32) {
	n := len(src) &^ 7
	if n > 0 {
		toHalfAVX2(&dst[:n][0], &src[0], n)
	}
	toHalfGo(dst[n:], src[n:])
}
