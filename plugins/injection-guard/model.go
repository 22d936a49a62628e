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
	z, from, to := float64(a.best.z), a.best.from, a.best.to
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

// window keeps the run of sentences that weighs most, and where its heaviest sentence is in the folded text.
type window struct {
	z, bias      float32
	from, to     int
	sums         [maxWindow]float32 // of the last sentences, the newest first
	starts, ends [maxWindow]int
	n            int
}

// add takes the next sentence; a run ends with it.
func (w *window) add(sum float32, start, end int) {
	w.sums[2], w.starts[2], w.ends[2] = w.sums[1], w.starts[1], w.ends[1]
	w.sums[1], w.starts[1], w.ends[1] = w.sums[0], w.starts[0], w.ends[0]
	w.sums[0], w.starts[0], w.ends[0] = sum, start, end
	w.n = min(w.n+1, maxWindow)
	total, heavy := w.bias, 0
	for k := range w.n {
		total += w.sums[k]
		if w.sums[k] > w.sums[heavy] {
			heavy = k
		}
		if v := total - widening*float32(k); v > w.z {
			w.z, w.from, w.to = v, w.starts[heavy], w.ends[heavy]
		}
	}
}

// weights are those for the stage of the text.
func (a *analysis) weights() *weights {
	if a.untrusted() {
		return &linear[ModelData]
	}
	return &linear[ModelUser]
}

// Segments returns the sentences of a text with their features, for the training.
func Segments(text string) (out []Segment) {
	var a analysis
	a.folded.fold(text)
	a.scan(&linear[ModelUser], func(start, end int, features []uint16) {
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

func bucket(h uint32) uint16 {
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	return uint16(h & (buckets - 1))
}
