package edge

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// newRequestID returns the id under which a request's decision trace is kept.
func newRequestID() string {
	var b [12]byte
	rand.Read(b[:])
	return "req_" + hex.EncodeToString(b[:])
}

// begin sets the headers that every answer carries; start refines them when the route has decided.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, model string) (id string) {
	id = newRequestID()
	h := w.Header()
	h.Set("X-Ledge-Request-Id", id)
	route := "none"
	if who := s.identity(r); who.MayName(model) { // else it is not told from one that does not exist
		route = s.Runtime.RouteName(model)
	}
	h.Set("X-Ledge-Route", route)
	h.Set("X-Ledge-Model", "none")
	h.Set("X-Ledge-Cache", "bypass")
	return id
}

func start(w http.ResponseWriter, e *pipeline.Start) {
	h := w.Header()
	h.Set("X-Ledge-Route", e.Route)
	h.Set("X-Ledge-Model", e.Model)
	h.Set("X-Ledge-Cache", e.Cache)
	if e.Degraded != "" {
		h.Set("X-Ledge-Degraded", e.Degraded)
	}
	for name, value := range e.Headers {
		h.Set(name, value)
	}
}

// chat answers POST /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var req openai.ChatRequest
	body, err := s.body(w, r, &req)
	id := s.begin(w, r, req.Model)
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "chat", err))
		return
	}
	if s.Runtime.HasRemote() {
		req.Keep(body)
	} else {
		req.Raw = nil
	}
	a := &chatAnswer{id: "chatcmpl-" + strings.TrimPrefix(id, "req_"), created: time.Now().Unix(), model: req.Model, logprobs: req.Logprobs,
		tellUsage: req.StreamOptions != nil && req.StreamOptions.IncludeUsage}
	s.converse(w, req.Stream, a, func(emit func(pipeline.Event) error) error {
		return s.Runtime.Chat(r.Context(), id, s.identity(r), &req, emit)
	})
}

// chatAnswer gathers the events of one request.
type chatAnswer struct {
	id       string
	created  int64
	model    string
	usage    openai.Usage
	degraded string
	choices  []*gathered

	logprobs  bool // asked for
	tellUsage bool // at the end of a stream
}

// wentOn marks an answer that one model began and another went on with.
const wentOn = "went_on"

// gathered is one choice so far.
type gathered struct {
	text     strings.Builder
	logprobs []openai.TokenLogprob
	calls    []openai.ToolCall
	finish   string
	begun    bool
	ground   *pipeline.Grounding
}

// choice returns the state of a choice, making room for it.
func (a *chatAnswer) choice(i int) *gathered {
	for len(a.choices) <= i {
		a.choices = append(a.choices, &gathered{})
	}
	return a.choices[i]
}

func (a *chatAnswer) collect(e *pipeline.Event) {
	switch {
	case e.Start != nil:
		a.model, a.degraded = e.Start.Model, e.Start.Degraded
	case e.Notice != "":
		a.model, a.degraded = e.Notice, wentOn
	case e.Usage != nil:
		a.usage = *e.Usage
	default:
		c := a.choice(e.Choice)
		c.text.WriteString(e.Text)
		c.logprobs = append(c.logprobs, e.Logprobs...)
		c.calls = append(c.calls, e.ToolCalls...)
		if e.Finish != "" {
			c.finish, c.ground = e.Finish, e.Grounding
		}
	}
}

func (a *chatAnswer) whole() any {
	out := &openai.ChatResponse{ID: a.id, Object: "chat.completion", Created: a.created, Model: a.model, Usage: a.usage, Choices: []openai.Choice{}, Degraded: a.degraded}
	for i := range a.choices {
		c := a.choices[i]
		choice := openai.Choice{Index: i, FinishReason: c.finish, Message: openai.ResponseMessage{Role: "assistant", ToolCalls: c.calls}}
		if text := c.text.String(); text != "" || len(c.calls) == 0 {
			choice.Message.Content = &text
		}
		if c.ground != nil {
			choice.Message.Annotations = annotations(c.ground)
			if i == 0 {
				out.Ledge = c.ground
			}
		}
		if a.logprobs {
			choice.Logprobs = &openai.Logprobs{Content: emptyNotNull(c.logprobs)}
		}
		out.Choices = append(out.Choices, choice)
	}
	return out
}

// pieces sends an event as the chunks that clients expect: the role first, then text, then the reason of the end.
func (a *chatAnswer) pieces(e *pipeline.Event, send func(any) error) error {
	chunk := func(choices []openai.ChunkChoice, usage *openai.Usage) error {
		return send(&openai.ChatChunk{ID: a.id, Object: "chat.completion.chunk", Created: a.created, Model: a.model, Choices: choices, Usage: usage, Degraded: a.degraded})
	}
	switch {
	case e.Start != nil:
		a.model, a.degraded = e.Start.Model, e.Start.Degraded
		return nil
	case e.Notice != "":
		a.model, a.degraded = e.Notice, wentOn
		return chunk([]openai.ChunkChoice{}, nil) // it names the model that goes on
	case e.Usage != nil:
		if !a.tellUsage {
			return nil
		}
		return chunk([]openai.ChunkChoice{}, e.Usage)
	}
	if c := a.choice(e.Choice); !c.begun {
		c.begun = true
		empty := ""
		if err := chunk([]openai.ChunkChoice{{Index: e.Choice, Delta: openai.Delta{Role: "assistant", Content: &empty}}}, nil); err != nil {
			return err
		}
	}
	if e.Text != "" || len(e.Logprobs) > 0 {
		piece := openai.ChunkChoice{Index: e.Choice, Delta: openai.Delta{Content: &e.Text}}
		if len(e.Logprobs) > 0 {
			piece.Logprobs = &openai.Logprobs{Content: e.Logprobs}
		}
		if err := chunk([]openai.ChunkChoice{piece}, nil); err != nil {
			return err
		}
	}
	if len(e.ToolCalls) > 0 {
		calls := make([]openai.ToolCall, len(e.ToolCalls))
		for i, c := range e.ToolCalls {
			c.Index = &i
			calls[i] = c
		}
		if err := chunk([]openai.ChunkChoice{{Index: e.Choice, Delta: openai.Delta{ToolCalls: calls}}}, nil); err != nil {
			return err
		}
	}
	if e.Finish == "" {
		return nil
	}
	if e.Grounding == nil {
		return chunk([]openai.ChunkChoice{{Index: e.Choice, FinishReason: &e.Finish}}, nil)
	}
	return send(&openai.ChatChunk{ID: a.id, Object: "chat.completion.chunk", Created: a.created, Model: a.model, Ledge: e.Grounding,
		Choices: []openai.ChunkChoice{{Index: e.Choice, FinishReason: &e.Finish, Delta: openai.Delta{Annotations: annotations(e.Grounding)}}}})
}

// annotations are an answer's citations in OpenAI's form.
func annotations(g *pipeline.Grounding) []openai.Annotation {
	out := make([]openai.Annotation, len(g.Citations))
	for i, c := range g.Citations {
		title := strings.Join(append([]string{c.Document}, c.Heading...), " > ")
		out[i] = openai.Annotation{Type: "url_citation", URLCitation: openai.URLCitation{StartIndex: c.From, EndIndex: c.To, Title: title,
			URL: fmt.Sprintf("ledge:%s?version=%s&start=%d&end=%d", c.ID, c.Version, c.Start, c.End)}}
	}
	return out
}

func emptyNotNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
