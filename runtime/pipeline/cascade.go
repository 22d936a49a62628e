package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// Cascade makes the models of a route tiers: the one that the router chose answers first, and where nothing says that its
// answer can be relied on, the next one does. An answer is held until it is accepted.
type Cascade struct {
	Accept   float64  // confidence from which an answer is accepted, from 0 to 1
	Samples  int      // further answers that the first is compared with; 0: none
	Refusals []string // lower-case beginnings of answers that are none, beside the built-in ones
	Judges   []Stage  // guards of the whole answer: what they do not allow is not accepted
	Human    bool     // who is the last tier
	Handover string   // said when the request went to a person
}

// Handover is a request that a person is to answer.
type Handover struct {
	ID       string           `json:"id"` // of the request
	Time     time.Time        `json:"time"`
	Tenant   string           `json:"tenant"`
	Subject  string           `json:"subject,omitempty"`
	Route    string           `json:"route"`
	Reason   string           `json:"reason"`   // why the last answer was not accepted
	Messages []openai.Message `json:"messages"` // as the models saw them
	Attempt  string           `json:"attempt,omitempty"`
}

// What an answer's degraded field says after a cascade.
const (
	degradedHandedOver = "handed_over"    // a person is to answer
	degradedUnsure     = "low_confidence" // no tier was left that could do better
)

// tierHuman is the tier, and the model, of a request that went to a person.
const tierHuman = "human"

// attempt is a tier's answer, as its client would get it.
type attempt struct {
	model  Model
	events []Event
	answer *cachedAnswer
	finish []string
	texts  []string // for the trace
	verdict
}

// verdict is what a tier's answer is worth.
type verdict struct {
	confidence float64
	reason     string
}

// Headers that tell of a cascade.
const (
	HeaderTier        = "X-Ledge-Tier"
	HeaderEscalations = "X-Ledge-Escalations"
	HeaderConfidence  = "X-Ledge-Confidence"
)

// cascades says whether the request goes through the tiers of the route. One that names its model does not.
func (x *exchange) cascades() bool { return x.route.Cascade != nil && x.req.Model == nil }

// cascade asks one tier after the other, from the chosen model on, until an answer is accepted, none is left, or a person
// takes over. Everything that the tiers used is counted.
func (x *exchange) cascade() (*cachedAnswer, error) {
	c := x.route.Cascade
	tiers := x.tiersFrom(x.model)
	var best *attempt
	escalations := 0
	for i, m := range tiers {
		if i > 0 {
			if !x.mayEscalate(m) {
				continue
			}
			escalations++
			x.turnTo(m)
		}
		last := i == len(tiers)-1 && !c.Human
		if last {
			return x.lastTier(best, escalations)
		}
		a, err := x.attempt()
		if err != nil {
			return nil, err
		}
		entry := x.trace.add(Entry{Stage: "cascade", Plugin: m.Info().ID, Verdict: "escalated", Reason: fmt.Sprintf("tier %s, confidence %.2f: %s", m.Info().Tier, a.confidence, a.reason)})
		if a.answer != nil && a.confidence >= c.Accept {
			entry.Verdict = "accepted"
			return x.deliver(a, escalations, "")
		}
		if a.answer != nil && (best == nil || a.confidence >= best.confidence) {
			best = a
		}
	}
	if c.Human {
		return x.handOver(best, escalations)
	}
	if best != nil { // the tiers that were left may not be used
		return x.deliver(best, escalations, degradedUnsure)
	}
	return x.lastTier(nil, escalations)
}

// tiersFrom are the route's models from m on.
func (x *exchange) tiersFrom(m Model) []Model {
	for i, t := range x.route.Models {
		if t.Info().ID == m.Info().ID {
			return x.route.Models[i:]
		}
	}
	return []Model{m}
}

// mayEscalate says whether the request may be answered by a tier, and enters why not.
func (x *exchange) mayEscalate(m Model) bool {
	why := ""
	switch {
	case m.Info().Remote && x.decision.Sensitive:
		why = "the request is sensitive, and the model is remote"
	case x.req.OnModel != nil && x.req.OnModel(m) != nil:
		why = "the caller's limits do not allow it"
	default:
		return true
	}
	x.trace.add(Entry{Stage: "cascade", Plugin: m.Info().ID, Verdict: "skipped", Reason: why})
	return false
}

func (x *exchange) turnTo(m Model) {
	x.model = m
	x.trace.Model, x.trace.ModelDigest = m.Info().ID, m.Digest()
}

