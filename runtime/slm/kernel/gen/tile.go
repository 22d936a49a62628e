package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Products of a panel with several rows of activations. A slice of the panel is unpacked once to bytes above zero, and
// multiplied with all rows of activations while it is in the first-level cache. The integers' sums are those of the
// kernels for one row, and the floats are added in the same order, so that a row's result does not depend on how many
// others go with it.
//
// An unpacked block is one record: 16 factors as floats, 16 of the minimums where these have their own, pairs of words of
// minimums, then the parts: 16 scales, each twice, as words, and groups of four columns, each 16 rows of four bytes.
// Without scales there is one part and no words.

// tileFormat is what a tile must know of an unpacked block.
type tileFormat struct {
	name string
	rows int // of activations at once, as many as there are registers for

	parts, groups int  // parts of a block with a scale of their own, groups of four columns in each
	fit           int  // groups whose products add up to less than 2^15
	scaled        bool // parts have scales

	above int  // how many times eight values are stored above zero; the activations' sums are blocks' then, times -8
	mins  int  // pairs of minimums, to be multiplied with sums of the activations
	own   bool // minimums have factors of their own
}

// 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and 2 * 2 * 63 * 127 stay below 2^15.
var (
	tileQ4_0 = tileFormat{name: "Q4_0", rows: 3, parts: 1, groups: 8, fit: 8, above: 1}
	tileQ5_0 = tileFormat{name: "Q5_0", rows: 3, parts: 1, groups: 8, fit: 4, above: 2}
	tileQ4_K = tileFormat{name: "Q4_K", rows: 3, parts: 8, groups: 8, fit: 8, scaled: true, mins: 4, own: true}
	tileQ5_K = tileFormat{name: "Q5_K", rows: 3, parts: 8, groups: 8, fit: 4, scaled: true, mins: 4, own: true}
	tileQ6_K = tileFormat{name: "Q6_K", rows: 3, parts: 16, groups: 4, fit: 2, scaled: true, mins: 8}
)

func (f tileFormat) minsAt() int {
	if f.own {
		return 128
	}
	return 64
}

// part is where a part's scales are, or its groups if it has none.
func (f tileFormat) part(p int) int { return f.minsAt() + f.mins*64 + p*f.partBytes() }

func (f tileFormat) partBytes() int {
	if f.scaled {
		return 64 + f.groups*64
	}
	return f.groups * 64
}

// group is where a group is.
func (f tileFormat) group(p, g int) int {
	at := f.part(p) + g*64
	if f.scaled {
		at += 64
	}
	return at
}

func (f tileFormat) bytes() int { return f.part(f.parts) }

// tiler is a tile while it is laid out.
type tiler struct {
	rows                                       int
	w, a, stride, sums, sumsStride, scale, low Register
	scaleStride, blocks, dst, ahead            Register
}

const tileSignature = "func(w *byte, a *int8, stride int, sums *byte, sumsStride int, scale *float32, scaleStride int, blocks int, dst *float32, low *float32, ahead uintptr)"

// newTiler begins a tile's function.
func newTiler(name string, rows int) *tiler {
	function(fmt.Sprintf("tile%s%dAVX2", name, rows), tileSignature,
		fmt.Sprintf("tile%s%dAVX2 adds the products of unpacked %s blocks with %d rows of activations to dst, rows x 16. Strides are in bytes.\n// On the way it fetches what lies ahead, %d bytes for 32 columns.", name, rows, name, rows, tileAhead))
	return &tiler{rows, pointer("w"), pointer("a"), pointer("stride"), pointer("sums"), pointer("sumsStride"), pointer("scale"), pointer("low"),
		pointer("scaleStride"), pointer("blocks"), pointer("dst"), pointer("ahead")}
}

// tileAhead is how much a tile fetches of what comes next while it multiplies 32 columns: memory would rest meanwhile.
const tileAhead = 128

// fetch is called once for so many columns.
func (t *tiler) fetch(columns int) {
	n := tileAhead * columns / 32
	for i := 0; i < n; i += 64 {
		PREFETCHT0(at(t.ahead, i))
	}
	ADDQ(U32(uint32(n)), t.ahead)
}

