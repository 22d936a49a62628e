package pipeline

import (
	"errors"
	"slices"

	"github.com/ledge-run/ledge/runtime/openai"
)

// What an answer's degraded field says.
const (
	degradedFallback = "fallback"    // a model further down the route's ladder answered
	degradedSafe     = "safe_answer" // the route's fixed sentence stands in
)

// generate runs the model. Where it fails before any of its text was taken, the models of the route's ladder are asked
// in turn, and at its foot the fixed sentence is said.
func (x *exchange) generate(prompt *Prompt, out *output, countPrompt bool) (Outcome, error) {
	whole, tokens := len(out.whole), len(out.wholeTokens)
	outcome, err := x.askModel(prompt, out, countPrompt)
	if x.holds {
		return outcome, err // the next tier is asked instead
	}
	for err != nil && out.untouched() && x.mayDescend(err) && x.descend() {
		out.whole, out.wholeTokens = out.whole[:whole], out.wholeTokens[:tokens] // nobody saw what the one that failed began
		if err = x.refit(prompt); err != nil {
			return outcome, err
		}
		outcome, err = x.askModel(prompt, out, countPrompt)
	}
	if err == nil || !out.untouched() || !x.mayDescend(err) || x.fallsBack || x.route.SafeAnswer == "" || x.req.Model != nil {
		return outcome, err
	}
	out.whole, out.wholeTokens = out.whole[:whole], out.wholeTokens[:tokens]
	x.trace.add(Entry{Stage: "fallback", Verdict: degradedSafe})
	if err := x.degrade(degradedSafe); err != nil {
		return Outcome{}, err
	}
	return Outcome{FinishReason: finishStop}, out.push(Delta{Text: x.route.SafeAnswer})
}

// untouched says that nothing of the answer has come yet.
func (o *output) untouched() bool { return o.written == 0 && o.answer.Len() == 0 && len(o.tokens) == 0 }

// mayDescend says whether another model may answer what this error left unanswered: a fault of the model, not of the
// request, and not what a guard decided.
func (x *exchange) mayDescend(err error) bool {
	var e *openai.Error
	if x.ctx.Err() != nil || !errors.As(err, &e) || e.Type == openai.TypePolicy || e.Code == "guard_failed" {
		return false
	}
	return e.Status >= 500 || e.Status == 429 && e.Code != "insufficient_quota" && e.Code != "rate_limit_exceeded" || e.Code == "insufficient_memory"
}

// descend goes one rung down, past models that the request may not use.
func (x *exchange) descend() bool {
	if x.req.Model != nil {
		return false // the client named the model it wants
	}
	for ; x.rung < len(x.route.Fallback); x.rung++ {
		next := x.route.Fallback[x.rung]
		if next.Info().ID == x.model.Info().ID || x.req.OnModel != nil && x.req.OnModel(next) != nil {
			continue
		}
		x.rung++
		x.model = next
		x.trace.Model, x.trace.ModelDigest = next.Info().ID, next.Digest()
		x.trace.add(Entry{Stage: "fallback", Verdict: degradedFallback, Reason: next.Info().ID})
		return x.degrade(degradedFallback) == nil
	}
	return false
}

// degrade marks the answer and tells the client's side who answers now.
func (x *exchange) degrade(how string) error {
	if !slices.Contains(x.trace.Degraded, how) {
		x.trace.Degraded = append(x.trace.Degraded, how)
	}
	begin := x.start()
	begin.Degraded = how
	return x.emit(Event{Start: begin})
}

// start tells who answers, and what the model does not see of what it was asked.
func (x *exchange) start() *Start {
	s := &Start{Route: x.route.Name, Model: x.model.Info().ID, Cache: x.trace.Cache}
	if x.contextCut != "" {
		s.header(HeaderContext, x.contextCut)
	}
	return s
}

// header adds one for the client.
func (s *Start) header(name, value string) {
	if s.Headers == nil {
		s.Headers = map[string]string{}
	}
	s.Headers[name] = value
}
