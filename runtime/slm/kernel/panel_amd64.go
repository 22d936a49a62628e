package kernel

import (
	"math/bits"
	"unsafe"
)

// What the kernels do not check is checked here by slicing: each call is a few microseconds of work.

func totalsInAVX2(a *activation) {
	if n := len(a.scale); n > 0 {
		blockTotalsAVX2(&a.q[:n*32][0], &a.totals[:n][0], n)
	}
}

// panelKernels multiply a panel with one row of activations, by format.
type panelKernels struct {
	blocks      [Q8_0 + 1]func(w *byte, q *int8, scale *float32, totals *int32, blocks int, dst *float32)
	superblocks [Q6_K + 1]func(w *byte, q *int8, scale *float32, sums *int16, blocks int, dst *float32)
}

var panelsAVX2, panelsAVX512 panelKernels

func init() {
	p := &panelsAVX2
	p.blocks[Q8_0], p.blocks[Q4_0], p.blocks[Q5_0] = panelQ8_0AVX2, panelQ4_0AVX2, panelQ5_0AVX2
	p.superblocks[Q4_K], p.superblocks[Q5_K], p.superblocks[Q6_K] = panelQ4_KAVX2, panelQ5_KAVX2, panelQ6_KAVX2
	p = &panelsAVX512
	p.blocks[Q8_0], p.blocks[Q4_0], p.blocks[Q5_0] = panelQ8_0AVX512, panelQ4_0AVX512, panelQ5_0AVX512
	p.superblocks[Q4_K], p.superblocks[Q5_K], p.superblocks[Q6_K] = panelQ4_KAVX512, panelQ5_KAVX512, panelQ6_KAVX512
}

func (p *panelKernels) multiply(t Type, panel []byte, a *activation, dst []float32) {
	n := len(a.scale)
	w, q, scale, to := unsafe.SliceData(panel[:n*panelRows*t.BlockBytes()]), unsafe.SliceData(a.q[:n*t.BlockSize()]), unsafe.SliceData(a.scale), unsafe.SliceData(dst[:panelRows])
	if t <= Q8_0 {
		p.blocks[t](w, q, scale, unsafe.SliceData(a.totals[:n]), n, to)
		return
	}
	p.superblocks[t](w, q, scale, unsafe.SliceData(a.sums[:n*16]), n, to)
}

// tile multiplies an unpacked slice with some rows.
type tile func(w *byte, a *int8, stride int, sums *byte, sumsStride int, scale *float32, scaleStride, blocks int, dst, low *float32, ahead uintptr)

// tileAhead is how many bytes a tile fetches of what comes next while it multiplies 32 columns.
const tileAhead = 128

// tileKernels are a format's: what unpacks a slice (nil: it is multiplied as it is), the bytes of an unpacked block, and
// the tiles by their number of rows, as far as there are any.
type tileKernels struct {
	unpack func(w, to *byte, blocks int)
	bytes  int
	tiles  [9]tile
}

// tileSet are the tiles of an instruction set; rows says how many of those that are left come next.
type tileSet struct {
	formats [Q6_K + 1]tileKernels
	rows    func(left int) int
}

var tilesAVX2 = tileSet{
	formats: [...]tileKernels{
		Q8_0: {nil, 544, [9]tile{1: tileQ8_01AVX2, tileQ8_02AVX2, tileQ8_03AVX2}},
		Q4_0: {unpackQ4_0AVX2, 576, [9]tile{1: tileQ4_01AVX2, tileQ4_02AVX2, tileQ4_03AVX2}},
		Q5_0: {unpackQ5_0AVX2, 576, [9]tile{1: tileQ5_01AVX2, tileQ5_02AVX2, tileQ5_03AVX2}},
		Q4_K: {unpackQ4_KAVX2, 4992, [9]tile{1: tileQ4_K1AVX2, tileQ4_K2AVX2, tileQ4_K3AVX2}},
		Q5_K: {unpackQ5_KAVX2, 4992, [9]tile{1: tileQ5_K1AVX2, tileQ5_K2AVX2, tileQ5_K3AVX2}},
		Q6_K: {unpackQ6_KAVX2, 5696, [9]tile{1: tileQ6_K1AVX2, tileQ6_K2AVX2, tileQ6_K3AVX2}},
	},
	rows: func(left int) int {
		if left == 4 {
			return 2
		}
		return min(3, left)
	},
}

var tilesAVX512 = tileSet{
	formats: [...]tileKernels{
		Q8_0: {nil, 544, [9]tile{1: tileQ8_01AVX512, 2: tileQ8_02AVX512, 4: tileQ8_04AVX512, 8: tileQ8_08AVX512}},
		Q4_0: {unpackQ4_0AVX2, 576, [9]tile{1: tileQ4_01AVX512, 2: tileQ4_02AVX512, 4: tileQ4_04AVX512, 8: tileQ4_08AVX512}},
		Q5_0: {unpackQ5_0AVX2, 576, [9]tile{1: tileQ5_01AVX512, 2: tileQ5_02AVX512, 4: tileQ5_04AVX512, 8: tileQ5_08AVX512}},
		Q4_K: {unpackQ4_KAVX2, 4992, [9]tile{1: tileQ4_K1AVX512, 2: tileQ4_K2AVX512, 4: tileQ4_K4AVX512, 8: tileQ4_K8AVX512}},
		Q5_K: {unpackQ5_KAVX2, 4992, [9]tile{1: tileQ5_K1AVX512, 2: tileQ5_K2AVX512, 4: tileQ5_K4AVX512, 8: tileQ5_K8AVX512}},
		Q6_K: {unpackQ6_KAVX2, 5696, [9]tile{1: tileQ6_K1AVX512, 2: tileQ6_K2AVX512, 4: tileQ6_K4AVX512, 8: tileQ6_K8AVX512}},
	},
	rows: func(left int) int { return 1 << (bits.Len(uint(min(left, 8))) - 1) },
}

func (set *tileSet) multiply(t tiles, s *slice) {
	kernels := &set.formats[t.kind]
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
	case Q4_0, Q5_0, Q8_0:
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
		rows = set.rows(t.n - k)
		kernels.tiles[rows](w, &q[k*t.width], t.width, (*byte)(unsafe.Add(sums, k*sumsStride)), sumsStride, &scale[k*t.blocks], t.blocks*4, t.blocks, &out[k*panelRows], &low[k*panelRows],
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
