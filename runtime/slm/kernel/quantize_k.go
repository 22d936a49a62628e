package kernel

import "math"

// tinyGroup is what ggml takes for a group of zeros.
const tinyGroup = 1e-15

// nearestInt rounds to the nearest integer, halves to even. |x| must be below 2^22.
func nearestInt(x float32) int {
	return int(int32(math.Float32bits(x+12582912)&0x7fffff)) - 0x400000
}

// mad is a*b+c, rounded twice: Go may not join the two.
func mad(a, b, c float32) float32 { return float32(a*b) + c }

func clampInt(l, lo, hi int) int { return max(lo, min(hi, l)) }

// fitRange finds scale and minimum of a group for levels 0 to top, so that the weighted error is least: it tries steps+1
// scales from (top+first)/range upwards and solves the least squares for each. absolute: the error is not squared.
func fitRange(x, weight []float32, top int, first, delta float32, steps int, absolute bool, levels []uint8) (scale, low float32) {
	lo, hi := x[0], x[0]
	sumW := weight[0]
	sumX := float32(sumW * x[0])
	for i := 1; i < len(x); i++ {
		if x[i] < lo {
			lo = x[i]
		}
		if x[i] > hi {
			hi = x[i]
		}
		sumW += weight[i]
		sumX = mad(weight[i], x[i], sumX)
	}
	if lo > 0 {
		lo = 0
	}
	if hi == lo {
		clear(levels)
		return 0, -lo
	}
	errorOf := func(scale, low float32, levels []uint8) float32 {
		sum := float32(0)
		for i, v := range x {
			diff := mad(scale, float32(levels[i]), low) - v
			if absolute {
				diff = abs32(diff)
			} else {
				diff = float32(diff * diff)
			}
			sum = mad(weight[i], diff, sum)
		}
		return sum
	}
	quantize := func(iscale float32, levels []uint8) {
		for i, v := range x {
			levels[i] = uint8(clampInt(nearestInt(float32(iscale*(v-lo))), 0, top))
		}
	}
	iscale := float32(top) / (hi - lo)
	scale = 1 / iscale
	quantize(iscale, levels)
	best := errorOf(scale, lo, levels)
	var tried [32]uint8
	aux := tried[:len(x)]
	for step := 0; step <= steps; step++ {
		iscale = (mad(delta, float32(step), first) + float32(top)) / (hi - lo)
		quantize(iscale, aux)
		var sumL, sumL2, sumXL float32
		for i, v := range x {
			l := float32(aux[i])
			wl := float32(weight[i] * l)
			sumL += wl
			sumL2 = mad(wl, l, sumL2)
			sumXL = mad(wl, v, sumXL)
		}
		det := float32(sumW*sumL2) - float32(sumL*sumL)
		if !(det > 0) {
			continue
		}
		thisScale := (float32(sumW*sumXL) - float32(sumX*sumL)) / det
		thisLow := (float32(sumL2*sumX) - float32(sumL*sumXL)) / det
		if thisLow > 0 {
			thisLow, thisScale = 0, sumXL/sumL2
		}
		if e := errorOf(thisScale, thisLow, aux); e < best {
			copy(levels, aux)
			best, scale, lo = e, thisScale, thisLow // the next tries start from this minimum, as in ggml
		}
	}
	return scale, -lo
}

// fitSymmetric finds the scale of a group for levels -top to top-1, weighted by the squares. levels are counted from 0.
func fitSymmetric(x []float32, top int, levels []uint8) float32 {
	most := extreme(x)
	if abs32(most) < tinyGroup {
		clear(levels)
		return 0
	}
	quantize := func(iscale float32) {
		for i, v := range x {
			levels[i] = uint8(clampInt(nearestInt(float32(iscale*v)), -top, top-1) + top)
		}
	}
	sums := func(iscale float32) (sumlx, suml2 float32) {
		for _, v := range x {
			l := float32(clampInt(nearestInt(float32(iscale*v)), -top, top-1))
			w := float32(v * v)
			sumlx = mad(float32(w*v), l, sumlx)
			suml2 = mad(float32(w*l), l, suml2)
		}
		return sumlx, suml2
	}
	sumlx, suml2 := sums(-float32(top) / most)
	quantize(-float32(top) / most)
	scale := float32(0)
	if suml2 != 0 {
		scale = sumlx / suml2
	}
	best := float32(scale * sumlx)
	for step := -9; step <= 9; step++ {
		if step == 0 {
			continue
		}
		iscale := -mad(0.1, float32(step), float32(top)) / most
		sumlx, suml2 := sums(iscale)
		if suml2 > 0 && float32(sumlx*sumlx) > float32(best*suml2) {
			quantize(iscale)
			scale = sumlx / suml2
			best = float32(scale * sumlx)
		}
	}
	return scale
}

