package injectionguard

import (
	_ "embed"
	"math"
)

// The linear model is a second witness beside the rules: logistic regression over hashed words, stems and pairs of words
// (feature hashing, Weinberger et al. 2009), one set of weights for what users write and one for data, where even a
// harmless request is out of place. ./train makes the weights from grammars of attacks and of harmless texts.
//
//go:generate go run ./train -o weights.bin
//go:embed weights.bin
var weightsFile string

// Model sizes.
const (
	buckets    = 1 << 15
	maxSegment = 40 // words of a sentence, before it is cut
	maxWindow  = 3  // sentences that are judged together
)

// Kinds of text with weights of their own.
const (
	ModelUser = iota // what a user writes
	ModelData        // what a tool or a document brings
	models
)

// weights are int8 values in units of scale. In weights.bin: for each model, bias and scale as little-endian float32, then
// the buckets.
type weights struct {
	bias, scale float32
	at          string
}

var linear = func() (w [models]weights) {
	const size = 8 + buckets
	for i := range w {
		if len(weightsFile) < (i+1)*size {
			return
		}
		b := weightsFile[i*size:]
		w[i] = weights{f32(b), f32(b[4:]), b[8:size]}
	}
	return
}()

func f32(b string) float32 {
	return math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

// Segment is a sentence of a folded text: its range and its features.
type Segment struct {
	Start, End int
	Features   []uint16
}

// Logits from which on the model alone is as sure as the default threshold asks.
const (
	sureUser = 3.2
	sureData = 6.0
	widening = 0.75 // what a further sentence must add, so that chance does not add up
)

// model notes the window that weighs most.
func (a *analysis) model() {
	z, from, to := a.heaviest()
	if a.untrusted() {
		z -= sureData
	} else {
		z -= sureUser
	}
	if z < -1.5 || to <= from {
		return
	}
	p := 1 / (1 + math.Exp(-1.5*z-0.55)) // at z = 0 just above 0.6
	if a.meta > 1 {
		p *= 0.6 // it is about attacks
	}
	for to > from && a.folded.b[to-1] <= ' ' {
		to--
	}
	start, end := a.folded.span(from, to)
	a.addRange("model", math.Round(p*970)/1000, start, end) // math.Exp differs between platforms in the last bit
}

// heaviest returns the logit of the window of sentences that weighs most, and where its heaviest sentence is in the folded
// text.
func (a *analysis) heaviest() (z float64, from, to int) {
	w := &linear[ModelUser]
	if a.untrusted() {
		w = &linear[ModelData]
	}
	if w.at == "" {
		return -100, 0, 0
	}
	// A window ends with the newest sentence. A feature counts once in it: what is repeated is no more of an attack.
	var last [maxWindow]sentence
	var seen featureSet
	n, best := 0, float32(-100)
	eachSegment(a.folded.b, func(start, end int, features []uint16) {
		newest := &last[n%maxWindow]
		newest.start, newest.end, newest.n = start, end, copy(newest.features[:], features)
		n++
		seen.clear()
		total, most := w.bias, float32(math.Inf(-1))
		var evidence *sentence
		for k := range min(n, maxWindow) {
			s := &last[(n-1-k)%maxWindow]
			sum := int32(0)
			for _, f := range s.features[:s.n] {
				if seen.add(f) {
					sum += int32(int8(w.at[f]))
				}
			}
			own := float32(sum) * w.scale
			total += own
			if own > most {
				most, evidence = own, s
			}
			if v := total - widening*float32(k); v > best {
				best, from, to = v, evidence.start, evidence.end
			}
		}
	})
	return float64(best), from, to
}

// maxFeatures is how many a sentence has at most: four a word.
const maxFeatures = maxSegment * 4

// sentence is one of the last that were read.
type sentence struct {
	start, end, n int
	features      [maxFeatures]uint16
}

// featureSet holds the features of a window: a hash table that is cleared by counting on.
type featureSet struct {
	at  [1024]uint32 // generation and feature; a window fills less than half
	gen uint32
}

func (s *featureSet) clear() {
	if s.gen++; s.gen > math.MaxUint16 {
		*s = featureSet{gen: 1}
	}
}

// add reports whether the feature was not there.
func (s *featureSet) add(f uint16) bool {
	e := s.gen<<16 | uint32(f)
	for i := f; ; i++ {
		switch at := &s.at[i%uint16(len(s.at))]; {
		case *at == e:
			return false
		case *at>>16 != s.gen:
			*at = e
			return true
		}
	}
}

// Segments returns the sentences of a text with their features, for the training.
func Segments(text string) (out []Segment) {
	var f folded
	f.fold(text)
	eachSegment(f.b, func(start, end int, features []uint16) {
		out = append(out, Segment{start, end, append([]uint16(nil), features...)})
	})
	return out
}

// Seeds of the hashes of the kinds of features.
const (
	seedWord = 2166136261 + iota*97
	seedStem
	seedPair
	seedSkip
	seedFirst
)

// stemBytes is how much of a word stands for its inflected forms.
const stemBytes = 6

// eachSegment calls f for each sentence with its features, which are only valid during the call. Letters that look alike
// are one, as in the lexicon. A Chinese, Japanese or Korean character is a word.
func eachSegment(b []byte, f func(start, end int, features []uint16)) {
	var buf [maxFeatures]uint16
	features := buf[:0]
	start, words := 0, 0
	var last, last2 uint32
	flush := func(end int) {
		if words > 0 {
			f(start, end, features)
		}
		features, start, words, last, last2 = buf[:0], end, 0, 0, 0
	}
	for i := 0; i < len(b); {
		c := b[i]
		if !wordAt(b, i) {
			i++
			switch c {
			case '\n':
				flush(i)
			case '.', '!', '?', ';':
				if i >= len(b) || b[i] <= ' ' || b[i] == '"' || b[i] == ')' {
					flush(i)
				}
			}
			continue
		}
		j := i
		h, stem := uint32(seedWord), uint32(0)
		if c >= 0xe3 && c <= 0xed && i+3 <= len(b) {
			j = i + 3
			h = (((h^uint32(c))*16777619^uint32(b[i+1]))*16777619 ^ uint32(b[i+2])) * 16777619
			stem = h
			if c == 0xe3 && b[i+1] == 0x80 && b[i+2] == 0x82 { // an ideographic full stop
				flush(j)
				i = j
				continue
			}
		} else {
			for j < len(b) && (j == i || kind[b[j]] == wordByte || goesOn(b, j)) {
				if k := leet[b[j]]; k != 0 {
					h = (h ^ uint32(k)) * 16777619
				}
				j++
				if j-i == stemBytes {
					stem = h
				}
			}
			if j-i <= stemBytes {
				stem = h
			}
		}
		features = append(features, bucket(h))
		if stem != h {
			features = append(features, bucket(stem^seedStem))
		}
		if last != 0 {
			features = append(features, bucket((last^seedPair)*16777619^stem))
		} else {
			features = append(features, bucket(stem*31^seedFirst))
		}
		if last2 != 0 {
			features = append(features, bucket((last2^seedSkip)*16777619^stem*5))
		}
		last2, last = last, stem
		i = j
		if words++; words == maxSegment {
			flush(i)
		}
	}
	flush(len(b))
}

func bucket(h uint32) uint16 {
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	return uint16(h & (buckets - 1))
}
