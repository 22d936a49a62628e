package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// available are the paths that this machine can run, the fastest one last.
func available() []path {
	if cpu.ARM64.HasASIMDDP {
		return []path{goPath, neonPath}
	}
	return []path{goPath}
}

// neonPath needs the products of four bytes, which processors have since Armv8.2.
var neonPath = path{name: "neon", dot: dotNEON, quantizeQ8_0: quantizeQ8_0Go, quantizeQ8_K: quantizeQ8_KInNEON, product: productInNEON, axpy: axpyInNEON, read: readInNEON,
	expSum: expSumGo, siluMul: siluMulGo, scores: scoresInNEON, weightedSum: weightedSumInNEON, fromHalf: fromHalfGo, toHalf: toHalfGo,
	panels: true, totals: totalsGo, panel: panelInNEON}

// What the kernels do not check is checked here by slicing: each call is a few microseconds of work.

func panelInNEON(t Type, panel []byte, a *activation, dst []float32) {
	n := len(a.scale)
	if n == 0 {
		clear(dst[:panelRows])
		return
	}
	w, q, scale, to := unsafe.SliceData(panel[:n*panelRows*t.BlockBytes()]), unsafe.SliceData(a.q[:n*t.BlockSize()]), unsafe.SliceData(a.scale), unsafe.SliceData(dst[:panelRows])
	totals := unsafe.SliceData(a.totals[:n*t.BlockSize()/32])
	switch t {
	case Q8_0:
		panelQ8_0NEON(w, q, scale, totals, n, to)
	case Q4_0:
		panelQ4_0NEON(w, q, scale, totals, n, to)
	case Q5_0:
		panelQ5_0NEON(w, q, scale, totals, n, to)
	case Q4_K:
		panelQ4_KNEON(w, q, scale, totals, n, to)
	case Q5_K:
		panelQ5_KNEON(w, q, scale, totals, n, to)
	case Q6_K:
		panelQ6_KNEON(w, q, scale, totals, n, to)
	}
}

// quantizeQ8_KInNEON also adds up blocks of 32, which panels are multiplied with.
func quantizeQ8_KInNEON(a *activation, x []float32) {
	quantizeQ8_KGo(a, x)
	a.totals = grow(a.totals, len(a.q)/32)
	totalsGo(a)
}

// totalsGo adds up the elements of blocks of 32.
func totalsGo(a *activation) {
	for i := range a.totals {
		sum := int32(0)
		for _, v := range a.q[i*32 : i*32+32] {
			sum += int32(v)
		}
		a.totals[i] = sum
	}
}

// dotNEON multiplies rows of formats that are not laid out in panels.
func dotNEON(t Type, w []byte, a *activation) float32 {
	n := len(a.f32) &^ 15
	if t != F32 && t != F16 || n == 0 || len(w) != len(a.f32)*t.BlockBytes() {
		return dotGo(t, w, a)
	}
	sum, rest := float32(0), activation{f32: a.f32[n:]}
	if t == F32 {
		sum = dotF32NEON(&w[0], &a.f32[0], n)
	} else {
		sum = dotF16NEON(&w[0], &a.f32[0], n)
	}
	if len(rest.f32) > 0 {
		sum += dotGo(t, w[n*t.BlockBytes():], &rest)
	}
	return sum
}

func productInNEON(a, b []float32) float32 {
	n := len(a) &^ 15
	if n == 0 {
		return productGo(a, b)
	}
	sum := dotF32NEON((*byte)(unsafe.Pointer(&a[0])), &b[:n][0], n)
	if n < len(a) {
		sum += productGo(a[n:], b[n:])
	}
	return sum
}

func axpyInNEON(dst []float32, a float32, x []float32) {
	n := len(x) &^ 3
	if n > 0 {
		axpyNEON(&dst[:n][0], a, &x[0], n)
	}
	axpyGo(dst[n:], a, x[n:])
}

func scoresInNEON(dst, q, keys []float32, scale float32) {
	for i := range dst {
		dst[i] = productInNEON(q, keys[i*len(q):(i+1)*len(q)]) * scale
	}
}

func weightedSumInNEON(dst, w, rows []float32) {
	for i, v := range w {
		axpyInNEON(dst, v, rows[i*len(dst):(i+1)*len(dst)])
	}
}

func readInNEON(data []byte) uint64 {
	if n := len(data) &^ 255; n > 0 {
		return readMemoryNEON(&data[0], n)
	}
	return 0
}