// fitQ3 finds the scale of a group for levels -4 to 3 by moving one level at a time. out is counted from 0.
func fitQ3(x []float32, out []uint8) float32 {
	const top = 4
	most := extreme(x)
	if abs32(most) < tinyGroup {
		clear(out)
		return 0
	}
	iscale := -top / most
	var levels [16]float32
	var sumlx, suml2 float32
	for i, v := range x {
		l := float32(clampInt(nearestInt(float32(iscale*v)), -top, top-1))
		levels[i] = l
		w := float32(v * v)
		sumlx = mad(float32(w*v), l, sumlx)
		suml2 = mad(float32(w*l), l, suml2)
	}
	for range 5 {
		changed := false
		for i, v := range x {
			w := float32(v * v)
			slx := mad(-float32(w*v), levels[i], sumlx)
			if !(slx > 0) {
				continue
			}
			sl2 := mad(-float32(w*levels[i]), levels[i], suml2)
			l := float32(clampInt(nearestInt(float32(v*sl2)/slx), -top, top-1))
			if l == levels[i] {
				continue
			}
			slx = mad(float32(w*v), l, slx)
			sl2 = mad(float32(w*l), l, sl2)
			if sl2 > 0 && float32(float32(slx*slx)*suml2) > float32(float32(sumlx*sumlx)*sl2) {
				levels[i], sumlx, suml2, changed = l, slx, sl2, true
			}
		}
		if !changed {
			break
		}
	}
	for i := range x {
		out[i] = uint8(levels[i] + top)
	}
	if suml2 > 0 {
		return sumlx / suml2
	}
	return 0
}

// requantize gives the levels of a group for the scale and minimum as they were stored; without a scale they stay.
func requantize(levels []uint8, x []float32, d, low float32, lo, hi int) {
	if d == 0 {
		return
	}
	for i, v := range x {
		levels[i] = uint8(clampInt(nearestInt((v+low)/d), lo, hi) - lo)
	}
}

// pack2 stores 2-bit levels.
func pack2(dst []byte, l *[256]uint8) {
	for j := 0; j < 256; j += 128 {
		for i := range 32 {
			dst[j/4+i] = l[j+i] | l[j+i+32]<<2 | l[j+i+64]<<4 | l[j+i+96]<<6
		}
	}
}

func quantizeQ2K(dst []byte, x []float32) {
	var levels [256]uint8
	var scales, lows [16]float32
	var weight [16]float32
	var maxScale, maxLow float32
	for j := range 16 {
		g := x[j*16 : j*16+16]
		for i, v := range g {
			weight[i] = abs32(v)
		}
		scales[j], lows[j] = fitRange(g, weight[:], 3, -0.5, 0.1, 15, true, levels[j*16:j*16+16])
		maxScale, maxLow = max(maxScale, scales[j]), max(maxLow, lows[j])
	}
	clear(dst)
	if maxScale > 0 {
		inv := 15 / maxScale
		for j, s := range scales {
			dst[j] = byte(nearestInt(float32(inv * s)))
		}
		putHalf(dst[80:], maxScale/15)
	}
	if maxLow > 0 {
		inv := 15 / maxLow
		for j, s := range lows {
			dst[j] |= byte(nearestInt(float32(inv*s))) << 4
		}
		putHalf(dst[82:], maxLow/15)
	}
	for j := range 16 {
		requantize(levels[j*16:j*16+16], x[j*16:j*16+16], float32(half(dst[80:])*float32(dst[j]&15)), float32(half(dst[82:])*float32(dst[j]>>4)), 0, 3)
	}
	pack2(dst[16:], &levels)
}

func quantizeQ3K(dst []byte, x []float32) {
	var levels [256]uint8
	var scales [16]float32
	for j := range scales {
		scales[j] = fitQ3(x[j*16:j*16+16], levels[j*16:j*16+16])
	}
	clear(dst)
	most := extreme(scales[:])
	var six [16]int
	if most != 0 {
		inv := -32 / most
		for j, s := range scales {
			l := clampInt(nearestInt(float32(inv*s)), -32, 31)
			six[j] = l
			l += 32
			if j < 8 {
				dst[96+j] = byte(l & 15)
			} else {
				dst[96+j-8] |= byte(l&15) << 4
			}
			dst[96+8+j%4] |= byte(l>>4) << (2 * (j / 4))
		}
		putHalf(dst[108:], 1/inv)
	}
	for j := range 16 {
		requantize(levels[j*16:j*16+16], x[j*16:j*16+16], float32(half(dst[108:])*float32(six[j])), 0, -4, 3)
	}
	for j := range levels {
		if levels[j] > 3 {
			dst[j%32] |= 1 << (j / 32)
			levels[j] -= 4
		}
	}
	pack2(dst[32:], &levels)
}

