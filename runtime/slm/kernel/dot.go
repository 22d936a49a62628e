package kernel

import (
	"encoding/binary"
	"math"
)

// dotGo is the product of a row of weights with an activation in the weights' form, in plain Go: what every other path is
// tested against.
func dotGo(t Type, w []byte, a *activation) float32 {
	switch t {
	case F32:
		return dotF32(w, a.f32)
	case F16:
		return dotF16(w, a.f32)
	case BF16:
		return dotBF16(w, a.f32)
	case Q8_0:
		return dotQ8_0(w, a)
	case Q4_0:
		return dotQ4_0(w, a)
	case Q5_0:
		return dotQ5_0(w, a)
	case Q4_1:
		return dotQ4_1(w, a)
	case Q5_1:
		return dotQ5_1(w, a)
	case Q2_K:
		return dotQ2_K(w, a)
	case Q3_K:
		return dotQ3_K(w, a)
	case Q5_K:
		return dotQ5_K(w, a)
	case IQ4_NL:
		return dotIQ4_NL(w, a)
	case IQ4_XS:
		return dotIQ4_XS(w, a)
	case MXFP4:
		return dotMXFP4(w, a)
	case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S:
		return codings[t].dot(w, a)
	case TQ1_0:
		return formatTQ1.dot(w, a)
	case TQ2_0:
		return formatTQ2.dot(w, a)
	case Q4_K:
		return dotQ4_K(w, a)
	case Q6_K:
		return dotQ6_K(w, a)
	}
	panic("kernel: no product for " + t.String())
}

// dotF32 adds 32 columns of products, then the columns in ggml's order.
func dotF32(w []byte, x []float32) float32 {
	var s [4]lanes
	i := 0
	for ; i+32 <= len(x); i += 32 {
		for c := range s {
			block, v := w[(i+c*8)*4:(i+c*8)*4+32], x[i+c*8:i+c*8+8]
			for l := range v {
				f := math.Float32frombits(binary.LittleEndian.Uint32(block[l*4:]))
				s[c][l] += float32(f * v[l])
			}
		}
	}
	for l := range s[0] {
		s[0][l] = (s[0][l] + s[2][l]) + (s[1][l] + s[3][l])
	}
	sum := s[0].total()
	for ; i < len(x); i++ {
		sum += math.Float32frombits(binary.LittleEndian.Uint32(w[i*4:])) * x[i]
	}
	return sum
}

func dotF16(w []byte, x []float32) float32 {
	var s [4]float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		b := w[i*2 : i*2+8]
		s[0] += half(b) * x[i]
		s[1] += half(b[2:]) * x[i+1]
		s[2] += half(b[4:]) * x[i+2]
		s[3] += half(b[6:]) * x[i+3]
	}
	for ; i < len(x); i++ {
		s[0] += half(w[i*2:]) * x[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func dotBF16(w []byte, x []float32) float32 {
	var s [2]float32
	i := 0
	for ; i+2 <= len(x); i += 2 {
		b := binary.LittleEndian.Uint32(w[i*2:])
		s[0] += math.Float32frombits(b<<16) * x[i]
		s[1] += math.Float32frombits(b&0xffff0000) * x[i+1]
	}
	if i < len(x) {
		s[0] += bf16(binary.LittleEndian.Uint16(w[i*2:])) * x[i]
	}
	return s[0] + s[1]
}

func dotQ8_0(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block, q := w[b*34:b*34+34], a.q[b*32:b*32+32]
		s := int32(0)
		for i, v := range q {
			s += int32(int8(block[2+i])) * int32(v)
		}
		sum += float32(s) * (half(block) * d)
	}
	return sum
}

func dotQ4_0(w []byte, a *activation) float32 {
	var sum lanes
	for b, d := range a.scale {
		block, q := w[b*18:b*18+18], a.q[b*32:b*32+32]
		var s [8]int32
		for i, v := range block[2:18] {
			s[i/4] += (int32(v&15) - 8) * int32(q[i])
			s[4+i/4] += (int32(v>>4) - 8) * int32(q[i+16])
		}
		sum.add(half(block)*d, &s)
	}
	return sum.total()
}

func dotQ5_0(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block, q := w[b*22:b*22+22], a.q[b*32:b*32+32]
		high := binary.LittleEndian.Uint32(block[2:])
		s := int32(0)
		for i, v := range block[6:22] {
			s += (int32(v&15|byte(high>>i<<4)&16)-16)*int32(q[i]) + (int32(v>>4|byte(high>>(i+12))&16)-16)*int32(q[i+16])
		}
		sum += float32(s) * (half(block) * d)
	}
	return sum
}

func dotQ4_K(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block, q, sums := w[b*144:b*144+144], a.q[b*256:b*256+256], a.sums[b*16:b*16+16]
		total, lows := int32(0), int32(0)
		for j := range 8 {
			scale, low := scaleMin(j, block[4:16])
			lows += int32(low) * (int32(sums[j*2]) + int32(sums[j*2+1]))
			qs, s := block[16+j/2*32:16+j/2*32+32], int32(0)
			shift := uint(j&1) * 4
			for i, v := range qs {
				s += int32(v>>shift&15) * int32(q[j*32+i])
			}
			total += int32(scale) * s
		}
		sum += half(block)*d*float32(total) - half(block[2:])*d*float32(lows)
	}
	return sum
}

func dotQ6_K(w []byte, a *activation) (sum float32) {
	var v [256]int8
	for b, d := range a.scale {
		block, q := w[b*210:b*210+210], a.q[b*256:b*256+256]
		unpackQ6K(&v, block)
		total := int32(0)
		for j := range 16 {
			s := int32(0)
			for i := j * 16; i < j*16+16; i++ {
				s += int32(v[i]) * int32(q[i])
			}
			total += int32(int8(block[192+j])) * s
		}
		sum += half(block[208:]) * d * float32(total)
	}
	return sum
}
