package router

import (
	_ "embed"
	"math/bits"
	"unsafe"
)

// The rating of a request is a linear model: two logistic regressions, one that tells simple requests from the rest and one
// that tells complex ones. Its features are the words near the front and the end, hashed (feature hashing, Weinberger et al.
// 2009): as they are, by their stem, in pairs, and at the beginning of a sentence; and the request's shape: its length,
// questions, sentences, enumerations, numbers, code, what is quoted, and how many words of each level it holds. ./train makes the
// weights.
//
//go:generate go run ./train -o weights.bin -requests testdata/requests -frames train/frames.txt
//go:embed weights.bin
var weightsFile string

// In weights.bin: for each regression bias and scale as little-endian float32, then for each bucket two int8 in units of the
// scales.
const (
	buckets       = 1 << 14
	weightsHeader = 16
)

// weights are those of the buckets. They are changed by nobody.
var weights = (*[buckets][2]int8)(unsafe.Pointer(unsafe.StringData(weightsFile[weightsHeader:][:2*buckets])))

var bias, scale = func() (bias, scale [2]float32) {
	for i := range bias {
		bias[i], scale[i] = float32At(8*i), float32At(8*i+4)
	}
	return bias, scale
}()

// wordShare is by how much a text's word features count, by their number: long texts have more of them that say nothing.
var wordShare = func() (t [1024]float32) {
	for n := range t {
		t[n] = WordShare(n)
	}
	return t
}()

// complexity rates from 0 to 1. Below 0.35 a request is likelier simple than not, above 0.65 likelier complex than not.
func (r *reading) complexity(code bool, chars int) float64 {
	words := r.sum
	share := wordShare[min(r.features, len(wordShare)-1)]
	r.sum = [2]int32{}
	r.shape(code, chars)
	var p [2]float32
	for i := range p {
		z := bias[i] + scale[i]*(float32(r.sum[i])+share*float32(words[i]))
		p[i] = 0.5 + 0.5*z/(1+max(z, -z)) // like the logistic function, and alike on all platforms
	}
	var c float32
	switch {
	case p[1] > 0.5 && p[1]+p[0] > 1:
		c = 0.65 + 0.7*(p[1]-0.5)
	case p[0] < 0.5:
		c = 0.7 * p[0]
	default:
		c = 0.35 + 0.3*p[1]/(p[1]+1-p[0])
	}
	return max(min(float64(int(c*100+0.5))/100, 1), 0)
}

// Kinds of features of the shape.
const (
	shapeChars = iota * 16
	shapeWords
	shapeQuestions
	shapeEnds
	shapeCommas
	shapeLines
	shapeNumbers
	shapeQuoted
	shapePlain
	shapeMaking
	shapeDeep
	shapeBrief
	shapeDetail
	shapeCode
	shapeTask
	shapeLevels
)

// shape adds the features of the request's shape.
func (r *reading) shape(code bool, chars int) {
	r.add(shapeChars, bits.Len(uint(chars)))
	r.add(shapeWords, steps(r.words, 2, 4, 6, 8, 11, 15, 20, 28, 40, 60, 100, 200))
	r.add(shapeQuestions, min(r.questions, 4))
	r.add(shapeEnds, min(r.ends, 7))
	r.add(shapeCommas, steps(r.commas, 1, 2, 3, 5, 7, 10))
	r.add(shapeLines, steps(r.lines, 1, 2, 4, 8, 16))
	r.add(shapeNumbers, steps(r.numbers, 1, 2, 3, 5, 8))
	r.add(shapeQuoted, bits.Len(uint(r.quoted)))
	r.add(shapePlain, min(r.levels[plain], 4))
	r.add(shapeMaking, min(r.levels[making], 4))
	r.add(shapeDeep, min(r.levels[deep], 8))
	r.add(shapeBrief, min(r.brief, 2))
	r.add(shapeDetail, min(r.detail, 2))
	r.add(shapeTask, int(r.task))
	r.add(shapeLevels, min(r.levels[plain], 1)+2*min(r.levels[making], 1)+4*min(r.levels[deep], 1))
	if code {
		r.add(shapeCode, 1+min(r.lines/8, 3))
	} else {
		r.add(shapeCode, 0)
	}
}

func (r *reading) add(kind, value int) { r.feature(saltShape ^ uint32(kind+min(value, 15))*hashPrime) }

// steps says how many of the bounds n reaches.
func steps(n int, bounds ...int) (i int) {
	for i < len(bounds) && n >= bounds[i] {
		i++
	}
	return i
}
