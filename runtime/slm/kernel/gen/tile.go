package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a panel with several rows of activations. A slice of the panel is unpacked once to 16-bit integers, scales
// of parts of blocks multiplied in, and multiplied with all rows of activations while it is in the first-level cache. The
// integers' sums are those of the kernels for one row, and the floats are added in the same order, so that a row's result
// does not depend on how many others go with it.
//
// An unpacked slice is a sequence of pairs of columns, each 16 rows of two words.

// storePairs unpacks group g, 8 rows of 4 bytes above zero, to two pairs of columns; less is subtracted and the result
// multiplied with factor, where they are there.
func storePairs(v VecVirtual, even, odd, less, factor VecVirtual, to Register, g, h int) {
	for i, pick := range []VecVirtual{even, odd} {
		y := YMM()
		VPSHUFB(pick, v, y)
		if less != nil {
			VPSUBW(less, y, y)
		}
		if factor != nil {
			VPMULLW(factor, y, y)
		}
		VMOVDQU(y, at(to, g*128+i*64+h*32))
	}
}

// pickPairs returns the shuffles that take the first or the last two bytes of each four to words.
func pickPairs() (even, odd VecVirtual) {
	even, odd = repeat(0x80018000), repeat(0x80038002)
	// repeat fills every four bytes alike: add each one's place.
	var place [32]byte
	for i := range 32 {
		if i%2 == 0 {
			place[i] = byte(i / 4 * 4 % 16)
		}
	}
	m := load(constant(fmt.Sprintf("placeOfFour%d", constants), place))
	constants++
	VPADDB(m, even, even)
	VPADDB(m, odd, odd)
	return even, odd
}

var constants int

const unpackSignature = "func(w *byte, to *int16, d *float32, blocks int)"