// attempt has the model answer without the client's seeing it. An error is one that no other tier would avoid.
func (x *exchange) attempt() (*attempt, error) {
	a := &attempt{model: x.model}
	client, finish := x.emit, x.trace.Finish
	var texts []string
	if x.trace.Text != nil {
		texts = x.trace.Text.Answers
	}
	x.emit = func(e Event) error { a.events = append(a.events, e); return nil }
	x.sure, x.holds = sureness{}, true
	var answer *cachedAnswer
	err := x.fit()
	if err == nil {
		answer, err = x.answer()
	}
	x.emit, x.holds = client, false
	a.finish, x.trace.Finish = x.trace.Finish[len(finish):], finish
	if x.trace.Text != nil {
		a.texts, x.trace.Text.Answers = x.trace.Text.Answers[len(texts):], texts
	}
	x.trace.FirstTextUS = 0
	if err != nil {
		if !x.mayDescend(err) && !tooLong(err) {
			return nil, err
		}
		a.reason = pluginError(err).Message
		return a, nil
	}
	a.answer = answer
	a.verdict, err = x.judgeAttempt(answer)
	return a, err
}

// tooLong says that a model's context is too short for the request; another's may not be.
func tooLong(err error) bool {
	var e *openai.Error
	return errors.As(err, &e) && e.Code == "context_length_exceeded"
}

// lastTier answers with the model as it is, live. Where it fails before its first text, the best answer that was not
// accepted is better than none.
func (x *exchange) lastTier(best *attempt, escalations int) (*cachedAnswer, error) {
	client, sent := x.emit, false
	if err := x.fit(); err != nil {
		return nil, err
	}
	begin := x.start()
	begin.tell(x.model.Info().Tier, escalations, -1)
	x.emit = func(e Event) error {
		if e.Start == nil && !sent {
			sent = true
			if err := client(Event{Start: begin}); err != nil {
				return err
			}
		}
		if e.Start != nil { // of the ladder
			begin = e.Start
			begin.tell(x.model.Info().Tier, escalations, -1)
			return nil
		}
		return client(e)
	}
	x.fallsBack = best != nil
	answer, err := x.answer()
	x.emit, x.fallsBack = client, false
	if err == nil || sent || best == nil || !x.mayDescend(err) {
		if answer != nil {
			answer.Model = x.model.Info().ID
		}
		return answer, err
	}
	x.trace.add(Entry{Stage: "cascade", Plugin: x.model.Info().ID, Verdict: degradedUnsure, Reason: pluginError(err).Message})
	return x.deliver(best, escalations, degradedUnsure)
}

// deliver gives the client an answer that was held.
func (x *exchange) deliver(a *attempt, escalations int, degraded string) (*cachedAnswer, error) {
	x.turnTo(a.model)
	if degraded != "" {
		x.trace.Degraded = append(x.trace.Degraded, degraded)
	}
	begin := x.start()
	begin.Degraded = degraded
	begin.tell(a.model.Info().Tier, escalations, a.confidence)
	x.trace.Finish = append(x.trace.Finish, a.finish...)
	if x.trace.Text != nil {
		x.trace.Text.Answers = append(x.trace.Text.Answers, a.texts...)
	}
	x.trace.FirstTextUS = x.Now().Sub(x.trace.started).Microseconds()
	if err := x.emit(Event{Start: begin}); err != nil {
		return nil, err
	}
	for _, e := range a.events {
		if e.Start != nil {
			continue
		}
		if err := x.emit(e); err != nil {
			return nil, err
		}
	}
	a.answer.Model, a.answer.Usage = a.model.Info().ID, x.usage
	return a.answer, nil
}

// tell adds to the headers who answered. confidence below 0: nobody judged.
func (s *Start) tell(tier string, escalations int, confidence float64) {
	s.header(HeaderTier, tier)
	s.header(HeaderEscalations, strconv.Itoa(escalations))
	if confidence >= 0 {
		s.header(HeaderConfidence, strconv.FormatFloat(confidence, 'f', 2, 64))
	}
}

// handoverText is said where the route names nothing.
const handoverText = "I could not answer this with certainty. A person has been given your question and will answer it."

