package pipeline

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// chooseModel asks the router and settles which model answers.
func (x *exchange) chooseModel() error {
	models := x.models()
	if len(models) == 0 {
		return ErrNoModel()
	}
	x.model = models[0]
	defer func() {
		x.trace.Model, x.trace.ModelDigest = x.model.Info().ID, x.model.Digest()
	}()
	if x.route.Router == nil {
		return nil
	}
	return x.askRouter(models)
}

// models are those that the router may choose from.
func (x *exchange) models() []Model {
	if x.req.Model != nil {
		return []Model{x.req.Model}
	}
	return x.route.Models
}

// noteLeftOut enters that remote models were out of reach.
func (x *exchange) noteLeftOut() {
	if len(x.route.LeftOut) > 0 {
		x.trace.add(Entry{Stage: "offline", Verdict: "left_out", Reason: strings.Join(x.route.LeftOut, ", ")})
	}
}

// ErrNoModel is the answer while no model is installed.
func ErrNoModel() *openai.Error {
	return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "no_model",
		Message: "no model is installed on this device; start ledge with --model FILE.gguf, or set model.file in its configuration"}
}

func (x *exchange) askRouter(models []Model) error {
	s := x.route.Router
	entry := x.trace.add(Entry{Stage: "route", Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: hook.Allow})
	req := x.routeRequest(models)
	input := getBuffer()
	defer putBuffer(input)
	*input = req.AppendJSON((*input)[:0])
	res, err := x.call(s, hook.ExportRoute, *input)
	entry.took(res.Duration, res.Fuel)
	var d hook.RouteDecision
	if err == nil {
		if err = d.ParseJSON(res.Output); err == nil {
			err = d.Check(req)
		}
		if err != nil {
			err = fmt.Errorf("router %s: %w", s.Plugin.Name(), err)
		}
	}
	if err != nil {
		if x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		entry.fail(s, err)
		if s.Open {
			return nil
		}
		return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "router_failed", Cause: err,
			Message: "the router " + s.Plugin.Name() + " failed, and this route does not answer without it; the decision trace has the details"}
	}
	for _, m := range models {
		if m.Info().ID == d.Model {
			x.model = m
		}
	}
	x.decision = d
	entry.Verdict = x.model.Info().ID
	entry.Reason = clip(fmt.Sprintf("tier %s, %d tokens, confidence %.2f: %s", d.Tier, d.MaxTokens, d.Confidence, d.Reason), maxReason)
	return nil
}

func (x *exchange) routeRequest(models []Model) *hook.RouteRequest {
	req := &hook.RouteRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name, MaxTokens: x.req.MaxTokens}
	req.Messages = hookMessages(x.req)
	for _, m := range models {
		req.Models = append(req.Models, m.Info())
	}
	req.Tools = slices.Sorted(maps.Keys(x.hostTools()))
	if e := x.route.Examples; e != nil {
		if q := x.question(); q != x.asked { // once, unless a guard changed it
			x.asked, x.alike = q, e.like(x.ctx, q)
		}
		req.Examples = x.alike
	}
	return req
}

// hookMessages shows a request to a plugin. The prompts of a completion are user messages.
func hookMessages(req *Request) []hook.Message {
	out := make([]hook.Message, 0, len(req.Messages)+len(req.Prompts))
	for _, m := range req.Messages {
		h := hook.Message{Role: m.Role, Content: string(m.Content), Name: m.Name, ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			h.ToolCalls = append(h.ToolCalls, hook.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
		}
		out = append(out, h)
	}
	for _, p := range req.Prompts {
		out = append(out, hook.Message{Role: "user", Content: p.Text})
	}
	return out
}
