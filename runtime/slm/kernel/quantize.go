package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// CanQuantize says whether Quantize writes the type.
func (t Type) CanQuantize() bool {
	switch t {
	case F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4:
		return true
	}
	return false
}

// Quantize writes the elements of src as blocks of a type, rounded exactly as ggml's reference does without an importance
// matrix. len(dst) must be what src takes, and the type one that CanQuantize. It uses no state and may run on several
// goroutines. Values must be finite; others give blocks that hold nothing sensible, as in ggml.
func Quantize(t Type, dst []byte, src []float32) {
	if t.RowBytes(len(src)) != len(dst) || !t.CanQuantize() {
		panic(fmt.Sprintf("kernel: %d elements to %s in %d bytes", len(src), t, len(dst)))
	}
	var block func(dst []byte, x []float32)
	switch t {
	case F32:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[i*4:], math.Float32bits(x))
		}
		return
	case F16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[i*2:], F32ToF16(x))
		}
		return
	case BF16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[i*2:], F32ToBF16(x))
		}
		return
	case Q4_0:
		block = quantizeQ4_0
	case Q4_1:
		block = quantizeQ4_1
	case Q5_0:
		block = quantizeQ5_0
	case Q5_1:
		block = quantizeQ5_1
	case Q8_0:
		block = quantizeQ8_0
	case Q2_K:
		block = quantizeQ2K
	case Q3_K:
		block = quantizeQ3K
	case Q4_K:
		block = quantizeQ4K
	case Q5_K:
		block = quantizeQ5K
	case Q6_K:
		block = quantizeQ6K
	case IQ4_NL:
		block = quantizeIQ4NL
	case IQ4_XS:
		block = quantizeIQ4XS
	case MXFP4:
		block = quantizeMXFP4
	}
	n, size := t.BlockSize(), t.BlockBytes()
	for ; len(src) > 0; dst, src = dst[size:], src[n:] {
		block(dst[:size], src[:n])
	}
}

func putHalf(dst []byte, v float32) { binary.LittleEndian.PutUint16(dst, F32ToF16(v)) }

// inverse is 1/d, 0 of 0.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// extreme is the value that lies furthest from 0, with its sign.
func extreme(x []float32) float32 {
	var most, at float32
	for _, v := range x {
		if a := abs32(v); a > most {
			most, at = a, v
		}
	}
	return at
}

func bounds(x []float32) (lo, hi float32) {
	lo, hi = math.MaxFloat32, -math.MaxFloat32
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

func quantizeQ4_0(dst []byte, x []float32) {
	d := extreme(x) / -8
	id := inverse(d)
	putHalf(dst, d)
	for i := range 16 {
		a, b := float32(x[i]*id), float32(x[i+16]*id)
		dst[2+i] = min(15, byte(int8(a+8.5))) | min(15, byte(int8(b+8.5)))<<4
	}
}

func quantizeQ4_1(dst []byte, x []float32) {
	lo, hi := bounds(x)
	d := (hi - lo) / 15
	id := inverse(d)
	putHalf(dst, d)
	putHalf(dst[2:], lo)
	for i := range 16 {
		a, b := float32((x[i]-lo)*id), float32((x[i+16]-lo)*id)
		dst[4+i] = min(15, byte(int8(a+0.5))) | min(15, byte(int8(b+0.5)))<<4
	}
}

func quantizeQ5_0(dst []byte, x []float32) {
	d := extreme(x) / -16
	id := inverse(d)
	putHalf(dst, d)
	high := uint32(0)
	for i := range 16 {
		a, b := float32(x[i]*id), float32(x[i+16]*id)
		p, q := min(31, byte(int8(a+16.5))), min(31, byte(int8(b+16.5)))
		dst[6+i] = p&15 | q<<4
		high |= uint32(p>>4)<<i | uint32(q>>4)<<(i+16)
	}
	binary.LittleEndian.PutUint32(dst[2:], high)
}

func quantizeQ5_1(dst []byte, x []float32) {
	lo, hi := bounds(x)
	d := (hi - lo) / 31
	id := inverse(d)
	putHalf(dst, d)
	putHalf(dst[2:], lo)
	high := uint32(0)
	for i := range 16 {
		a, b := float32((x[i]-lo)*id), float32((x[i+16]-lo)*id)
		p, q := byte(a+0.5), byte(b+0.5)
		dst[8+i] = p&15 | q<<4
		high |= uint32(p>>4&1)<<i | uint32(q>>4&1)<<(i+16)
	}
	binary.LittleEndian.PutUint32(dst[4:], high)
}

func quantizeQ8_0(dst []byte, x []float32) {
	d := abs32(extreme(x)) / 127
	id := inverse(d)
	putHalf(dst, d)
	for i, v := range x {
		dst[2+i] = byte(int8(math.Round(float64(float32(v * id))))) // halves away from 0
	}
}

// levelsIQ4 is valuesIQ4 for arithmetic in float32.
var levelsIQ4 = func() (f [16]float32) {
	for i, v := range valuesIQ4 {
		f[i] = float32(v)
	}
	return f
}()

// nearestIQ4 is the index of the value that lies nearest to x.
func nearestIQ4(x float32) int {
	v := &levelsIQ4
	if x <= v[0] {
		return 0
	}
	if x >= v[15] {
		return 15
	}
	lo, hi := 0, 15
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; x < v[mid] {
			hi = mid
		} else {
			lo = mid
		}
	}
	if x-v[hi-1] < v[hi]-x {
		return hi - 1
	}
	return hi
}

