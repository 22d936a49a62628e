package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// What attention and activations are made of.

// bits32 is a constant in every lane, in memory.
func bits32(name string, v uint32) Mem {
	var b [32]byte
	for i := range b {
		b[i] = byte(v >> (i % 4 * 8))
	}
	return constant(name, b)
}

// expConstants are those of exp of eight floats: 2^n * p(r) with x = n*ln 2 + r and |r| <= ln 2 / 2 (Cephes, expf). Below
// -87.3 the result is 0.
type expConstants struct {
	least, most, log2e, high, low, one, bias Mem
	p                                        [6]Mem
}

var expData *expConstants

func expConstantsOnce() *expConstants {
	if expData == nil {
		expData = &expConstants{least: bits32("expLeast", 0xc2aeac50), most: bits32("expMost", 0x42b0c0a5), log2e: bits32("expLog2e", 0x3fb8aa3b),
			high: bits32("expHigh", 0x3f318000), low: bits32("expLow", 0xb95e8083), one: bits32("expOne", 0x3f800000), bias: bits32("expBias", 127)}
		for i, v := range []uint32{0x39506967, 0x3ab743ce, 0x3c088908, 0x3d2aa9c1, 0x3e2aaaaa, 0x3f000000} {
			expData.p[i] = bits32("expP"+string(rune('0'+i)), v)
		}
	}
	return expData
}

// exp replaces x by its exponential.
func (c *expConstants) exp(x VecVirtual) {
	n, t, y, alive := YMM(), YMM(), YMM(), YMM()
	VCMPPS(Imm(13), c.least, x, alive) // at least; not so for not-a-number
	VMINPS(c.most, x, x)
	VMAXPS(c.least, x, x)
	VMULPS(c.log2e, x, n)
	VROUNDPS(Imm(0), n, n)
	VMOVUPS(c.high, t)
	VFNMADD231PS(t, n, x)
	VMOVUPS(c.low, t)
	VFNMADD231PS(t, n, x)
	VMOVUPS(c.p[0], y)
	for _, p := range c.p[1:] {
		VFMADD213PS(p, x, y)
	}
	VMULPS(x, x, t)
	VFMADD213PS(x, t, y)
	VADDPS(c.one, y, y)
	VCVTPS2DQ(n, n)
	VPADDD(c.bias, n, n)
	VPSLLD(Imm(23), n, n)
	VMULPS(n, y, x)
	VANDPS(alive, x, x)
}

func expSum() {
	c := expConstantsOnce()
	function("expSumAVX2", "func(x *float32, top float32, n int) float32", "expSumAVX2 replaces n floats, a multiple of 8 above 0, by exp(x-top) and returns their sum.")
	x, n := pointer("x"), pointer("n")
	t, top := XMM(), YMM()
	Load(Param("top"), t)
	VBROADCASTSS(t, top)
	s := zero()
	Label("next")
	v := YMM()
	VMOVUPS(at(x, 0), v)
	VSUBPS(top, v, v)
	c.exp(v)
	VMOVUPS(v, at(x, 0))
	VADDPS(v, s, s)
	ADDQ(Imm(32), x)
	SUBQ(Imm(8), n)
	JG(LabelRef("next"))
	finish(lanes(s))
}

