// Command gen writes the AVX2 and AVX-512 kernels of package kernel as Go assembly. It is a module of its own, so that nothing of
// it comes with the engine. Run it with `go generate` in the package's folder; what it writes is committed.
//
// A kernel reads exactly the bytes of its blocks: the last row of a file ends where the memory map may end.
//
// Start reading at dotQ8_0.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	dotQ8_0()
	dotQ4_0()
	dotQ5_0()
	dotQ4_K()
	dotQ6_K()
	dotF32()
	dotF16()
	dotBF16()
	axpy()
	quantizeQ8_0()
	quantizeQ8_K()
	panelQ8_0()
	panelQ4_0()
	panelQ5_0()
	q4K.panel()
	q5K.panel()
	panelQ6_K()
	blockTotals()
	unpackQ4_0()
	unpackQ5_0()
	q4K.unpack(tileQ4_K)
	q5K.unpack(tileQ5_K)
	unpackQ6_K()
	for rows := 1; rows <= 3; rows++ {
		tileQ8_0(rows)
		for _, f := range []tileFormat{tileQ4_0, tileQ5_0, tileQ4_K, tileQ5_K, tileQ6_K} {
			f.tile(rows)
		}
	}
	panelQ8_0Wide()
	panelQ4_0Wide()
	panelQ5_0Wide()
	q4K.panelWide()
	q5K.panelWide()
	panelQ6_KWide()
	for _, rows := range wideRows {
		tileQ8_0Wide(rows)
		for _, f := range []tileFormat{tileQ4_0, tileQ5_0, tileQ4_K, tileQ5_K, tileQ6_K} {
			f.tileWide(rows)
		}
	}
	interleave()
	expSum()
	siluMul()
	scores()
	weightedSum()
	fromHalf()
	toHalf()
	readMemory()
	Generate()
}

// function begins a kernel that the Go side calls with pointers that do not escape.
func function(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(doc)
}

func pointer(name string) Register { return Load(Param(name), GP64()) }

func at(p Register, offset int) Mem { return Mem{Base: p, Disp: offset} }

// zero returns a cleared register.
func zero() VecVirtual {
	y := YMM()
	VPXOR(y, y, y)
	return y
}

// words returns 16 words of 1.
func words() VecVirtual {
	y := YMM()
	VPCMPEQW(y, y, y)
	VPSRLW(Imm(15), y, y)
	return y
}

// repeat returns the 32 bits in every lane.
func repeat(bits uint32) VecVirtual {
	r, y := GP32(), YMM()
	MOVL(U32(bits), r)
	VMOVD(r, y.AsX())
	VPBROADCASTD(y.AsX(), y)
	return y
}

// constant returns 32 bytes from the data section.
func constant(name string, bytes [32]byte) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := 0; i < 32; i += 8 {
		v := uint64(0)
		for j := range 8 {
			v |= uint64(bytes[i+j]) << (8 * j)
		}
		DATA(i, U64(v))
	}
	return m
}

// half loads a half float as a float into the lowest lane.
func half(m Mem) VecVirtual {
	r, x := GP32(), XMM()
	MOVWLZX(m, r)
	VMOVD(r, x)
	VCVTPH2PS(x, x)
	return x
}

// sum adds the accumulators' lanes up in the order that ggml's code for 512 bits has, into the lowest lane.
func sum(a [8]VecVirtual) VecVirtual {
	for _, distance := range []int{4, 2, 1} {
		for i := range distance {
			VADDPS(a[i+distance], a[i], a[i])
		}
	}
	return lanes(a[0])
}

// lanes adds a register's eight lanes up.
func lanes(y VecVirtual) VecVirtual {
	x := XMM()
	VEXTRACTF128(Imm(1), y, x)
	VADDPS(y.AsX(), x, x)
	return lanes4(x)
}

func lanes4(x VecVirtual) VecVirtual {
	t := XMM()
	VMOVHLPS(x, x, t)
	VADDPS(t, x, x)
	VMOVSHDUP(x, t)
	VADDSS(t, x, x)
	return x
}

// finish returns the float in x.
func finish(x VecVirtual) {
	Store(x, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// readMemory is the loop that bandwidth is measured with.
func readMemory() {
	function("readMemoryAVX2", "func(p *byte, n int) uint64", "readMemoryAVX2 reads n bytes, a multiple of 256 above 0.")
	p, n := pointer("p"), pointer("n")
	var acc [8]VecVirtual
	for i := range acc {
		acc[i] = zero()
	}
	Label("read")
	for i := range acc {
		VPOR(at(p, i*32), acc[i], acc[i])
	}
	ADDQ(U32(256), p)
	SUBQ(U32(256), n)
	JG(LabelRef("read"))
	for i := 1; i < 8; i++ {
		VPOR(acc[i], acc[0], acc[0])
	}
	r := GP64()
	VMOVQ(acc[0].AsX(), r)
	Store(r, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
