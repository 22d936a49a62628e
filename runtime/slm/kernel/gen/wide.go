package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The kernels of panels and tiles for AVX-512 with VNNI: a register holds four columns of all 16 rows, and one instruction
// multiplies them with four broadcast activations and adds the products up. Integers are the same as those of the AVX2
// kernels and floats are added in the same order, so that both give the same bits.

func zero512() VecVirtual {
	z := ZMM()
	VPXORD(z, z, z)
	return z
}

func load512(m Mem) VecVirtual {
	z := ZMM()
	VMOVDQU32(m, z)
	return z
}

// repeat512 returns the 32 bits in every lane.
func repeat512(bits uint32) VecVirtual {
	r, z := GP32(), ZMM()
	MOVL(U32(bits), r)
	VPBROADCASTD(r, z)
	return z
}

// orMasked replaces b by b & mask | v.
func orMasked(b, mask, v VecVirtual) { VPTERNLOGD(Imm(0xea), v, mask, b) }

// nibbles512 returns the low and the high halves of 64 bytes.
func nibbles512(m Mem, mask VecVirtual) [2]VecVirtual {
	x, low := load512(m), ZMM()
	VPANDD(mask, x, low)
	VPSRLW(Imm(4), x, x)
	VPANDD(mask, x, x)
	return [2]VecVirtual{low, x}
}

// shiftBit512 is shiftBit of 64 bytes.
func shiftBit512(x VecVirtual, from, to int) VecVirtual {
	z := ZMM()
	switch {
	case from < to:
		VPSLLW(Imm(uint64(to-from)), x, z)
	case from > to:
		VPSRLW(Imm(uint64(from-to)), x, z)
	default:
		VMOVDQA32(x, z)
	}
	return z
}

// inOrder brings bytes that lie in the panel's order into that of the rows.
func inOrder(x VecVirtual) { VPSHUFD(Imm(0xd8), x, x) }

// panelBlocks512 lays out the loop of formats with 32 elements a block; see panelBlocks.
func panelBlocks512(name string, bytes, scaleAt int, less uint64, prepare func(), block func(w, q Register, ahead *fetcher) VecVirtual) {
	function("panel"+name+"AVX512", panelSignature, "panel"+name+"AVX512 multiplies 16 interleaved rows of "+name+" blocks.")
	w, q, scale, totals, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("totals"), pointer("blocks"), pointer("dst")
	prepare()
	f := zero512()
	Label("block")
	ahead := &fetcher{w: w, distance: blocksAhead, bytes: bytes}
	s := block(w, q, ahead)
	ahead.rest()
	c, d := ZMM(), ZMM()
	VPBROADCASTD(at(totals, 0), c)
	VPSLLD(Imm(less), c, c)
	VPSUBD(c, s, s)
	VCVTPH2PS(at(w, scaleAt), d)
	VMULPS_BCST(at(scale, 0), d, d)
	VCVTDQ2PS(s, s)
	VFMADD231PS(s, d, f)
	ADDQ(U32(uint32(bytes)), w)
	ADDQ(Imm(32), q)
	ADDQ(Imm(4), scale)
	ADDQ(Imm(4), totals)
	DECQ(n)
	JNE(LabelRef("block"))
	VMOVUPS(f, at(dst, 0))
	VZEROUPPER()
	RET()
}

// both adds two sums; one alone would wait for itself.
func both(s [2]VecVirtual) VecVirtual {
	VPADDD(s[1], s[0], s[0])
	return s[0]
}

func panelQ8_0Wide() {
	var above VecVirtual
	panelBlocks512("Q8_0", 544, 512, 7, func() { above = repeat512(0x80808080) }, func(w, q Register, ahead *fetcher) VecVirtual {
		s := [2]VecVirtual{zero512(), zero512()}
		for g := range 8 {
			ahead.lines(1)
			v := ZMM()
			VPXORD(at(w, g*64), above, v)
			VPDPBUSD_BCST(at(q, g*4), v, s[g%2])
		}
		return both(s)
	})
}

