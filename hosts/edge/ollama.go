package edge

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// Ollama's own API, as far as its clients need it to chat: /api/chat, /api/generate, /api/tags, /api/version, /api/show.
// Routes and models go by the names that /v1/models lists. Source: Ollama's docs/api.md.

// ollamaVersion is what clients are told that ask which Ollama this is: the one whose API this follows.
const ollamaVersion = "0.12.0"

type ollamaMessage struct {
	Role      string       `json:"role"`
	Content   string       `json:"content"`
	ToolName  string       `json:"tool_name,omitempty"`
	Images    []string     `json:"images,omitempty"`
	ToolCalls []ollamaCall `json:"tool_calls,omitempty"`
}

type ollamaCall struct {
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"` // an object, not a string as OpenAI has it
	} `json:"function"`
}

// ollamaRequest is the body of /api/chat and /api/generate.
type ollamaRequest struct {
	Model    string          `json:"model"`
	Messages []ollamaMessage `json:"messages"`
	Prompt   string          `json:"prompt"`
	System   string          `json:"system"`
	Images   []string        `json:"images"`
	Tools    []openai.Tool   `json:"tools"`
	Format   json.RawMessage `json:"format"` // "json", or a schema
	Stream   *bool           `json:"stream"` // absent: true
	Options  struct {
		NumPredict       *int              `json:"num_predict"`
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
	} `json:"options"`
}

// chat brings the request into OpenAI's form.
func (q *ollamaRequest) chat() (*openai.ChatRequest, error) {
	o := &q.Options
	out := &openai.ChatRequest{Model: q.Model, Tools: q.Tools, Temperature: o.Temperature, TopP: o.TopP, Seed: o.Seed, Stop: o.Stop,
		PresencePenalty: o.PresencePenalty, FrequencyPenalty: o.FrequencyPenalty, Stream: q.Stream == nil || *q.Stream}
	out.LocalSampling = openai.LocalSampling{TopK: o.TopK, MinP: o.MinP, TypicalP: o.TypicalP, RepetitionPenalty: o.RepeatPenalty}
	if o.NumPredict != nil && *o.NumPredict > 0 { // -1 and -2 ask for as much as there is room for
		out.MaxTokens = o.NumPredict
	}
	switch {
	case len(q.Format) == 0 || string(q.Format) == "null" || string(q.Format) == `""`:
	case string(q.Format) == `"json"`:
		out.ResponseFormat = &openai.ResponseFormat{Type: "json_object"}
	case q.Format[0] == '{':
		schema, err := json.Marshal(map[string]any{"name": "format", "schema": q.Format})
		if err != nil {
			return nil, err
		}
		out.ResponseFormat = &openai.ResponseFormat{Type: "json_schema", JSONSchema: schema}
	default:
		return nil, openai.Invalid("format", "invalid_value", `format must be "json" or a JSON schema`)
	}
	if out.ResponseFormat != nil { // a remote model gets it as it stands
		doc, err := json.Marshal(out.ResponseFormat)
		if err != nil {
			return nil, err
		}
		out.Raw = map[string]json.RawMessage{"response_format": doc}
	}
	calls := 0
	for _, m := range q.Messages {
		if len(m.Images) > 0 {
			return nil, openai.Invalid("images", "invalid_value", "images are not supported; send text")
		}
		to := openai.Message{Role: m.Role, Content: openai.Content(m.Content)}
		if m.Role == "tool" { // results have no ids here; they belong to the calls in their order
			to.Name, to.ToolCallID = m.ToolName, callID(calls)
			calls++
		} else {
			calls = 0
		}
		for i, c := range m.ToolCalls {
			to.ToolCalls = append(to.ToolCalls, openai.ToolCall{ID: callID(i), Type: "function",
				Function: openai.FunctionCall{Name: c.Function.Name, Arguments: string(c.Function.Arguments)}})
		}
		out.Messages = append(out.Messages, to)
	}
	return out, nil
}

func callID(i int) string { return "call_" + string(rune('0'+i%10)) }

func (s *Server) ollamaChat(w http.ResponseWriter, r *http.Request) { s.ollama(w, r, false) }

func (s *Server) ollamaGenerate(w http.ResponseWriter, r *http.Request) { s.ollama(w, r, true) }

// ollama answers /api/chat, or /api/generate, which is a chat of one message whose answer stands in another field.
func (s *Server) ollama(w http.ResponseWriter, r *http.Request, generate bool) {
	began := time.Now()
	var q ollamaRequest
	_, err := s.body(w, r, &q)
	id := s.begin(w, q.Model)
	if err != nil {
		ollamaError(w, s.Runtime.Malformed(id, s.identity(r), "ollama", err))
		return
	}
	if generate {
		q.Messages = nil
		if q.System != "" {
			q.Messages = append(q.Messages, ollamaMessage{Role: "system", Content: q.System})
		}
		q.Messages = append(q.Messages, ollamaMessage{Role: "user", Content: q.Prompt, Images: q.Images})
	}
	req, err := q.chat()
	if err != nil {
		ollamaError(w, s.Runtime.Malformed(id, s.identity(r), "ollama", err))
		return
	}
	out := &ollamaAnswer{model: q.Model, generate: generate, began: began, lines: newLines(w)}
	err = s.Runtime.Chat(r.Context(), id, s.identity(r), req, func(e pipeline.Event) error {
		if e.Start != nil {
			start(w, e.Start)
		}
		return out.event(&e, req.Stream)
	})
	switch {
	case err == nil && req.Stream:
		_ = out.lines.send(out.end(nil)) // a client that left needs no end
	case err == nil:
		writeJSON(w, http.StatusOK, out.end(&out.gathered))
	case out.lines.started:
		_ = out.lines.send(map[string]string{"error": clientError(err).Message})
	default:
		ollamaError(w, err)
	}
}

