package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a panel, 16 rows whose blocks are interleaved by four elements (kernel/panel.go draws it), with one row of
// activations. Eight rows share a register, so that nothing is added up across lanes, and one broadcast of four
// activations serves all 16 rows. A block's integer product is exact; blocks are added up in order.

const panelSignature = "func(w *byte, q *int8, scale *float32, totals *int32, blocks int, dst *float32)"

// broadcast4 returns four bytes in every lane.
func broadcast4(m Mem) VecVirtual {
	y := YMM()
	VPBROADCASTD(m, y)
	return y
}

func load(m Mem) VecVirtual {
	y := YMM()
	VMOVDQU(m, y)
	return y
}

// fetcher asks for the lines of the block that comes a distance after the current one, a few at a time: the processor's
// own prefetching ends at pages of 4 KB and does not follow several streams in a block as fast as memory delivers.
type fetcher struct {
	w                     Register
	distance, bytes, next int
}

// How far ahead of their use panels are fetched: far enough for memory, near enough to be there still.
const (
	blocksAhead      = 1536
	superblocksAhead = 3072
)

// lines asks for n more lines of the block, as many as it has left.
func (f *fetcher) lines(n int) {
	for ; n > 0 && f.next < f.bytes; n-- {
		PREFETCHT0(at(f.w, f.distance+f.next))
		f.next += 64
	}
}

// rest asks for what is left of the block.
func (f *fetcher) rest() { f.lines(f.bytes) }

// panelBlocks lays out the loop of formats with 32 elements a block: block returns the integer products of both halves,
// to which less times the activations' sum is still to be added.
func panelBlocks(bytes, scaleAt int, less uint64, block func(w, q Register, ahead *fetcher) [2]VecVirtual) {
	w, q, scale, totals, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("totals"), pointer("blocks"), pointer("dst")
	f := [2]VecVirtual{zero(), zero()}
	Label("block")
	ahead := &fetcher{w: w, distance: blocksAhead, bytes: bytes}
	s := block(w, q, ahead)
	ahead.rest()
	da := YMM()
	VBROADCASTSS(at(scale, 0), da)
	if less > 0 {
		c := broadcast4(at(totals, 0))
		VPSLLD(Imm(less), c, c)
		for h := range s {
			VPSUBD(c, s[h], s[h])
		}
	}
	for h := range s {
		d := YMM()
		VCVTPH2PS(at(w, scaleAt+h*16), d)
		VMULPS(da, d, d)
		VCVTDQ2PS(s[h], s[h])
		VFMADD231PS(s[h], d, f[h])
	}
	ADDQ(U32(uint32(bytes)), w)
	ADDQ(Imm(32), q)
	ADDQ(Imm(4), scale)
	ADDQ(Imm(4), totals)
	DECQ(n)
	JNE(LabelRef("block"))
	VMOVUPS(f[0], at(dst, 0))
	VMOVUPS(f[1], at(dst, 32))
	VZEROUPPER()
	RET()
}

// addTo adds v to *s, or makes it *s.
func addTo(s *VecVirtual, first bool, v VecVirtual, add func(a, b, c Op)) {
	if first {
		*s = v
		return
	}
	add(v, *s, *s)
}

func panelQ8_0() {
	function("panelQ8_0AVX2", panelSignature, "panelQ8_0AVX2 multiplies 16 interleaved rows of Q8_0 blocks.")
	one := words()
	panelBlocks(544, 512, 0, func(w, q Register, ahead *fetcher) (s [2]VecVirtual) {
		for g := range 8 {
			ahead.lines(1)
			a := broadcast4(at(q, g*4))
			for h := range s {
				v, x := load(at(w, g*64+h*32)), YMM()
				VPSIGNB(v, a, x)
				VPABSB(v, v)
				VPMADDUBSW(x, v, v)
				VPMADDWD(one, v, v)
				addTo(&s[h], g == 0, v, func(a, b, c Op) { VPADDD(a, b, c) })
			}
		}
		return s
	})
}

func addWords(a, b, c Op) { VPADDW(a, b, c) }

func panelQ4_0() {
	function("panelQ4_0AVX2", panelSignature, "panelQ4_0AVX2 multiplies 16 interleaved rows of Q4_0 blocks.")
	one, mask := words(), repeat(0x0f0f0f0f)
	panelBlocks(288, 256, 3, func(w, q Register, ahead *fetcher) (s [2]VecVirtual) {
		for g := range 4 { // 8 * 2 * 15 * 127 stays below 2^15
			ahead.lines(1)
			low, high := broadcast4(at(q, g*4)), broadcast4(at(q, 16+g*4))
			for h := range s {
				x, v := load(at(w, g*64+h*32)), YMM()
				VPAND(mask, x, v)
				VPSRLW(Imm(4), x, x)
				VPAND(mask, x, x)
				VPMADDUBSW(low, v, v)
				VPMADDUBSW(high, x, x)
				addTo(&s[h], g == 0, v, addWords)
				VPADDW(x, s[h], s[h])
			}
		}
		for h := range s {
			VPMADDWD(one, s[h], s[h])
		}
		return s
	})
}

