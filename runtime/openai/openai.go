// Package openai holds the wire types of the OpenAI API as this appliance serves and calls it: requests as clients
// send them, responses, stream chunks and errors. It knows nothing of how a request is answered. Start reading at
// [ChatRequest].
//
// Source: the OpenAI API reference, sections Chat, Completions, Models, Errors.
package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// ChatRequest is the body of POST /v1/chat/completions. Unknown fields are accepted and kept in Raw.
type ChatRequest struct {
	Model               string             `json:"model"`
	Messages            []Message          `json:"messages"`
	MaxTokens           *int               `json:"max_tokens,omitempty"`
	MaxCompletionTokens *int               `json:"max_completion_tokens,omitempty"`
	Temperature         *float64           `json:"temperature,omitempty"` // absent: 1
	TopP                *float64           `json:"top_p,omitempty"`       // absent: 1
	N                   *int               `json:"n,omitempty"`           // absent: 1
	Seed                *int64             `json:"seed,omitempty"`
	Stop                StringList         `json:"stop,omitempty"`
	Stream              bool               `json:"stream,omitempty"`
	StreamOptions       *StreamOptions     `json:"stream_options,omitempty"`
	Logprobs            bool               `json:"logprobs,omitempty"`
	TopLogprobs         *int               `json:"top_logprobs,omitempty"`
	FrequencyPenalty    *float64           `json:"frequency_penalty,omitempty"`
	PresencePenalty     *float64           `json:"presence_penalty,omitempty"`
	LogitBias           map[string]float64 `json:"logit_bias,omitempty"`
	Tools               []Tool             `json:"tools,omitempty"`
	ToolChoice          *ToolChoice        `json:"tool_choice,omitempty"`
	ResponseFormat      *ResponseFormat    `json:"response_format,omitempty"`
	User                string             `json:"user,omitempty"`
	LocalSampling
	Extensions

	// Raw is the body as the client sent it, field by field, for what must be passed on to a remote model unchanged. Keep fills it.
	Raw map[string]json.RawMessage `json:"-"`
}

// Keep fills Raw from the body that r was decoded from.
func (r *ChatRequest) Keep(body []byte) {
	if r.Raw == nil {
		_ = json.Unmarshal(body, &r.Raw) // it decoded once already
	}
}

// StreamOptions asks for a last chunk with the usage.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// Extensions are fields beside OpenAI's that models on this device take: the answer must match. At most one is set.
type Extensions struct {
	Grammar     string `json:"grammar,omitempty"` // GBNF, as llama.cpp's server takes it
	Regex       string `json:"regex,omitempty"`   // RE2 syntax, of the whole answer
	GuidedRegex string `json:"guided_regex,omitempty"`
}

// ResponseFormat is the format asked of the answer: text, json_object or json_schema.
type ResponseFormat struct {
	Type       string          `json:"type"`
	JSONSchema json.RawMessage `json:"json_schema,omitempty"`
}