// row is where row t has what row 0 has at an offset.
func row(base, stride Register, t, offset int) Mem {
	m := Mem{Base: base, Disp: offset}
	switch t {
	case 1, 2:
		m.Index, m.Scale = stride, uint8(t)
	case 3:
		panic("no such factor")
	}
	return m
}

// ints returns a register for each row and half.
func (t *tiler) ints() [][2]VecVirtual {
	out := make([][2]VecVirtual, t.rows)
	for i := range out {
		out[i] = [2]VecVirtual{YMM(), YMM()}
	}
	return out
}

// each calls f for each row and half.
func (t *tiler) each(f func(k, h int)) {
	for k := range t.rows {
		for h := range 2 {
			f(k, h)
		}
	}
}

// minimums writes the products of pairs of minimums with the activations' sums.
func (t *tiler) minimums(total [][2]VecVirtual, at0, pairs int) {
	for j := range pairs {
		m := [2]VecVirtual{load(at(t.w, at0+j*64)), load(at(t.w, at0+j*64+32))}
		for k := range total {
			a := broadcast4(row(t.sums, t.sumsStride, k, j*4))
			for h := range m {
				if j == 0 {
					VPMADDWD(m[h], a, total[k][h])
					continue
				}
				x := YMM()
				VPMADDWD(m[h], a, x)
				VPADDD(x, total[k][h], total[k][h])
			}
		}
	}
}

// accumulate adds integers times the 16 factors that d returns and the activations' scales to floats.
func (t *tiler) accumulate(total, f [][2]VecVirtual, d func(h int) VecVirtual) {
	factor := [2]VecVirtual{d(0), d(1)}
	for k := range total {
		da := YMM()
		VBROADCASTSS(row(t.scale, t.scaleStride, k, 0), da)
		for h := range factor {
			x := YMM()
			VMULPS(factor[h], da, x)
			VCVTDQ2PS(total[k][h], total[k][h])
			VFMADD231PS(total[k][h], x, f[k][h])
		}
	}
}

// accumulateAt is accumulate with floats in memory.
func (t *tiler) accumulateAt(to Register, total [][2]VecVirtual, d func(h int) VecVirtual) {
	factor := [2]VecVirtual{d(0), d(1)}
	for k := range total {
		da := YMM()
		VBROADCASTSS(row(t.scale, t.scaleStride, k, 0), da)
		for h := range factor {
			x := YMM()
			VMULPS(factor[h], da, x)
			VCVTDQ2PS(total[k][h], total[k][h])
			VFMADD213PS(at(to, k*64+h*32), x, total[k][h])
			VMOVUPS(total[k][h], at(to, k*64+h*32))
		}
	}
}

// factors returns 16 floats at an offset of the record.
func (t *tiler) factors(offset int) func(h int) VecVirtual {
	return func(h int) VecVirtual { return load(at(t.w, offset+h*32)) }
}

// next goes on to the next block, or returns after end.
func (t *tiler) next(bytes, sums int, end func()) {
	if bytes > 0 {
		ADDQ(U32(uint32(bytes)), t.w)
	}
	if sums > 0 {
		ADDQ(U32(uint32(sums)), t.sums)
	}
	ADDQ(Imm(4), t.scale)
	DECQ(t.blocks)
	JNE(LabelRef("block"))
	end()
	VZEROUPPER()
	RET()
}

