package openai

import (
	"encoding/json"
	"errors"
	"strings"
)

// EmbeddingRequest is the body of POST /v1/embeddings.
type EmbeddingRequest struct {
	Model          string         `json:"model"`
	Input          EmbeddingInput `json:"input"`
	EncodingFormat string         `json:"encoding_format,omitempty"` // float (also when empty) or base64
	Dimensions     *int           `json:"dimensions,omitempty"`      // the first so many values, normalised again
	User           string         `json:"user,omitempty"`
}

// EmbeddingInput is one or more texts, each a string or token ids: the forms of a Prompt.
type EmbeddingInput []PromptItem

// UnmarshalJSON accepts what Prompt accepts.
func (in *EmbeddingInput) UnmarshalJSON(b []byte) error {
	err := (*Prompt)(in).UnmarshalJSON(b)
	var field *FieldError
	if errors.As(err, &field) {
		return &FieldError{Field: strings.Replace(field.Field, "prompt", "input", 1), Message: strings.Replace(field.Message, "prompt", "input", 1)}
	}
	return err
}

// EmbeddingResponse is the answer to an EmbeddingRequest.
type EmbeddingResponse struct {
	Object string         `json:"object"` // list
	Data   []Embedding    `json:"data"`
	Model  string         `json:"model"`
	Usage  EmbeddingUsage `json:"usage"`
}

// Embedding is one vector: numbers, or their little-endian float32 bytes in base64.
type Embedding struct {
	Object    string `json:"object"` // embedding
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32 or string
}

// EmbeddingUsage counts tokens.
type EmbeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// RerankRequest is the body of POST /v1/rerank, in the form that Cohere and Jina share.
type RerankRequest struct {
	Model           string           `json:"model"`
	Query           string           `json:"query"`
	Documents       []RerankDocument `json:"documents"`
	TopN            *int             `json:"top_n,omitempty"` // absent: all
	ReturnDocuments bool             `json:"return_documents,omitempty"`
	RawScores       bool             `json:"raw_scores,omitempty"` // the classifier's own numbers, not between 0 and 1
}

// RerankDocument is a text: a string, or an object with the field text.
type RerankDocument struct {
	Text string `json:"text"`
}

// UnmarshalJSON accepts both forms.
func (d *RerankDocument) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &d.Text)
	}
	var object struct {
		Text *string `json:"text"`
	}
	if b[0] != '{' || json.Unmarshal(b, &object) != nil || object.Text == nil {
		return &FieldError{Field: "documents", Message: "each of documents must be a string, or an object with the string text"}
	}
	d.Text = *object.Text
	return nil
}

// RerankResponse is the answer to a RerankRequest, the most relevant document first.
type RerankResponse struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"` // list
	Model   string         `json:"model"`
	Results []RerankResult `json:"results"`
	Usage   EmbeddingUsage `json:"usage"`
}

// RerankResult is one document of the request.
type RerankResult struct {
	Index          int             `json:"index"`
	RelevanceScore float64         `json:"relevance_score"` // 0 to 1
	Document       *RerankDocument `json:"document,omitempty"`
}
