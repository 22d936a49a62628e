package injectionguard

import (
	_ "embed"
	"math"
	"sync"
)

// The linear model is a second witness beside the rules: logistic regression over hashed words, stems and pairs of words
// (feature hashing, Weinberger et al. 2009), one set of weights for what users write and one for data, where even a
// harmless request is out of place. ./train makes the weights from grammars of attacks and of harmless texts.
//
//go:generate go -C ../.. run ./plugins/injection-guard/train -o plugins/injection-guard/weights.bin
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
	at          [buckets]int8
}

var linear = func() *[models]weights {
	var w [models]weights
	const size = 8 + buckets
	for i := range w {
		if len(weightsFile) < (i+1)*size {
			break
		}
		b := weightsFile[i*size:]
		w[i].bias, w[i].scale = f32(b), f32(b[4:])
		for k := range buckets {
			w[i].at[k] = int8(b[8+k])
		}
	}
	return &w
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
	sureUser = 3.0
	sureData = 6.5
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

// window keeps the run of sentences that weighs most, and where its heaviest sentence is in the folded text. A feature
// counts once in a run: what is repeated is no more of an attack.
type window struct {
	z, bias      float32
	from, to     int
	last         [maxWindow]sum // of the last sentences, the newest first
	starts, ends [maxWindow]int
	n            int
}

// sum is what the weights say of a sentence, each feature counted once, and how much of it the sentence before said, and
// only the one before that.
type sum struct{ own, shared, older int32 }

// add takes the next sentence; a run ends with it.
func (w *window) add(s sum, scale float32, start, end int) {
	w.last[2], w.starts[2], w.ends[2] = w.last[1], w.starts[1], w.ends[1]
	w.last[1], w.starts[1], w.ends[1] = w.last[0], w.starts[0], w.ends[0]
	w.last[0], w.starts[0], w.ends[0] = s, start, end
	w.n = min(w.n+1, maxWindow)
	total, heavy := int32(0), 0
	for k := range w.n {
		switch k {
		case 1:
			total -= s.shared
		case 2:
			total -= s.older + w.last[1].shared
		}
		total += w.last[k].own
		if w.last[k].own > w.last[heavy].own {
			heavy = k
		}
		if v := w.bias + float32(total)*scale - widening*float32(k); v > w.z {
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

// recent knows in which sentence a feature was last: its number, from 1 to 255.
type recent struct {
	at  [buckets]uint8
	now uint8
}

// next goes on by n sentences, so that what was in the last window is forgotten after maxWindow.
func (r *recent) next(n uint8) {
	if r.now > math.MaxUint8-n { // start again with what still counts
		const keep = maxWindow - 1
		for i, at := range r.at {
			r.at[i] = 0
			if at > r.now-keep {
				r.at[i] = at - (r.now - keep)
			}
		}
		r.now = keep
	}
	r.now += n
}

var pads = sync.Pool{New: func() any { return new(pad) }}

// sentence is what was read of a sentence. Its features are in the pad.
type sentence struct {
	from, to    int
	count, n    int    // words, features
	last, last2 uint32 // the stems of the last words
	ended       bool   // at to
}

// fullStop is the hash of the ideographic one.
const fullStop = (((seedWord^0xe3)*16777619%(1<<32)^0x80)*16777619%(1<<32) ^ 0x82) * 16777619 % (1 << 32)

// sentence adds the features of the listed words from the k-th on, to where the sentence ends, and returns where that is
// in the list: each word, its stem, the pair that it makes with the word before, and with the one before that. size is that
// of the text. It makes no calls, see split.
func (p *pad) sentence(m *sentence, size, k int) int {
	list, features, n := p.list[:p.n], &p.features, uint(m.n)
	count, last, last2 := m.count, m.last, m.last2
	for ; k < len(list); k++ {
		t := &list[k]
		h := t.hash
		if t.letters <= 0 && (t.letters == 0 || h == fullStop) {
			if t.letters == 0 && h == endsNothing {
				continue
			}
			if count == 0 {
				m.from = int(t.end)
				continue
			}
			k++
			m.ended, m.to = true, int(t.end)
			break
		}
		if n > uint(len(features)-4) {
			break // cannot be
		}
		stem := t.stem
		features[n] = bucket(h)
		n++
		if stem != h {
			features[n] = bucket(stem ^ seedStem)
			n++
		}
		if last == 0 {
			features[n] = bucket(stem*31 ^ seedFirst)
		} else {
			features[n] = bucket((last^seedPair)*16777619 ^ stem)
		}
		n++
		if last2 != 0 {
			features[n] = bucket((last2^seedSkip)*16777619 ^ stem*5)
			n++
		}
		last2, last = last, stem
		if count++; count == maxSegment || int(t.end) >= size {
			k++
			m.ended, m.to = true, int(t.end)
			break
		}
	}
	m.count, m.n, m.last, m.last2 = count, int(n), last, last2
	return k
}

// weigh sums up what the weights say of a sentence's features.
func (p *pad) weigh(w *weights, n int) (s sum) {
	seen, now := &p.recent.at, p.recent.now
	own, shared, older := int32(0), int32(0), int32(0)
	for _, f := range p.features[:n] {
		f &= buckets - 1
		v := int32(w.at[f])
		if v == 0 {
			continue
		}
		age := now - seen[f]
		seen[f] = now
		switch age {
		case 0:
			continue
		case 1:
			shared += v
		case 2:
			older += v
		}
		own += v
	}
	return sum{own, shared, older}
}

// Segments returns the sentences of a text with their features, for the training.
func Segments(text string) (out []Segment) {
	a := analysis{pad: new(pad)}
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
