package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a row of floats with float activations: 64 at a time, then 8, then 1. Eight
// accumulators hide the additions' latency.

func dotF32() {
	function("dotF32AVX2", "func(w *byte, x *float32, n int) float32", "dotF32AVX2 is the product of n float32 with n activations.")
	floatDot(4, func(m Mem) VecVirtual {
		y := YMM()
		VMOVUPS(m, y)
		return y
	}, func(m Mem) VecVirtual {
		x := XMM()
		VMOVSS(m, x)
		return x
	})
}

func dotF16() {
	function("dotF16AVX2", "func(w *byte, x *float32, n int) float32", "dotF16AVX2 is the product of n half floats with n activations.")
	floatDot(2, func(m Mem) VecVirtual {
		y := YMM()
		VCVTPH2PS(m, y)
		return y
	}, half)
}

func dotBF16() {
	function("dotBF16AVX2", "func(w *byte, x *float32, n int) float32", "dotBF16AVX2 is the product of n bfloat16 with n activations.")
	floatDot(2, func(m Mem) VecVirtual {
		y := YMM()
		VPMOVZXWD(m, y)
		VPSLLD(Imm(16), y, y)
		return y
	}, func(m Mem) VecVirtual {
		r, x := GP32(), XMM()
		MOVWLZX(m, r)
		SHLL(Imm(16), r)
		VMOVD(r, x)
		return x
	})
}

func floatDot(size int, eight, one func(Mem) VecVirtual) {
	w, x, n := pointer("w"), pointer("x"), pointer("n")
	var acc [8]VecVirtual
	for i := range acc {
		acc[i] = zero()
	}
	tail := XMM()
	VXORPS(tail, tail, tail)
	countDown(n, func(count int) {
		for i := range count / 8 {
			v := eight(at(w, i*8*size))
			VFMADD231PS(at(x, i*32), v, acc[i])
		}
		if count == 1 {
			v := one(at(w, 0))
			VFMADD231SS(at(x, 0), v, tail)
		}
		ADDQ(U32(uint32(count*size)), w)
		ADDQ(U32(uint32(count*4)), x)
	})
	s := sum(acc)
	VADDSS(tail, s, s)
	finish(s)
}

// countDown runs step for 64, 8 and 1 elements until n are done.
func countDown(n Register, step func(count int)) {
	for _, l := range []struct {
		count       int
		label, next string
	}{{64, "by64", "less64"}, {8, "by8", "less8"}, {1, "by1", "less1"}} {
		SUBQ(Imm(uint64(l.count)), n)
		JL(LabelRef(l.next))
		Label(l.label)
		step(l.count)
		SUBQ(Imm(uint64(l.count)), n)
		JGE(LabelRef(l.label))
		Label(l.next)
		ADDQ(Imm(uint64(l.count)), n)
	}
}

func axpy() {
	function("axpyAVX2", "func(dst *float32, a float32, x *float32, n int)", "axpyAVX2 adds a*x to dst, n elements of each.")
	dst, x, n := pointer("dst"), pointer("x"), pointer("n")
	a, all := XMM(), YMM()
	Load(Param("a"), a)
	VBROADCASTSS(a, all)
	countDown(n, func(count int) {
		for i := range count / 8 {
			v := YMM()
			VMOVUPS(at(dst, i*32), v)
			VFMADD231PS(at(x, i*32), all, v)
			VMOVUPS(v, at(dst, i*32))
		}
		if count == 1 {
			v := XMM()
			VMOVSS(at(dst, 0), v)
			VFMADD231SS(at(x, 0), a, v)
			VMOVSS(v, at(dst, 0))
		}
		ADDQ(U32(uint32(count*4)), dst)
		ADDQ(U32(uint32(count*4)), x)
	})
	VZEROUPPER()
	RET()
}
