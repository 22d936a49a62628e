package sample

import "math"

// Constraint says which tokens may come next so that a text keeps a form, such as a grammar. It belongs to one sequence
// and is not safe for concurrent use, but Mask may run on another goroutine than the forward pass it is meant for.
type Constraint interface {
	// Mask sets bit id%32 of word id/32 for each token that may come next, and clears all others. A token that ends the
	// text is allowed where the text is complete. mask holds MaskWords(vocabulary) words. An error means that no text
	// can go on from here, or that the constraint ran over its limits.
	Mask(mask []uint32) error
	// Accept advances over a token that the last mask allowed; another one is an error.
	Accept(id int32) error
	// Complete says that the text is whole and nothing may follow it.
	Complete() bool
}

// MaskWords is the length of a mask for a vocabulary.
func MaskWords(vocabulary int) int { return (vocabulary + 31) / 32 }

// Apply sets the logits of the tokens that a mask forbids to -Inf. Tokens past the mask are forbidden.
func Apply(mask []uint32, logits []float32) {
	inf := float32(math.Inf(-1))
	for w := 0; w*32 < len(logits); w++ {
		var bits uint32
		if w < len(mask) {
			bits = mask[w]
		}
		if bits == ^uint32(0) {
			continue
		}
		row := logits[w*32 : min(w*32+32, len(logits))]
		for i := range row {
			if bits>>i&1 == 0 {
				row[i] = inf
			}
		}
	}
}
