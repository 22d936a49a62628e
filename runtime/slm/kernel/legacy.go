package kernel

import (
	"encoding/binary"
	"math"
)

// The formats of 32 elements that have an offset (Q4_1, Q5_1) or a table of values (IQ4_NL, MXFP4).
//
// Here and in superblock.go a product is converted to float32 before it is added to: without the conversion the compiler
// may fuse the two on some platforms, and the result would not be ggml's.

// valuesIQ4 is what the 16 codes of IQ4_NL and IQ4_XS stand for.
var valuesIQ4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// valuesFP4 is what the 16 codes of MXFP4 stand for, doubled to be integers: E2M1 of the OCP microscaling specification.
var valuesFP4 = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// halfE8M0 is half of the power of two that an E8M0 byte stands for.
func halfE8M0(e byte) float32 {
	if e < 2 { // subnormal numbers
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

func dequantizeQ4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		d, low := half(src), half(src[2:])
		for i, q := range src[4:20] {
			dst[i] = float32(float32(q&15)*d) + low
			dst[i+16] = float32(float32(q>>4)*d) + low
		}
	}
}

func dequantizeQ5_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[24:] {
		d, low, high := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
		for i, q := range src[8:24] {
			dst[i] = float32(float32(q&15|byte(high>>i<<4)&16)*d) + low
			dst[i+16] = float32(float32(q>>4|byte(high>>(i+12))&16)*d) + low
		}
	}
}

func dequantizeCodes(dst []float32, codes []byte, values *[16]int8, d float32) {
	for i, q := range codes[:16] {
		dst[i] = d * float32(values[q&15])
		dst[i+16] = d * float32(values[q>>4])
	}
}

func dequantizeIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		dequantizeCodes(dst, src[2:], &valuesIQ4, half(src))
	}
}

func dequantizeMXFP4(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[17:] {
		dequantizeCodes(dst, src[1:], &valuesFP4, halfE8M0(src[0]))
	}
}

func dotQ4_1(w []byte, a *activation) float32 {
	var sum lanes
	lows := float32(0)
	for b, d := range a.scale {
		block, q := w[b*20:b*20+20], a.q[b*32:b*32+32]
		var s [8]int32
		for i, v := range block[4:20] {
			s[i/4] += int32(v&15) * int32(q[i])
			s[4+i/4] += int32(v>>4) * int32(q[i+16])
		}
		sum.add(half(block)*d, &s)
		lows += float32(half(block[2:]) * a.total[b])
	}
	return sum.total() + lows
}

func dotQ5_1(w []byte, a *activation) float32 {
	var sum lanes
	lows := float32(0)
	for b, d := range a.scale {
		block, q := w[b*24:b*24+24], a.q[b*32:b*32+32]
		high := binary.LittleEndian.Uint32(block[4:])
		var s [8]int32
		for i, v := range block[8:24] {
			s[i/4] += int32(v&15|byte(high>>i<<4)&16) * int32(q[i])
			s[4+i/4] += int32(v>>4|byte(high>>(i+12))&16) * int32(q[i+16])
		}
		sum.add(half(block)*d, &s)
		lows += float32(half(block[2:]) * a.total[b])
	}
	return sum.total() + lows
}

// dotCodes multiplies 32 codes with 32 activations.
func dotCodes(codes []byte, values *[16]int8, q []int8) (s int32) {
	for i, v := range codes[:16] {
		s += int32(values[v&15])*int32(q[i]) + int32(values[v>>4])*int32(q[i+16])
	}
	return s
}

func dotIQ4_NL(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block := w[b*18 : b*18+18]
		sum += float32(float32(half(block)*d) * float32(dotCodes(block[2:], &valuesIQ4, a.q[b*32:b*32+32])))
	}
	return sum
}

func dotMXFP4(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block := w[b*17 : b*17+17]
		sum += float32(float32(halfE8M0(block[0])*d) * float32(dotCodes(block[1:], &valuesFP4, a.q[b*32:b*32+32])))
	}
	return sum
}
