package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dequantize writes the elements of whole blocks to dst, exactly as ggml does. len(dst) must be what src holds.
func Dequantize(t Type, dst []float32, src []byte) {
	if t.RowBytes(len(dst)) != len(src) || !t.Supported() {
		panic(fmt.Sprintf("kernel: %d elements of %s in %d bytes", len(dst), t, len(src)))
	}
	switch t {
	case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S:
		codings[t].dequantize(dst, src)
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[i*4:]))
		}
	case F16:
		for i := range dst {
			dst[i] = half(src[i*2:])
		}
	case BF16:
		for i := range dst {
			dst[i] = bf16(binary.LittleEndian.Uint16(src[i*2:]))
		}
	case Q4_1:
		dequantizeQ4_1(dst, src)
	case Q5_1:
		dequantizeQ5_1(dst, src)
	case Q2_K:
		dequantizeQ2_K(dst, src)
	case Q3_K:
		dequantizeQ3_K(dst, src)
	case Q5_K:
		dequantizeQ5_K(dst, src)
	case IQ4_NL:
		dequantizeIQ4_NL(dst, src)
	case IQ4_XS:
		dequantizeIQ4_XS(dst, src)
	case MXFP4:
		dequantizeMXFP4(dst, src)
	case TQ1_0:
		formatTQ1.dequantize(dst, src)
	case TQ2_0:
		formatTQ2.dequantize(dst, src)
	case Q8_0:
		for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
			d := half(src)
			for i := range 32 {
				dst[i] = float32(int8(src[2+i])) * d
			}
		}
	case Q4_0:
		for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
			d := half(src)
			for i := range 16 {
				q := src[2+i]
				dst[i] = float32(int(q&15)-8) * d
				dst[i+16] = float32(int(q>>4)-8) * d
			}
		}
	case Q5_0:
		for ; len(dst) > 0; dst, src = dst[32:], src[22:] {
			d, high := half(src), binary.LittleEndian.Uint32(src[2:])
			for i := range 16 {
				q := src[6+i]
				dst[i] = float32(int(q&15|byte(high>>i<<4)&16)-16) * d
				dst[i+16] = float32(int(q>>4|byte(high>>(i+12))&16)-16) * d
			}
		}
	case Q4_K:
		for ; len(dst) > 0; dst, src = dst[256:], src[144:] {
			d, low := half(src), half(src[2:])
			qs := src[16:144]
			for j := 0; j < 8; j += 2 {
				s1, m1 := scaleMin(j, src[4:16])
				s2, m2 := scaleMin(j+1, src[4:16])
				d1, o1, d2, o2 := d*float32(s1), low*float32(m1), d*float32(s2), low*float32(m2)
				for i := range 32 {
					dst[j*32+i] = float32(d1*float32(qs[j*16+i]&15)) - o1
					dst[j*32+32+i] = float32(d2*float32(qs[j*16+i]>>4)) - o2
				}
			}
		}
	case Q6_K:
		for ; len(dst) > 0; dst, src = dst[256:], src[210:] {
			d := half(src[208:])
			var q [256]int8
			unpackQ6K(&q, src)
			for i := range q {
				dst[i] = d * float32(int8(src[192+i/16])) * float32(q[i])
			}
		}
	}
}

// scaleMin unpacks the j-th pair of 6-bit scale and minimum of a K block.
func scaleMin(j int, s []byte) (scale, low byte) {
	if j < 4 {
		return s[j] & 63, s[j+4] & 63
	}
	return s[j+4]&15 | s[j-4]>>6<<4, s[j+4]>>4 | s[j]>>6<<4
}

// unpackQ6K writes a Q6_K block's values, -32 to 31.
func unpackQ6K(q *[256]int8, src []byte) {
	for n := range 2 {
		ql, qh := src[n*64:], src[128+n*32:]
		out := q[n*128:]
		for l := range 32 {
			out[l] = int8(ql[l]&15|qh[l]&3<<4) - 32
			out[l+32] = int8(ql[l+32]&15|qh[l]>>2&3<<4) - 32
			out[l+64] = int8(ql[l]>>4|qh[l]>>4&3<<4) - 32
			out[l+96] = int8(ql[l+32]>>4|qh[l]>>6&3<<4) - 32
		}
	}
}