func panelQ4_0Wide() {
	var mask VecVirtual
	panelBlocks512("Q4_0", 288, 256, 3, func() { mask = repeat512(0x0f0f0f0f) }, func(w, q Register, ahead *fetcher) VecVirtual {
		s := [2]VecVirtual{zero512(), zero512()}
		for g := range 4 {
			ahead.lines(1)
			for i, v := range nibbles512(at(w, g*64), mask) {
				VPDPBUSD_BCST(at(q, i*16+g*4), v, s[i])
			}
		}
		return both(s)
	})
}

func panelQ5_0Wide() {
	var mask, fifth VecVirtual
	panelBlocks512("Q5_0", 352, 320, 4, func() { mask, fifth = repeat512(0x0f0f0f0f), repeat512(0x10101010) }, func(w, q Register, ahead *fetcher) VecVirtual {
		s := [2]VecVirtual{zero512(), zero512()}
		bits := load512(at(w, 256))
		for g := range 4 {
			ahead.lines(1)
			for i, v := range nibbles512(at(w, g*64), mask) {
				b := shiftBit512(bits, g+i*4, 4)
				orMasked(b, fifth, v)
				VPDPBUSD_BCST(at(q, i*16+g*4), b, s[i])
			}
		}
		return both(s)
	})
}

// kScale512 unpacks the j-th scale or minimum of 16 rows of K blocks to integers in the order of the rows.
func kScale512(packed Mem, j int, minimum bool, low6, low4 VecVirtual) VecVirtual {
	part := func(i int) VecVirtual {
		x := XMM()
		m := packed
		m.Disp += i * 16
		VMOVDQU32(m, x)
		return x
	}
	var x VecVirtual
	if j < 4 {
		i := j
		if minimum {
			i += 4
		}
		x = part(i)
		VPANDD(low6.AsX(), x, x)
	} else {
		x = part(j + 4)
		i := j - 4
		if minimum {
			VPSRLW(Imm(4), x, x)
			i = j
		}
		VPANDD(low4.AsX(), x, x)
		y, t := part(i), XMM() // its upper two bits, to bits 4 and 5
		VPSRLW(Imm(2), y, y)
		VPANDD(low4.AsX(), y, t)
		VPXORD(t, y, y)
		VPANDD(low6.AsX(), y, y)
		VPORD(y, x, x)
	}
	inOrder(x)
	z := ZMM()
	VPMOVZXBD(x, z)
	return z
}

// wordPairs makes pairs of words of integers that fit into words; low is a mask of the lower words.
func wordPairs(a, b, low VecVirtual) VecVirtual {
	VPSLLD(Imm(16), b, b)
	orMasked(a, low, b)
	return a
}

// nibbles512 returns the group of four elements c*64 + g*4 and the one 32 on, of 16 rows.
func (f kFormat) nibbles512(w Register, c, g int, mask, fifth VecVirtual) [2]VecVirtual {
	out := nibbles512(at(w, f.quants+c*512+g*64), mask)
	if f.high > 0 {
		bits := load512(at(w, f.high+g*64))
		for i := range out {
			b := shiftBit512(bits, c*2+i, 4)
			orMasked(b, fifth, out[i])
			out[i] = b
		}
	}
	return out
}