// packScales stores eight 6-bit scales and minima as scaleMin reads them.
func packScales(dst []byte, scales, lows *[8]float32, maxScale, maxLow float32) {
	var invScale, invLow float32
	if maxScale > 0 {
		invScale = 63 / maxScale
	}
	if maxLow > 0 {
		invLow = 63 / maxLow
	}
	for j := range 8 {
		s, m := byte(min(63, nearestInt(float32(invScale*scales[j])))), byte(min(63, nearestInt(float32(invLow*lows[j]))))
		if j < 4 {
			dst[4+j], dst[8+j] = s, m
			continue
		}
		dst[8+j] = s&15 | m<<4
		dst[j] |= s >> 4 << 6
		dst[4+j] |= m >> 4 << 6
	}
	putHalf(dst, maxScale/63)
	putHalf(dst[2:], maxLow/63)
}

// quantize45K does what Q4_K and Q5_K have in common and returns the levels.
func quantize45K(dst []byte, x []float32, top int, first float32, steps int) (levels [256]uint8) {
	var scales, lows [8]float32
	var weight [32]float32
	var maxScale, maxLow float32
	for j := range 8 {
		g := x[j*32 : j*32+32]
		sum := float32(0)
		for _, v := range g {
			sum = mad(v, v, sum)
		}
		average := float32(math.Sqrt(float64(sum / 32)))
		for i, v := range g {
			weight[i] = average + abs32(v)
		}
		scales[j], lows[j] = fitRange(g, weight[:], top, first, 0.1, steps, false, levels[j*32:j*32+32])
		maxScale, maxLow = max(maxScale, scales[j]), max(maxLow, lows[j])
	}
	clear(dst)
	packScales(dst, &scales, &lows, maxScale, maxLow)
	for j := range 8 {
		s, m := scaleMin(j, dst[4:16])
		requantize(levels[j*32:j*32+32], x[j*32:j*32+32], float32(half(dst)*float32(s)), float32(half(dst[2:])*float32(m)), 0, top)
	}
	return levels
}

func quantizeQ4K(dst []byte, x []float32) {
	l := quantize45K(dst, x, 15, -1, 20)
	for j := 0; j < 256; j += 64 {
		for i := range 32 {
			dst[16+j/2+i] = l[j+i] | l[j+i+32]<<4
		}
	}
}

func quantizeQ5K(dst []byte, x []float32) {
	l := quantize45K(dst, x, 31, -0.5, 15)
	for j := 0; j < 256; j += 64 {
		for i := range 32 {
			a, b := l[j+i], l[j+i+32]
			dst[16+i] |= a>>4<<(j/32) | b>>4<<(j/32+1)
			dst[48+j/2+i] = a&15 | b<<4
		}
	}
}

func quantizeQ6K(dst []byte, x []float32) {
	var levels [256]uint8
	var scales [16]float32
	for j := range scales {
		scales[j] = fitSymmetric(x[j*16:j*16+16], 32, levels[j*16:j*16+16])
	}
	clear(dst)
	most := extreme(scales[:])
	if abs32(most) < tinyGroup {
		return
	}
	inv := -128 / most
	putHalf(dst[208:], 1/inv)
	for j, s := range scales {
		dst[192+j] = byte(int8(min(127, nearestInt(float32(inv*s)))))
		d := float32(half(dst[208:]) * float32(int8(dst[192+j])))
		requantize(levels[j*16:j*16+16], x[j*16:j*16+16], d, 0, -32, 31)
	}
	for n := range 2 {
		l, ql, qh := levels[n*128:], dst[n*64:], dst[128+n*32:]
		for i := range 32 {
			ql[i] = l[i]&15 | l[i+64]<<4
			ql[i+32] = l[i+32]&15 | l[i+96]<<4
			qh[i] = l[i]>>4 | l[i+32]>>4<<2 | l[i+64]>>4<<4 | l[i+96]>>4<<6
		}
	}
}
