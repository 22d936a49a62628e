package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Quantization of activations, equal to the scalar code bit for bit.

// largest returns the largest of eight lanes above zero, in the lowest lane.
func largest(y VecVirtual) VecVirtual {
	x, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), y, x)
	VMAXPS(y.AsX(), x, x)
	VMOVHLPS(x, x, t)
	VMAXPS(t, x, x)
	VMOVSHDUP(x, t)
	VMAXSS(t, x, x)
	return x
}

// store32 packs 4 x 8 integers to 32 bytes.
func store32(v [4]VecVirtual, order VecVirtual, to Mem) {
	a, b := YMM(), YMM()
	VPACKSSDW(v[1], v[0], a)
	VPACKSSDW(v[3], v[2], b)
	VPACKSSWB(b, a, a)
	VPERMD(a, order, a)
	VMOVDQU(a, to)
}

// packOrder undoes the order that packing within halves leaves.
func packOrder() [32]byte {
	var b [32]byte
	for i, v := range []byte{0, 4, 1, 5, 2, 6, 3, 7} {
		b[i*4] = v
	}
	return b
}

func quantizeQ8_0() {
	orderAt := constant("packOrder", packOrder())
	function("quantizeQ8_0AVX2", "func(x *float32, q *int8, scale *float32, blocks int)", "quantizeQ8_0AVX2 quantizes blocks of 32.")
	x, q, scale, n := pointer("x"), pointer("q"), pointer("scale"), pointer("blocks")
	absolute, halves, ones, sign, order := repeat(0x7fffffff), repeat(0x3f000000), repeat(0x3f800000), repeat(0x80000000), YMM()
	VMOVDQU(orderAt, order)
	c127 := repeat(0x42fe0000)
	Label("block")
	m := YMM()
	VANDPS(at(x, 0), absolute, m)
	for i := 1; i < 4; i++ {
		t := YMM()
		VANDPS(at(x, i*32), absolute, t)
		VMAXPS(t, m, m)
	}
	d, inverse, none, rounded := largest(m), XMM(), XMM(), XMM()
	VDIVSS(c127.AsX(), d, d)
	VCVTPS2PH(Imm(0), d, rounded)
	VCVTPH2PS(rounded, rounded)
	VMOVSS(rounded, at(scale, 0))
	VDIVSS(d, ones.AsX(), inverse)
	// A block of zeros has the factor 0.
	VXORPS(none, none, none)
	VCMPSS(Imm(4), none, d, none) // not equal
	VANDPS(none, inverse, inverse)
	all := YMM()
	VBROADCASTSS(inverse, all)
	var v [4]VecVirtual
	for i := range v {
		v[i] = YMM()
		VMULPS(at(x, i*32), all, v[i])
		// Halves away from zero: what the truncation took off is exact.
		whole, rest, away := YMM(), YMM(), YMM()
		VROUNDPS(Imm(3), v[i], whole)
		VSUBPS(whole, v[i], rest)
		VANDPS(absolute, rest, rest)
		VCMPPS(Imm(13), halves, rest, rest) // at least
		VANDPS(sign, v[i], away)
		VORPS(ones, away, away)
		VANDPS(rest, away, away)
		VADDPS(away, whole, v[i])
		VCVTPS2DQ(v[i], v[i])
	}
	store32(v, order, at(q, 0))
	ADDQ(U32(128), x)
	ADDQ(Imm(32), q)
	ADDQ(Imm(4), scale)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func quantizeQ8_K() {
	orderAt := constant("packOrderK", packOrder())
	function("quantizeQ8_KAVX2", "func(x *float32, q *int8, scale *float32, sums *int16, blocks int)",
		"quantizeQ8_KAVX2 quantizes blocks of 256; sums get the sums of 16.")
	x, q, scale, sums, n := pointer("x"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks")
	absolute, limit, order := repeat(0x7fffffff), repeat(127), YMM()
	VMOVDQU(orderAt, order)
	Label("block")
	m := YMM()
	VANDPS(at(x, 0), absolute, m)
	for i := 1; i < 32; i++ {
		t := YMM()
		VANDPS(at(x, i*32), absolute, t)
		VMAXPS(t, m, m)
	}
	top, all := largest(m), YMM()
	VBROADCASTSS(top, all)
	// The first value of that size gives the sign.
	p, left, hit, place := GP64(), GP64(), GP32(), GP32()
	MOVQ(x, p)
	MOVQ(U32(32), left)
	Label("find")
	t := YMM()
	VANDPS(at(p, 0), absolute, t)
	VCMPPS(Imm(0), all, t, t)
	VMOVMSKPS(t, hit)
	TESTL(hit, hit)
	JNE(LabelRef("found"))
	ADDQ(Imm(32), p)
	DECQ(left)
	JNE(LabelRef("find"))
	XORL(hit, hit) // not a number: nothing equals it, and the scale says so
	VMOVSS(top, at(scale, 0))
	JMP(LabelRef("clear"))
	Label("found")
	nothing := XMM()
	VXORPS(nothing, nothing, nothing)
	VUCOMISS(nothing, top)
	JNE(LabelRef("scaled"))
	VMOVSS(nothing, at(scale, 0))
	Label("clear")
	empty := zero()
	for i := range 8 {
		VMOVDQU(empty, at(q, i*32))
	}
	VMOVDQU(empty, at(sums, 0))
	JMP(LabelRef("next"))
	Label("scaled")
	BSFL(hit, place)
	signed, inverse, d := XMM(), XMM(), XMM()
	VMOVSS(Mem{Base: p, Index: place.As64(), Scale: 4}, signed)
	minus, one := repeat(0xc2fe0000), repeat(0x3f800000)
	VDIVSS(signed, minus.AsX(), inverse)
	VDIVSS(inverse, one.AsX(), d)
	VMOVSS(d, at(scale, 0))
	factor := YMM()
	VBROADCASTSS(inverse, factor)
	for i := range 8 {
		var v [4]VecVirtual
		for j := range v {
			v[j] = YMM()
			VMULPS(at(x, i*128+j*32), factor, v[j])
			VCVTPS2DQ(v[j], v[j]) // ties to even
			VPMINSD(limit, v[j], v[j])
		}
		store32(v, order, at(q, i*32))
		a, b, s := YMM(), YMM(), XMM()
		VPADDD(v[1], v[0], a)
		VPADDD(v[3], v[2], b)
		VPHADDD(b, a, a)
		VPHADDD(a, a, a)
		VEXTRACTI128(Imm(1), a, s)
		VPADDD(a.AsX(), s, s)
		VPACKSSDW(s, s, s)
		VMOVD(s, at(sums, i*4))
	}
	Label("next")
	ADDQ(U32(1024), x)
	ADDQ(U32(256), q)
	ADDQ(Imm(4), scale)
	ADDQ(Imm(32), sums)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}
