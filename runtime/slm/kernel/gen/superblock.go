package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a row of 256-element blocks with Q8_K activations.

const superSignature = "func(w *byte, q *int8, scale *float32, sums *int16, blocks int) float32"

// dotQ4_K: a block is two half floats, 12 bytes with 8 scales and 8 minimums of 6 bits, and 128 bytes of nibbles.
func dotQ4_K() {
	function("dotQ4_KAVX2", superSignature, "dotQ4_KAVX2 is the product of a row of Q4_K blocks with Q8_K activations.")
	w, q, scale, sums, n := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks")
	mask, first, next := repeat(0x0f0f0f0f), repeat(0x01000100), repeat(0x02020202)
	acc, lows := zero(), XMM()
	VXORPS(lows, lows, lows)
	Label("block")
	unpacked := scaleMins(w)
	// Minimums: words 8 to 15, against the activations' sums of 32.
	mins, pairs, upper := XMM(), XMM(), XMM()
	VEXTRACTI128(Imm(1), unpacked, mins)
	VMOVDQU(at(sums, 0), pairs)
	VMOVDQU(at(sums, 16), upper)
	VPHADDW(upper, pairs, pairs)
	VPMADDWD(pairs, mins, mins)
	VCVTDQ2PS(mins, mins)
	low, lowAll := half(at(w, 2)), XMM()
	VMULSS(at(scale, 0), low, low)
	VBROADCASTSS(low, lowAll)
	VFMADD231PS(mins, lowAll, lows)
	// Scales: words 0 to 7, one after the other in all lanes.
	scales, pick, total := YMM(), YMM(), zero()
	VPERMQ(Imm(0x44), unpacked, scales)
	VMOVDQA(first, pick)
	for j := range 8 {
		v, s := YMM(), YMM()
		VMOVDQU(at(w, 16+j/2*32), v)
		if j%2 == 1 {
			VPSRLW(Imm(4), v, v)
		}
		VPAND(mask, v, v)
		VPMADDUBSW(at(q, j*32), v, v)
		VPSHUFB(pick, scales, s)
		VPMADDWD(s, v, v)
		VPADDD(v, total, total)
		if j < 7 {
			VPADDB(next, pick, pick)
		}
	}
	accumulate(at(w, 0), scale, total, acc)
	advance(w, q, scale, sums, 144)
	DECQ(n)
	JNE(LabelRef("block"))
	a, b := lanes(acc), lanes4(lows)
	VSUBSS(b, a, a)
	finish(a)
}

// scaleMins unpacks a K block's 6-bit numbers to words: 8 scales, 8 minimums.
func scaleMins(w Register) VecVirtual {
	a, b, c, t := GP32(), GP32(), GP32(), GP32()
	MOVL(at(w, 4), a)
	MOVL(at(w, 8), b)
	MOVL(at(w, 12), c)
	x, y := XMM(), YMM()
	high := func(from, nibbles GPVirtual, shift uint8) { // nibbles | the upper two bits of from
		MOVL(from, t)
		SHRL(Imm(2), t)
		ANDL(U32(0x30303030), t)
		if shift > 0 {
			SHRL(Imm(uint64(shift)), nibbles)
		}
		ANDL(U32(0x0f0f0f0f), nibbles)
		ORL(t, nibbles)
	}
	d := GP32()
	MOVL(c, d)
	high(a, c, 0)
	high(b, d, 4)
	ANDL(U32(0x3f3f3f3f), a)
	ANDL(U32(0x3f3f3f3f), b)
	VMOVD(a, x)
	VPINSRD(Imm(1), c, x, x)
	VPINSRD(Imm(2), b, x, x)
	VPINSRD(Imm(3), d, x, x)
	VPMOVZXBW(x, y)
	return y
}

// dotQ6_K: a block is 128 bytes of nibbles, 64 of two bits, 16 signed scales and a half float. Values are stored 32 above.
func dotQ6_K() {
	var pick [32]byte
	for i := range 32 {
		pick[i] = byte(i%2 + i/16*2)
	}
	pickAt := constant("scalePair", pick)
	function("dotQ6_KAVX2", superSignature, "dotQ6_KAVX2 is the product of a row of Q6_K blocks with Q8_K activations.")
	w, q, scale, sums, n := pointer("w"), pointer("q"), pointer("scale"), pointer("sums"), pointer("blocks")
	mask, bits, next, first := repeat(0x0f0f0f0f), repeat(0x30303030), repeat(0x04040404), YMM()
	VMOVDQU(pickAt, first)
	acc := zero()
	Label("block")
	scales, total := YMM(), zero()
	VPMOVSXBW(at(w, 192), scales)
	for h := range 2 {
		these, pick, high := YMM(), YMM(), YMM()
		VPERMQ(Imm([]uint64{0x44, 0xee}[h]), scales, these)
		VMOVDQA(first, pick)
		VMOVDQU(at(w, 128+h*32), high)
		for k := range 4 {
			v, b, s := YMM(), YMM(), YMM()
			VMOVDQU(at(w, h*64+k%2*32), v)
			if k > 1 {
				VPSRLW(Imm(4), v, v)
			}
			VPAND(mask, v, v)
			switch k {
			case 0:
				VPSLLW(Imm(4), high, b)
			case 1:
				VPSLLW(Imm(2), high, b)
			case 2:
				VMOVDQA(high, b)
			case 3:
				VPSRLW(Imm(2), high, b)
			}
			VPAND(bits, b, b)
			VPOR(b, v, v)
			VPMADDUBSW(at(q, h*128+k*32), v, v)
			VPSHUFB(pick, these, s)
			VPMADDWD(s, v, v)
			VPADDD(v, total, total)
			if k < 3 {
				VPADDB(next, pick, pick)
			}
		}
	}
	VPMADDWD(at(sums, 0), scales, scales)
	VPSLLD(Imm(5), scales, scales)
	VPSUBD(scales, total, total)
	accumulate(at(w, 208), scale, total, acc)
	advance(w, q, scale, sums, 210)
	DECQ(n)
	JNE(LabelRef("block"))
	finish(lanes(acc))
}

// accumulate adds a block's integers times its factor at m and the activations' scale.
func accumulate(m Mem, scale Register, total, acc VecVirtual) {
	d, all := half(m), YMM()
	VMULSS(at(scale, 0), d, d)
	VBROADCASTSS(d, all)
	VCVTDQ2PS(total, total)
	VFMADD231PS(total, all, acc)
}

func advance(w, q, scale, sums Register, bytes uint32) {
	ADDQ(U32(bytes), w)
	ADDQ(U32(256), q)
	ADDQ(Imm(4), scale)
	ADDQ(Imm(32), sums)
}
