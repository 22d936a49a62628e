package engine

import (
	"context"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/sample"
)

// Request is one prompt and how to answer it.
type Request struct {
	Prompt      []int32
	MaxTokens   int // 0: until the context is full
	Sampling    sample.Params
	Stop        []string // the answer ends before the first of these
	Logprobs    bool
	TopLogprobs int // alternatives a token
	// Constraint restricts the answer to a form; nil: anything goes. The answer ends when the form is complete.
	Constraint sample.Constraint
}

// Token is one chosen token, or the rest of the text at the end (ID -1). Text is what may be shown now: whole characters,
// nothing that may be part of a stop string; it can lag behind the tokens.
type Token struct {
	ID      int32
	Text    string
	Bytes   []byte // the token's own bytes
	Logprob float64
	Top     []TokenLogprob
}

// TokenLogprob is one alternative.
type TokenLogprob struct {
	ID      int32
	Bytes   []byte
	Logprob float64
}

// Result tells how an answer ended.
type Result struct {
	FinishReason     string // stop, length
	PromptTokens     int
	CompletionTokens int // the token that ends an answer is not counted
	Prefill, Decode  time.Duration
}

// Reasons of an end.
const (
	FinishStop   = "stop"
	FinishLength = "length"
)

// Generate answers a request. It calls emit for each token from the calling goroutine; when emit fails or ctx ends it
// returns that error within one token.
func (e *Engine) Generate(ctx context.Context, r Request, emit func(Token) error) (res Result, err error) {
	res = Result{PromptTokens: len(r.Prompt), FinishReason: FinishLength}
	leave, err := e.enter()
	if err != nil {
		return res, err
	}
	defer leave()
	sampler, err := sample.New(r.Sampling)
	if err != nil {
		return res, err
	}
	if len(r.Prompt) == 0 {
		if bos, ok := e.tok.BOS(); ok {
			r.Prompt = []int32{bos}
		}
	}
	room := e.context - len(r.Prompt)
	if len(r.Prompt) == 0 || room < 1 {
		return res, &ContextError{len(r.Prompt), e.context}
	}
	if r.MaxTokens <= 0 || r.MaxTokens > room {
		r.MaxTokens = room
	}
	s, release, err := e.sequence(ctx, len(r.Prompt)+r.MaxTokens)
	if err != nil {
		return res, err
	}
	defer release()

	begin := time.Now()
	logits, err := e.prefill(ctx, s, r.Prompt)
	if err != nil {
		return res, err
	}
	for _, id := range r.Prompt {
		sampler.Accept(id)
	}
	res.Prefill = time.Since(begin)
	begin = time.Now()
	defer func() { res.Decode = time.Since(begin) }()

	text := e.tok.NewDecoder()
	stops := stopper{stops: r.Stop}
	form := newGuide(r.Constraint, e.tok.Size())
	defer form.stop()
	form.prepare()
	for {
		id, err := form.sample(sampler, logits)
		if err != nil {
			return res, err
		}
		if e.tok.IsEOG(id) {
			res.FinishReason = FinishStop
			return res, e.finish(&stops, text.Flush(), emit)
		}
		sampler.Accept(id)
		if err := form.accept(id); err != nil {
			return res, err
		}
		res.CompletionTokens++
		t := Token{ID: id, Bytes: e.tok.TokenBytes(id)}
		if r.Logprobs {
			t.Logprob, t.Top = e.logprobs(logits, id, r.TopLogprobs)
		}
		var stopped bool
		t.Text, stopped = stops.push(text.Push(id))
		if err := emit(t); err != nil {
			return res, err
		}
		if stopped {
			res.FinishReason = FinishStop
			return res, nil
		}
		if form.complete() {
			res.FinishReason = FinishStop
			return res, e.finish(&stops, text.Flush(), emit)
		}
		if res.CompletionTokens == r.MaxTokens {
			return res, e.finish(&stops, text.Flush(), emit)
		}
		form.prepare()
		if logits, err = e.step(ctx, s, []int32{id}, logits); err != nil {
			return res, err
		}
	}
}

// finish emits what was held back.
func (e *Engine) finish(stops *stopper, rest string, emit func(Token) error) error {
	shown, stopped := stops.push(rest)
	if !stopped {
		shown += stops.held
	}
	if shown == "" {
		return nil
	}
	return emit(Token{ID: -1, Text: shown})
}

func (e *Engine) logprobs(logits []float32, id int32, top int) (float64, []TokenLogprob) {
	p, list := sample.LogProbs(logits, id, top)
	out := make([]TokenLogprob, len(list))
	for i, t := range list {
		out[i] = TokenLogprob{ID: t.ID, Bytes: e.tok.TokenBytes(t.ID), Logprob: t.Logprob}
	}
	return p, out
}

// stopper finds stop strings across the borders of tokens. What may be the beginning of one is held back.
type stopper struct {
	stops []string
	held  string
}

// push returns the text that may be shown, and whether a stop string was found behind it.
func (s *stopper) push(text string) (shown string, stopped bool) {
	if len(s.stops) == 0 {
		return text, false
	}
	s.held += text
	first := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		shown, s.held = s.held[:first], ""
		return shown, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
			}
		}
	}
	shown, s.held = s.held[:len(s.held)-keep], s.held[len(s.held)-keep:]
	return shown, false
}
