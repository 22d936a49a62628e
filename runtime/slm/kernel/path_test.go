package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

var productTypes = []Type{F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K, Q6_K}

// randomRow fills blocks with random bits and factors of a sensible size; with extreme set, all values are the largest.
func randomRow(r *rand.Rand, t Type, row []byte, extreme bool) {
	for i := range row {
		row[i] = byte(r.Uint32())
		if extreme {
			row[i] = 0xff
			if t == Q8_0 {
				row[i] = 0x80
			}
		}
	}
	factor := func(b []byte) { binary.LittleEndian.PutUint16(b, F32ToF16(float32(r.NormFloat64()*0.01))) }
	switch t {
	case F32:
		for i := 0; i < len(row); i += 4 {
			binary.LittleEndian.PutUint32(row[i:], math.Float32bits(float32(r.NormFloat64())))
		}
	case F16:
		for i := 0; i < len(row); i += 2 {
			factor(row[i:])
		}
	case BF16:
		for i := 0; i < len(row); i += 2 {
			binary.LittleEndian.PutUint16(row[i:], F32ToBF16(float32(r.NormFloat64())))
		}
	}
	for b := 0; b < len(row); b += t.BlockBytes() {
		switch t {
		case Q8_0, Q4_0, Q5_0:
			factor(row[b:])
		case Q4_K, Q5_K:
			factor(row[b:])
			factor(row[b+2:])
		case Q6_K:
			factor(row[b+208:])
		}
	}
}

func randomVector(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func TestPath_ProductsAgreeWithScalarToTheLastBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for _, typ := range productTypes {
		var lengths []int
		for n := 1; n <= 9; n++ {
			lengths = append(lengths, n*typ.BlockSize())
		}
		lengths = append(lengths, 28*256)
		if typ.BlockSize() == 1 {
			for n := 10; n <= 80; n++ {
				lengths = append(lengths, n)
			}
		}
		for _, n := range lengths {
			for _, extreme := range []bool{false, true} {
				row := guarded(t, typ.RowBytes(n))
				randomRow(r, typ, row, extreme)
				x := randomVector(r, n)
				if extreme {
					for i := range x {
						x[i] = float32(1 - 2*(i/3%2)) // every activation is quantized to 127 or -127
					}
				}
				var a activation
				a.set(typ.partner(), x)
				want, bound := dotGo(typ, row, &a), magnitude(typ, row, x)
				for _, p := range available() {
					got := p.dot(typ, row, &a)
					if !(math.Abs(float64(got-want)) <= 2e-6*bound) {
						t.Errorf("%s, %s of %d, extreme %v: %g, want %g", p.name, typ, n, extreme, got, want)
					}
				}
			}
		}
	}
}

// magnitude is the sum of the sizes of what a product adds up.
func magnitude(t Type, row []byte, x []float32) float64 {
	w := make([]float32, len(x))
	Dequantize(t, w, row)
	s := 0.0
	for i, v := range w {
		s += math.Abs(float64(v)) * (math.Abs(float64(x[i])) + 0.01)
	}
	if t == Q4_K || t == Q5_K { // the minimums are a sum of their own
		for b := 0; b < len(row); b += t.BlockBytes() {
			s += math.Abs(float64(half(row[b+2:]))) * 63 * 256
		}
	}
	return s + 1e-30
}

func TestPath_QuantizedActivationsAreEqual(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2))
	fillWith := func(f func(i int) float32) []float32 {
		x := make([]float32, 1024)
		for i := range x {
			x[i] = f(i)
		}
		return x
	}
	for name, x := range map[string][]float32{
		"random":   randomVector(r, 1024),
		"zeros":    make([]float32, 1024),
		"ties":     fillWith(func(i int) float32 { return float32(i%255) - 127 + 0.5*float32(i/255%2) }),
		"near tie": fillWith(func(i int) float32 { return []float32{127, 0.49999997, -0.49999997, 0.5, -1.5, 2.5}[i%6] }),
		"signs":    fillWith(func(i int) float32 { return float32(1 - 2*(i/7%2)) }),
		"one":      fillWith(func(i int) float32 { return float32(max(0, i%256-254)) * -3 }),
		"small":    fillWith(func(i int) float32 { return float32(r.NormFloat64()) * 1e-6 }),
		"large":    fillWith(func(i int) float32 { return float32(r.NormFloat64()) * 1e6 }),
		"scales":   fillWith(func(i int) float32 { return float32(math.Exp(r.NormFloat64() * 4)) }),
	} {
		for _, form := range []partner{asQ8_0, asQ8_K} {
			quantized := func(p path) string {
				a := activation{q: make([]int8, 1024), scale: make([]float32, 1024/32), sums: make([]int16, 64)}
				if form == asQ8_0 {
					p.quantizeQ8_0(&a, x)
				} else {
					a.scale = a.scale[:4]
					p.quantizeQ8_K(&a, x)
				}
				return fmt.Sprint(a.q, a.scale, a.sums)
			}
			want := quantized(goPath)
			for _, p := range available() {
				if got := quantized(p); got != want {
					t.Errorf("%s, %s in form %d:\n got %s\nwant %s", p.name, name, form, got, want)
				}
			}
		}
	}
}

func TestPath_VectorsAgreeAtEveryLength(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	for n := range 100 {
		a, b := randomVector(r, n), randomVector(r, n)
		exact := 0.0
		for i := range a {
			exact += float64(a[i]) * float64(b[i])
		}
		for _, p := range available() {
			if got := p.product(a, b); math.Abs(float64(got)-exact) > 1e-5 {
				t.Errorf("%s: product of %d is %g, want %g", p.name, n, got, exact)
			}
			dst := append([]float32(nil), b...)
			p.axpy(dst, 0.7, a)
			for i := range dst {
				if want := b[i] + 0.7*a[i]; math.Abs(float64(dst[i]-want)) > 1e-6 {
					t.Errorf("%s: element %d of %d is %g, want %g", p.name, i, n, dst[i], want)
				}
			}
		}
	}
}

// BenchmarkProducts walks 128 MB of weights, row after row, on one thread; compare with BenchmarkReadMemory.
func BenchmarkProducts(b *testing.B) {
	const cols = 2048
	for _, p := range available() {
		for _, typ := range productTypes {
			b.Run(p.name+"/"+typ.String(), func(b *testing.B) {
				size := typ.RowBytes(cols)
				rows := 128 << 20 / size
				data := make([]byte, rows*size)
				for i := range rows {
					randomRow(rand.New(rand.NewPCG(1, 1)), typ, data[i*size : (i+1)*size][:min(size, 1024/typ.BlockBytes()*typ.BlockBytes())], false)
				}
				var a activation
				a.set(typ.partner(), randomVector(rand.New(rand.NewPCG(1, 2)), cols))
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					for i := range rows {
						p.dot(typ, data[i*size:(i+1)*size], &a)
					}
				}
			})
		}
	}
}
