package kernel

import (
	"encoding/binary"
	"math"
)

// f16Table holds the float32 of every half float: a load is cheaper than the conversion.
var f16Table = func() (t [1 << 16]float32) {
	for i := range t {
		t[i] = convertF16(uint16(i))
	}
	return t
}()

func convertF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10)&0x1f, uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormal numbers: frac * 2^-24
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// F16ToF32 converts a half float.
func F16ToF32(h uint16) float32 { return f16Table[h] }

// F32ToF16 converts to the nearest half float, ties to even, as the hardware does.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x47800000: // 65536 and above
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: subnormal; adding 0.5 lets the hardware round at bit 2^-24
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-0x38000000)>>13)
}

func half(b []byte) float32 { return f16Table[binary.LittleEndian.Uint16(b)] }

// bf16 converts the upper half of a float32.
func bf16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 converts to the nearest bfloat16, ties to even.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 64
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