// shiftBit moves bit from of every byte to bit to; other bits of the byte become anything.
func shiftBit(x VecVirtual, from, to int) VecVirtual {
	y := YMM()
	switch {
	case from < to:
		VPSLLW(Imm(uint64(to-from)), x, y)
	case from > to:
		VPSRLW(Imm(uint64(from-to)), x, y)
	default:
		VMOVDQA(x, y)
	}
	return y
}

func panelQ5_0() {
	function("panelQ5_0AVX2", panelSignature, "panelQ5_0AVX2 multiplies 16 interleaved rows of Q5_0 blocks.")
	one, mask, fifth := words(), repeat(0x0f0f0f0f), repeat(0x10101010)
	panelBlocks(352, 320, 4, func(w, q Register, ahead *fetcher) (s [2]VecVirtual) {
		for h := range s {
			bits := load(at(w, 256+h*32))
			for part := range 2 { // 4 * 2 * 31 * 127 stays below 2^15
				var sum VecVirtual
				for k := range 2 {
					g := part*2 + k
					ahead.lines(1)
					x, v := load(at(w, g*64+h*32)), YMM()
					VPAND(mask, x, v)
					VPSRLW(Imm(4), x, x)
					VPAND(mask, x, x)
					for i, n := range []VecVirtual{v, x} {
						b := shiftBit(bits, g+i*4, 4)
						VPAND(fifth, b, b)
						VPOR(b, n, n)
						a := broadcast4(at(q, i*16+g*4))
						VPMADDUBSW(a, n, n)
						addTo(&sum, k == 0 && i == 0, n, addWords)
					}
				}
				VPMADDWD(one, sum, sum)
				addTo(&s[h], part == 0, sum, func(a, b, c Op) { VPADDD(a, b, c) })
			}
		}
		return s
	})
}

const panelSuperSignature = "func(w *byte, q *int8, scale *float32, sums *int16, blocks int, dst *float32)"

// twice returns 16 rows' words, each twice: rows 0 to 7, rows 8 to 15. The words lie in the panel's order.
func twice(words VecVirtual) [2]VecVirtual { return pairs(words, words) }

// pairs returns pairs of words of 16 rows: rows 0 to 7, rows 8 to 15.
func pairs(a, b VecVirtual) [2]VecVirtual {
	low, high := YMM(), YMM()
	VPUNPCKLWD(b, a, low)
	VPUNPCKHWD(b, a, high)
	return [2]VecVirtual{low, high}
}

// panelScaleMin unpacks the j-th scale or minimum of 16 rows of K blocks to words; packed is where the 12 x 16 bytes are.
func panelScaleMin(packed Mem, j int, minimum bool, low6 Mem, low4 VecVirtual) VecVirtual {
	part := func(i int) VecVirtual {
		x := XMM()
		m := packed
		m.Disp += i * 16
		VMOVDQU(m, x)
		return x
	}
	var x VecVirtual
	if j < 4 {
		i := j
		if minimum {
			i += 4
		}
		x = part(i)
		VPAND(low6, x, x)
	} else {
		x = part(j + 4)
		if minimum {
			VPSRLW(Imm(4), x, x)
		}
		VPAND(low4.AsX(), x, x)
		i := j - 4
		if minimum {
			i = j
		}
		y := part(i) // its upper two bits, to bits 4 and 5
		VPSRLW(Imm(2), y, y)
		t := XMM()
		VPAND(low4.AsX(), y, t)
		VPXOR(t, y, y)
		VPAND(low6, y, y)
		VPOR(y, x, x)
	}
	w := YMM()
	VPMOVZXBW(x, w)
	return w
}

// kFormat is where things are in a panel's block of Q4_K or Q5_K.
type kFormat struct {
	name                string
	high, quants, bytes int // high 0: there are no fifth bits
}

var (
	q4K = kFormat{"Q4_K", 0, 256, 2304}
	q5K = kFormat{"Q5_K", 256, 768, 2816}
)

const kScales = 64

