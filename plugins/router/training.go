package router

import (
	"math"
	"unicode/utf8"
)

// Buckets is how many features the model tells apart.
const Buckets = buckets

// WordShare is by how much n word features count.
func WordShare(n int) float32 { return float32(math.Sqrt(24 / float64(max(n, 24)))) }

// Features returns the buckets of a text's words and of its shape, for the training.
func Features(text string) (words, shape []uint16) {
	r := reading{keep: new([maxFeatures]uint16)}
	r.read(text)
	n := r.features
	r.shape(r.code(text), utf8.RuneCountInString(text))
	return r.keep[:n:n], r.keep[n:r.features]
}

func float32At(i int) float32 {
	b := weightsFile[i : i+4]
	return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}
