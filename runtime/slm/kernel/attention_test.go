package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestPath_AttentionAgreesAtEveryLength(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 2))
	for _, dim := range []int{4, 8, 24, 64, 80, 128, 200} {
		for n := 1; n <= 33; n++ {
			q, keys, w := randomVector(r, dim), randomVector(r, dim*n), randomVector(r, n)
			for _, p := range available() {
				got, want := make([]float32, n), make([]float32, n)
				p.scores(got, q, keys, 0.125)
				scoresGo(want, q, keys, 0.125)
				for i := range got {
					alone := make([]float32, 1)
					p.scores(alone, q, keys[i*dim:(i+1)*dim], 0.125)
					if math.Abs(float64(got[i]-want[i])) > 1e-5 || alone[0] != got[i] {
						t.Fatalf("%s: score %d of %d in %d dimensions is %g, alone %g, want %g", p.name, i, n, dim, got[i], alone[0], want[i])
					}
				}
				sum, wantSum := randomVector(rand.New(rand.NewPCG(1, 1)), dim), randomVector(rand.New(rand.NewPCG(1, 1)), dim)
				p.weightedSum(sum, w, keys)
				weightedSumGo(wantSum, w, keys)
				for i := range sum {
					if math.Abs(float64(sum[i]-wantSum[i])) > 1e-5 {
						t.Fatalf("%s: element %d of the sum of %d rows of %d is %g, want %g", p.name, i, n, dim, sum[i], wantSum[i])
					}
				}
			}
		}
	}
}

func TestPath_ExponentialsAreExact(t *testing.T) {
	inf := float32(math.Inf(1))
	var x []float32
	for v := float32(-110); v < 0; v += 0.0137 {
		x = append(x, v)
	}
	x = append(x, 0, -inf, -1e30, -1e-30, -87.3, -87.4, -88, -103)
	for _, p := range available() {
		got := append([]float32(nil), x...)
		sum, want := p.expSum(got, 0), 0.0
		for i, v := range got {
			exact := math.Exp(float64(x[i]))
			want += exact
			if math.Abs(float64(v)-exact) > 1.5e-7*exact+1.2e-38 {
				t.Fatalf("%s: exp(%g) is %g, want %g", p.name, x[i], v, exact)
			}
		}
		if math.Abs(float64(sum)-want) > 1e-4*want {
			t.Errorf("%s: the sum is %g, want %g", p.name, sum, want)
		}
		for n := range 20 { // what an element becomes does not depend on its place
			part := append([]float32(nil), x[100:100+n]...)
			p.expSum(part, 0)
			for i := range part {
				if part[i] != got[100+i] {
					t.Fatalf("%s: element %d of %d is %g, want %g", p.name, i, n, part[i], got[100+i])
				}
			}
		}
		gate := []float32{0, 1, -1, 50, -50, 100, -100, 1e30, -1e30, 3, -0.001}
		up := []float32{1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11}
		silu := append([]float32(nil), gate...)
		p.siluMul(silu, up)
		for i, g := range gate {
			exact := float64(g) / (1 + math.Exp(-float64(g))) * float64(up[i])
			if math.Abs(float64(silu[i])-exact) > 1e-6*math.Abs(exact)+1e-7 {
				t.Errorf("%s: silu(%g)*%g is %g, want %g", p.name, g, up[i], silu[i], exact)
			}
		}
	}
}

func TestPath_HalfFloatsAreEqual(t *testing.T) {
	all := make([]uint16, 0, 1<<16)
	for h := range 1 << 16 {
		if h&0x7c00 != 0x7c00 || h&0x3ff == 0 { // not-a-number keeps no bits for sure
			all = append(all, uint16(h))
		}
	}
	r := rand.New(rand.NewPCG(10, 2))
	x := make([]float32, 4099)
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()*6))
	}
	for _, p := range available() {
		f := make([]float32, len(all))
		p.fromHalf(f, all)
		back := make([]uint16, len(all))
		p.toHalf(back, f)
		for i, h := range all {
			if f[i] != convertF16(h) || back[i] != h {
				t.Fatalf("%s: %#x becomes %g and %#x", p.name, h, f[i], back[i])
			}
		}
		half := make([]uint16, len(x))
		p.toHalf(half, x)
		for i, v := range x {
			if half[i] != F32ToF16(v) {
				t.Fatalf("%s: %g becomes %#x, want %#x", p.name, v, half[i], F32ToF16(v))
			}
		}
	}
}
