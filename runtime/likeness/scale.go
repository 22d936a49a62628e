package likeness

import (
	"context"
	"sync"

	"github.com/ledge-run/ledge/runtime/embedding"
)

// Scale compares questions with an embedder. It is safe for concurrent use.
type Scale struct {
	by embedding.Embedder

	mu    sync.Mutex
	words map[string][]float32 // vectors of single words
}

// maxWords bounds the words that are kept.
const maxWords = 4096

// NewScale returns a scale for an embedder.
func NewScale(by embedding.Embedder) *Scale { return &Scale{by: by, words: map[string][]float32{}} }

// Embedder is the scale's.
func (s *Scale) Embedder() embedding.Embedder { return s.by }

// Similarity is how like two questions are.
type Similarity struct {
	Differs   string  // in what they cannot mean the same; empty: nothing found
	Cosine    float64 // of their embeddings
	Alignment float64 // of their words
	Swap      float64 // how close the one word is that stands for another, 1 where there is none
	Frame     float64 // how much of their words stand in the same order
	Score     float64 // of both: what the cosine leaves open, words that have a counterpart close
}

// Compare compares two texts.
func (s *Scale) Compare(ctx context.Context, a, b string) (Similarity, error) {
	v, err := s.by.Embed(ctx, []string{a, b})
	if err != nil {
		return Similarity{}, err
	}
	return s.Judge(ctx, Read(a), Read(b), float64(dot(v[0], v[1])))
}

// Judge compares two questions whose cosine is known.
func (s *Scale) Judge(ctx context.Context, a, b *Question, cosine float64) (Similarity, error) {
	out := Similarity{Cosine: cosine, Differs: a.Differs(b)}
	if out.Differs == "" {
		out.Differs = b.Differs(a)
	}
	if out.Differs != "" {
		return out, nil
	}
	if err := s.learn(ctx, a.undressed(b), a.words, b.undressed(a), b.words); err != nil {
		return out, err
	}
	out.Frame, out.Swap = a.frame(b), a.swap(b, s.near)
	out.Alignment = a.Alignment(b, s.near)
	open := (1 - max(cosine, 0)) * (1 - out.Alignment)
	switch {
	case out.Frame >= sameFrame:
		if out.Swap < sameWord {
			out.Differs = "a word"
			return out, nil
		}
	case out.Swap < otherWord:
		out.Differs = "a word"
		return out, nil
	case cosine >= otherCosine && out.Alignment >= otherAlignment && !a.placed(b) && !b.placed(a):
		open *= otherFrame
	}
	out.Score = 1 - open
	return out, nil
}

// Questions whose frame is the same from sameFrame on differ in what was put in another's place, and the one word that does must be
// near from sameWord on. Of others the order says less: from otherCosine and otherAlignment on, what is left open counts otherFrame
// of it. The values were chosen so that of near misses 1% pass (bench/semantic).
const (
	sameFrame      = 0.6
	sameWord       = 0.75
	otherWord      = 0.7
	otherCosine    = 0.8
	otherAlignment = 0.5
	otherFrame     = 0.3
)

// learn embeds the words that may be compared.
func (s *Scale) learn(ctx context.Context, lists ...[]word) error {
	if len(lists[0])+len(lists[2]) == 0 {
		return nil
	}
	var texts []string
	s.mu.Lock()
	if len(s.words) > maxWords {
		clear(s.words)
	}
	for _, l := range lists {
		for _, w := range l {
			if _, ok := s.words[w.text]; !ok {
				s.words[w.text] = nil
				texts = append(texts, w.text)
			}
		}
	}
	s.mu.Unlock()
	if len(texts) == 0 {
		return nil
	}
	v, err := s.by.Embed(ctx, texts)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range texts {
		if err != nil {
			delete(s.words, t)
			continue
		}
		s.words[t] = v[i]
	}
	return err
}

func (s *Scale) near(a, b string) float64 {
	s.mu.Lock()
	x, y := s.words[a], s.words[b]
	s.mu.Unlock()
	if x == nil || y == nil {
		return 0
	}
	return float64(dot(x, y))
}

func dot(a, b []float32) float32 {
	var sum float32
	for i := range min(len(a), len(b)) {
		sum += a[i] * b[i]
	}
	return sum
}
