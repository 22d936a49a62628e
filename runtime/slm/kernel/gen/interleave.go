package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// interleave transposes 4 x 4 groups of four bytes.
func interleave() {
	function("interleaveAVX2", "func(dst *byte, dstStride int, rows **byte, from int, rowStride int, chunks int, blocks int)",
		"interleaveAVX2 lays 16 rows' bytes out by fours: in each of the blocks chunks times 16 bytes, which begin at from and lie\n// rowStride apart, to places that lie dstStride apart.")
	dst, dstStride, rows, from, rowStride, blocks := pointer("dst"), pointer("dstStride"), pointer("rows"), pointer("from"), pointer("rowStride"), pointer("blocks")
	to, at0, left, row := GP64(), GP64(), GP64(), GP64()
	Label("block")
	MOVQ(dst, to)
	MOVQ(from, at0)
	Load(Param("chunks"), left)
	Label("chunk")
	for r := range 4 {
		var x [4]VecVirtual
		for i := range x {
			x[i] = XMM()
			MOVQ(at(rows, (r*4+i)*8), row)
			VMOVDQU(Mem{Base: row, Index: at0, Scale: 1}, x[i])
		}
		a, b, c, d := XMM(), XMM(), XMM(), XMM()
		VPUNPCKLDQ(x[1], x[0], a) // row 0 group 0, row 1 group 0, row 0 group 1, row 1 group 1
		VPUNPCKHDQ(x[1], x[0], b)
		VPUNPCKLDQ(x[3], x[2], c)
		VPUNPCKHDQ(x[3], x[2], d)
		for g, p := range [][2]VecVirtual{{a, c}, {b, d}} {
			low, high := XMM(), XMM()
			VPUNPCKLQDQ(p[1], p[0], low)
			VPUNPCKHQDQ(p[1], p[0], high)
			VMOVDQU(low, at(to, g*128+r*16))
			VMOVDQU(high, at(to, g*128+64+r*16))
		}
	}
	ADDQ(Imm(16), at0)
	ADDQ(U32(256), to)
	DECQ(left)
	JNE(LabelRef("chunk"))
	ADDQ(rowStride, from)
	ADDQ(dstStride, dst)
	DECQ(blocks)
	JNE(LabelRef("block"))
	RET()
}
