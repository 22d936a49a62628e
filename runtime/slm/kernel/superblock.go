package kernel

import "encoding/binary"

// The formats of 256 elements, beside Q4_K and Q6_K. Each has a function that unpacks a block's integers, which
// dequantization and products share.

// unpackQ2K writes a Q2_K block's values, 0 to 3.
func unpackQ2K(q *[256]int8, src []byte) {
	for n := range 2 {
		qs := src[16+n*32 : 48+n*32]
		for j := range 4 {
			out := q[n*128+j*32 : n*128+j*32+32]
			for l, v := range qs {
				out[l] = int8(v >> (2 * j) & 3)
			}
		}
	}
}

func dequantizeQ2_K(dst []float32, src []byte) {
	var q [256]int8
	for ; len(dst) > 0; dst, src = dst[256:], src[84:] {
		unpackQ2K(&q, src)
		d, low := half(src[80:]), half(src[82:])
		for j, s := range src[:16] {
			scale, offset := d*float32(s&15), low*float32(s>>4)
			for i := j * 16; i < j*16+16; i++ {
				dst[i] = float32(scale*float32(q[i])) - offset
			}
		}
	}
}

func dotQ2_K(w []byte, a *activation) (sum float32) {
	var v [256]int8
	for b, d := range a.scale {
		block, q, sums := w[b*84:b*84+84], a.q[b*256:b*256+256], a.sums[b*16:b*16+16]
		unpackQ2K(&v, block)
		total, lows := int32(0), int32(0)
		for j, s := range block[:16] {
			total += int32(s&15) * dotInts(v[j*16:j*16+16], q[j*16:j*16+16])
			lows += int32(s>>4) * int32(sums[j])
		}
		sum += float32(half(block[80:])*d*float32(total)) - float32(half(block[82:])*d*float32(lows))
	}
	return sum
}

// dotInts multiplies vectors of equal length.
func dotInts(a, b []int8) (s int32) {
	b = b[:len(a)]
	for i, v := range a {
		s += int32(v) * int32(b[i])
	}
	return s
}

// unpackQ3K writes a Q3_K block's values, -4 to 3, and its scales, -32 to 31.
func unpackQ3K(q *[256]int8, scales *[16]int8, src []byte) {
	mask, packed := src[:32], src[96:108]
	for n := range 2 {
		qs := src[32+n*32 : 64+n*32]
		for j := range 4 {
			out := q[n*128+j*32 : n*128+j*32+32]
			for l, v := range qs {
				out[l] = int8(v>>(2*j)&3) - 4 + int8(mask[l]>>(n*4+j)&1)<<2
			}
		}
	}
	for j := range scales {
		low := packed[j&7] >> (j / 8 * 4) & 15
		scales[j] = int8(low|packed[8+j&3]>>(j/4*2)&3<<4) - 32
	}
}

func dequantizeQ3_K(dst []float32, src []byte) {
	var q [256]int8
	var scales [16]int8
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		unpackQ3K(&q, &scales, src)
		d := half(src[108:])
		for j, s := range scales {
			scale := d * float32(s)
			for i := j * 16; i < j*16+16; i++ {
				dst[i] = scale * float32(q[i])
			}
		}
	}
}

func dotQ3_K(w []byte, a *activation) (sum float32) {
	var v [256]int8
	var scales [16]int8
	for b, d := range a.scale {
		block, q := w[b*110:b*110+110], a.q[b*256:b*256+256]
		unpackQ3K(&v, &scales, block)
		total := int32(0)
		for j, s := range scales {
			total += int32(s) * dotInts(v[j*16:j*16+16], q[j*16:j*16+16])
		}
		sum += float32(half(block[108:]) * d * float32(total))
	}
	return sum
}

// unpackQ5K writes a Q5_K block's values, 0 to 31.
func unpackQ5K(q *[256]int8, src []byte) {
	high := src[16:48]
	for j := range 8 {
		qs, out := src[48+j/2*32:80+j/2*32], q[j*32:j*32+32]
		for l, v := range qs {
			out[l] = int8(v>>(j&1*4)&15 | high[l]>>j&1<<4)
		}
	}
}

