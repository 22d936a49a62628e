package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// available are the paths that this machine can run, the fastest one last.
func available() []path {
	out := []path{goPath}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		out = append(out, avx2Path)
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VNNI {
			out = append(out, avx512Path)
		}
	}
	return out
}

var avx2Path = path{name: "avx2", dot: dotAVX2, quantizeQ8_0: quantizeQ8_0InAVX2, quantizeQ8_K: quantizeQ8_KInAVX2, product: productInAVX2, axpy: axpyInAVX2, read: readInAVX2,
	expSum: expSumInAVX2, siluMul: siluMulInAVX2, scores: scoresInAVX2, weightedSum: weightedSumInAVX2, fromHalf: fromHalfInAVX2, toHalf: toHalfInAVX2,
	panels: true, totals: totalsInAVX2, panel: panelsAVX2.multiply, tiles: tilesAVX2.multiply, interleave: interleaveInAVX2}

// avx512Path multiplies panels with the products of four bytes that AVX-512 VNNI has; all else is as with AVX2, and all
// results are the same to the bit.
var avx512Path = func() path {
	p := avx2Path
	p.name, p.panel, p.tiles = "avx512", panelsAVX512.multiply, tilesAVX512.multiply
	return p
}()

// dotAVX2 checks what the kernels do not: that the row and the activation hold what the loop will read.
func dotAVX2(t Type, w []byte, a *activation) float32 {
	switch t.partner() {
	case asQ8_0, asQ8_K:
		if n := len(a.scale); n == 0 || len(w) != n*t.BlockBytes() || len(a.q) != n*t.BlockSize() {
			return dotGo(t, w, a)
		}
	default:
		if n := len(a.f32); n == 0 || len(w) != n*t.BlockBytes() {
			return dotGo(t, w, a)
		}
	}
	row, n := unsafe.SliceData(w), len(a.scale)
	switch t {
	case Q8_0:
		return dotQ8_0AVX2(row, &a.q[0], &a.scale[0], n)
	case Q4_0:
		return dotQ4_0AVX2(row, &a.q[0], &a.scale[0], n)
	case Q5_0:
		return dotQ5_0AVX2(row, &a.q[0], &a.scale[0], n)
	case Q4_K:
		return dotQ4_KAVX2(row, &a.q[0], &a.scale[0], &a.sums[:n*16][0], n)
	case Q6_K:
		return dotQ6_KAVX2(row, &a.q[0], &a.scale[0], &a.sums[:n*16][0], n)
	case F32:
		return dotF32AVX2(row, &a.f32[0], len(a.f32))
	case F16:
		return dotF16AVX2(row, &a.f32[0], len(a.f32))
	case BF16:
		return dotBF16AVX2(row, &a.f32[0], len(a.f32))
	}
	return dotGo(t, w, a)
}

func quantizeQ8_0InAVX2(a *activation, x []float32) {
	if n := len(x) / 32; n > 0 {
		quantizeQ8_0AVX2(&x[0], &a.q[:n*32][0], &a.scale[:n][0], n)
	}
}

func quantizeQ8_KInAVX2(a *activation, x []float32) {
	if n := len(x) / 256; n > 0 {
		quantizeQ8_KAVX2(&x[0], &a.q[:n*256][0], &a.scale[:n][0], &a.sums[:n*16][0], n)
	}
}

func productInAVX2(a, b []float32) float32 {
	if len(a) == 0 {
		return 0
	}
	return dotF32AVX2((*byte)(unsafe.Pointer(&a[0])), &b[0], len(a))
}

func axpyInAVX2(dst []float32, a float32, x []float32) {
	if len(x) > 0 {
		axpyAVX2(&dst[0], a, &x[0], len(x))
	}
}

func readInAVX2(data []byte) uint64 {
	if n := len(data) &^ 255; n > 0 {
		return readMemoryAVX2(&data[0], n)
	}
	return 0
}
