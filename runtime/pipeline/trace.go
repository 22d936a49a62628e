package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// Trace tells why a request was answered as it was. It holds no text of the prompt or the answer unless the site
// switched that on.
type Trace struct {
	ID          string       `json:"id"`
	Time        time.Time    `json:"time"`
	Tenant      string       `json:"tenant"`
	Subject     string       `json:"subject,omitempty"`
	Key         string       `json:"key,omitempty"`
	Endpoint    string       `json:"endpoint"`
	Route       string       `json:"route"`
	Version     string       `json:"route_version"`
	Model       string       `json:"model,omitempty"`
	ModelDigest string       `json:"model_digest,omitempty"`
	Stream      bool         `json:"stream"`
	Cache       string       `json:"cache"`
	CacheKey    string       `json:"cache_key,omitempty"` // of the answer that was reused or kept
	Status      int          `json:"status"`
	Code        string       `json:"code,omitempty"`
	Error       string       `json:"error,omitempty"`
	Finish      []string     `json:"finish,omitempty"`
	Degraded    []string     `json:"degraded,omitempty"`
	Usage       openai.Usage `json:"usage"`
	Spent       []Spend      `json:"spent,omitempty"` // by model, where several were asked
	DurationUS  int64        `json:"duration_us"`
	FirstTextUS int64        `json:"first_text_us,omitempty"`
	Stages      []*Entry     `json:"stages"`
	// Of the distributed trace that the request is part of, in hexadecimal digits; empty: of none.
	TraceID  string     `json:"trace_id,omitempty"`
	SpanID   string     `json:"span_id,omitempty"`
	ParentID string     `json:"parent_span_id,omitempty"`
	Sampled  bool       `json:"-"`
	Text     *TraceText `json:"text,omitempty"`
	Held     []Held     `json:"-"` // what guards stopped; it has a queue of its own

	started time.Time
}

// Reused says whether the answer came from the cache, and no model ran.
func (t *Trace) Reused() bool { return t.Cache == cacheHit || t.Cache == cacheSemantic }

// TraceText is kept only where the site asks for it.
type TraceText struct {
	Messages []openai.Message    `json:"messages,omitempty"`
	Prompts  []openai.PromptItem `json:"prompts,omitempty"`
	Answers  []string            `json:"answers,omitempty"`
}

// Any says whether f holds for one of the texts.
func (t *TraceText) Any(f func(text string) bool) bool {
	for i := range t.Messages {
		if f(string(t.Messages[i].Content)) {
			return true
		}
	}
	for _, p := range t.Prompts {
		if f(p.Text) {
			return true
		}
	}
	return slices.ContainsFunc(t.Answers, f)
}

// Entry is what one stage decided.
type Entry struct {
	Stage      string      `json:"stage"` // transform, guard.input, guard.retrieval, guard.tool, guard.answer, guard.output, route, cache, retrieve, context, model, tool, citations, fallback, cascade, judge, offline
	Plugin     string      `json:"plugin,omitempty"`
	Digest     string      `json:"digest,omitempty"`
	Verdict    string      `json:"verdict"`
	Reason     string      `json:"reason,omitempty"`
	Constraint string      `json:"constraint,omitempty"` // of a model: what the answer was held to
	Spans      []EntrySpan `json:"spans,omitempty"`
	Chunks     []string    `json:"chunks,omitempty"` // of retrieve: ids of what the model was shown
	Calls      int         `json:"calls,omitempty"`
	StartUS    int64       `json:"start_us"`          // since the request's begin
	SpanID     string      `json:"span_id,omitempty"` // of a model: what it was told to be asked from
	DurationUS int64       `json:"duration_us"`
	Fuel       uint64      `json:"fuel,omitempty"`
	Shadow     bool        `json:"shadow,omitempty"` // the verdict was not carried out
	Error      *EntryError `json:"error,omitempty"`

	duration time.Duration
}

// EntrySpan is evidence: where in which message, and by which rule, without the text.
type EntrySpan struct {
	Message    int     `json:"message"`
	Start      int     `json:"start"`
	End        int     `json:"end"`
	Entity     string  `json:"entity,omitempty"`
	Rule       string  `json:"rule,omitempty"`
	Confidence float64 `json:"confidence,omitempty"`
}

// EntryError is a plugin's failure and what came of it.
type EntryError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Bounds of what a trace holds, so that a plugin cannot fill the store.
const (
	maxReason = 300 // bytes of a reason
	maxSpans  = 100 // spans of an entry
	maxStages = 200 // entries of a trace
)

func newTrace(now time.Time, route *Route, req *Request) *Trace {
	return &Trace{ID: req.ID, Time: now.UTC(), Tenant: req.Tenant, Subject: req.Subject, Key: req.Key, Endpoint: req.Endpoint, Route: route.Name,
		Version: route.Version, Stream: req.Stream, Cache: cacheBypass, started: now}
}

// join makes the trace part of the distributed trace that ctx is of.
func (t *Trace) join(ctx context.Context) {
	if c := tracecontext.From(ctx); c != nil {
		t.TraceID, t.SpanID, t.Sampled = hex.EncodeToString(c.Trace[:]), hex.EncodeToString(c.Span[:]), c.Sampled()
		if c.Parent != [8]byte{} {
			t.ParentID = hex.EncodeToString(c.Parent[:])
		}
	}
}

// below returns the context of a span of the entry's own.
func (e *Entry) below(ctx context.Context) context.Context {
	c := tracecontext.From(ctx)
	if c == nil {
		return ctx
	}
	child := c.Child()
	e.SpanID = hex.EncodeToString(child.Span[:])
	return tracecontext.With(ctx, &child)
}

// add appends an entry and returns it to be filled in.
func (t *Trace) add(e Entry) *Entry {
	e.Reason = clip(e.Reason, maxReason)
	e.StartUS = max((time.Since(t.started) - e.duration).Microseconds(), 0)
	entry := &e
	if len(t.Stages) < maxStages {
		t.Stages = append(t.Stages, entry)
	}
	return entry
}

// evidence records spans found in a message.
func (e *Entry) evidence(message int, spans []hook.Span) {
	for _, s := range spans {
		if len(e.Spans) == maxSpans {
			return
		}
		e.Spans = append(e.Spans, EntrySpan{message, s.Start, s.End, clip(s.Entity, 64), clip(s.Rule, 64), s.Confidence})
	}
}

// took adds a call's cost to the entry.
func (e *Entry) took(d time.Duration, fuel uint64) {
	e.Calls++
	e.duration += d
	e.Fuel += fuel
}

// statusClientClosed is the status of a request whose client left, as nginx writes it.
const statusClientClosed = 499

func (t *Trace) end(now time.Time, usage openai.Usage, err error) {
	t.DurationUS = now.Sub(t.started).Microseconds()
	t.Usage = usage
	for _, e := range t.Stages {
		e.DurationUS = e.duration.Microseconds()
	}
	var failed *openai.Error
	var left departure
	switch {
	case err == nil:
		t.Status = 200
	case errors.As(err, &failed):
		t.Status, t.Code, t.Error = failed.Status, failed.Code, clip(failed.Message, maxReason)
	case errors.Is(err, context.DeadlineExceeded):
		t.Status, t.Code = 504, "timeout"
	case errors.As(err, &left), errors.Is(err, context.Canceled):
		t.Status, t.Code = statusClientClosed, "client_closed"
	default: // the entry of the stage that failed says how
		t.Status, t.Code = 500, "internal_error"
	}
}

// clip cuts s to at most n bytes on a character boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
