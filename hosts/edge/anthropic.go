package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// The Anthropic Messages API, for its clients: https://docs.anthropic.com/en/api/messages and .../messages-streaming.

// anthropicBlock is a part of a message.
type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      *string         `json:"text,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   anthropicBlocks `json:"content,omitempty"`
}

// anthropicBlocks are parts, or one text.
type anthropicBlocks []anthropicBlock

// UnmarshalJSON accepts both.
func (b *anthropicBlocks) UnmarshalJSON(doc []byte) error {
	if doc[0] == '"' {
		var text string
		if err := json.Unmarshal(doc, &text); err != nil {
			return err
		}
		*b = anthropicBlocks{{Type: "text", Text: &text}}
		return nil
	}
	return json.Unmarshal(doc, (*[]anthropicBlock)(b))
}

// text joins the texts of the parts; a part of another kind is an error.
func (b anthropicBlocks) text(where string) (string, error) {
	var out strings.Builder
	for _, p := range b {
		if p.Type != "text" || p.Text == nil {
			return "", openai.Invalid(where, "invalid_value", "%s: parts of type %.40q are not supported; send text", where, p.Type)
		}
		out.WriteString(*p.Text)
	}
	return out.String(), nil
}

type anthropicRequest struct {
	Model         string          `json:"model"`
	MaxTokens     *int            `json:"max_tokens"`
	System        anthropicBlocks `json:"system"`
	Messages      []anthropicTurn `json:"messages"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	TopK          *int            `json:"top_k"`
	StopSequences []string        `json:"stop_sequences"`
	Stream        bool            `json:"stream"`
	Tools         []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	ToolChoice *struct{ Type, Name string } `json:"tool_choice"`
}

type anthropicTurn struct {
	Role    string          `json:"role"`
	Content anthropicBlocks `json:"content"`
}

// chat brings the request into OpenAI's form.
func (q *anthropicRequest) chat() (*openai.ChatRequest, error) {
	if q.MaxTokens == nil {
		return nil, openai.Invalid("max_tokens", "missing_required_parameter", "max_tokens: field required")
	}
	out := &openai.ChatRequest{Model: q.Model, MaxTokens: q.MaxTokens, Temperature: q.Temperature, TopP: q.TopP, Stop: q.StopSequences, Stream: q.Stream}
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
			return nil, openai.Invalid("messages", "invalid_value", "messages.%d.role: %.40q is not user or assistant", i, m.Role)
		}
		to := openai.Message{Role: m.Role}
		var said anthropicBlocks
		for _, b := range m.Content {
			switch b.Type {
			case "tool_result":
				text, err := b.Content.text(fmt.Sprintf("messages.%d.content", i))
				if err != nil {
					return nil, err
				}
				out.Messages = append(out.Messages, openai.Message{Role: "tool", ToolCallID: b.ToolUseID, Content: openai.Content(text)})
			case "tool_use":
				to.ToolCalls = append(to.ToolCalls, openai.ToolCall{ID: b.ID, Type: "function", Function: openai.FunctionCall{Name: b.Name, Arguments: string(b.Input)}})
			default:
				said = append(said, b)
			}
		}
		text, err := said.text(fmt.Sprintf("messages.%d.content", i))
		if err != nil {
			return nil, err
		}
		to.Content = openai.Content(text)
		if text != "" || len(to.ToolCalls) > 0 || len(m.Content) == 0 {
			out.Messages = append(out.Messages, to)
		}
	}
	for _, t := range q.Tools {
		out.Tools = append(out.Tools, openai.Tool{Type: "function", Function: openai.Function{Name: t.Name, Description: t.Description, Parameters: t.InputSchema}})
	}
	if c := q.ToolChoice; c != nil {
		choice := &openai.ToolChoice{Mode: map[string]string{"auto": "auto", "any": "required", "none": "none", "tool": "function"}[c.Type], Function: c.Name}
		if choice.Mode == "" {
			return nil, openai.Invalid("tool_choice", "invalid_value", "tool_choice.type: %.40q is not one of auto, any, tool, none", c.Type)
		}
		out.ToolChoice = choice
	}
	return out, nil
}

// messages answers POST /v1/messages.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) {
	var q anthropicRequest
	_, err := s.body(w, r, &q)
	id := s.begin(w, q.Model)
	w.Header().Set("Request-Id", id)
	var req *openai.ChatRequest
	if err == nil {
		req, err = q.chat()
	}
	if err != nil {
		anthropicError(w, s.Runtime.Malformed(id, s.identity(r), "messages", err))
		return
	}
	a := &anthropicAnswer{id: "msg_" + strings.TrimPrefix(id, "req_"), model: q.Model, out: newNamedStream(w), block: -1}
	err = s.Runtime.Chat(r.Context(), id, s.identity(r), req, func(e pipeline.Event) error {
		if e.Start != nil {
			start(w, e.Start)
			return nil
		}
		if req.Stream {
			return a.stream(&e)
		}
		a.collect(&e)
		return nil
	})
	switch {
	case err == nil && req.Stream:
		_ = a.finish() // a client that left needs no end
	case err == nil:
		writeJSON(w, http.StatusOK, a.message())
	case a.out.started:
		_ = a.out.send("error", anthropicFault(err))
	default:
		anthropicError(w, err)
	}
}

