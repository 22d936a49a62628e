package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// Reasons an answer ends, as OpenAI names them.
const (
	finishStop   = "stop"
	finishTools  = "tool_calls"
	finishFilter = "content_filter"
)

// errFiltered ends a generation whose answer an output guard stopped.
var errFiltered = errors.New("an output guard stopped the answer")

// choice generates one answer: rounds of the model and its tools, through the output guards, to the client.
func (x *exchange) choice(index int, prompt *Prompt, countPrompt bool) (cachedChoice, error) {
	host := x.hostTools()
	prompt.Tools = x.offered(host)
	if calls := x.suggested(host); len(calls) > 0 && prompt.Messages != nil {
		said, err := x.runTools(calls, host)
		if err != nil {
			return cachedChoice{}, err
		}
		prompt.Messages = append(prompt.Messages[:len(prompt.Messages):len(prompt.Messages)], said...)
	}
	out := &output{x: x, choice: index, open: -1}
	for round := 0; ; round++ {
		if round == x.Limits.ToolRounds {
			prompt.Tools, host = nil, nil // enough: the next answer is the last
		}
		outcome, err := x.generate(prompt, out, countPrompt && round == 0)
		if err != nil && !errors.Is(err, errFiltered) {
			return cachedChoice{}, err
		}
		if x.injected {
			outcome.ToolCalls = nil // what data asked for is not done, here or by the client
		}
		if err == nil && runnable(outcome.ToolCalls, host) {
			said, err := x.runTools(outcome.ToolCalls, host)
			if err != nil {
				return cachedChoice{}, err
			}
			prompt.Messages = append(prompt.Messages[:len(prompt.Messages):len(prompt.Messages)], said...)
			if x.injected {
				prompt.Tools, host = nil, nil
			}
			prompt.ToolChoice = nil // a forced call was made; forcing it again would never end
			continue
		}
		if err == nil {
			err = out.flush()
		}
		if errors.Is(err, errFiltered) {
			outcome = Outcome{FinishReason: finishFilter}
		} else if err != nil {
			return cachedChoice{}, err
		}
		if len(outcome.ToolCalls) > 0 {
			outcome.FinishReason = finishTools
		} else if outcome.FinishReason == "" {
			outcome.FinishReason = finishStop
		}
		return out.finish(outcome)
	}
}

// askModel runs the model once. Where its answer is held back, how likely its tokens were to it is noted.
func (x *exchange) askModel(prompt *Prompt, out *output, countPrompt bool) (Outcome, error) {
	push := out.push
	if x.holds && !x.model.Info().Remote { // not all remote ones tell, and some refuse to
		asked, own := prompt.Logprobs, *prompt
		own.Logprobs, prompt = true, &own
		push = func(d Delta) error {
			x.sure.note(d.Tokens)
			if !asked {
				d.Tokens = nil
			}
			return out.push(d)
		}
	}
	spent := out.spent
	entry, outcome, err := x.ask(prompt, push, countPrompt)
	entry.duration -= out.spent - spent
	return outcome, err
}

// Spend is what one model of a request used.
type Spend struct {
	Model            string `json:"model"`
	Tier             string `json:"tier"`
	PromptTokens     int    `json:"prompt_tokens"`
	CompletionTokens int    `json:"completion_tokens"`
}

// count adds what a call of the model used to the request's usage.
func (x *exchange) count(model string, prompt, answer int) {
	x.usage.PromptTokens += prompt
	x.usage.CompletionTokens += answer
	x.usage.TotalTokens = x.usage.PromptTokens + x.usage.CompletionTokens
	for i := range x.spent {
		if x.spent[i].Model == model {
			x.spent[i].PromptTokens += prompt
			x.spent[i].CompletionTokens += answer
			return
		}
	}
	x.spent = append(x.spent, Spend{model, x.model.Info().Tier, prompt, answer})
}