// unpackBlocks lays out the loop of an unpacking of blocks of 32: block writes the eight groups of both halves.
func unpackBlocks(name string, bytes, scaleAt int, block func(w, to Register)) {
	w, to, d, n := pointer("w"), pointer("to"), pointer("d"), pointer("blocks")
	Label("block")
	block(w, to)
	halves(at(w, scaleAt), d)
	ADDQ(U32(uint32(bytes)), w)
	ADDQ(U32(1024), to)
	ADDQ(Imm(64), d)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// halves converts 16 half floats.
func halves(m Mem, d Register) {
	for h := range 2 {
		y := YMM()
		half := m
		half.Disp += h * 16
		VCVTPH2PS(half, y)
		VMOVUPS(y, at(d, h*32))
	}
}

func unpackKernel(name, format string) {
	function(name, unpackSignature, name+" unpacks 16 interleaved rows of "+format+" blocks.")
}

func unpackQ8_0() {
	unpackKernel("unpackQ8_0AVX2", "Q8_0")
	flip, less := repeat(0x80808080), repeat(0x00800080)
	even, odd := pickPairs()
	unpackBlocks("q8", 544, 512, func(w, to Register) {
		for g := range 8 {
			for h := range 2 {
				v := load(at(w, g*64+h*32))
				VPXOR(flip, v, v)
				storePairs(v, even, odd, less, nil, to, g, h)
			}
		}
	})
}

func unpackQ4_0() {
	unpackKernel("unpackQ4_0AVX2", "Q4_0")
	mask, less := repeat(0x0f0f0f0f), repeat(0x00080008)
	even, odd := pickPairs()
	unpackBlocks("q4", 288, 256, func(w, to Register) {
		for g := range 4 {
			for h := range 2 {
				x, v := load(at(w, g*64+h*32)), YMM()
				VPAND(mask, x, v)
				VPSRLW(Imm(4), x, x)
				VPAND(mask, x, x)
				storePairs(v, even, odd, less, nil, to, g, h)
				storePairs(x, even, odd, less, nil, to, g+4, h)
			}
		}
	})
}

func unpackQ5_0() {
	unpackKernel("unpackQ5_0AVX2", "Q5_0")
	mask, fifth, less := repeat(0x0f0f0f0f), repeat(0x10101010), repeat(0x00100010)
	even, odd := pickPairs()
	unpackBlocks("q5", 352, 320, func(w, to Register) {
		for h := range 2 {
			bits := load(at(w, 256+h*32))
			for g := range 4 {
				x, v := load(at(w, g*64+h*32)), YMM()
				VPAND(mask, x, v)
				VPSRLW(Imm(4), x, x)
				VPAND(mask, x, x)
				for i, n := range []VecVirtual{v, x} {
					b := shiftBit(bits, g+i*4, 4)
					VPAND(fifth, b, b)
					VPOR(b, n, n)
					storePairs(n, even, odd, less, nil, to, g+i*4, h)
				}
			}
		}
	})
}

func (format kFormat) unpack() {
	function("unpack"+format.name+"AVX2", "func(w *byte, to *int16, d *float32, mins *int16, dmin *float32, blocks int)",
		"unpack"+format.name+"AVX2 unpacks 16 interleaved rows of "+format.name+" blocks; the minimums are a slice of their own, 8 columns a block.")
	w, to, d, mins, dmin, n := pointer("w"), pointer("to"), pointer("d"), pointer("mins"), pointer("dmin"), pointer("blocks")
	mask, mask6 := repeat(0x0f0f0f0f), bits32("sixBitsUnpack"+format.name, 0x3f3f3f3f)
	var fifth VecVirtual
	if format.high > 0 {
		fifth = repeat(0x10101010)
	}
	even, odd := pickPairs()
	Label("block")
	for j := 0; j < 8; j += 2 {
		p := pairs(panelScaleMin(at(w, kScales), j, true, mask6, mask), panelScaleMin(at(w, kScales), j+1, true, mask6, mask))
		for h := range p {
			VMOVDQU(p[h], at(mins, j/2*64+h*32))
		}
	}
	for c := range 4 {
		low, high := twice(panelScaleMin(at(w, kScales), c*2, false, mask6, mask)), twice(panelScaleMin(at(w, kScales), c*2+1, false, mask6, mask))
		for g := range 8 {
			for h := range 2 {
				v := format.nibbles(w, c, g, h, mask, fifth)
				storePairs(v[0], even, odd, nil, low[h], to, c*16+g, h)
				storePairs(v[1], even, odd, nil, high[h], to, c*16+8+g, h)
			}
		}
	}
	halves(at(w, 0), d)
	halves(at(w, 32), dmin)
	ADDQ(U32(uint32(format.bytes)), w)
	ADDQ(U32(8192), to)
	ADDQ(Imm(64), d)
	ADDQ(U32(256), mins)
	ADDQ(Imm(64), dmin)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func unpackQ6_K() {
	unpackKernel("unpackQ6_KAVX2", "Q6_K")
	w, to, d, n := pointer("w"), pointer("to"), pointer("d"), pointer("blocks")
	mask, bits, less := repeat(0x0f0f0f0f), repeat(0x30303030), repeat(0x00200020)
	even, odd := pickPairs()
	Label("block")
	for i := range 2 {
		for k := range 4 {
			for group := range 8 {
				s := YMM()
				VPMOVSXBW(at(w, q6KScales+(i*8+k*2+group/4)*16), s)
				for h, factor := range twice(s) {
					storePairs(sixBits(w, i, k, group, h, mask, bits), even, odd, less, factor, to, i*32+k*8+group, h)
				}
			}
		}
	}
	halves(at(w, 0), d)
	ADDQ(U32(q6KBytes), w)
	ADDQ(U32(8192), to)
	ADDQ(Imm(64), d)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// tile multiplies an unpacked slice with rows of activations and adds to 16 results of each.
func tile(rows int) {
	name := fmt.Sprintf("tile%dAVX2", rows)
	function(name, "func(w *int16, d *float32, a *int16, stride int, scale *float32, scaleStride int, blocks int, fours int, dst *float32, dstStride int)",
		fmt.Sprintf("%s adds the products of an unpacked slice, blocks of fours times 8 columns, with %d rows of activations. Strides are in bytes.", name, rows))
	w, d, a, stride, scale, scaleStride := pointer("w"), pointer("d"), pointer("a"), pointer("stride"), pointer("scale"), pointer("scaleStride")
	blocks, dst, dstStride := pointer("blocks"), pointer("dst"), pointer("dstStride")
	row := func(base, stride Register, t, offset int) Mem {
		m := Mem{Base: base, Disp: offset}
		if t > 0 {
			m.Index, m.Scale = stride, uint8(t)
		}
		return m
	}
	f, acc := make([][2]VecVirtual, rows), make([][2]VecVirtual, rows)
	for t := range f {
		for h := range 2 {
			f[t][h], acc[t][h] = YMM(), YMM()
			VMOVUPS(row(dst, dstStride, t, h*32), f[t][h])
		}
	}
	fours := GP64()
	Label("block")
	for t := range acc {
		for h := range 2 {
			VPXOR(acc[t][h], acc[t][h], acc[t][h])
		}
	}
	Load(Param("fours"), fours)
	Label("pairs")
	for p := range 4 {
		w0, w1 := load(at(w, p*64)), load(at(w, p*64+32))
		for t := range acc {
			v, x := broadcast4(row(a, stride, t, p*4)), YMM()
			VPMADDWD(w0, v, x)
			VPADDD(x, acc[t][0], acc[t][0])
			VPMADDWD(w1, v, v)
			VPADDD(v, acc[t][1], acc[t][1])
		}
	}
	ADDQ(U32(256), w)
	ADDQ(Imm(16), a)
	DECQ(fours)
	JNE(LabelRef("pairs"))
	d0, d1 := YMM(), YMM()
	VMOVUPS(at(d, 0), d0)
	VMOVUPS(at(d, 32), d1)
	for t := range acc {
		da, x := YMM(), YMM()
		VBROADCASTSS(row(scale, scaleStride, t, 0), da)
		VMULPS(d0, da, x)
		VCVTDQ2PS(acc[t][0], acc[t][0])
		VFMADD231PS(acc[t][0], x, f[t][0])
		VMULPS(d1, da, da)
		VCVTDQ2PS(acc[t][1], acc[t][1])
		VFMADD231PS(acc[t][1], da, f[t][1])
	}
	ADDQ(Imm(64), d)
	ADDQ(Imm(4), scale)
	DECQ(blocks)
	JNE(LabelRef("block"))
	for t := range f {
		for h := range 2 {
			VMOVUPS(f[t][h], row(dst, dstStride, t, h*32))
		}
	}
	VZEROUPPER()
	RET()
}

// widen makes words of bytes.
func widen() {
	function("widenAVX2", "func(q *int8, to *int16, n int)", "widenAVX2 makes words of n bytes, a multiple of 32 above 0.")
	q, to, n := pointer("q"), pointer("to"), pointer("n")
	Label("widen")
	for i := range 2 {
		y := YMM()
		VPMOVSXBW(at(q, i*16), y)
		VMOVDQU(y, at(to, i*32))
	}
	ADDQ(Imm(32), q)
	ADDQ(Imm(64), to)
	SUBQ(Imm(32), n)
	JG(LabelRef("widen"))
	VZEROUPPER()
	RET()
}
