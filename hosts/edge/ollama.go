package edge

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// The part of Ollama's API that clients use: https://github.com/ollama/ollama/blob/main/docs/api.md. Models are installed
// by the operator of this appliance, so what pulls, makes and deletes them is not here.

// ollamaVersion is the version of Ollama whose API this is; clients look for a least one.
const ollamaVersion = "0.12.0"

var ollamaAPI = &dialect{contentType: "application/x-ndjson", prefix: "/api/",
	event: func(v any) ([]byte, error) {
		doc, err := json.Marshal(v)
		return append(doc, '\n'), err
	},
	refusal: func(e *openai.Error) any { return map[string]string{"error": e.Message} }}

func (s *Server) ollamaRoutes(mux *http.ServeMux) {
	route(mux, "POST", "/api/chat", s.needs(identity.RoleChat, s.once(s.ollamaChat)))
	route(mux, "POST", "/api/generate", s.needs(identity.RoleChat, s.once(s.ollamaGenerate)))
	route(mux, "POST", "/api/embed", s.needs(identity.RoleEmbed, s.ollamaEmbed))
	route(mux, "POST", "/api/embeddings", s.needs(identity.RoleEmbed, s.ollamaEmbed))
	route(mux, "GET", "/api/tags", s.ollamaTags)
	route(mux, "GET", "/api/ps", s.ollamaLoaded)
	route(mux, "POST", "/api/show", s.ollamaShow)
	route(mux, "GET", "/api/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": ollamaVersion})
	})
	route(mux, "GET", "/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("Ledge is running\n"))
	})
}

// ollamaOptions are sampling parameters. Those that choose how a model is loaded are the operator's and without effect.
type ollamaOptions struct {
	NumPredict       *int              `json:"num_predict"` // -1 and -2: as much as there is room for
	Temperature      *float64          `json:"temperature"`
	TopP             *float64          `json:"top_p"`
	TopK             *int              `json:"top_k"`
	MinP             *float64          `json:"min_p"`
	TypicalP         *float64          `json:"typical_p"`
	RepeatPenalty    *float64          `json:"repeat_penalty"`
	PresencePenalty  *float64          `json:"presence_penalty"`
	FrequencyPenalty *float64          `json:"frequency_penalty"`
	Seed             *int64            `json:"seed"`
	Stop             openai.StringList `json:"stop"`
}

// ollamaRequest is the body of /api/chat and /api/generate: one of Messages and Prompt is given.
type ollamaRequest struct {
	Model    string          `json:"model"`
	Messages []ollamaMessage `json:"messages"`
	Prompt   string          `json:"prompt"`
	Suffix   string          `json:"suffix"`
	System   string          `json:"system"`
	Template string          `json:"template"`
	Raw      bool            `json:"raw"` // the prompt goes to the model as it is
	Images   []string        `json:"images"`
	Tools    []openai.Tool   `json:"tools"`
	Format   json.RawMessage `json:"format"` // "json" or a JSON Schema
	Stream   *bool           `json:"stream"` // absent: true
	Options  ollamaOptions   `json:"options"`
}

type ollamaMessage struct {
	Role       string           `json:"role"`
	Content    string           `json:"content"`
	Images     []string         `json:"images,omitempty"`
	ToolCalls  []ollamaToolCall `json:"tool_calls,omitempty"`
	ToolName   string           `json:"tool_name,omitempty"`
	ToolCallID string           `json:"tool_call_id,omitempty"`
}

