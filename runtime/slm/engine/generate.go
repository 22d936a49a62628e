package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// Request is one prompt and how to answer it.
type Request struct {
	Prompt      []int32
	MaxTokens   int // 0: until the context is full
	Sampling    sample.Params
	Stop        []string // the answer ends before the first of these
	Logprobs    bool
	TopLogprobs int // alternatives a token
	// Reproducible makes the answer one of the seed alone: the same whatever other tokens are proposed, and when. A draft
	// model's proposals are then right less often at temperatures above 0.
	Reproducible bool
	// Constraint restricts the answer to a form; nil: anything goes. The answer ends when the form is complete.
	Constraint sample.Constraint

	Tenant   string // whose it is: requests of a tenant share prefixes and a fair part of the work
	Adapter  string // a loaded adapter's name; empty: the model as it is
	Priority int    // higher ones go first while requests wait; 0 is normal
	// ContextShift lets an answer go on when the context is full: the first Keep tokens stay, and half of those behind
	// them are forgotten. Without it the answer ends there, with the reason length.
	ContextShift bool
	Keep         int  // 0: the first token
	NoCache      bool // leave nothing in the prefix cache, and take nothing from it
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
	ReusedTokens     int // of the prompt, found in the prefix cache
	CompletionTokens int // the token that ends an answer is not counted
	Proposed         int // tokens of speculation
	Accepted         int
	Shifts           int // times that the context was shortened
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
	if e.Encoder() {
		return res, ErrEncoder
	}
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
	if err := e.checkTokens(r.Prompt); err != nil {
		return res, err
	}
	if r.MaxTokens <= 0 && !r.ContextShift || r.MaxTokens > room && !r.ContextShift {
		r.MaxTokens = room
	}
	t, release, err := e.begin(ctx, &r)
	if err != nil {
		return res, err
	}
	defer func() {
		e.sched.count(&res)
		release(err)
	}()
	res.ReusedTokens = t.reused
	a := answer{proposer: &gauge{speed: &e.speed}, e: e, r: &r, t: t, res: &res, sampler: sampler, text: slices.Clone(r.Prompt), decoder: e.tok.NewDecoder(),
		stops: stopper{stops: r.Stop}, form: newGuide(r.Constraint, e.tok.Size()), emit: emit}
	defer a.form.stop()
	for _, id := range r.Prompt {
		sampler.Accept(id)
	}
	if e.propose {
		a.guess = newLookup(&e.speed)
		a.second = e.newDrafter(&r)
		defer a.second.close()
	}
	return res, a.run(ctx)
}

// begin has a request admitted; the function returned ends it.
func (e *Engine) begin(ctx context.Context, r *Request) (*task, func(error), error) {
	adapter, done, err := e.adapter(r.Adapter)
	if err != nil {
		return nil, nil, err
	}
	t := &task{tenant: r.Tenant, space: space(r.Tenant, adapter), adapter: adapter, priority: r.Priority, tokens: slices.Clone(r.Prompt),
		firm: len(r.Prompt), rows: 1, capacity: e.context, spare: r.ContextShift}
	if !r.ContextShift {
		t.capacity = len(r.Prompt) + r.MaxTokens
	}
	if r.NoCache {
		t.space = uniqueSpace()
	}
	t.deadline, _ = ctx.Deadline()
	if err := e.sched.enter(ctx, t); err != nil {
		done()
		return nil, nil, err
	}
	return t, func(err error) {
		e.sched.leave(t, !r.NoCache && (err == nil || ctx.Err() != nil))
		done()
	}, nil
}

// tenantSpace begins the names of spaces that last.
const tenantSpace = "tenant "

// space names what may share pages: a tenant's requests with the same adapter. The model is the engine's only one.
func space(tenant string, a *Adapter) string {
	if a == nil {
		return tenantSpace + tenant + "\x00"
	}
	return tenantSpace + tenant + "\x00" + a.digest
}

// answer is a request in work.
type answer struct {
	e        *Engine
	r        *Request
	t        *task
	res      *Result
	sampler  *sample.Sampler
	text     []int32 // prompt and answer, as far as the context goes
	draft    []int32 // proposed after the text
	decoder  *tokenizer.Decoder
	stops    stopper
	form     *guide
	guess    *lookup       // nil: propose nothing
	second   *drafter      // proposes where guess has no idea; nil: there is no draft model
	drawn    []sample.Draw // what the tokens of the draft were drawn from; none: the draft is only compared
	proposer *gauge        // of whoever proposed the draft
	emit     func(Token) error
}