func dequantizeQ5_K(dst []float32, src []byte) {
	var q [256]int8
	for ; len(dst) > 0; dst, src = dst[256:], src[176:] {
		unpackQ5K(&q, src)
		d, low := half(src), half(src[2:])
		for j := range 8 {
			s, m := scaleMin(j, src[4:16])
			scale, offset := d*float32(s), low*float32(m)
			for i := j * 32; i < j*32+32; i++ {
				dst[i] = float32(scale*float32(q[i])) - offset
			}
		}
	}
}

func dotQ5_K(w []byte, a *activation) float32 {
	var v [256]int8
	var sum lanes
	offsets := float32(0)
	for b, d := range a.scale {
		block, q, sums := w[b*176:b*176+176], a.q[b*256:b*256+256], a.sums[b*16:b*16+16]
		unpackQ5K(&v, block)
		var total [8]int32
		lows := int32(0)
		for j := range 8 {
			scale, low := scaleMin(j, block[4:16])
			for l := range total {
				i := j*32 + l*4
				total[l] += int32(scale) * dotInts(v[i:i+4], q[i:i+4])
			}
			lows += int32(low) * (int32(sums[j*2]) + int32(sums[j*2+1]))
		}
		sum.addFused(half(block)*d, &total)
		offsets += float32(half(block[2:]) * d * float32(lows))
	}
	return sum.total() - offsets
}

// scaleIQ4XS is the j-th scale of an IQ4_XS block, -32 to 31.
func scaleIQ4XS(j int, src []byte) int32 {
	high := binary.LittleEndian.Uint16(src[2:])
	return int32(src[4+j/2]>>(j&1*4)&15|byte(high>>(2*j)&3)<<4) - 32
}

func dequantizeIQ4_XS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[136:] {
		d := half(src)
		for j := range 8 {
			dequantizeCodes(dst[j*32:], src[8+j*16:], &valuesIQ4, d*float32(scaleIQ4XS(j, src)))
		}
	}
}

func dotIQ4_XS(w []byte, a *activation) (sum float32) {
	for b, d := range a.scale {
		block, q := w[b*136:b*136+136], a.q[b*256:b*256+256]
		total := int32(0)
		for j := range 8 {
			total += scaleIQ4XS(j, block) * dotCodes(block[8+j*16:], &valuesIQ4, q[j*32:j*32+32])
		}
		sum += float32(half(block) * d * float32(total))
	}
	return sum
}

// unpackTQ1 writes a TQ1_0 block's values, 0 to 2: five ternary digits a byte, as a fixed-point fraction of 256.
func unpackTQ1(q *[256]int8, src []byte) {
	power := [5]byte{1, 3, 9, 27, 81}
	at := 0
	for _, part := range []struct{ from, to, digits int }{{0, 32, 5}, {32, 48, 5}, {48, 52, 4}} {
		for n := range part.digits {
			for _, v := range src[part.from:part.to] {
				q[at] = int8(uint16(v*power[n]) * 3 >> 8)
				at++
			}
		}
	}
}

// unpackTQ2 writes a TQ2_0 block's values, 0 to 3.
func unpackTQ2(q *[256]int8, src []byte) {
	for i := range q {
		q[i] = int8(src[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3)
	}
}

// ternary is how a ternary format's block is laid out.
type ternary struct {
	bytes  int // of a block; the last two are its scale
	unpack func(q *[256]int8, src []byte)
}

var (
	formatTQ1 = ternary{54, unpackTQ1}
	formatTQ2 = ternary{66, unpackTQ2}
)

func (t ternary) dequantize(dst []float32, src []byte) {
	var q [256]int8
	for ; len(dst) > 0; dst, src = dst[256:], src[t.bytes:] {
		t.unpack(&q, src)
		d := half(src[t.bytes-2:])
		for i, v := range q {
			dst[i] = float32(v-1) * d
		}
	}
}

func (t ternary) dot(w []byte, a *activation) (sum float32) {
	var v [256]int8
	for b, d := range a.scale {
		block := w[b*t.bytes : (b+1)*t.bytes]
		t.unpack(&v, block)
		total := dotInts(v[:], a.q[b*256:b*256+256])
		for _, s := range a.sums[b*16 : b*16+16] {
			total -= int32(s)
		}
		sum += float32(total) * (half(block[t.bytes-2:]) * d)
	}
	return sum
}
