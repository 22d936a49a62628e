package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// wideRows are the numbers of rows that there are tiles for.
var wideRows = []int{8, 4, 2, 1}

// wide is a tile while it is laid out: w is the record, the other pointers are those of the first row.
type wide struct {
	rows                                  int
	w, a, stride, sums, sumsStride, scale Register
	scaleStride, blocks, ahead            Register
	activation                            func(k, offset int) Mem
}

func newWide(name string, rows int) *wide {
	function(fmt.Sprintf("tile%s%dAVX512", name, rows), tileSignature,
		fmt.Sprintf("tile%s%dAVX512 adds the products of %s blocks with %d rows of activations to dst, rows x 16. Strides are in bytes.\n// On the way it fetches what lies ahead, %d bytes for 32 columns.", name, rows, name, rows, tileAhead))
	t := &wide{rows: rows, w: pointer("w"), a: pointer("a"), stride: pointer("stride"), sums: pointer("sums"), sumsStride: pointer("sumsStride"),
		scale: pointer("scale"), scaleStride: pointer("scaleStride"), blocks: pointer("blocks"), ahead: pointer("ahead")}
	t.activation = t.of(t.a, t.stride)
	return t
}

// of returns what addresses a row by its number: registers are computed for what no address can say.
func (t *wide) of(base, stride Register) func(k, offset int) Mem {
	var three, fourth Register
	if t.rows > 3 {
		three = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, three)
	}
	if t.rows > 4 {
		fourth = GP64()
		LEAQ(Mem{Base: base, Index: stride, Scale: 4}, fourth)
	}
	return func(k, offset int) Mem {
		m := Mem{Base: base, Disp: offset}
		if k >= 4 {
			m.Base = fourth
		}
		switch k % 4 {
		case 1, 2:
			m.Index, m.Scale = stride, uint8(k%4)
		case 3:
			m.Index, m.Scale = three, 1
		}
		return m
	}
}

// walk goes on along the rows of activations.
func (t *wide) walk(columns int) {
	ADDQ(U32(uint32(columns)), t.a)
	if t.rows > 4 {
		ADDQ(U32(uint32(columns)), t.activation(4, 0).Base)
	}
}

func (t *wide) registers(f func(k int, z VecVirtual)) []VecVirtual {
	out := make([]VecVirtual, t.rows)
	for k := range out {
		out[k] = ZMM()
		f(k, out[k])
	}
	return out
}

func (t *wide) zeros() []VecVirtual {
	return t.registers(func(_ int, z VecVirtual) { VPXORD(z, z, z) })
}

// multiply adds the products with four columns of the weights.
func (t *wide) multiply(v VecVirtual, column int, s []VecVirtual) {
	for k := range s {
		VPDPBUSD_BCST(t.activation(k, column), v, s[k])
	}
}

// minimums adds products of pairs of minimums with the activations' sums.
func (t *wide) minimums(at0, pairs int, s []VecVirtual) {
	sum := t.of(t.sums, t.sumsStride)
	for j := range pairs {
		m := load512(at(t.w, at0+j*64))
		for k := range s {
			VPDPWSSD_BCST(sum(k, j*4), m, s[k])
		}
	}
}

// accumulate adds integers times factors and the activations' scales to what add is called with.
func (t *wide) accumulate(total []VecVirtual, factor VecVirtual, add func(k int, x, total VecVirtual)) {
	scale := t.of(t.scale, t.scaleStride)
	for k := range total {
		x := ZMM()
		VMULPS_BCST(scale(k, 0), factor, x)
		VCVTDQ2PS(total[k], total[k])
		add(k, x, total[k])
	}
}

func (t *wide) fetch(columns int) { (&tiler{ahead: t.ahead}).fetch(columns) }

// begin loads the sums so far.
func (t *wide) begin() []VecVirtual {
	dst := pointer("dst")
	return t.registers(func(k int, z VecVirtual) { VMOVUPS(at(dst, k*64), z) })
}

// next goes on to the next block, and stores the sums after the last.
func (t *wide) next(bytes, sums int, f []VecVirtual) {
	ADDQ(U32(uint32(bytes)), t.w)
	ADDQ(U32(uint32(sums)), t.sums)
	ADDQ(Imm(4), t.scale)
	DECQ(t.blocks)
	JNE(LabelRef("block"))
	dst := pointer("dst")
	for k := range f {
		VMOVUPS(f[k], at(dst, k*64))
	}
	VZEROUPPER()
	RET()
}

// tileWide multiplies blocks of 32 elements; the activations' sums are those of blocks times -8.
func tileWide(name string, rows int, shift uint64, bytes int, prepare func(), quants func(w Register, g int) VecVirtual, factor func(w Register) VecVirtual) {
	t := newWide(name, rows)
	prepare()
	f := t.begin()
	Label("block")
	sum := t.of(t.sums, t.sumsStride)
	total := t.registers(func(k int, z VecVirtual) {
		VPBROADCASTD(sum(k, 0), z)
		if shift > 0 {
			VPSLLD(Imm(shift), z, z)
		}
	})
	t.fetch(32)
	for g := range 8 {
		t.multiply(quants(t.w, g), g*4, total)
	}
	t.walk(32)
	t.accumulate(total, factor(t.w), func(k int, x, total VecVirtual) { VFMADD231PS(total, x, f[k]) })
	t.next(bytes, 4, f)
}

func tileQ8_0Wide(rows int) {
	var above VecVirtual
	tileWide("Q8_0", rows, 4, 544, func() { above = repeat512(0x80808080) }, func(w Register, g int) VecVirtual {
		z := ZMM()
		VPXORD(at(w, g*64), above, z)
		return z
	}, func(w Register) VecVirtual {
		d := ZMM()
		VCVTPH2PS(at(w, 512), d)
		return d
	})
}

// tileWide multiplies an unpacked slice with rows of activations.
func (f tileFormat) tileWide(rows int) {
	if !f.scaled {
		tileWide(f.name, rows, uint64(f.above-1), f.bytes(), func() {}, func(w Register, g int) VecVirtual { return load512(at(w, f.group(0, g))) },
			func(w Register) VecVirtual { return load512(at(w, 0)) })
		return
	}
	t := newWide(f.name, rows)
	sums := t.begin()
	Label("block")
	total := t.zeros()
	t.minimums(f.minsAt(), f.mins, total)
	if f.own {
		low := pointer("low")
		t.accumulate(total, load512(at(t.w, 64)), func(k int, x, total VecVirtual) {
			VFMADD213PS(at(low, k*64), x, total)
			VMOVUPS(total, at(low, k*64))
		})
		for _, z := range total {
			VPXORD(z, z, z)
		}
	}
	parts := GP64()
	MOVQ(U32(uint32(f.parts)), parts)
	Label("part")
	t.fetch(f.groups * 4)
	s := t.zeros()
	for g := range f.groups {
		t.multiply(load512(at(t.w, f.group(0, g))), g*4, s)
	}
	by := ZMM()
	VPSRAD(Imm(16), at(t.w, f.part(0)), by)
	for k := range s {
		VPMULLD(by, s[k], s[k])
		VPADDD(s[k], total[k], total[k])
	}
	t.walk(f.groups * 4)
	ADDQ(U32(uint32(f.partBytes())), t.w)
	DECQ(parts)
	JNE(LabelRef("part"))
	t.accumulate(total, load512(at(t.w, -f.parts*f.partBytes())), func(k int, x, total VecVirtual) { VFMADD231PS(total, x, sums[k]) })
	t.next(f.bytes()-f.parts*f.partBytes(), f.mins*4, sums)
}
