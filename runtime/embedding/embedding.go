// Package embedding turns texts into vectors of unit length, so that their inner product is the cosine similarity.
//
// It knows nothing of indexes, caches or routes. Start reading at [Embedder].
package embedding

import "context"

// Embedder makes vectors. Implementations are safe for concurrent use.
type Embedder interface {
	// Embed returns a unit vector of Dimensions values for each text, in order.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	// Dimensions is the length of every vector.
	Dimensions() int
	// Digest identifies the function: vectors of different digests must never be compared.
	Digest() string
}

// Asymmetric is an embedder that embeds questions otherwise than texts, such as with a prefix that its model was trained
// with.
type Asymmetric interface {
	Embedder
	// EmbedQuery returns the unit vector of a question.
	EmbedQuery(ctx context.Context, text string) ([]float32, error)
}

// Weighted is an embedder that embeds questions by how much their words say among the texts that are searched.
type Weighted interface {
	Embedder
	// EmbedWeighted returns the unit vector of a question whose terms count by weight, which is asked for their stems.
	EmbedWeighted(text string, weight func(stem []byte) float64) []float32
}

// Query embeds a question with e.
func Query(ctx context.Context, e Embedder, text string) ([]float32, error) {
	if a, ok := e.(Asymmetric); ok {
		return a.EmbedQuery(ctx, text)
	}
	vectors, err := e.Embed(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}
