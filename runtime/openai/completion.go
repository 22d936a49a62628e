package openai

import (
	"encoding/json"
	"fmt"
)

// CompletionRequest is the body of POST /v1/completions.
type CompletionRequest struct {
	Model            string             `json:"model"`
	Prompt           Prompt             `json:"prompt"`
	MaxTokens        *int               `json:"max_tokens,omitempty"` // absent: 16
	Temperature      *float64           `json:"temperature,omitempty"`
	TopP             *float64           `json:"top_p,omitempty"`
	N                *int               `json:"n,omitempty"`
	BestOf           *int               `json:"best_of,omitempty"`
	Seed             *int64             `json:"seed,omitempty"`
	Stop             StringList         `json:"stop,omitempty"`
	Stream           bool               `json:"stream,omitempty"`
	StreamOptions    *StreamOptions     `json:"stream_options,omitempty"`
	Logprobs         *int               `json:"logprobs,omitempty"` // alternatives a token, 0 to 5
	Echo             bool               `json:"echo,omitempty"`
	Suffix           *string            `json:"suffix,omitempty"`
	FrequencyPenalty *float64           `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float64           `json:"presence_penalty,omitempty"`
	LogitBias        map[string]float64 `json:"logit_bias,omitempty"`
	User             string             `json:"user,omitempty"`
	LocalSampling
	Extensions
}

// Prompt is one or more prompts, each a text or a list of token ids. Exactly one of the two is set in an item.
type Prompt []PromptItem

// PromptItem is one prompt.
type PromptItem struct {
	Text   string
	Tokens []int32 // nil: Text is the prompt
}

// UnmarshalJSON accepts a string, a list of strings, a list of token ids, and a list of such lists.
func (p *Prompt) UnmarshalJSON(b []byte) error {
	bad := &FieldError{Field: "prompt", Message: "prompt must be a string, an array of strings, an array of token ids, or an array of such arrays"}
	switch b[0] {
	case 'n':
		return nil
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*p = Prompt{{Text: s}}
		return nil
	case '[':
	default:
		return bad
	}
	var ids []int32
	if json.Unmarshal(b, &ids) == nil {
		if len(ids) > 0 {
			*p = Prompt{{Tokens: ids}}
		}
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	for i, item := range items {
		switch item[0] {
		case '"':
			var s string
			if err := json.Unmarshal(item, &s); err != nil {
				return err
			}
			*p = append(*p, PromptItem{Text: s})
		case '[':
			ids = []int32{}
			if err := json.Unmarshal(item, &ids); err != nil {
				return &FieldError{Field: fmt.Sprintf("prompt[%d]", i), Message: "token ids must be integers"}
			}
			*p = append(*p, PromptItem{Tokens: ids})
		default:
			return bad
		}
	}
	return nil
}

// CompletionResponse is the answer to a CompletionRequest, whole or as one event of a stream.
type CompletionResponse struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"` // text_completion
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []CompletionChoice `json:"choices"`
	Usage   *Usage             `json:"usage,omitempty"`
}

// CompletionChoice is one continuation.
type CompletionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *CompletionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`
}

// CompletionLogprobs is the older, column-wise form: one element a token in each list.
type CompletionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in code points, from the start of the text
}
