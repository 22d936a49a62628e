package kernel

import "math"

// Scores writes the products of a query with keys, each times scale: as many as dst has. The keys lie one after the
// other, each as long as the query.
func Scores(dst, q, keys []float32, scale float32) {
	active.scores(dst, q, keys[:len(dst)*len(q)], scale)
}

// WeightedSum adds rows to dst, each times its weight. The rows lie one after the other, each as long as dst.
func WeightedSum(dst, w, rows []float32) {
	active.weightedSum(dst, w, rows[:len(w)*len(dst)])
}

// ExpSum replaces x by exp(x-top) and returns the sum. No element is above top.
func ExpSum(x []float32, top float32) float32 { return active.expSum(x, top) }

// FromHalf converts half floats, as many as src has.
func FromHalf(dst []float32, src []uint16) { active.fromHalf(dst[:len(src)], src) }

// ToHalf converts to the nearest half floats, ties to even, as many as src has.
func ToHalf(dst []uint16, src []float32) { active.toHalf(dst[:len(src)], src) }

func scoresGo(dst, q, keys []float32, scale float32) {
	for i := range dst {
		dst[i] = productGo(q, keys[i*len(q):(i+1)*len(q)]) * scale
	}
}

func weightedSumGo(dst, w, rows []float32) {
	for i, v := range w {
		axpyGo(dst, v, rows[i*len(dst):(i+1)*len(dst)])
	}
}

func expSumGo(x []float32, top float32) (sum float32) {
	for i, v := range x {
		e := float32(math.Exp(float64(v - top)))
		x[i] = e
		sum += e
	}
	return sum
}

func fromHalfGo(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = f16Table[h]
	}
}

func toHalfGo(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i] = F32ToF16(v)
	}
}
