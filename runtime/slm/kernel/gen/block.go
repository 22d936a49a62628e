package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a row of 32-element blocks with Q8_0 activations. One accumulator takes the blocks in order and its lanes
// are added up as ggml's AVX2 code does, so that the sums round as ggml's do; more accumulators would gain little, as
// the unpacking takes longer than the addition.

const blockSignature = "func(w *byte, q *int8, scale *float32, blocks int) float32"

// blockDot lays out the loops around block, which returns eight int32 whose sum is the block's integer product.
func blockDot(bytes int, block func(w, q Register, index int) VecVirtual) {
	w, q, scale, n := pointer("w"), pointer("q"), pointer("scale"), pointer("blocks")
	acc := zero()
	step := func(count int) {
		for i := range count {
			d, all := half(at(w, i*bytes)), YMM()
			VMULSS(at(scale, i*4), d, d)
			VBROADCASTSS(d, all)
			s := block(w, q, i)
			VCVTDQ2PS(s, s)
			VFMADD231PS(s, all, acc)
		}
		ADDQ(U32(uint32(count*bytes)), w)
		ADDQ(U32(uint32(count*32)), q)
		ADDQ(U32(uint32(count*4)), scale)
	}
	SUBQ(Imm(4), n)
	JL(LabelRef("rest"))
	Label("four")
	step(4)
	SUBQ(Imm(4), n)
	JGE(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), n)
	JE(LabelRef("end"))
	Label("one")
	step(1)
	DECQ(n)
	JNE(LabelRef("one"))
	Label("end")
	finish(lanes(acc))
}

// signed multiplies |v| with the activations that have v's sign: the byte product takes one unsigned side. 128 * 127 * 2
// stays below 2^15, so that it never saturates. Signed values keep the lanes small: values stored above zero with one
// correction a block would lose digits where lanes cancel out.
func signed(v, one VecVirtual, q Mem) VecVirtual {
	a := YMM()
	VMOVDQU(q, a)
	VPSIGNB(v, a, a)
	VPABSB(v, v)
	VPMADDUBSW(a, v, v)
	VPMADDWD(one, v, v)
	return v
}

func dotQ8_0() {
	function("dotQ8_0AVX2", blockSignature, "dotQ8_0AVX2 is the product of a row of Q8_0 blocks with Q8_0 activations.")
	one := words()
	blockDot(34, func(w, q Register, i int) VecVirtual {
		v := YMM()
		VMOVDQU(at(w, i*34+2), v)
		return signed(v, one, at(q, i*32))
	})
}

// nibbles loads 16 bytes as 32 values: the low halves, then the high ones.
func nibbles(m Mem, mask VecVirtual) VecVirtual {
	x, high, v := XMM(), XMM(), YMM()
	VMOVDQU(m, x)
	VPSRLW(Imm(4), x, high)
	VINSERTI128(Imm(1), high, x.AsY(), v)
	VPAND(mask, v, v)
	return v
}

func dotQ4_0() {
	function("dotQ4_0AVX2", blockSignature, "dotQ4_0AVX2 is the product of a row of Q4_0 blocks with Q8_0 activations.")
	one, mask, eight := words(), repeat(0x0f0f0f0f), repeat(0x08080808)
	blockDot(18, func(w, q Register, i int) VecVirtual {
		v := nibbles(at(w, i*18+2), mask)
		VPSUBB(eight, v, v)
		return signed(v, one, at(q, i*32))
	})
}

func dotQ5_0() {
	var spread, bit [32]byte
	for i := range 32 {
		spread[i], bit[i] = byte(i/8), 1<<(i%8)
	}
	spreadAt, bitAt := constant("spreadBits", spread), constant("eachBit", bit)
	function("dotQ5_0AVX2", blockSignature, "dotQ5_0AVX2 is the product of a row of Q5_0 blocks with Q8_0 activations.")
	one, mask, upper, spreadY, bitY := words(), repeat(0x0f0f0f0f), repeat(0xf0f0f0f0), YMM(), YMM()
	VMOVDQU(spreadAt, spreadY)
	VMOVDQU(bitAt, bitY)
	blockDot(22, func(w, q Register, i int) VecVirtual {
		v, high := nibbles(at(w, i*22+6), mask), YMM()
		VPBROADCASTD(at(w, i*22+2), high)
		VPSHUFB(spreadY, high, high)
		VPAND(bitY, high, high)
		VPCMPEQB(bitY, high, high)
		// Less 16 where the fifth bit is not set: the byte's upper half is all ones then.
		VPANDN(upper, high, high)
		VPOR(high, v, v)
		return signed(v, one, at(q, i*32))
	})
}