// ask runs the model once and enters it in the trace.
func (x *exchange) ask(prompt *Prompt, push func(Delta) error, countPrompt bool) (*Entry, Outcome, error) {
	entry := x.trace.add(Entry{Stage: "model", Plugin: x.model.Info().ID, Digest: x.model.Digest(), Verdict: "ok"})
	start := x.Now()
	outcome, err := x.model.Generate(entry.below(x.ctx), prompt, push)
	entry.took(x.Now().Sub(start), 0)
	read := 0
	if countPrompt {
		read = outcome.Usage.PromptTokens
	}
	id := x.model.Info().ID
	if outcome.Model != "" {
		id = outcome.Model
	}
	x.count(id, read, outcome.Usage.CompletionTokens)
	entry.Reason, entry.Constraint = outcome.FinishReason, clip(outcome.Constraint, maxReason)
	if outcome.Note != "" {
		entry.Reason = clip(strings.TrimSpace(entry.Reason+" "+outcome.Note), maxReason)
	}
	if outcome.Model != "" {
		x.trace.Model = outcome.Model
	}
	if err != nil {
		entry.Verdict = "error"
		switch {
		case errors.Is(err, errFiltered):
			entry.Verdict, entry.Reason = "stopped", finishFilter
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			entry.Verdict = "canceled"
		default:
			entry.Error = pluginError(err)
			var shown *openai.Error
			if errors.As(err, &shown) {
				entry.Error.Code = shown.Code
			}
		}
	}
	return entry, outcome, err
}

// contextBytes is how much released text a guard sees before the window.
const contextBytes = 256

// maxOpen is how much of a long redaction is shown again to its guard.
const maxOpen = 32 << 10

// output passes the text of one choice through the output guards. Bytes are released once no guard says that a match
// could still grow across them, or once the route's window is full.
type output struct {
	x      *exchange
	choice int

	window   []byte // released context, then pending text
	start    int    // where pending text begins in window
	tokens   []pendingToken
	written  int // bytes of the answer that entered the window
	released int // bytes of the answer that left it

	open       int    // offset in the answer of a redaction that reaches the end of what was released; -1: there is none
	openEntity string // and what it is of
	tail       string // of what was released, while it may still become a token

	whole       []byte // the answer, where guards judge it before anything leaves
	wholeTokens []openai.TokenLogprob

	entries []*Entry // one a guard, for all its calls
	leaked  *Entry   // nil: nothing has
	kept    cachedChoice
	answer  strings.Builder
	spent   time.Duration // in guards, not in the model
}

// pendingToken is a token whose text has not left yet; end is its last byte's offset in the answer, exclusive.
type pendingToken struct {
	token openai.TokenLogprob
	end   int
}

// push takes a piece of the answer from the model.
func (o *output) push(d Delta) error {
	if d.Notice != "" {
		return o.x.emit(Event{Choice: o.choice, Notice: d.Notice})
	}
	if len(o.x.route.Answer) > 0 {
		o.whole = append(o.whole, d.Text...)
		o.wholeTokens = append(o.wholeTokens, d.Tokens...)
		return nil
	}
	return o.pass(d)
}

// pass takes what may leave as far as the guards of the stream let it.
func (o *output) pass(d Delta) error {
	if len(o.x.route.Output) == 0 && o.x.route.Leak == nil {
		return o.send(d.Text, d.Tokens)
	}
	o.window = append(o.window, d.Text...)
	o.written += len(d.Text)
	for _, t := range d.Tokens {
		o.tokens = append(o.tokens, pendingToken{t, o.written})
	}
	if len(o.window) == o.start {
		return nil
	}
	return o.release(false)
}

// flush releases what is left.
func (o *output) flush() error {
	if len(o.x.route.Answer) > 0 {
		if err := o.judgeAnswer(); err != nil {
			return err
		}
	}
	if len(o.x.route.Output) == 0 && o.x.route.Leak == nil || len(o.window) == o.start && len(o.tokens) == 0 {
		return nil
	}
	return o.release(true)
}

