package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Unpacking of panels' blocks to the records that tiles are made of.

// unpackBlocks lays out an unpacking's loop: block writes one record.
func (f tileFormat) unpackBlocks(bytes int, block func(w, to Register)) {
	w, to, n := pointer("w"), pointer("to"), pointer("blocks")
	Label("block")
	block(w, to)
	ADDQ(U32(uint32(bytes)), w)
	ADDQ(U32(uint32(f.bytes())), to)
	DECQ(n)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func (f tileFormat) unpackKernel() {
	name := "unpack" + f.name + "AVX2"
	function(name, "func(w *byte, to *byte, blocks int)", name+" unpacks 16 interleaved rows of "+f.name+" blocks.")
}

// halves converts 16 half floats.
func halves(m Mem, d Register, to int) {
	for h := range 2 {
		y := YMM()
		half := m
		half.Disp += h * 16
		VCVTPH2PS(half, y)
		VMOVUPS(y, at(d, to+h*32))
	}
}

// storeBoth stores both halves of 16 rows.
func storeBoth(v [2]VecVirtual, to Register, offset int) {
	for h := range v {
		VMOVDQU(v[h], at(to, offset+h*32))
	}
}

func unpackQ4_0() {
	f := tileQ4_0
	f.unpackKernel()
	mask := repeat(0x0f0f0f0f)
	f.unpackBlocks(288, func(w, to Register) {
		halves(at(w, 256), to, 0)
		for g := range 4 {
			for h := range 2 {
				x, v := load(at(w, g*64+h*32)), YMM()
				VPAND(mask, x, v)
				VPSRLW(Imm(4), x, x)
				VPAND(mask, x, x)
				VMOVDQU(v, at(to, f.group(0, g)+h*32))
				VMOVDQU(x, at(to, f.group(0, g+4)+h*32))
			}
		}
	})
}

func unpackQ5_0() {
	f := tileQ5_0
	f.unpackKernel()
	mask, fifth := repeat(0x0f0f0f0f), repeat(0x10101010)
	f.unpackBlocks(352, func(w, to Register) {
		halves(at(w, 320), to, 0)
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
					VMOVDQU(n, at(to, f.group(0, g+i*4)+h*32))
				}
			}
		}
	})
}

func (format kFormat) unpack(f tileFormat) {
	f.unpackKernel()
	mask, mask6 := repeat(0x0f0f0f0f), bits32("sixBitsUnpack"+format.name, 0x3f3f3f3f)
	var fifth VecVirtual
	if format.high > 0 {
		fifth = repeat(0x10101010)
	}
	f.unpackBlocks(format.bytes, func(w, to Register) {
		halves(at(w, 0), to, 0)
		halves(at(w, 32), to, 64)
		for j := 0; j < 8; j += 2 {
			storeBoth(pairs(panelScaleMin(at(w, kScales), j, true, mask6, mask), panelScaleMin(at(w, kScales), j+1, true, mask6, mask)), to, f.minsAt()+j/2*64)
		}
		for j := range 8 {
			storeBoth(twice(panelScaleMin(at(w, kScales), j, false, mask6, mask)), to, f.part(j))
		}
		for c := range 4 {
			for g := range 8 {
				for h := range 2 {
					for i, v := range format.nibbles(w, c, g, h, mask, fifth) {
						VMOVDQU(v, at(to, f.group(c*2+i, g)+h*32))
					}
				}
			}
		}
	})
}

func unpackQ6_K() {
	f := tileQ6_K
	f.unpackKernel()
	mask, bits := repeat(0x0f0f0f0f), repeat(0x30303030)
	f.unpackBlocks(q6KBytes, func(w, to Register) {
		halves(at(w, 0), to, 0)
		for j := 0; j < 16; j += 2 { // values are stored 32 above
			var s, less [2]VecVirtual
			for i := range s {
				s[i], less[i] = YMM(), zero()
				VPMOVSXBW(at(w, q6KScales+(j+i)*16), s[i])
				storeBoth(twice(s[i]), to, f.part(j+i))
				VPSLLW(Imm(5), s[i], s[i])
				VPSUBW(s[i], less[i], less[i])
			}
			storeBoth(pairs(less[0], less[1]), to, f.minsAt()+j/2*64)
		}
		for i := range 2 {
			for group := range 8 {
				for h := range 2 {
					for k, v := range sixBits(w, i, group, h, mask, bits) {
						VMOVDQU(v, at(to, f.group(i*8+k*2+group/4, group%4)+h*32))
					}
				}
			}
		}
	})
}
