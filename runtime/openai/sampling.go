package openai

// LocalSampling are fields that the OpenAI API does not have and that other local servers take, for models on this
// device.
type LocalSampling struct {
	TopK              *int     `json:"top_k,omitempty"`              // the most probable tokens that stay; 0: all
	MinP              *float64 `json:"min_p,omitempty"`              // least probability, relative to the best token's
	TypicalP          *float64 `json:"typical_p,omitempty"`          // locally typical sampling; 1: off
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"` // 1: off
	// ContextShift lets the answer go on when the context is full, with the older half of it forgotten. Absent: what the
	// route says.
	ContextShift *bool `json:"context_shift,omitempty"`
}