// tile multiplies an unpacked slice with rows of activations.
func (f tileFormat) tile(rows int) {
	t := newTiler(f.name, rows)
	var one Mem
	if !f.scaled {
		one = bits32(fmt.Sprintf("one%s%d", f.name, rows), 0x00010001)
	}
	inRegisters := f.parts == 1 && f.fit == f.groups // there are enough for the floats then
	floats := t.ints()
	if inRegisters {
		t.each(func(k, h int) { VMOVUPS(at(t.dst, k*64+h*32), floats[k][h]) })
	}
	Label("block")
	total := t.ints()
	if f.own {
		t.minimums(total, f.minsAt(), f.mins)
		t.accumulateAt(t.low, total, t.factors(64))
	}
	switch {
	case inRegisters:
	case f.above == 2:
		for k := range total {
			s := broadcast4(row(t.sums, t.sumsStride, k, 0))
			VPADDD(s, s, total[k][0])
			VPADDD(s, s, total[k][1])
		}
	case f.mins > 0 && !f.own:
		t.minimums(total, f.minsAt(), f.mins)
	default:
		t.each(func(k, h int) { VPXOR(total[k][h], total[k][h], total[k][h]) })
	}
	d := t.factors(0)
	parts := GP64()
	if f.parts > 1 {
		start := GP64() // where the record begins; w walks on through the parts
		MOVQ(t.w, start)
		d = func(h int) VecVirtual { return load(at(start, h*32)) }
		MOVQ(U32(uint32(f.parts)), parts)
		Label("part")
	}
	t.fetch(f.groups * 4)
	for first := 0; first < f.groups; first += f.fit {
		sum := t.ints()
		for g := first; g < first+f.fit; g++ {
			w := [2]VecVirtual{load(at(t.w, f.group(0, g))), load(at(t.w, f.group(0, g)+32))}
			for k := range sum {
				a := broadcast4(row(t.a, t.stride, k, g*4))
				for h := range w {
					if g == first {
						VPMADDUBSW(a, w[h], sum[k][h])
						continue
					}
					x := YMM()
					VPMADDUBSW(a, w[h], x)
					VPADDW(x, sum[k][h], sum[k][h])
				}
			}
		}
		t.each(func(k, h int) {
			by := one
			if f.scaled {
				by = at(t.w, f.part(0)+h*32)
			}
			VPMADDWD(by, sum[k][h], sum[k][h])
			if !inRegisters {
				VPADDD(sum[k][h], total[k][h], total[k][h])
			}
		})
		if inRegisters {
			total = sum
			for k := range total {
				s := broadcast4(row(t.sums, t.sumsStride, k, 0))
				for h := range 2 {
					VPADDD(s, total[k][h], total[k][h])
				}
			}
		}
	}
	ADDQ(U32(uint32(f.groups*4)), t.a)
	if f.parts > 1 {
		ADDQ(U32(uint32(f.partBytes())), t.w)
		DECQ(parts)
		JNE(LabelRef("part"))
	}
	if inRegisters {
		t.accumulate(total, floats, d)
	} else {
		t.accumulateAt(t.dst, total, d)
	}
	bytes, sums := f.bytes(), f.mins*4
	if f.parts > 1 {
		bytes -= f.parts * f.partBytes()
	} else {
		sums = 4
	}
	t.next(bytes, sums, func() {
		if inRegisters {
			t.each(func(k, h int) { VMOVUPS(floats[k][h], at(t.dst, k*64+h*32)) })
		}
	})
}

// tileQ8_0 multiplies a panel's blocks as they are.
func tileQ8_0(rows int) {
	t := newTiler("Q8_0", rows)
	one := words()
	Label("block")
	total := t.ints()
	t.fetch(32)
	for g := range 8 {
		var w, size [2]VecVirtual
		for h := range w {
			w[h], size[h] = load(at(t.w, g*64+h*32)), YMM()
			VPABSB(w[h], size[h])
		}
		for k := range total {
			a := broadcast4(row(t.a, t.stride, k, g*4))
			for h := range w {
				x := YMM()
				VPSIGNB(w[h], a, x)
				VPMADDUBSW(x, size[h], x)
				if g == 0 {
					VPMADDWD(one, x, total[k][h])
					continue
				}
				VPMADDWD(one, x, x)
				VPADDD(x, total[k][h], total[k][h])
			}
		}
	}
	ADDQ(Imm(32), t.a)
	t.accumulateAt(t.dst, total, func(h int) VecVirtual {
		d := YMM()
		VCVTPH2PS(at(t.w, 512+h*16), d)
		return d
	})
	t.next(544, 0, func() {})
}
