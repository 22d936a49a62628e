package main

import "fmt"

// word is an instruction: its code and, for the reader, its spelling. Source of the encodings: Arm Architecture Reference
// Manual for A-profile, C7.2.
type word struct {
	code uint32
	text string
}

func three(code uint32, name, kind string, d, n, m int) word {
	return word{code | uint32(m)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d.%s, v%d.%s, v%d.%s", name, d, kind, n, kind, m, kind)}
}

func two(code uint32, name, to, from string, d, n int) word {
	return word{code | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d.%s, v%d.%s", name, d, to, n, from)}
}

// byElement is an instruction whose last operand is one 32-bit element of a register.
func byElement(code uint32, name, kind string, d, n, m, index int) word {
	return word{code | uint32(index&1)<<21 | uint32(m)<<16 | uint32(index>>1)<<11 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("%s v%d, v%d.%s, v%d[%d]", name, d, n, kind, m, index)}
}

// Loads and stores; the offset is a multiple of their size.

func memory(code uint32, name string, size, v, base, offset int) word {
	if offset%size != 0 || offset < 0 || offset/size > 4095 {
		panic(fmt.Sprintf("%s at %d", name, offset))
	}
	return word{code | uint32(offset/size)<<10 | uint32(base)<<5 | uint32(v), fmt.Sprintf("%s%d, [x%d, #%d]", name, v, base, offset)}
}

func loadQ(v, base, offset int) word  { return memory(0x3dc00000, "ldr q", 16, v, base, offset) }
func loadD(v, base, offset int) word  { return memory(0xfd400000, "ldr d", 8, v, base, offset) }
func loadS(v, base, offset int) word  { return memory(0xbd400000, "ldr s", 4, v, base, offset) }
func storeQ(v, base, offset int) word { return memory(0x3d800000, "str q", 16, v, base, offset) }

// fetch asks for a line that is read soon.
func fetch(base, offset int) word {
	w := memory(0xf9800000, "", 8, 0, base, offset)
	return word{w.code, fmt.Sprintf("prfm pldl1keep, [x%d, #%d]", base, offset)}
}

// Bits and bytes.

func and(d, n, m int) word { return three(0x4e201c00, "and", "16b", d, n, m) }
func or(d, n, m int) word  { return three(0x4ea01c00, "orr", "16b", d, n, m) }

func clear(d int) word { return splatByte(d, 0) }

// splatByte puts a constant into every byte.
func splatByte(d int, v uint32) word {
	return word{0x4f00e400 | v>>5<<16 | v&31<<5 | uint32(d), fmt.Sprintf("movi v%d.16b, #%d", d, v)}
}

func rightBytes(d, n, by int) word {
	return word{0x6f000400 | uint32(16-by)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("ushr v%d.16b, v%d.16b, #%d", d, n, by)}
}

// insertLeft moves n's bytes left into d, whose lower bits stay.
func insertLeft(d, n, by int) word {
	return word{0x6f005400 | uint32(8+by)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("sli v%d.16b, v%d.16b, #%d", d, n, by)}
}

func subBytes(d, n, m int) word { return three(0x6e208400, "sub", "16b", d, n, m) }

// widen makes wider elements of the lower or the upper half: bits is the width before.
func widen(d, n, bits int, signed, upper bool) word {
	code, name := uint32(0x2f00a400), "ushll"
	if signed {
		code, name = 0x0f00a400, "sshll"
	}
	if upper {
		code, name = code|1<<30, name+"2"
	}
	return word{code | uint32(bits)<<16 | uint32(n)<<5 | uint32(d), fmt.Sprintf("%s v%d, v%d, #0 (of %d bits)", name, d, n, bits)}
}

// Integers of 32 bits.

// sdot adds the products of four bytes each with the four bytes of one element.
func sdot(d, n, m, index int) word {
	return byElement(0x4f80e000, "sdot", "16b", d, n, m, index)
}

func multiplyAdd(d, n, m int) word { return three(0x4ea09400, "mla", "4s", d, n, m) }
func splatFrom(d, r int) word {
	return word{0x4e040c00 | uint32(r)<<5 | uint32(d), fmt.Sprintf("dup v%d.4s, w%d", d, r)}
}

// Floats.

func toFloat(d, n int) word     { return two(0x4e21d800, "scvtf", "4s", "4s", d, n) }
func fromHalf(d, n int) word    { return two(0x0e217800, "fcvtl", "4s", "4h", d, n) }
func fmla(d, n, m int) word     { return three(0x4e20cc00, "fmla", "4s", d, n, m) }
func fadd(d, n, m int) word     { return three(0x4e20d400, "fadd", "4s", d, n, m) }
func fsub(d, n, m int) word     { return three(0x4ea0d400, "fsub", "4s", d, n, m) }
func addPairs(d, n, m int) word { return three(0x6e20d400, "faddp", "4s", d, n, m) }
func fmulBy(d, n, m int) word   { return byElement(0x4f809000, "fmul", "4s", d, n, m, 0) }
func fmlaBy(d, n, m int) word   { return byElement(0x4f801000, "fmla", "4s", d, n, m, 0) }