// release asks the guards about the window and lets go of what they clear.
func (o *output) release(final bool) error {
	begin := o.x.Now()
	text := string(o.window)
	spans, hold, err := o.judge(text, final)
	o.spent += o.x.Now().Sub(begin)
	if err != nil {
		return err
	}
	cut := len(text)
	if !final {
		cut = max(len(text)-min(hold, o.x.route.Window), o.start)
		for moved := true; moved; { // no span is cut in two, nor a character
			moved = false
			for _, s := range spans {
				if s.Start < cut && s.End > cut {
					cut, moved = s.Start, true
				}
			}
		}
		for cut > o.start && cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut--
		}
		cut = max(cut, o.start)
	}
	var inside []hook.Span
	for _, s := range spans {
		if s.End <= cut && s.End > o.start {
			s.Start, s.End = max(s.Start, o.start)-o.start, s.End-o.start
			inside = append(inside, s)
		}
	}
	clear := text[o.start:cut]
	shown := o.redact(clear, inside)
	tokens := o.takeTokens(o.released+len(clear), inside)
	o.released += len(clear)
	o.keepContext(text, cut)
	if shown == "" && len(tokens) == 0 {
		return nil
	}
	return o.send(shown, tokens)
}

// redact replaces the spans of a piece. A redaction that goes on from the piece before is not shown twice, and the place
// where the last one began is kept while it reaches the end: its guard is shown all of it again.
func (o *output) redact(clear string, inside []hook.Span) string {
	if clear == "" {
		return ""
	}
	skip, rest := 0, inside[:0:0]
	open, entity := -1, ""
	for _, s := range inside {
		begin := o.released + s.Start
		if o.open >= 0 && s.Start <= skip && s.Entity == o.openEntity {
			skip, begin = max(skip, s.End), o.open
		} else {
			rest = append(rest, s)
		}
		if s.End == len(clear) && (open < 0 || begin < open) {
			open, entity = begin, s.Entity
		}
	}
	o.open, o.openEntity = open, entity
	for i := range rest {
		rest[i].Start, rest[i].End = max(rest[i].Start-skip, 0), rest[i].End-skip
	}
	return hook.ApplyRedactions(clear[skip:], rest)
}

// takeTokens returns the tokens whose text has left, without those that a redaction touched: they spell what it hides.
func (o *output) takeTokens(upTo int, redacted []hook.Span) []openai.TokenLogprob {
	var out []openai.TokenLogprob
	n := 0
	for _, t := range o.tokens {
		if t.end > upTo {
			break
		}
		n++
		end, hidden := t.end-o.released, false
		start := end - len(t.token.Token)
		for _, s := range redacted {
			hidden = hidden || start < s.End && end > s.Start
		}
		if !hidden {
			out = append(out, t.token)
		}
	}
	o.tokens = o.tokens[n:]
	return out
}

// keepContext drops what is no longer needed from the front of the window.
func (o *output) keepContext(text string, cut int) {
	from := max(cut-contextBytes, 0)
	if o.open >= 0 {
		from = max(min(from, cut-(o.released-o.open)), cut-maxOpen, 0)
	}
	for from < cut && !utf8.RuneStart(text[from]) {
		from++
	}
	o.window = append(o.window[:0], text[from:]...)
	o.start = cut - from
}

// judge calls every output guard on the window: the union of their redactions, the longest hold, or the end.
func (o *output) judge(text string, final bool) (spans []hook.Span, hold int, err error) {
	x := o.x
	for len(o.entries) < len(x.route.Output) {
		s := &x.route.Output[len(o.entries)]
		o.entries = append(o.entries, x.trace.add(Entry{Stage: "guard.output", Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: hook.Allow, Shadow: s.Shadow}))
	}
	if x.route.Leak != nil {
		if spans, hold, err = o.leak(text, final); err != nil {
			return nil, 0, err
		}
	}
	for i := range x.route.Output {
		s, entry := &x.route.Output[i], o.entries[i]
		if entry.Error != nil {
			continue // open, and failed before: its time limit is paid once
		}
		v, err := x.judge(entry, s, &hook.GuardRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name,
			Stage: hook.StageOutput, Role: "assistant", Text: text, Start: o.start, Final: final})
		if err != nil {
			if x.ctx.Err() != nil {
				return nil, 0, x.ctx.Err()
			}
			if s.Open || s.Shadow {
				continue
			}
			return nil, 0, failedClosed("output", s.Plugin.Name(), err)
		}
		if s.Shadow {
			o.enter(entry, v.Spans)
			continue
		}
		switch v.Verdict {
		case hook.Block, hook.Review:
			x.hold(s.Plugin.Name(), s.Plugin.Digest(), hook.StageOutput, text, v)
			o.enter(entry, v.Spans)
			return nil, 0, errFiltered
		case hook.Redact:
			o.enter(entry, v.Spans)
			spans = append(spans, v.Spans...)
		}
		hold = max(hold, v.Hold)
	}
	return spans, hold, nil
}