func (a *answer) run(ctx context.Context) error {
	begin := time.Now()
	a.form.prepare()
	if err := a.e.sched.pass(ctx, a.t); err != nil {
		return err
	}
	a.res.Prefill = time.Since(begin)
	begin = time.Now()
	defer func() { a.res.Decode = time.Since(begin) }()
	for {
		base := len(a.text)
		done, err := a.choose()
		if done || err != nil {
			return err
		}
		// Of what was passed, that stays which was chosen: all proposals that were right.
		right := len(a.text) - base - 1
		a.t.seq.Truncate(base + right)
		if a.guess != nil {
			a.proposer.result(len(a.draft), right)
			a.res.Proposed, a.res.Accepted = a.res.Proposed+len(a.draft), a.res.Accepted+right
		}
		if len(a.text) >= a.e.context {
			if !a.r.ContextShift {
				return a.e.finish(&a.stops, a.decoder.Flush(), a.emit)
			}
			a.shift()
		}
		a.proposeNext(ctx)
		a.t.tokens = append(append(a.t.tokens[:0], a.text...), a.draft...)
		a.t.firm, a.t.rows = len(a.text), 1+len(a.draft)
		a.form.prepare()
		if err := a.e.sched.pass(ctx, a.t); err != nil {
			return err
		}
	}
}

// proposeNext sets the draft.
func (a *answer) proposeNext(ctx context.Context) {
	a.draft, a.drawn = nil, nil
	if a.guess == nil || a.e.sched.crowded() {
		return
	}
	limit := a.e.context - len(a.text) - 1
	if a.r.MaxTokens > 0 {
		limit = min(limit, a.r.MaxTokens-a.res.CompletionTokens-1)
	}
	limit = min(limit, maxDraft)
	a.proposer = &a.guess.gauge
	if a.draft = a.guess.propose(a.text, limit); a.draft == nil && a.second != nil {
		a.proposer = &a.second.gauge
		a.draft, a.drawn = a.second.propose(ctx, a.text, limit, a.sampler)
	}
}

// choose samples from each row of logits, the one after the text first, as long as what it chooses is what was proposed.
// A token is chosen in the same way whether it was proposed or not, so that the answer is the same, token by token, at
// any temperature: a proposal is accepted with its own probability, which is what rejection sampling does with a
// proposer that is certain. A draft model's token that was drawn is verified against what it was drawn from: the
// answer's distribution is the same, and more is accepted.
func (a *answer) choose() (done bool, err error) {
	vocab := a.e.model.Vocab
	for row := 0; ; row++ {
		if row > 0 {
			a.form.prepare()
		}
		logits := a.t.logits[row*vocab : (row+1)*vocab]
		var id int32
		var err error
		right := false
		if row < len(a.drawn) {
			id, right, err = a.form.verify(a.sampler, logits, a.draft[row], &a.drawn[row])
		} else if id, err = a.form.sample(a.sampler, logits); row < len(a.draft) {
			right = a.draft[row] == id
		}
		if err != nil {
			return true, err
		}
		if id < 0 {
			return true, errNoChoice
		}
		if done, err := a.take(id, logits); done || err != nil {
			return true, err
		}
		if !right {
			return false, nil
		}
	}
}

// take adds a chosen token to the answer and says whether it was the last.
func (a *answer) take(id int32, logits []float32) (done bool, err error) {
	if a.e.tok.IsEOG(id) {
		a.res.FinishReason = FinishStop
		return true, a.e.finish(&a.stops, a.decoder.Flush(), a.emit)
	}
	a.sampler.Accept(id)
	if err := a.form.accept(id); err != nil {
		return true, err
	}
	a.text = append(a.text, id)
	a.res.CompletionTokens++
	t := Token{ID: id, Bytes: a.e.tok.TokenBytes(id)}
	if a.r.Logprobs {
		t.Logprob, t.Top = a.e.logprobs(logits, id, a.r.TopLogprobs)
	}
	var stopped bool
	t.Text, stopped = a.stops.push(a.decoder.Push(id))
	if err := a.emit(t); err != nil {
		return true, err
	}
	if stopped {
		a.res.FinishReason = FinishStop
		return true, nil
	}
	if a.form.complete() {
		a.res.FinishReason = FinishStop
		return true, a.e.finish(&a.stops, a.decoder.Flush(), a.emit)
	}
	if a.r.MaxTokens > 0 && a.res.CompletionTokens >= a.r.MaxTokens {
		return true, a.e.finish(&a.stops, a.decoder.Flush(), a.emit)
	}
	return false, nil
}

// shift forgets half of the text behind what is to be kept. The rest is passed anew at its new positions, so that the
// answer goes on as if the forgotten part had never been there.
func (a *answer) shift() {
	keep := min(max(a.r.Keep, 1), len(a.text)/2)
	drop := (len(a.text) - keep) / 2
	a.text = slices.Delete(a.text, keep, keep+drop)
	a.t.seq.Truncate(keep)
	a.t.node = nil // what the cache knows is another text
	a.res.Shifts++
	if a.guess != nil {
		a.guess = newLookup(&a.e.speed)
	}
	a.second.forget(keep)
}

var errNoChoice = errors.New("the model gives no token to choose: its logits are not numbers, or a bias forbids all")

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