// ollamaError answers with an error in Ollama's form.
func ollamaError(w http.ResponseWriter, err error) {
	e := clientError(err)
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	writeJSON(w, e.Status, map[string]string{"error": e.Message, "code": e.Code})
}

// ollamaAnswer makes Ollama's answer of events.
type ollamaAnswer struct {
	model           string
	generate        bool
	began, first    time.Time
	finish, degrade string
	usage           openai.Usage
	gathered        ollamaMessage
	lines           *lines
}

func (a *ollamaAnswer) event(e *pipeline.Event, stream bool) error {
	switch {
	case e.Start != nil:
		a.degrade = e.Start.Degraded
		return nil
	case e.Usage != nil:
		a.usage = *e.Usage
		return nil
	}
	if e.Finish != "" {
		a.finish = e.Finish
	}
	m := ollamaMessage{Role: "assistant", Content: e.Text}
	for _, c := range e.ToolCalls {
		var call ollamaCall
		call.Function.Name, call.Function.Arguments = c.Function.Name, json.RawMessage(c.Function.Arguments)
		if !json.Valid(call.Function.Arguments) {
			call.Function.Arguments = json.RawMessage("{}")
		}
		m.ToolCalls = append(m.ToolCalls, call)
	}
	if m.Content == "" && len(m.ToolCalls) == 0 {
		return nil
	}
	if a.first.IsZero() {
		a.first = time.Now()
	}
	if !stream {
		a.gathered.Content += m.Content
		a.gathered.ToolCalls = append(a.gathered.ToolCalls, m.ToolCalls...)
		return nil
	}
	return a.lines.send(a.part(&m, false))
}

func (a *ollamaAnswer) part(m *ollamaMessage, done bool) map[string]any {
	out := map[string]any{"model": a.model, "created_at": time.Now().UTC().Format(time.RFC3339Nano), "done": done}
	if a.generate {
		out["response"] = m.Content
	} else {
		m.Role = "assistant"
		out["message"] = m
	}
	if a.degrade != "" {
		out["degraded"] = a.degrade
	}
	return out
}

// end is the last part, with the whole answer where it was not streamed.
func (a *ollamaAnswer) end(whole *ollamaMessage) map[string]any {
	if whole == nil {
		whole = &ollamaMessage{}
	}
	out := a.part(whole, true)
	now := time.Now()
	if a.first.IsZero() {
		a.first = now
	}
	reason := a.finish
	if reason != "length" {
		reason = "stop"
	}
	out["done_reason"], out["total_duration"], out["load_duration"] = reason, now.Sub(a.began).Nanoseconds(), 0
	out["prompt_eval_count"], out["prompt_eval_duration"] = a.usage.PromptTokens, a.first.Sub(a.began).Nanoseconds()
	out["eval_count"], out["eval_duration"] = a.usage.CompletionTokens, now.Sub(a.first).Nanoseconds()
	return out
}

// lines writes JSON documents, one a line.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool
}

func newLines(w http.ResponseWriter) *lines {
	return &lines{w: w, control: http.NewResponseController(w)}
}

func (l *lines) send(v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !l.started {
		l.started = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.WriteHeader(http.StatusOK)
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has deadlines
	if _, err := l.w.Write(append(doc, '\n')); err != nil {
		return err
	}
	return l.control.Flush()
}

// ollamaTags lists what may be named as a model.
func (s *Server) ollamaTags(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for _, m := range s.Runtime.Models(s.identity(r)) {
		list = append(list, map[string]any{"name": m.ID, "model": m.ID, "modified_at": time.Unix(m.Created, 0).UTC().Format(time.RFC3339),
			"size": 0, "digest": "", "details": map[string]any{"format": "gguf", "family": m.OwnedBy, "families": []string{m.OwnedBy}, "parameter_size": "", "quantization_level": ""}})
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": list})
}

func (s *Server) ollamaVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"version": ollamaVersion})
}

// ollamaShow says what is known of a model; clients ask before they use one.
func (s *Server) ollamaShow(w http.ResponseWriter, r *http.Request) {
	var q struct{ Model, Name string }
	if _, err := s.body(w, r, &q); err != nil {
		ollamaError(w, err)
		return
	}
	if q.Model == "" {
		q.Model = q.Name
	}
	for _, m := range s.Runtime.Models(s.identity(r)) {
		if m.ID == q.Model {
			writeJSON(w, http.StatusOK, map[string]any{"details": map[string]any{"format": "gguf", "family": m.OwnedBy}, "model_info": map[string]any{},
				"capabilities": []string{"completion", "tools"}, "modified_at": time.Unix(m.Created, 0).UTC().Format(time.RFC3339)})
			return
		}
	}
	ollamaError(w, &openai.Error{Status: http.StatusNotFound, Code: "model_not_found", Message: "model '" + q.Model + "' not found"})
}