// leak looks for the system prompt in the window.
func (o *output) leak(text string, final bool) ([]hook.Span, int, error) {
	l := o.x.route.Leak
	v := l.judge(text, o.start, final)
	if v.Verdict == hook.Allow {
		return nil, v.Hold, nil
	}
	if o.leaked == nil {
		o.leaked = o.x.trace.add(Entry{Stage: "guard.output", Plugin: leakName, Verdict: v.Verdict, Reason: v.Reason, Shadow: l.Shadow})
	}
	o.leaked.Calls++
	o.enter(o.leaked, v.Spans)
	switch {
	case l.Shadow:
		return nil, 0, nil
	case l.Block:
		o.x.hold(leakName, "", hook.StageOutput, text, &v)
		return nil, 0, errFiltered
	}
	return v.Spans, v.Hold, nil
}

// enter records spans by their place in the answer. A span that is still held back comes again with the next window; it
// is entered once.
func (o *output) enter(entry *Entry, spans []hook.Span) {
	for _, s := range spans {
		if s.End <= o.start {
			continue
		}
		at := s
		at.Start, at.End = o.released+s.Start-o.start, o.released+s.End-o.start
		if n := len(entry.Spans); n > 0 && entry.Spans[n-1].Start == at.Start {
			entry.Spans[n-1].End = at.End
			continue
		}
		entry.evidence(o.choice, []hook.Span{at})
	}
}

// send gives a released piece to the client.
func (o *output) send(text string, tokens []openai.TokenLogprob) error {
	if text == "" && len(tokens) == 0 {
		return nil
	}
	if o.x.trace.FirstTextUS == 0 {
		o.x.trace.FirstTextUS = o.x.Now().Sub(o.x.trace.started).Microseconds()
	}
	if x := o.x; x.route.Refill && len(x.vault) > 0 {
		text = o.refill(text, false)
	}
	o.answer.WriteString(text)
	o.kept.Logprobs = append(o.kept.Logprobs, tokens...)
	return o.x.emit(Event{Choice: o.choice, Text: text, Logprobs: tokens})
}

// refill puts back what tokens stand for. What may still become a token stays, at most a token's length.
func (o *output) refill(text string, final bool) string {
	text = o.tail + text
	o.tail = ""
	if k := strings.LastIndexByte(text, '<'); !final && k >= 0 && len(text)-k < 48 && strings.IndexByte(text[k:], '>') < 0 {
		text, o.tail = text[:k], text[k:]
	}
	for token, value := range o.x.vault {
		text = strings.ReplaceAll(text, token, value)
	}
	return text
}

// finish ends the choice.
func (o *output) finish(outcome Outcome) (cachedChoice, error) {
	if rest := o.tail; rest != "" {
		o.tail = ""
		o.answer.WriteString(rest)
		if err := o.x.emit(Event{Choice: o.choice, Text: rest}); err != nil {
			return cachedChoice{}, err
		}
	}
	o.kept.Text, o.kept.Finish, o.kept.ToolCalls = o.answer.String(), outcome.FinishReason, outcome.ToolCalls
	o.x.trace.Finish = append(o.x.trace.Finish, outcome.FinishReason)
	if o.x.trace.Text != nil {
		o.x.trace.Text.Answers = append(o.x.trace.Text.Answers, o.kept.Text)
	}
	o.kept.Grounding = o.x.ground(o.kept.Text)
	return o.kept, o.x.emit(Event{Choice: o.choice, ToolCalls: outcome.ToolCalls, Finish: outcome.FinishReason, Grounding: o.kept.Grounding})
}
