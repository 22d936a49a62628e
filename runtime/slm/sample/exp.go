package sample

import "math"

// exp is e^x for x in [-700, 0] with a relative error below 1e-12. It has no
// assembly, and the conversions keep the compiler from fusing multiply and add, so that it gives the same bits
// on every platform: a seed means the same tokens everywhere.
func exp(x float64) float64 {
	if !(x > -700) {
		return 0
	}
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	// x = k ln 2 + f with |f| <= ln 2 / 2; ln 2 in two parts, for f to be exact.
	f := x - float64(k*6.93147180369123816490e-01) - float64(k*1.90821492927058770002e-10)
	// Taylor's series to the tenth power, in Estrin's order: the products do not wait for one another.
	f2 := float64(f * f)
	f4 := float64(f2 * f2)
	a := 1 + f + float64((0.5+float64(f*(1.0/6)))*f2)
	b := 1.0/24 + float64(f*(1.0/120)) + float64((1.0/720+float64(f*(1.0/5040)))*f2)
	c := 1.0/40320 + float64(f*(1.0/362880)) + float64(f2*(1.0/3628800))
	p := a + float64((b+float64(c*f4))*f4)
	return float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52))
}