func anthropicFault(err error) map[string]any {
	e := clientError(err)
	kind := map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error"}[e.Status]
	if kind == "" {
		kind = "api_error"
	}
	return map[string]any{"type": "error", "error": map[string]string{"type": kind, "message": e.Message, "code": e.Code}}
}

func anthropicError(w http.ResponseWriter, err error) {
	e := clientError(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(e.RetryAfter))
	}
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	writeJSON(w, e.Status, anthropicFault(err))
}

// anthropicAnswer makes a message of events.
type anthropicAnswer struct {
	id, model string
	out       *namedStream
	text      strings.Builder
	calls     []openai.ToolCall
	finished  string
	usage     openai.Usage
	block     int  // of the stream, open or last; -1: none yet
	open      bool // a text block is
}

// stopOf names the ends of an answer as Anthropic does.
var stopOf = map[string]string{"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

func (a *anthropicAnswer) collect(e *pipeline.Event) {
	a.text.WriteString(e.Text)
	a.calls = append(a.calls, e.ToolCalls...)
	if e.Finish != "" {
		a.finished = e.Finish
	}
	if e.Usage != nil {
		a.usage = *e.Usage
	}
}

func (a *anthropicAnswer) head(content []anthropicBlock, stop any) map[string]any {
	return map[string]any{"id": a.id, "type": "message", "role": "assistant", "model": a.model, "content": content, "stop_reason": stop, "stop_sequence": nil,
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens}}
}

func (a *anthropicAnswer) message() map[string]any {
	content := []anthropicBlock{}
	if text := a.text.String(); text != "" || len(a.calls) == 0 {
		content = append(content, anthropicBlock{Type: "text", Text: &text})
	}
	for _, c := range a.calls {
		content = append(content, anthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Function.Name, Input: inputOf(c)})
	}
	return a.head(content, stopOf[a.finished])
}

func inputOf(c openai.ToolCall) json.RawMessage {
	if input := json.RawMessage(c.Function.Arguments); json.Valid(input) {
		return input
	}
	return json.RawMessage("{}")
}

func (a *anthropicAnswer) begin() error {
	if a.out.started {
		return nil
	}
	return a.out.send("message_start", map[string]any{"type": "message_start", "message": a.head([]anthropicBlock{}, nil)})
}

func (a *anthropicAnswer) stream(e *pipeline.Event) error {
	a.collect(e)
	if err := a.begin(); err != nil {
		return err
	}
	if e.Text != "" {
		if !a.open {
			empty := ""
			a.block, a.open = a.block+1, true
			if err := a.out.send("content_block_start", map[string]any{"type": "content_block_start", "index": a.block,
				"content_block": anthropicBlock{Type: "text", Text: &empty}}); err != nil {
				return err
			}
		}
		if err := a.out.send("content_block_delta", map[string]any{"type": "content_block_delta", "index": a.block,
			"delta": map[string]string{"type": "text_delta", "text": e.Text}}); err != nil {
			return err
		}
	}
	for _, c := range e.ToolCalls {
		if err := a.closeBlock(); err != nil {
			return err
		}
		a.block++
		for _, part := range []struct {
			name string
			data map[string]any
		}{
			{"content_block_start", map[string]any{"content_block": anthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Function.Name, Input: json.RawMessage("{}")}}},
			{"content_block_delta", map[string]any{"delta": map[string]string{"type": "input_json_delta", "partial_json": string(inputOf(c))}}},
			{"content_block_stop", map[string]any{}},
		} {
			part.data["type"], part.data["index"] = part.name, a.block
			if err := a.out.send(part.name, part.data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *anthropicAnswer) closeBlock() error {
	if !a.open {
		return nil
	}
	a.open = false
	return a.out.send("content_block_stop", map[string]any{"type": "content_block_stop", "index": a.block})
}

func (a *anthropicAnswer) finish() error {
	if err := a.begin(); err != nil {
		return err
	}
	if err := a.closeBlock(); err != nil {
		return err
	}
	if err := a.out.send("message_delta", map[string]any{"type": "message_delta", "delta": map[string]any{"stop_reason": stopOf[a.finished], "stop_sequence": nil},
		"usage": map[string]int{"input_tokens": a.usage.PromptTokens, "output_tokens": a.usage.CompletionTokens}}); err != nil {
		return err
	}
	return a.out.send("message_stop", map[string]string{"type": "message_stop"})
}

// namedStream writes server-sent events that have a name.
type namedStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool
}

func newNamedStream(w http.ResponseWriter) *namedStream {
	return &namedStream{w: w, control: http.NewResponseController(w)}
}

func (s *namedStream) send(name string, v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !s.started {
		s.started = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has deadlines
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, doc); err != nil {
		return err
	}
	return s.control.Flush()
}