// scaleIQ4 finds the scale of 32 values with the least squared error, weighted by the squares.
func scaleIQ4(x []float32) float32 {
	const tries = 7
	most := extreme(x)
	if abs32(most) < tinyGroup {
		return 0
	}
	fit := func(id float32) (sumqx, sumq2 float32) {
		for _, v := range x {
			q, w := levelsIQ4[nearestIQ4(float32(id*v))], float32(v*v)
			sumqx = mad(float32(w*q), v, sumqx)
			sumq2 = mad(float32(w*q), q, sumq2)
		}
		return sumqx, sumq2
	}
	d := -most / levelsIQ4[0]
	sumqx, sumq2 := fit(1 / d)
	d = sumqx / sumq2
	best := float32(d * sumqx)
	for i := -tries; i <= tries; i++ {
		sumqx, sumq2 := fit((float32(i) + levelsIQ4[0]) / most)
		if sumq2 > 0 && float32(sumqx*sumqx) > float32(best*sumq2) {
			d = sumqx / sumq2
			best = float32(d * sumqx)
		}
	}
	return d
}

func packIQ4(dst []byte, x []float32, id float32) {
	for i := range 16 {
		dst[i] = byte(nearestIQ4(float32(id*x[i])) | nearestIQ4(float32(id*x[i+16]))<<4)
	}
}

func quantizeIQ4NL(dst []byte, x []float32) {
	d := scaleIQ4(x)
	putHalf(dst, d)
	packIQ4(dst[2:], x, inverse(d))
}

func quantizeIQ4XS(dst []byte, x []float32) {
	var scales [8]float32
	for i := range scales {
		scales[i] = scaleIQ4(x[i*32 : i*32+32])
	}
	d := -extreme(scales[:]) / 32
	id := inverse(d)
	putHalf(dst, d)
	clear(dst[2:8])
	high := uint16(0)
	for i, s := range scales {
		l := max(-32, min(31, nearestInt(float32(id*s))))
		packIQ4(dst[8+i*16:], x[i*32:i*32+32], inverse(float32(d*float32(l))))
		l += 32
		dst[4+i/2] |= byte(l&15) << (i % 2 * 4)
		high |= uint16(l>>4) << (2 * i)
	}
	binary.LittleEndian.PutUint16(dst[2:], high)
}

// quantizeMXFP4 takes the power of two of the largest value for scale, and of the codes the nearest, the first of equals.
func quantizeMXFP4(dst []byte, x []float32) {
	if most := abs32(extreme(x)); most > 0 {
		// The logarithm is rounded to float32, as ggml's is: just below a power of two it may come out as that.
		dst[0] = byte(max(math.Floor(float64(float32(math.Log2(float64(most)))))-2+127, 0))
	} else {
		dst[0] = 0
	}
	d := halfE8M0(dst[0])
	nearest := func(v float32) byte {
		at, least := 0, abs32(v)
		for i, c := range valuesFP4[1:] {
			if far := abs32(float32(float32(c)*d) - v); far < least {
				at, least = i+1, far
			}
		}
		return byte(at)
	}
	for i := range 16 {
		dst[1+i] = nearest(x[i]) | nearest(x[16+i])<<4
	}
}
