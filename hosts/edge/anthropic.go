package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// The Messages API: https://docs.anthropic.com/en/api/messages and .../messages-streaming.

var anthropicAPI = &dialect{contentType: "text/event-stream", prefix: "/v1/messages",
	event: func(v any) ([]byte, error) {
		doc, err := json.Marshal(v)
		name := "error"
		if e, ok := v.(*messagesEvent); ok {
			name = e.Type
		}
		return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, doc), err
	},
	refusal: func(e *openai.Error) any {
		return map[string]any{"type": "error", "error": map[string]string{"type": anthropicErrorType(e), "message": e.Message}}
	},
	alive: []byte("event: ping\ndata: {\"type\": \"ping\"}\n\n")}

// anthropicErrorType names an error as that API does.
func anthropicErrorType(e *openai.Error) string {
	switch e.Status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if e.Status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// messagesRequest is the body of POST /v1/messages.
type messagesRequest struct {
	Model         string          `json:"model"`
	MaxTokens     *int            `json:"max_tokens"`
	System        messagesContent `json:"system"`
	Messages      []messagesTurn  `json:"messages"`
	StopSequences []string        `json:"stop_sequences"`
	Stream        bool            `json:"stream"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	TopK          *int            `json:"top_k"`
	Tools         []struct {
		Type        string          `json:"type"` // custom, also when absent; others run at the provider
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	ToolChoice *struct {
		Type string `json:"type"` // auto, any, tool, none
		Name string `json:"name"`
	} `json:"tool_choice"`
}

type messagesTurn struct {
	Role    string          `json:"role"`
	Content messagesContent `json:"content"`
}

// messagesContent is a list of blocks that clients may send as one string.
type messagesContent []messagesBlock

type messagesBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   messagesContent `json:"content,omitempty"` // of a tool_result
}

// UnmarshalJSON accepts a string and a list of blocks.
func (c *messagesContent) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[]messagesBlock)(c))
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*c = messagesContent{{Type: "text", Text: text}}
	return nil
}

// text joins the blocks, which must be text.
func (c messagesContent) text(where string) (string, error) {
	var b strings.Builder
	for i, p := range c {
		if p.Type != "text" {
			return "", openai.Invalid(where, "invalid_value", "%s: blocks of type %q are not supported; send text", where, p.Type)
		}
		if i > 0 && where == "system" {
			b.WriteString("\n\n")
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

// openAI is the request as one of OpenAI's chat API.
func (q *messagesRequest) openAI() (*openai.ChatRequest, error) {
	if q.MaxTokens == nil {
		return nil, openai.Invalid("max_tokens", "missing_required_parameter", "max_tokens: field required")
	}
	out := &openai.ChatRequest{Model: q.Model, MaxTokens: q.MaxTokens, Stop: q.StopSequences, Stream: q.Stream, Temperature: q.Temperature, TopP: q.TopP}
	out.TopK = q.TopK
	system, err := q.System.text("system")
	if err != nil {
		return nil, err
	}
	if system != "" {
		out.Messages = append(out.Messages, openai.Message{Role: "system", Content: openai.Content(system)})
	}
	for i, m := range q.Messages {
		if m.Role != "user" && m.Role != "assistant" {
			return nil, openai.Invalid("messages", "invalid_value", "messages.%d.role: %q is not one of user, assistant", i, m.Role)
		}
		if err := turn(out, i, &m); err != nil {
			return nil, err
		}
	}
	for _, t := range q.Tools {
		if t.Type != "" && t.Type != "custom" {
			return nil, openai.Invalid("tools", "invalid_value", "tools of type %q are not here; describe one with input_schema", t.Type)
		}
		out.Tools = append(out.Tools, openai.Tool{Type: "function", Function: openai.Function{Name: t.Name, Description: t.Description, Parameters: t.InputSchema}})
	}
	if c := q.ToolChoice; c != nil {
		mode, ok := map[string]string{"auto": "auto", "any": "required", "tool": "function", "none": "none"}[c.Type]
		if !ok {
			return nil, openai.Invalid("tool_choice", "invalid_value", "tool_choice.type: %q is not one of auto, any, tool, none", c.Type)
		}
		out.ToolChoice = &openai.ToolChoice{Mode: mode, Function: c.Name}
	}
	return out, nil
}

// turn adds a message: the results of tools in it are messages of their own, before what the user says.
func turn(out *openai.ChatRequest, i int, m *messagesTurn) error {
	to := openai.Message{Role: m.Role}
	var text strings.Builder
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			text.WriteString(b.Text)
		case "thinking", "redacted_thinking": // of an earlier turn; the models here were not told it either
		case "tool_use":
			to.ToolCalls = append(to.ToolCalls, openai.ToolCall{ID: b.ID, Type: "function", Function: openai.FunctionCall{Name: b.Name, Arguments: string(objectOf(string(b.Input)))}})
		case "tool_result":
			result, err := b.Content.text(fmt.Sprintf("messages.%d.content", i))
			if err != nil {
				return err
			}
			out.Messages = append(out.Messages, openai.Message{Role: "tool", ToolCallID: b.ToolUseID, Content: openai.Content(result)})
		default:
			return openai.Invalid("messages", "invalid_value", "messages.%d.content: blocks of type %q are not supported; send text", i, b.Type)
		}
	}
	to.Content = openai.Content(text.String())
	if to.Content != "" || len(to.ToolCalls) > 0 || len(m.Content) == 0 {
		out.Messages = append(out.Messages, to)
	}
	return nil
}

// messages answers POST /v1/messages.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	var q messagesRequest
	_, err := s.body(w, r, &q)
	id := s.begin(w, r, q.Model)
	w.Header().Set("Request-Id", id)
	var req *openai.ChatRequest
	if err == nil {
		req, err = q.openAI()
	}
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "chat", err))
		return
	}
	a := &messagesAnswer{id: "msg_" + strings.TrimPrefix(id, "req_"), model: q.Model}
	s.passOn(req)
	s.converse(w, req.Stream, a, func(emit func(pipeline.Event) error) error {
		return s.Runtime.Chat(r.Context(), id, s.identity(r), req, emit)
	})
}

// countTokens answers POST /v1/messages/count_tokens: how many tokens the prompt of a request would have.
func (s *Server) countTokens(w http.ResponseWriter, r *http.Request) {
	var q messagesRequest
	_, err := s.body(w, r, &q)
	w.Header().Set("Request-Id", s.begin(w, r, q.Model))
	var req *openai.ChatRequest
	if err == nil {
		one := 1
		q.MaxTokens = &one // which such a request does not have
		req, err = q.openAI()
	}
	n := 0
	if err == nil {
		n, err = s.Runtime.CountPrompt(r.Context(), s.identity(r), req)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"input_tokens": n})
}

// messagesAnswer is an answer of the Messages API.
type messagesAnswer struct {
	id, model string
	text      strings.Builder
	calls     []openai.ToolCall
	finish    string
	usage     openai.Usage

	begun bool // message_start was sent
	open  bool // a block of text is open
	index int  // of the block
}

type messagesUsage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

// message is the answer as a whole.
type message struct {
	ID           string           `json:"id"`
	Type         string           `json:"type"` // message
	Role         string           `json:"role"` // assistant
	Model        string           `json:"model"`
	Content      []map[string]any `json:"content"`
	StopReason   *string          `json:"stop_reason"`
	StopSequence *string          `json:"stop_sequence"`
	Usage        messagesUsage    `json:"usage"`
}

// messagesEvent is an event of a stream. What belongs to its type is set.
type messagesEvent struct {
	Type         string         `json:"type"`
	Message      *message       `json:"message,omitempty"`
	Index        *int           `json:"index,omitempty"`
	ContentBlock map[string]any `json:"content_block,omitempty"`
	Delta        map[string]any `json:"delta,omitempty"`
	Usage        *messagesUsage `json:"usage,omitempty"`
}

func (a *messagesAnswer) note(e *pipeline.Event) {
	switch {
	case e.Start != nil:
		a.model = e.Start.Model
	case e.Usage != nil:
		a.usage = *e.Usage
	case e.Finish != "":
		a.finish = e.Finish
	}
}

func (a *messagesAnswer) collect(e *pipeline.Event) {
	a.note(e)
	a.text.WriteString(e.Text)
	a.calls = append(a.calls, e.ToolCalls...)
}

func (a *messagesAnswer) stopReason() *string {
	reason := map[string]string{"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}[a.finish]
	if reason == "" {
		reason = "end_turn"
	}
	return &reason
}

func (a *messagesAnswer) message() *message {
	return &message{ID: a.id, Type: "message", Role: "assistant", Model: a.model, Content: []map[string]any{},
		Usage: messagesUsage{a.usage.PromptTokens, a.usage.CompletionTokens}}
}

func toolUse(c *openai.ToolCall, input any) map[string]any {
	return map[string]any{"type": "tool_use", "id": c.ID, "name": c.Function.Name, "input": input}
}

func (a *messagesAnswer) whole() any {
	m := a.message()
	m.StopReason = a.stopReason()
	if text := a.text.String(); text != "" {
		m.Content = append(m.Content, map[string]any{"type": "text", "text": text})
	}
	for i := range a.calls {
		m.Content = append(m.Content, toolUse(&a.calls[i], objectOf(a.calls[i].Function.Arguments)))
	}
	return m
}

func (a *messagesAnswer) pieces(e *pipeline.Event, send func(any) error) error {
	a.note(e)
	var events []*messagesEvent
	event := func(v messagesEvent) { events = append(events, &v) }
	index := func() *int { i := a.index; return &i }
	shut := func() {
		if a.open {
			event(messagesEvent{Type: "content_block_stop", Index: index()})
			a.open = false
			a.index++
		}
	}
	if !a.begun && e.Start == nil {
		a.begun = true
		event(messagesEvent{Type: "message_start", Message: a.message()})
	}
	if e.Text != "" {
		if !a.open {
			a.open = true
			event(messagesEvent{Type: "content_block_start", Index: index(), ContentBlock: map[string]any{"type": "text", "text": ""}})
		}
		event(messagesEvent{Type: "content_block_delta", Index: index(), Delta: map[string]any{"type": "text_delta", "text": e.Text}})
	}
	for i := range e.ToolCalls {
		shut()
		c := &e.ToolCalls[i]
		event(messagesEvent{Type: "content_block_start", Index: index(), ContentBlock: toolUse(c, struct{}{})})
		event(messagesEvent{Type: "content_block_delta", Index: index(), Delta: map[string]any{"type": "input_json_delta",
			"partial_json": string(bytes.TrimSpace(objectOf(c.Function.Arguments)))}})
		a.open = true
		shut()
	}
	if e.Usage != nil { // the last event
		shut()
		event(messagesEvent{Type: "message_delta", Delta: map[string]any{"stop_reason": a.stopReason(), "stop_sequence": nil},
			Usage: &messagesUsage{a.usage.PromptTokens, a.usage.CompletionTokens}})
		event(messagesEvent{Type: "message_stop"})
	}
	for _, v := range events {
		if err := send(v); err != nil {
			return err
		}
	}
	return nil
}
