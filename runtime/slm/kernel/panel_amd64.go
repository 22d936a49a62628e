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

// tile multiplies an unpacked slice with some rows.
type tile func(w *byte, a *int8, stride int, sums *byte, sumsStride int, scale *float32, scaleStride, blocks int, dst, low *float32, ahead uintptr)

// tileAhead is how many bytes a tile fetches of what comes next while it multiplies 32 columns.
const tileAhead = 128

// tileKernels are a format's: what unpacks a slice (nil: it is multiplied as it is), the bytes of an unpacked block, and
// the tiles of one, two and three rows.
type tileKernels struct {
	unpack func(w, to *byte, blocks int)
	bytes  int
	tiles  [3]tile
}

var tileKernelsAVX2 = [...]tileKernels{
	Q8_0: {nil, 544, [3]tile{tileQ8_01AVX2, tileQ8_02AVX2, tileQ8_03AVX2}},
	Q4_0: {unpackQ4_0AVX2, 576, [3]tile{tileQ4_01AVX2, tileQ4_02AVX2, tileQ4_03AVX2}},
	Q5_0: {unpackQ5_0AVX2, 576, [3]tile{tileQ5_01AVX2, tileQ5_02AVX2, tileQ5_03AVX2}},
	Q4_K: {unpackQ4_KAVX2, 4992, [3]tile{tileQ4_K1AVX2, tileQ4_K2AVX2, tileQ4_K3AVX2}},
	Q5_K: {unpackQ5_KAVX2, 4992, [3]tile{tileQ5_K1AVX2, tileQ5_K2AVX2, tileQ5_K3AVX2}},
	Q6_K: {unpackQ6_KAVX2, 5696, [3]tile{tileQ6_K1AVX2, tileQ6_K2AVX2, tileQ6_K3AVX2}},
}

func tilesInAVX2(t tiles, s *slice) {
	kernels := &tileKernelsAVX2[t.kind]
	w := unsafe.SliceData(t.panel[:t.blocks*panelRows*t.kind.BlockBytes()])
	if kernels.unpack != nil {
		to := &s.unpacked[:t.blocks*kernels.bytes][0]
		kernels.unpack(w, to, t.blocks)
		w = to
	}
	first := t.n * t.col // of the slice's columns
	q, scale := t.batch.q[first:first+t.n*t.width], t.batch.scale[first/t.kind.BlockSize():][:t.n*t.blocks]
	var sums unsafe.Pointer
	sumsStride := 0
	switch t.kind {
	case Q4_0, Q5_0:
		sums, sumsStride = unsafe.Pointer(&t.batch.below[first/32:][:t.n*t.blocks][0]), t.blocks*4
	case Q4_K, Q5_K:
		sums, sumsStride = unsafe.Pointer(&t.batch.pairs[first/32:][:t.n*t.blocks*8][0]), t.blocks*16
	case Q6_K:
		sums, sumsStride = unsafe.Pointer(&t.batch.sums[first/16:][:t.n*t.blocks*16][0]), t.blocks*32
	}
	out, low := s.out[:t.n*panelRows], s.low[:t.n*panelRows]
	size := t.blocks * panelRows * t.kind.BlockBytes()
	ahead, fetched := uintptr(unsafe.Pointer(unsafe.SliceData(t.panel)))+uintptr(size), 0 // the next slice; fetching never faults
	for k, rows := 0, 0; k < t.n; k += rows {
		rows = min(3, t.n-k)
		if t.n-k == 4 {
			rows = 2
		}
		kernels.tiles[rows-1](w, &q[k*t.width], t.width, (*byte)(unsafe.Add(sums, k*sumsStride)), sumsStride, &scale[k*t.blocks], t.blocks*4, t.blocks, &out[k*panelRows], &low[k*panelRows],
			ahead+uintptr(fetched))
		fetched = min(fetched+t.width*tileAhead/32, size)
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