// Message is one message of a conversation.
type Message struct {
	Role       string     `json:"role"`
	Content    Content    `json:"content"`
	Name       string     `json:"name,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// Content is the text of a message. Clients send a string, null, or an array of parts; text parts are joined as they
// stand, and a part of another kind (image, audio, file) is an error because no model here reads it.
type Content string

// UnmarshalJSON accepts the three forms a client may send.
func (c *Content) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case 'n':
		*c = ""
		return nil
	case '"':
		return json.Unmarshal(b, (*string)(c))
	case '[':
		var parts []struct {
			Type    string  `json:"type"`
			Text    *string `json:"text"`
			Refusal *string `json:"refusal"`
		}
		if err := json.Unmarshal(b, &parts); err != nil {
			return err
		}
		var text bytes.Buffer
		for i, p := range parts {
			switch {
			case p.Type == "text" && p.Text != nil:
				text.WriteString(*p.Text)
			case p.Type == "refusal" && p.Refusal != nil:
				text.WriteString(*p.Refusal)
			case p.Type == "text" || p.Type == "refusal":
				return &FieldError{Field: fmt.Sprintf("content[%d]", i), Message: fmt.Sprintf("the content part of type %q has no %s", p.Type, p.Type)}
			default:
				return &FieldError{Field: fmt.Sprintf("content[%d]", i), Message: fmt.Sprintf("content parts of type %q are not supported; send text", p.Type)}
			}
		}
		*c = Content(text.String())
		return nil
	}
	return &FieldError{Field: "content", Message: "content must be a string or an array of parts"}
}

// StringList is a list of strings that clients may send as one string.
type StringList []string

// UnmarshalJSON accepts null, a string or an array of strings.
func (l *StringList) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case 'n':
		*l = nil
		return nil
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*l = StringList{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Tool is a function that the client offers to the model.
type Tool struct {
	Type     string   `json:"type"`
	Function Function `json:"function"`
}

// Function describes a tool. Parameters is a JSON Schema document.
type Function struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// ToolCall is a call the model asks for. Index is set in stream chunks only.
type ToolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function FunctionCall `json:"function"`
}

// FunctionCall names the tool and gives its arguments, a JSON document in a string.
type FunctionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// ToolChoice is "none", "auto", "required", or one function by name.
type ToolChoice struct {
	Mode     string // none, auto, required, function
	Function string // with mode function
}

// UnmarshalJSON accepts the string and the object form.
func (t *ToolChoice) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		if err := json.Unmarshal(b, &t.Mode); err != nil {
			return err
		}
		switch t.Mode {
		case "none", "auto", "required":
			return nil
		}
		return &FieldError{Field: "tool_choice", Message: fmt.Sprintf("tool_choice %q is not one of none, auto, required", t.Mode)}
	}
	var v struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if v.Type != "function" || v.Function.Name == "" {
		return &FieldError{Field: "tool_choice", Message: "tool_choice must name a function"}
	}
	t.Mode, t.Function = "function", v.Function.Name
	return nil
}

// MarshalJSON writes the form that was read.
func (t ToolChoice) MarshalJSON() ([]byte, error) {
	if t.Mode != "function" {
		return json.Marshal(t.Mode)
	}
	return json.Marshal(map[string]any{"type": "function", "function": map[string]string{"name": t.Function}})
}

// Usage counts tokens.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// ChatResponse is the answer to a ChatRequest that is not streamed.
type ChatResponse struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"` // chat.completion
	Created           int64    `json:"created"`
	Model             string   `json:"model"`
	Choices           []Choice `json:"choices"`
	Usage             Usage    `json:"usage"`
	SystemFingerprint string   `json:"system_fingerprint,omitempty"`
	Ledge             any      `json:"ledge,omitempty"` // what Ledge adds to the answer
	// Degraded is of this appliance: how the answer falls short of what was asked for.
	Degraded string `json:"degraded,omitempty"`
}

// Annotation is a citation of a document, in the form that OpenAI gives citations of pages.
type Annotation struct {
	Type        string      `json:"type"` // url_citation
	URLCitation URLCitation `json:"url_citation"`
}

// URLCitation is where an answer cites what. Indexes are code points of the answer.
type URLCitation struct {
	StartIndex int    `json:"start_index"`
	EndIndex   int    `json:"end_index"`
	URL        string `json:"url"`
	Title      string `json:"title"`
}

// Choice is one answer.
type Choice struct {
	Index        int             `json:"index"`
	Message      ResponseMessage `json:"message"`
	Logprobs     *Logprobs       `json:"logprobs"`
	FinishReason string          `json:"finish_reason"`
}

// ResponseMessage is what the model said. Content is null when there are only tool calls.
type ResponseMessage struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Refusal   *string    `json:"refusal"`
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`

	Annotations []Annotation `json:"annotations,omitempty"`
}

// Logprobs holds one entry a token.
type Logprobs struct {
	Content []TokenLogprob `json:"content"`
	Refusal []TokenLogprob `json:"refusal"`
}

// TokenLogprob is a token that was chosen, with its natural log probability and the most likely alternatives.
type TokenLogprob struct {
	Token       string       `json:"token"`
	Logprob     float64      `json:"logprob"`
	Bytes       []int        `json:"bytes"`
	TopLogprobs []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is one alternative.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// ChatChunk is one event of a stream. The last one before [DONE] has no choices and the usage, if it was asked for.
type ChatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"` // chat.completion.chunk
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	Choices           []ChunkChoice `json:"choices"`
	Usage             *Usage        `json:"usage,omitempty"`
	SystemFingerprint string        `json:"system_fingerprint,omitempty"`
	Ledge             any           `json:"ledge,omitempty"` // what Ledge adds to the answer
	Degraded          string        `json:"degraded,omitempty"`
}

// ChunkChoice is the part of one choice that a chunk brings.
type ChunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	Logprobs     *Logprobs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// Delta is what is added to the message.
type Delta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Refusal   *string    `json:"refusal,omitempty"`
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`

	Annotations []Annotation `json:"annotations,omitempty"`
}

// ModelList is the answer of GET /v1/models.
type ModelList struct {
	Object string  `json:"object"` // list
	Data   []Model `json:"data"`
}

// Model is one entry of the list.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // model
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}