type ollamaToolCall struct {
	ID       string `json:"id,omitempty"`
	Function struct {
		Index     int             `json:"index"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // an object
	} `json:"function"`
}

// openAI is the request as one of OpenAI's chat API.
func (q *ollamaRequest) openAI() (*openai.ChatRequest, error) {
	o := &q.Options
	out := &openai.ChatRequest{Model: q.Model, Stream: q.Stream == nil || *q.Stream, Temperature: o.Temperature, TopP: o.TopP,
		Seed: o.Seed, Stop: o.Stop, PresencePenalty: o.PresencePenalty, FrequencyPenalty: o.FrequencyPenalty, Tools: q.Tools}
	out.LocalSampling = openai.LocalSampling{TopK: o.TopK, MinP: o.MinP, TypicalP: o.TypicalP, RepetitionPenalty: o.RepeatPenalty}
	if o.NumPredict != nil && *o.NumPredict > 0 {
		out.MaxTokens = o.NumPredict
	} else if q.Raw {
		most := math.MaxInt32 // the appliance's own limit holds; completions end after 16 without one
		out.MaxTokens = &most
	}
	switch format := strings.TrimSpace(string(q.Format)); {
	case format == "" || format == "null" || format == `""`:
	case format == `"json"`:
		out.ResponseFormat = &openai.ResponseFormat{Type: "json_object"}
	case format[0] == '{':
		schema, err := json.Marshal(map[string]any{"name": "format", "strict": true, "schema": q.Format})
		if err != nil {
			return nil, err
		}
		out.ResponseFormat = &openai.ResponseFormat{Type: "json_schema", JSONSchema: schema}
	default:
		return nil, openai.Invalid("format", "invalid_value", `format must be "json" or a JSON Schema`)
	}
	if q.Messages == nil {
		q.Messages = []ollamaMessage{{Role: "user", Content: q.Prompt, Images: q.Images}}
		if q.System != "" {
			q.Messages = append([]ollamaMessage{{Role: "system", Content: q.System}}, q.Messages...)
		}
	}
	for _, m := range q.Messages {
		if len(m.Images) > 0 {
			return nil, openai.Invalid("images", "invalid_value", "images are not supported; send text")
		}
		to := openai.Message{Role: m.Role, Content: openai.Content(m.Content), Name: m.ToolName, ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			to.ToolCalls = append(to.ToolCalls, openai.ToolCall{ID: c.ID, Type: "function",
				Function: openai.FunctionCall{Name: c.Function.Name, Arguments: string(c.Function.Arguments)}})
		}
		out.Messages = append(out.Messages, to)
	}
	return out, nil
}

// ollamaChat answers POST /api/chat.
func (s *Server) ollamaChat(w http.ResponseWriter, r *http.Request) { s.ollama(w, r, true) }

// ollamaGenerate answers POST /api/generate.
func (s *Server) ollamaGenerate(w http.ResponseWriter, r *http.Request) { s.ollama(w, r, false) }

func (s *Server) ollama(w http.ResponseWriter, r *http.Request, chat bool) {
	var q ollamaRequest
	_, err := s.body(w, r, &q)
	q.Model = s.ollamaName(r, q.Model)
	id := s.begin(w, r, q.Model)
	a := &ollamaAnswer{chat: chat, model: q.Model, begun: time.Now()}
	var req *openai.ChatRequest
	switch {
	case err != nil:
	case chat && len(q.Messages) == 0 || !chat && q.Prompt == "": // what clients send to have a model loaded
		a.finish = "load"
		writeJSON(w, http.StatusOK, a.whole())
		return
	case q.Suffix != "" || q.Template != "" || q.Raw && len(q.Format) > 0:
		err = openai.Invalid("", "unsupported_parameter", "suffix, template, and format with raw are not supported")
	default:
		req, err = q.openAI()
	}
	endpoint := "chat"
	if q.Raw {
		endpoint = "completion"
	}
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), endpoint, err))
		return
	}
	s.passOn(req)
	s.converse(w, req.Stream, a, func(emit func(pipeline.Event) error) error {
		if !q.Raw {
			return s.Runtime.Chat(r.Context(), id, s.identity(r), req, emit)
		}
		return s.Runtime.Complete(r.Context(), id, s.identity(r), &openai.CompletionRequest{Model: req.Model, Prompt: openai.Prompt{{Text: q.Prompt}},
			Stream: req.Stream, MaxTokens: req.MaxTokens, Temperature: req.Temperature, TopP: req.TopP, Seed: req.Seed, Stop: req.Stop,
			PresencePenalty: req.PresencePenalty, FrequencyPenalty: req.FrequencyPenalty, LocalSampling: req.LocalSampling}, emit)
	})
}

// ollamaAnswer is an answer of /api/chat or /api/generate.
type ollamaAnswer struct {
	chat   bool
	model  string
	begun  time.Time
	first  time.Time // when the first text came
	text   strings.Builder
	calls  []ollamaToolCall
	finish string
	usage  openai.Usage
}

// ollamaLine is an answer, or a piece of it. Durations are in nanoseconds.
type ollamaLine struct {
	Model              string         `json:"model"`
	CreatedAt          time.Time      `json:"created_at"`
	Message            *ollamaMessage `json:"message,omitempty"`
	Response           *string        `json:"response,omitempty"`
	Done               bool           `json:"done"`
	DoneReason         string         `json:"done_reason,omitempty"`
	TotalDuration      int64          `json:"total_duration,omitempty"`
	LoadDuration       int64          `json:"load_duration,omitempty"`
	PromptEvalCount    int            `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration int64          `json:"prompt_eval_duration,omitempty"`
	EvalCount          int            `json:"eval_count,omitempty"`
	EvalDuration       int64          `json:"eval_duration,omitempty"`
}

func (a *ollamaAnswer) line(text string, calls []ollamaToolCall) *ollamaLine {
	l := &ollamaLine{Model: a.model, CreatedAt: time.Now().UTC()}
	if a.chat {
		l.Message = &ollamaMessage{Role: "assistant", Content: text, ToolCalls: calls}
	} else {
		l.Response = &text
	}
	return l
}

// last is a line with the figures of the end.
func (a *ollamaAnswer) last(text string, calls []ollamaToolCall) *ollamaLine {
	l := a.line(text, calls)
	l.Done, l.DoneReason = true, a.finish
	if l.DoneReason == "tool_calls" || l.DoneReason == "" || l.DoneReason == "content_filter" {
		l.DoneReason = "stop"
	}
	now := time.Now()
	if a.first.IsZero() {
		a.first = now
	}
	l.TotalDuration = now.Sub(a.begun).Nanoseconds()
	l.PromptEvalCount, l.EvalCount = a.usage.PromptTokens, a.usage.CompletionTokens
	l.PromptEvalDuration, l.EvalDuration = a.first.Sub(a.begun).Nanoseconds(), now.Sub(a.first).Nanoseconds()
	return l
}

// note keeps what an event says beside its text, and returns its tool calls.
func (a *ollamaAnswer) note(e *pipeline.Event) (calls []ollamaToolCall) {
	if e.Usage != nil {
		a.usage = *e.Usage
	}
	if e.Finish != "" {
		a.finish = e.Finish
	}
	if e.Text != "" && a.first.IsZero() {
		a.first = time.Now()
	}
	for i, c := range e.ToolCalls {
		call := ollamaToolCall{ID: c.ID}
		call.Function.Index, call.Function.Name, call.Function.Arguments = i, c.Function.Name, objectOf(c.Function.Arguments)
		calls = append(calls, call)
	}
	return calls
}

// objectOf is a JSON object: the document, if it is one.
func objectOf(doc string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(doc), &object) != nil || object == nil {
		return json.RawMessage("{}")
	}
	return json.RawMessage(doc)
}

func (a *ollamaAnswer) collect(e *pipeline.Event) {
	a.calls = append(a.calls, a.note(e)...)
	a.text.WriteString(e.Text)
}

func (a *ollamaAnswer) whole() any { return a.last(a.text.String(), a.calls) }

func (a *ollamaAnswer) pieces(e *pipeline.Event, send func(any) error) error {
	calls := a.note(e)
	if e.Usage != nil { // the last event
		return send(a.last("", nil))
	}
	if e.Text == "" && calls == nil {
		return nil
	}
	return send(a.line(e.Text, calls))
}