func (f kFormat) panelWide() {
	function("panel"+f.name+"AVX512", panelSuperSignature, "panel"+f.name+"AVX512 multiplies 16 interleaved rows of "+f.name+" blocks.")
	w, q, scale, sums, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks"), pointer("dst")
	sums32 := AllocLocal(16)
	mask, mask6, low := repeat512(0x0f0f0f0f), repeat512(0x3f3f3f3f), repeat512(0xffff)
	var fifth VecVirtual
	if f.high > 0 {
		fifth = repeat512(0x10101010)
	}
	sum, lows := zero512(), zero512()
	Label("block")
	ahead := &fetcher{w: w, distance: superblocksAhead, bytes: f.bytes}
	ahead.lines(4)
	a, b := XMM(), XMM()
	VMOVDQU(at(sums, 0), a)
	VMOVDQU(at(sums, 16), b)
	VPHADDW(b, a, a)
	VMOVDQU(a, sums32)
	mins := zero512()
	for j := 0; j < 8; j += 2 {
		p := wordPairs(kScale512(at(w, kScales), j, true, mask6, mask), kScale512(at(w, kScales), j+1, true, mask6, mask), low)
		VPDPWSSD_BCST(sums32.Offset(j*2), p, mins)
	}
	accumulate512(at(w, 32), scale, mins, lows)
	total := zero512()
	for c := range 4 {
		s := [2]VecVirtual{zero512(), zero512()}
		for g := range 8 {
			ahead.lines(1)
			for i, v := range f.nibbles512(w, c, g, mask, fifth) {
				VPDPBUSD_BCST(at(q, c*64+i*32+g*4), v, s[i])
			}
		}
		for i := range s {
			VPMULLD(kScale512(at(w, kScales), c*2+i, false, mask6, mask), s[i], s[i])
			VPADDD(s[i], total, total)
		}
	}
	ahead.rest()
	accumulate512(at(w, 0), scale, total, sum)
	advance(w, q, scale, sums, uint32(f.bytes))
	DECQ(n)
	JNE(LabelRef("block"))
	VSUBPS(lows, sum, sum)
	VMOVUPS(sum, at(dst, 0))
	VZEROUPPER()
	RET()
}

// accumulate512 adds integers times the 16 half floats at m and the activations' scale.
func accumulate512(m Mem, scale Register, total, sum VecVirtual) {
	d := ZMM()
	VCVTPH2PS(m, d)
	VMULPS_BCST(at(scale, 0), d, d)
	VCVTDQ2PS(total, total)
	VFMADD231PS(total, d, sum)
}

// sixBits512 is sixBits of 16 rows.
func sixBits512(w Register, i, group int, mask, bits VecVirtual) (v [4]VecVirtual) {
	high := load512(at(w, q6KHigh+(i*8+group)*64))
	for k := range 2 {
		x := nibbles512(at(w, q6KLow+(i*16+k*8+group)*64), mask)
		v[k], v[k+2] = x[0], x[1]
	}
	for k := range v {
		b := shiftBit512(high, k*2, 4)
		orMasked(b, bits, v[k])
		v[k] = b
	}
	return v
}

func panelQ6_KWide() {
	function("panelQ6_KAVX512", panelSuperSignature, "panelQ6_KAVX512 multiplies 16 interleaved rows of Q6_K blocks.")
	w, q, scale, sums, n, dst := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks"), pointer("dst")
	mask, bits, low := repeat512(0x0f0f0f0f), repeat512(0x30303030), repeat512(0xffff)
	scaleOf := func(j int) VecVirtual {
		x, z := XMM(), ZMM()
		VPSHUFD(Imm(0xd8), at(w, q6KScales+j*16), x)
		VPMOVSXBD(x, z)
		return z
	}
	sum := zero512()
	Label("block")
	ahead := &fetcher{w: w, distance: superblocksAhead, bytes: q6KBytes}
	above, total := zero512(), zero512()
	for j := 0; j < 16; j += 2 { // values are stored 32 above
		ahead.lines(1)
		VPDPWSSD_BCST(at(sums, j*2), wordPairs(scaleOf(j), scaleOf(j+1), low), above)
	}
	VPSLLD(Imm(5), above, above)
	VPSUBD(above, total, total)
	for i := range 2 {
		for part := range 2 {
			var s [4]VecVirtual
			for k := range s {
				s[k] = zero512()
			}
			for group := part * 4; group < part*4+4; group++ {
				ahead.lines(3)
				for k, v := range sixBits512(w, i, group, mask, bits) {
					VPDPBUSD_BCST(at(q, i*128+k*32+group*4), v, s[k])
				}
			}
			for k := range s {
				VPMULLD(scaleOf(i*8+k*2+part), s[k], s[k])
				VPADDD(s[k], total, total)
			}
		}
	}
	ahead.rest()
	accumulate512(at(w, 0), scale, total, sum)
	advance(w, q, scale, sums, q6KBytes)
	DECQ(n)
	JNE(LabelRef("block"))
	VMOVUPS(sum, at(dst, 0))
	VZEROUPPER()
	RET()
}
