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
	if err := s.learn(ctx, a.missing(b), a.words, b.missing(a), b.words); err != nil {
		return out, err
	}
	if a.swapped(b, s.near) {
		out.Differs = "a word"
		return out, nil
	}
	out.Alignment = a.Alignment(b, s.near)
	out.Score = 1 - (1-max(cosine, 0))*(1-out.Alignment)
	return out, nil
}

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