// nibbles returns the group of four elements c*64 + g*4 and the one 32 on, 8 rows of them.
func (f kFormat) nibbles(w Register, c, g, h int, mask, fifth VecVirtual) [2]VecVirtual {
	x, v := load(at(w, f.quants+c*512+g*64+h*32)), YMM()
	VPAND(mask, x, v)
	VPSRLW(Imm(4), x, x)
	VPAND(mask, x, x)
	out := [2]VecVirtual{v, x}
	if f.high > 0 {
		for i, n := range out {
			b := shiftBit(load(at(w, f.high+g*64+h*32)), c*2+i, 4)
			VPAND(fifth, b, b)
			VPOR(b, n, n)
		}
	}
	return out
}

func (format kFormat) panel() {
	function("panel"+format.name+"AVX2", panelSuperSignature, "panel"+format.name+"AVX2 multiplies 16 interleaved rows of "+format.name+" blocks.")
	w, q, scale, sums, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks"), pointer("dst")
	sums32, lowsAt := AllocLocal(16), AllocLocal(64)
	mask, mask6 := repeat(0x0f0f0f0f), bits32("sixBits"+format.name, 0x3f3f3f3f)
	groups := 8 // 8 * 2 * 15 * 127 stays below 2^15, and so does 4 * 2 * 31 * 127
	var fifth VecVirtual
	if format.high > 0 {
		groups, fifth = 4, repeat(0x10101010)
	}
	f := [2]VecVirtual{zero(), zero()}
	empty := zero()
	VMOVDQU(empty, lowsAt)
	VMOVDQU(empty, lowsAt.Offset(32))
	Label("block")
	ahead := &fetcher{w: w, distance: superblocksAhead, bytes: format.bytes}
	ahead.lines(4)
	a, b := XMM(), XMM()
	VMOVDQU(at(sums, 0), a)
	VMOVDQU(at(sums, 16), b)
	VPHADDW(b, a, a)
	VMOVDQU(a, sums32)
	da := YMM()
	VBROADCASTSS(at(scale, 0), da)
	var lows [2]VecVirtual
	for j := 0; j < 8; j += 2 {
		p := pairs(panelScaleMin(at(w, kScales), j, true, mask6, mask), panelScaleMin(at(w, kScales), j+1, true, mask6, mask))
		s := broadcast4(sums32.Offset(j * 2))
		for h := range p {
			VPMADDWD(s, p[h], p[h])
			addTo(&lows[h], j == 0, p[h], func(a, b, c Op) { VPADDD(a, b, c) })
		}
	}
	for h := range lows {
		d, sum := YMM(), YMM()
		VCVTPH2PS(at(w, 32+h*16), d)
		VMULPS(da, d, d)
		VCVTDQ2PS(lows[h], lows[h])
		VMOVUPS(lowsAt.Offset(h*32), sum)
		VFMADD231PS(lows[h], d, sum)
		VMOVUPS(sum, lowsAt.Offset(h*32))
	}
	var total [2]VecVirtual
	for c := range 4 {
		for first := 0; first < 8; first += groups {
			var s [2][2]VecVirtual // half, nibble
			for g := first; g < first+groups; g++ {
				ahead.lines(1)
				low, high := broadcast4(at(q, c*64+g*4)), broadcast4(at(q, c*64+32+g*4))
				for h := range 2 {
					v := format.nibbles(w, c, g, h, mask, fifth)
					VPMADDUBSW(low, v[0], v[0])
					VPMADDUBSW(high, v[1], v[1])
					addTo(&s[h][0], g == first, v[0], addWords)
					addTo(&s[h][1], g == first, v[1], addWords)
				}
			}
			for i := range 2 {
				p := twice(panelScaleMin(at(w, kScales), c*2+i, false, mask6, mask))
				for h := range 2 {
					VPMADDWD(p[h], s[h][i], p[h])
					addTo(&total[h], c == 0 && first == 0 && i == 0, p[h], func(a, b, c Op) { VPADDD(a, b, c) })
				}
			}
		}
	}
	ahead.rest()
	panelAccumulate(at(w, 0), da, total, f)
	advance(w, q, scale, sums, uint32(format.bytes))
	DECQ(n)
	JNE(LabelRef("block"))
	for h := range f {
		VSUBPS(lowsAt.Offset(h*32), f[h], f[h])
		VMOVUPS(f[h], at(dst, h*32))
	}
	VZEROUPPER()
	RET()
}

// panelAccumulate adds blocks' integers times the factors at m and the activations' scale.
func panelAccumulate(m Mem, da VecVirtual, total, f [2]VecVirtual) {
	for h := range total {
		d := YMM()
		half := m
		half.Disp += h * 16
		VCVTPH2PS(half, d)
		VMULPS(da, d, d)
		VCVTDQ2PS(total[h], total[h])
		VFMADD231PS(total[h], d, f[h])
	}
}

