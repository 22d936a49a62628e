package kernel

import "unsafe"

// What the kernels do not check is checked here by slicing: each call is a few microseconds of work.

func totalsInAVX2(a *activation) {
	if n := len(a.scale); n > 0 {
		blockTotalsAVX2(&a.q[:n*32][0], &a.totals[:n][0], n)
	}
}

func panelInAVX2(t Type, panel []byte, a *activation, dst []float32) {
	n := len(a.scale)
	w, q, scale, to := unsafe.SliceData(panel[:n*panelRows*t.BlockBytes()]), unsafe.SliceData(a.q[:n*t.BlockSize()]), unsafe.SliceData(a.scale), unsafe.SliceData(dst[:panelRows])
	switch t {
	case Q8_0:
		panelQ8_0AVX2(w, q, scale, unsafe.SliceData(a.totals[:n]), n, to)
	case Q4_0:
		panelQ4_0AVX2(w, q, scale, unsafe.SliceData(a.totals[:n]), n, to)
	case Q5_0:
		panelQ5_0AVX2(w, q, scale, unsafe.SliceData(a.totals[:n]), n, to)
	case Q4_K:
		panelQ4_KAVX2(w, q, scale, unsafe.SliceData(a.sums[:n*16]), n, to)
	case Q5_K:
		panelQ5_KAVX2(w, q, scale, unsafe.SliceData(a.sums[:n*16]), n, to)
	case Q6_K:
		panelQ6_KAVX2(w, q, scale, unsafe.SliceData(a.sums[:n*16]), n, to)
	}
}

func unpackInAVX2(t Type, panel []byte, s *slice, blocks int) {
	w, to, d := unsafe.SliceData(panel[:blocks*panelRows*t.BlockBytes()]), &s.w[:blocks*panelRows*t.BlockSize()][0], &s.d[:blocks*panelRows][0]
	switch t {
	case Q8_0:
		unpackQ8_0AVX2(w, to, d, blocks)
	case Q4_0:
		unpackQ4_0AVX2(w, to, d, blocks)
	case Q5_0:
		unpackQ5_0AVX2(w, to, d, blocks)
	case Q4_K:
		unpackQ4_KAVX2(w, to, d, &s.mins[:blocks*8*panelRows][0], &s.dmin[:blocks*panelRows][0], blocks)
	case Q5_K:
		unpackQ5_KAVX2(w, to, d, &s.mins[:blocks*8*panelRows][0], &s.dmin[:blocks*panelRows][0], blocks)
	case Q6_K:
		unpackQ6_KAVX2(w, to, d, blocks)
	}
}

func tilesInAVX2(t tiles, n int) {
	cols := t.blocks * t.fours * 8
	w, d := &t.w[:cols*panelRows][0], &t.d[:t.blocks*panelRows][0]
	for k := 0; k < n; k += 3 {
		rows := min(3, n-k)
		last := k + rows - 1
		_, _, _ = t.a[last*t.aStride+cols-1], t.scale[last*t.scaleStride+t.blocks-1], t.dst[last*t.dstStride+panelRows-1]
		a, scale, dst := &t.a[k*t.aStride], &t.scale[k*t.scaleStride], &t.dst[k*t.dstStride]
		switch rows {
		case 3:
			tile3AVX2(w, d, a, t.aStride*2, scale, t.scaleStride*4, t.blocks, t.fours, dst, t.dstStride*4)
		case 2:
			tile2AVX2(w, d, a, t.aStride*2, scale, t.scaleStride*4, t.blocks, t.fours, dst, t.dstStride*4)
		case 1:
			tile1AVX2(w, d, a, t.aStride*2, scale, t.scaleStride*4, t.blocks, t.fours, dst, t.dstStride*4)
		}
	}
}

func widenInAVX2(dst []int16, q []int8) {
	if n := len(q); n > 0 {
		widenAVX2(&q[0], &dst[:n][0], n)
	}
}

func interleaveInAVX2(dst []byte, rows *[panelRows][]byte, to, from, size, chunks, blocks int) {
	if blocks == 0 {
		return
	}
	var first [panelRows]*byte
	for r, row := range rows {
		first[r] = unsafe.SliceData(row[:blocks*size])
	}
	_ = dst[(blocks-1)*size*panelRows+to+chunks*256-1]
	interleaveAVX2(&dst[to], size*panelRows, &first[0], from, size, chunks, blocks)
}
