package embedding

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/terms"
)

// LexicalDimensions is the length of the vectors of [Lexical].
const LexicalDimensions = 384

// lexicalVersion changes whenever the same text may give another vector.
const lexicalVersion = 1

// Lexical is the built-in embedder: it needs no model and compares texts by what they say word for word, whatever the
// language. A text's words, neighbouring words, and the character n-grams within words are hashed with a sign into
// LexicalDimensions values (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009); term counts
// enter by their logarithm; words that nearly every text has count little. Inflected forms, compounds and misspellings
// meet in their n-grams; synonyms do not meet: that needs a model.
//
// The same text gives the same vector on every platform up to rounding. Unrelated texts have cosines around 0 with a
// deviation of 1/sqrt(384) = 0.05. A text without any word gives the zero vector.
type Lexical struct{}

var _ Weighted = Lexical{}

// Dimensions is LexicalDimensions.
func (Lexical) Dimensions() int { return LexicalDimensions }

// Digest identifies this version of the function.
func (Lexical) Digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "ledge-lexical-%d terms-%d %d", lexicalVersion, terms.Version, LexicalDimensions))
	return hex.EncodeToString(sum[:])
}

// Embed returns a vector of LexicalDimensions values for each text. It fails only when ctx ends.
func (l Lexical) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	backing := make([]float32, len(texts)*LexicalDimensions)
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = backing[i*LexicalDimensions : (i+1)*LexicalDimensions : (i+1)*LexicalDimensions]
		lexical(text, nil, out[i])
	}
	return out, nil
}

// EmbedWeighted implements [Weighted]: the vectors of texts know no other texts, but a question knows which of its words
// are rare among those that are searched.
func (Lexical) EmbedWeighted(text string, weight func(stem []byte) float64) []float32 {
	out := make([]float32, LexicalDimensions)
	lexical(text, weight, out)
	return out
}

// Shares of a word's weight, as energies: what the word itself, its n-grams and its pair with the word before add to
// the squared length of the vector.
const (
	wordShare  = 0.6
	gramShare  = 0.3
	pairShare  = 0.1
	commonness = 0.12 // weight of a common word
	minGram    = 3
	maxGram    = 4
)

// features counts hashed features in the order in which they first came.
type features struct {
	slots  []int32 // into list, +1; 0: empty
	list   []feature
	before uint64 // hash of the content word before, 0: none
}

type feature struct {
	hash   uint64
	weight float64 // of one occurrence
	count  float64
}

// maxPooled bounds the tables that are kept for the next text.
const maxPooled = 1 << 14

var featurePool = sync.Pool{New: func() any { return &features{slots: make([]int32, 1024)} }}

func (f *features) add(hash uint64, weight float64) {
	if 2*len(f.list) >= len(f.slots) {
		f.grow()
	}
	for i := int(hash) & (len(f.slots) - 1); ; i = (i + 1) & (len(f.slots) - 1) {
		switch at := f.slots[i]; {
		case at == 0:
			f.list = append(f.list, feature{hash, weight, 1})
			f.slots[i] = int32(len(f.list))
			return
		case f.list[at-1].hash == hash:
			f.list[at-1].count++
			return
		}
	}
}

func (f *features) grow() {
	f.slots = make([]int32, 2*len(f.slots))
	for n, x := range f.list {
		i := int(x.hash) & (len(f.slots) - 1)
		for f.slots[i] != 0 {
			i = (i + 1) & (len(f.slots) - 1)
		}
		f.slots[i] = int32(n + 1)
	}
}

// lexical writes the vector of a text whose terms count by weight, unless it is nil, beside what their form says.
func lexical(text string, weight func(stem []byte) float64, out []float32) {
	f := featurePool.Get().(*features)
	defer func() {
		if len(f.slots) <= maxPooled {
			featurePool.Put(f)
		}
	}()
	clear(f.slots)
	f.list, f.before = f.list[:0], 0
	terms.Scan(text, func(t *terms.Term) bool {
		w := 1.0
		if weight != nil {
			w = weight(t.Stem)
		}
		f.term(t, w)
		return true
	})
	var v [LexicalDimensions]float64
	for _, x := range f.list {
		w := x.weight * (1 + math.Log(x.count))
		// Two places for each feature, each with its own sign: fewer texts collide by accident.
		h := mix(x.hash)
		v[h%LexicalDimensions] += sign(h>>62, w)
		v[(h>>20)%LexicalDimensions] += sign(h>>63, w)
	}
	var norm float64
	for _, x := range v {
		norm += x * x
	}
	if norm == 0 {
		return
	}
	norm = 1 / math.Sqrt(norm)
	for i, x := range v {
		out[i] = float32(x * norm)
	}
}

func sign(bit uint64, w float64) float64 {
	if bit&1 == 1 {
		return -w
	}
	return w
}

// term adds one term with its n-grams and its pair.
func (f *features) term(t *terms.Term, by float64) {
	h := hashBytes(seedWord, t.Stem)
	w := by * formWeight(t)
	f.add(h, w*math.Sqrt(wordShare))
	if t.Common {
		return
	}
	if f.before != 0 {
		f.add(mix(f.before^(h<<1|h>>63)), w*math.Sqrt(pairShare))
	}
	f.before = h
	if !t.Pair {
		f.grams(t.Word, w*math.Sqrt(gramShare))
	}
}

// formWeight tells how much a word says, as far as its form shows: common words little, short ones less than long ones.
func formWeight(t *terms.Term) float64 {
	if t.Common {
		return commonness
	}
	n := utf8.RuneCount(t.Word)
	for _, c := range t.Word {
		if '0' <= c && c <= '9' {
			return 1.2 // numbers and codes tell texts apart
		}
	}
	switch {
	case t.Pair:
		return 0.8
	case n <= 2:
		return 0.6
	case n == 3:
		return 0.8
	case n <= 6:
		return 1
	}
	return 1.15
}

// grams adds the character n-grams of a word between its ends, which count as characters.
func (f *features) grams(word []byte, w float64) {
	var r [2 + 80]rune
	n := 1
	r[0] = '<'
	for i := 0; i < len(word) && n < len(r)-1; n++ {
		c, size := utf8.DecodeRune(word[i:])
		r[n] = c
		i += size
	}
	r[n] = '>'
	n++
	count := 0
	for k := minGram; k <= maxGram; k++ {
		count += max(n-k+1, 0)
	}
	if count == 0 {
		return
	}
	w /= math.Sqrt(float64(count))
	for k := minGram; k <= maxGram; k++ {
		for i := 0; i+k <= n; i++ {
			h := uint64(seedGram + k)
			for _, c := range r[i : i+k] {
				h = (h ^ uint64(c)) * prime
			}
			f.add(mix(h), w)
		}
	}
}

// Hashing: FNV-1a with a final mix (the finalizer of MurmurHash3), for its speed on short keys and because it is the
// same everywhere.
const (
	seedWord = 14695981039346656037
	seedGram = 7809847782465536322
	prime    = 1099511628211
)

func hashBytes(seed uint64, b []byte) uint64 {
	for _, c := range b {
		seed = (seed ^ uint64(c)) * prime
	}
	return mix(seed)
}

func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