const (
	q6KScales = 32
	q6KLow    = 288
	q6KHigh   = 2336
	q6KBytes  = 3360
)

// sixBits returns the groups of four elements at i*128 + k*32 + group*4 for k from 0 to 3, 8 rows of them.
func sixBits(w Register, i, group, h int, mask, bits VecVirtual) (v [4]VecVirtual) {
	high := load(at(w, q6KHigh+(i*8+group)*64+h*32))
	for k := range 2 {
		low := load(at(w, q6KLow+(i*16+k*8+group)*64+h*32))
		v[k], v[k+2] = YMM(), low
		VPAND(mask, low, v[k])
		VPSRLW(Imm(4), low, low)
		VPAND(mask, low, low)
	}
	for k := range v {
		b := shiftBit(high, k*2, 4)
		VPAND(bits, b, b)
		VPOR(b, v[k], v[k])
	}
	return v
}

func panelQ6_K() {
	TEXT("panelQ6_KAVX2", 0, panelSuperSignature) // its frame is too large for functions that never grow the stack
	Pragma("noescape")
	Doc("panelQ6_KAVX2 multiplies 16 interleaved rows of Q6_K blocks.")
	w, q, scale, sums, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks"), pointer("dst")
	scaleAt := AllocLocal(16 * 64)
	mask, bits := repeat(0x0f0f0f0f), repeat(0x30303030)
	f := [2]VecVirtual{zero(), zero()}
	Label("block")
	ahead := &fetcher{w: w, distance: superblocksAhead, bytes: q6KBytes}
	var total [2]VecVirtual
	for j := 0; j < 16; j += 2 { // values are stored 32 above
		var s [2]VecVirtual
		for i := range s {
			s[i] = YMM()
			VPMOVSXBW(at(w, q6KScales+(j+i)*16), s[i])
			for h, v := range twice(s[i]) {
				VMOVDQU(v, scaleAt.Offset((j+i)*64+h*32))
			}
		}
		p, a := pairs(s[0], s[1]), broadcast4(at(sums, j*2))
		for h := range p {
			VPMADDWD(a, p[h], p[h])
			addTo(&total[h], j == 0, p[h], func(a, b, c Op) { VPADDD(a, b, c) })
		}
	}
	for h := range total {
		none := zero()
		VPSLLD(Imm(5), total[h], total[h])
		VPSUBD(total[h], none, total[h])
	}
	for i := range 2 {
		for group := 0; group < 8; group += 2 { // 2 * 2 * 63 * 127 stays below 2^15
			for h := range 2 {
				ahead.lines(4)
				x := sixBits(w, i, group, h, mask, bits)
				for k := range x {
					VPMADDUBSW(broadcast4(at(q, i*128+k*32+group*4)), x[k], x[k])
				}
				y := sixBits(w, i, group+1, h, mask, bits)
				for k := range y {
					VPMADDUBSW(broadcast4(at(q, i*128+k*32+group*4+4)), y[k], y[k])
					VPADDW(y[k], x[k], x[k])
					VPMADDWD(scaleAt.Offset((i*8+k*2+group/4)*64+h*32), x[k], x[k])
					VPADDD(x[k], total[h], total[h])
				}
			}
		}
	}
	ahead.rest()
	da := YMM()
	VBROADCASTSS(at(scale, 0), da)
	panelAccumulate(at(w, 0), da, total, f)
	advance(w, q, scale, sums, q6KBytes)
	DECQ(n)
	JNE(LabelRef("block"))
	for h := range f {
		VMOVUPS(f[h], at(dst, h*32))
	}
	VZEROUPPER()
	RET()
}

// blockTotals adds up the elements of blocks of 32.
func blockTotals() {
	function("blockTotalsAVX2", "func(q *int8, totals *int32, blocks int)", "blockTotalsAVX2 adds up the elements of blocks of 32.")
	q, totals, n := pointer("q"), pointer("totals"), pointer("blocks")
	one, ones := words(), repeat(0x01010101)
	Label("block")
	y, x, t := YMM(), XMM(), XMM()
	VPMADDUBSW(at(q, 0), ones, y)
	VPMADDWD(one, y, y)
	VEXTRACTI128(Imm(1), y, x)
	VPADDD(y.AsX(), x, x)
	VPSHUFD(Imm(0x4e), x, t)
	VPADDD(t, x, x)
	VPSHUFD(Imm(0xb1), x, t)
	VPADDD(t, x, x)
	VMOVD(x, at(totals, 0))
	ADDQ(Imm(32), q)
	ADDQ(Imm(4), totals)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}
