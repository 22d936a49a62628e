package edge

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// complete answers POST /v1/completions.
func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	var req openai.CompletionRequest
	_, err := s.body(w, r, &req)
	id := s.begin(w, r, req.Model)
	if err == nil && req.Echo && req.Logprobs != nil {
		err = openai.Invalid("echo", "unsupported_parameter", "echo together with logprobs is not supported")
	}
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "completion", err))
		return
	}
	a := &completionAnswer{id: "cmpl-" + strings.TrimPrefix(id, "req_"), created: time.Now().Unix(), model: req.Model, req: &req}
	s.converse(w, req.Stream, a, func(emit func(pipeline.Event) error) error {
		return s.Runtime.Complete(r.Context(), id, s.identity(r), &req, emit)
	})
}

// completionAnswer gathers the events of one request.
type completionAnswer struct {
	id      string
	created int64
	model   string
	req     *openai.CompletionRequest
	usage   openai.Usage
	choices []*completionChoice
}

type completionChoice struct {
	text     strings.Builder
	logprobs *openai.CompletionLogprobs
	offset   int // code points of text so far
	finish   string
}

func (a *completionAnswer) choice(i int) *completionChoice {
	for len(a.choices) <= i {
		c := &completionChoice{}
		if prompt := a.echo(len(a.choices)); prompt != "" {
			c.text.WriteString(prompt)
			c.offset = utf8.RuneCountInString(prompt)
		}
		a.choices = append(a.choices, c)
	}
	return a.choices[i]
}

// echo is the prompt of a choice, as the guards left it, where the client wants it back.
func (a *completionAnswer) echo(choice int) string {
	if !a.req.Echo {
		return ""
	}
	n := 1
	if a.req.N != nil {
		n = *a.req.N
	}
	return a.req.Prompt[choice/n].Text
}

func (a *completionAnswer) collect(e *pipeline.Event) {
	switch {
	case e.Start != nil:
		a.model = e.Start.Model
	case e.Notice != "":
		a.model = e.Notice
	case e.Usage != nil:
		a.usage = *e.Usage
	default:
		c := a.choice(e.Choice)
		c.text.WriteString(e.Text)
		if a.req.Logprobs != nil {
			if c.logprobs == nil {
				c.logprobs = newCompletionLogprobs()
			}
			c.addLogprobs(c.logprobs, e.Logprobs)
		}
		if e.Finish != "" {
			c.finish = e.Finish
		}
	}
}

func newCompletionLogprobs() *openai.CompletionLogprobs {
	return &openai.CompletionLogprobs{Tokens: []string{}, TokenLogprobs: []float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
}

// addLogprobs turns tokens into the column-wise form.
func (c *completionChoice) addLogprobs(to *openai.CompletionLogprobs, tokens []openai.TokenLogprob) {
	for _, t := range tokens {
		top := make(map[string]float64, len(t.TopLogprobs))
		for _, alt := range t.TopLogprobs {
			top[alt.Token] = alt.Logprob
		}
		to.Tokens = append(to.Tokens, t.Token)
		to.TokenLogprobs = append(to.TokenLogprobs, t.Logprob)
		to.TopLogprobs = append(to.TopLogprobs, top)
		to.TextOffset = append(to.TextOffset, c.offset)
		c.offset += utf8.RuneCountInString(t.Token)
	}
}

func (a *completionAnswer) whole() any {
	out := &openai.CompletionResponse{ID: a.id, Object: "text_completion", Created: a.created, Model: a.model, Usage: &a.usage, Choices: []openai.CompletionChoice{}}
	for i := range a.choices {
		c := a.choices[i]
		out.Choices = append(out.Choices, openai.CompletionChoice{Index: i, Text: c.text.String(), Logprobs: c.logprobs, FinishReason: &c.finish})
	}
	return out
}

// pieces sends an event as clients expect it: text, then the reason of the end.
func (a *completionAnswer) pieces(e *pipeline.Event, send func(any) error) error {
	chunk := func(choices []openai.CompletionChoice, usage *openai.Usage) error {
		return send(&openai.CompletionResponse{ID: a.id, Object: "text_completion", Created: a.created, Model: a.model, Choices: choices, Usage: usage})
	}
	switch {
	case e.Start != nil:
		a.model = e.Start.Model
		return nil
	case e.Notice != "":
		a.model = e.Notice
		return nil
	case e.Usage != nil:
		if a.req.StreamOptions == nil || !a.req.StreamOptions.IncludeUsage {
			return nil
		}
		return chunk([]openai.CompletionChoice{}, e.Usage)
	}
	fresh := len(a.choices) <= e.Choice
	c := a.choice(e.Choice)
	if text := c.text.String(); fresh && text != "" {
		if err := chunk([]openai.CompletionChoice{{Index: e.Choice, Text: text}}, nil); err != nil {
			return err
		}
	}
	piece := openai.CompletionChoice{Index: e.Choice, Text: e.Text}
	if len(e.Logprobs) > 0 {
		piece.Logprobs = newCompletionLogprobs()
		c.addLogprobs(piece.Logprobs, e.Logprobs)
	}
	if e.Finish != "" {
		piece.FinishReason = &e.Finish
	}
	return chunk([]openai.CompletionChoice{piece}, nil)
}
