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
