package pipeline

import (
	"context"
	"github.com/ledge-run/ledge/runtime/wasm"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// Explanation is what a router would decide for a text.
type Explanation struct {
	Route      string          `json:"route"`
	Model      string          `json:"model"`
	Tier       string          `json:"tier,omitempty"`
	MaxTokens  int             `json:"max_tokens"`
	Reason     string          `json:"reason,omitempty"`
	Confidence float64         `json:"confidence"`
	ToolCalls  []hook.ToolCall `json:"tool_calls,omitempty"`
	Router     string          `json:"router,omitempty"`
	DurationUS int64           `json:"duration_us"`
	Sensitive  bool            `json:"sensitive"`
	Examples   []hook.Example  `json:"examples,omitempty"` // that the text is most like
}

// Explain asks the route's router about a text as a client's only message, with every tool of the route on offer. No
// model runs and no trace is kept.
func (p *Pipeline) Explain(ctx context.Context, route *Route, pinned Model, content string) (*Explanation, error) {
	req := &Request{ID: "explain", Endpoint: "chat", Model: pinned, Messages: []openai.Message{{Role: "user", Content: openai.Content(content)}}}
	for _, t := range route.Tools {
		req.Prompt.Tools = append(req.Prompt.Tools, t.Definition)
	}
	x := &exchange{Pipeline: p, ctx: ctx, route: route, req: req, trace: newTrace(p.Now(), route, req)}
	if err := x.chooseModel(); err != nil {
		return nil, err
	}
	out := &Explanation{Route: route.Name, Model: x.model.Info().ID, Tier: x.decision.Tier, MaxTokens: x.budget(),
		Reason: x.decision.Reason, Confidence: x.decision.Confidence, ToolCalls: x.decision.ToolCalls, Sensitive: x.decision.Sensitive, Examples: x.alike}
	for _, e := range x.trace.Stages {
		out.Router, out.DurationUS = e.Plugin, int64(e.duration/time.Microsecond)
		if e.Error != nil {
			out.Reason = e.Verdict + ": " + e.Error.Message
		}
	}
	return out, nil
}

// Direct delivers the trace of a request that was answered without a route, or failed so.
func Direct(ctx context.Context, p *Pipeline, req *Request, model string, began time.Time, usage openai.Usage, err error) {
	t := newTrace(began, &Route{}, req)
	t.join(ctx)
	t.Model = clip(model, 200)
	t.end(p.Now(), usage, err)
	p.Trace(t)
}

// beforeKey is where a context holds the entries of stages that ran before the pipeline.
type beforeKey struct{}

// WithEntry returns a context whose request's trace begins with one entry more: what a plugin did before the pipeline.
func WithEntry(ctx context.Context, e Entry, cost wasm.Result, err error) context.Context {
	e.Reason = clip(e.Reason, maxReason)
	e.took(cost.Duration, cost.Fuel)
	if err != nil {
		e.Error = pluginError(err)
	}
	all := before(ctx)
	return context.WithValue(ctx, beforeKey{}, append(all[:len(all):len(all)], &e))
}

func before(ctx context.Context) []*Entry {
	all, _ := ctx.Value(beforeKey{}).([]*Entry)
	return all
}

// Stopped delivers the trace of a request that ended before the pipeline, with its context's entries.
func Stopped(ctx context.Context, p *Pipeline, req *Request, route string, began time.Time, err error) {
	t := newTrace(began, &Route{Name: route}, req)
	t.join(ctx)
	t.Stages = before(ctx)
	t.end(p.Now(), openai.Usage{}, err)
	p.Trace(t)
}

// Rejected delivers the trace of a request that was refused before it came to a route.
func Rejected(ctx context.Context, p *Pipeline, req *Request, model string, err error) {
	t := newTrace(p.Now(), &Route{}, req)
	t.join(ctx)
	t.Model = clip(model, 200)
	t.end(p.Now(), openai.Usage{}, err)
	p.Trace(t)
}