// handOver puts the request before a person and tells the client so. What cannot be put down is not said to have been.
func (x *exchange) handOver(best *attempt, escalations int) (*cachedAnswer, error) {
	h := &Handover{ID: x.req.ID, Time: x.Now().UTC(), Tenant: x.req.Tenant, Subject: x.req.Subject, Route: x.route.Name, Messages: x.req.Messages, Reason: "no tier answered"}
	if best != nil {
		h.Reason = fmt.Sprintf("%s, confidence %.2f: %s", best.model.Info().ID, best.confidence, best.reason)
		h.Attempt = best.answer.Choices[0].Text
	}
	for _, p := range x.req.Prompts {
		h.Messages = append(h.Messages, openai.Message{Role: "user", Content: openai.Content(p.Text)})
	}
	entry := x.trace.add(Entry{Stage: "cascade", Plugin: tierHuman, Verdict: degradedHandedOver, Reason: h.Reason})
	err := fmt.Errorf("nobody takes requests over here")
	if x.Hand != nil {
		err = x.Hand(context.WithoutCancel(x.ctx), h)
	}
	if err != nil {
		entry.Verdict, entry.Error = "error_closed", &EntryError{Code: "handover_failed", Message: clip(err.Error(), maxReason)}
		return nil, &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "handover_failed", Cause: err,
			Message: "no model was sure of its answer, and the request could not be put before a person; the decision trace has the details"}
	}
	said := x.route.Cascade.Handover
	if said == "" {
		said = handoverText
	}
	x.trace.Degraded = append(x.trace.Degraded, degradedHandedOver)
	x.trace.Model, x.trace.ModelDigest = tierHuman, ""
	begin := x.start()
	begin.Model, begin.Degraded = tierHuman, degradedHandedOver
	begin.tell(tierHuman, escalations+1, -1)
	if err := x.emit(Event{Start: begin}); err != nil {
		return nil, err
	}
	kept := &cachedAnswer{Usage: x.usage}
	for i := range max(x.req.Choices, 1) * max(len(x.req.Prompts), 1) {
		x.trace.Finish = append(x.trace.Finish, finishStop)
		if err := x.emit(Event{Choice: i, Text: said}); err != nil {
			return nil, err
		}
		if err := x.emit(Event{Choice: i, Finish: finishStop}); err != nil {
			return nil, err
		}
		kept.Choices = append(kept.Choices, cachedChoice{Text: said, Finish: finishStop})
	}
	return kept, nil
}

// judgeAttempt says how far an answer can be relied on: the least of what its tokens, its likeness to further answers and
// its form say. What answers nothing counts 0.
func (x *exchange) judgeAttempt(answer *cachedAnswer) (verdict, error) {
	c := x.route.Cascade
	out := verdict{confidence: 1, reason: "nothing speaks against it"}
	lower := func(confidence float64, format string, args ...any) {
		if confidence < out.confidence {
			out = verdict{confidence, fmt.Sprintf(format, args...)}
		}
	}
	for _, choice := range answer.Choices {
		if choice.Finish == finishFilter {
			return verdict{1, "a guard stopped it, as it would any other"}, nil
		}
		if why := x.unusable(&choice); why != "" {
			return verdict{0, why}, nil
		}
	}
	if p, n := x.sure.probability(); n > 0 {
		out = verdict{p, fmt.Sprintf("mean probability %.2f of %d tokens", p, n)}
	}
	if c.Samples > 0 && out.confidence >= c.Accept && len(answer.Choices[0].ToolCalls) == 0 {
		agreement, err := x.agreement(answer.Choices[0].Text, c.Samples)
		if err != nil {
			return out, err
		}
		lower(agreement, "agreement %.2f with %d further answers", agreement, c.Samples)
	}
	for i := range c.Judges {
		if out.confidence < c.Accept {
			break
		}
		for _, choice := range answer.Choices {
			v, err := x.askJudge(&c.Judges[i], choice.Text)
			if err != nil {
				return out, err
			}
			if v != "" {
				lower(0, "%s: %s", c.Judges[i].Plugin.Name(), v)
			}
		}
	}
	return out, nil
}

// askJudge has a guard judge an answer, and returns why it does not allow it. A judge that fails allows nothing, unless it
// is open.
func (x *exchange) askJudge(s *Stage, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	entry := x.trace.add(Entry{Stage: "judge", Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: hook.Allow, Shadow: s.Shadow})
	v, err := x.judge(entry, s, &hook.GuardRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name,
		Stage: hook.StageOutput, Role: "assistant", Text: text, Final: true, Passages: x.passages()})
	switch {
	case err != nil && x.ctx.Err() != nil:
		return "", x.ctx.Err()
	case err != nil && (s.Open || s.Shadow):
		return "", nil
	case err != nil:
		return "it failed", nil
	case v.Verdict == hook.Allow || s.Shadow:
		return "", nil
	}
	return v.Verdict, nil
}