func siluMul() {
	c := expConstantsOnce()
	function("siluMulAVX2", "func(gate *float32, up *float32, n int)", "siluMulAVX2 replaces n gates, a multiple of 8 above 0, by silu(gate)*up.")
	gate, up, n := pointer("gate"), pointer("up"), pointer("n")
	Label("next")
	g, e := YMM(), zero()
	VMOVUPS(at(gate, 0), g)
	VSUBPS(g, e, e)
	c.exp(e)
	VADDPS(c.one, e, e)
	VDIVPS(e, g, g)
	VMULPS(at(up, 0), g, g)
	VMOVUPS(g, at(gate, 0))
	ADDQ(Imm(32), gate)
	ADDQ(Imm(32), up)
	SUBQ(Imm(8), n)
	JG(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// scores multiplies a query with keys, four at a time; a key's product is the same among four as alone.
func scores() {
	function("scoresAVX2", "func(q *float32, keys *float32, dim int, n int, scale float32, dst *float32)",
		"scoresAVX2 multiplies a query of dim values, a multiple of 8, with n keys that lie one after the other.")
	q, keys, dim, n, dst := pointer("q"), pointer("keys"), pointer("dim"), pointer("n"), pointer("dst")
	scale := XMM()
	Load(Param("scale"), scale)
	SHLQ(Imm(2), dim) // bytes
	key3, i, x := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: dim, Index: dim, Scale: 2}, key3)
	group := func(count int) {
		acc := make([]VecVirtual, count)
		for k := range acc {
			acc[k] = zero()
		}
		loop := map[int]string{4: "dims4", 1: "dims1"}[count]
		MOVQ(dim, i)
		MOVQ(q, x)
		Label(loop)
		v := YMM()
		VMOVUPS(at(x, 0), v)
		for k := range acc {
			m := Mem{Base: keys}
			switch k {
			case 1, 2:
				m.Index, m.Scale = dim, uint8(k)
			case 3:
				m.Index, m.Scale = key3, 1
			}
			VFMADD231PS(m, v, acc[k])
		}
		ADDQ(Imm(32), x)
		ADDQ(Imm(32), keys)
		SUBQ(Imm(32), i)
		JNE(LabelRef(loop))
		for k := range acc {
			s := lanes(acc[k])
			VMULSS(scale, s, s)
			VMOVSS(s, at(dst, k*4))
		}
		ADDQ(U32(uint32(count*4)), dst)
		if count == 4 {
			ADDQ(key3, keys)
		}
	}
	SUBQ(Imm(4), n)
	JL(LabelRef("rest"))
	Label("four")
	group(4)
	SUBQ(Imm(4), n)
	JGE(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), n)
	JE(LabelRef("end"))
	Label("one")
	group(1)
	DECQ(n)
	JNE(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}

// weightedSum keeps a part of the result in registers while it walks down the rows.
func weightedSum() {
	function("weightedSumAVX2", "func(dst *float32, w *float32, rows *float32, dim int, n int)",
		"weightedSumAVX2 adds n rows of dim values, a multiple of 8, each times its weight.")
	dst, w, rows, dim, n := pointer("dst"), pointer("w"), pointer("rows"), pointer("dim"), pointer("n")
	left, stride, weight, row, count := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(dim, left)
	MOVQ(dim, stride)
	SHLQ(Imm(2), stride)
	part := func(values int, label string) {
		f := make([]VecVirtual, values/8)
		for i := range f {
			f[i] = load(at(dst, i*32))
		}
		MOVQ(w, weight)
		MOVQ(rows, row)
		MOVQ(n, count)
		Label(label)
		v := YMM()
		VBROADCASTSS(at(weight, 0), v)
		for i := range f {
			VFMADD231PS(at(row, i*32), v, f[i])
		}
		ADDQ(Imm(4), weight)
		ADDQ(stride, row)
		DECQ(count)
		JNE(LabelRef(label))
		for i := range f {
			VMOVUPS(f[i], at(dst, i*32))
		}
		ADDQ(U32(uint32(values*4)), dst)
		ADDQ(U32(uint32(values*4)), rows)
	}
	SUBQ(Imm(64), left)
	JL(LabelRef("less64"))
	Label("by64")
	part(64, "rows64")
	SUBQ(Imm(64), left)
	JGE(LabelRef("by64"))
	Label("less64")
	ADDQ(Imm(64), left)
	JE(LabelRef("end"))
	Label("by8")
	part(8, "rows8")
	SUBQ(Imm(8), left)
	JNE(LabelRef("by8"))
	Label("end")
	VZEROUPPER()
	RET()
}

func fromHalf() {
	function("fromHalfAVX2", "func(dst *float32, src *uint16, n int)", "fromHalfAVX2 converts n half floats, a multiple of 8 above 0.")
	dst, src, n := pointer("dst"), pointer("src"), pointer("n")
	Label("next")
	y := YMM()
	VCVTPH2PS(at(src, 0), y)
	VMOVUPS(y, at(dst, 0))
	ADDQ(Imm(32), dst)
	ADDQ(Imm(16), src)
	SUBQ(Imm(8), n)
	JG(LabelRef("next"))
	VZEROUPPER()
	RET()
}

func toHalf() {
	function("toHalfAVX2", "func(dst *uint16, src *float32, n int)", "toHalfAVX2 converts n floats, a multiple of 8 above 0, to the nearest half floats.")
	dst, src, n := pointer("dst"), pointer("src"), pointer("n")
	Label("next")
	y := load(at(src, 0))
	VCVTPS2PH(Imm(0), y, at(dst, 0))
	ADDQ(Imm(16), dst)
	ADDQ(Imm(32), src)
	SUBQ(Imm(8), n)
	JG(LabelRef("next"))
	VZEROUPPER()
	RET()
}
