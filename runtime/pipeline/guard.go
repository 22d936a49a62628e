package pipeline

import (
	"fmt"
	"net/http"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// text is one piece of a request that guards read and may change.
type text struct {
	stage   string // the hook's stage
	role    string
	message int // index of the message, for the trace
	get     func() string
	set     func(string)
}

// guardInput passes every text of the request through the input guards and writes redactions back into the request.
func (x *exchange) guardInput() error {
	texts := x.inputTexts()
	for i := range x.route.Input {
		if err := x.guard("guard.input", &x.route.Input[i], texts); err != nil {
			return err
		}
	}
	if x.Prompts {
		x.trace.Text = &TraceText{Messages: x.req.Messages, Prompts: x.req.Prompts}
	}
	return nil
}

func (x *exchange) inputTexts() []text {
	var texts []text
	for i := range x.req.Messages {
		m := &x.req.Messages[i]
		stage := hook.StageInput
		if m.Role == "tool" {
			stage = hook.StageTool
		}
		if m.Content != "" {
			texts = append(texts, text{stage, m.Role, i,
				func() string { return string(m.Content) }, func(s string) { m.Content = openai.Content(s) }})
		}
		for j := range m.ToolCalls {
			args := &m.ToolCalls[j].Function.Arguments
			texts = append(texts, text{hook.StageTool, m.Role, i, func() string { return *args }, func(s string) { *args = s }})
		}
	}
	for i := range x.req.Prompts {
		p := &x.req.Prompts[i]
		texts = append(texts, text{hook.StageInput, "user", i,
			func() string { return p.Text },
			func(s string) {
				if s != p.Text { // the ids no longer say what may be said
					p.Text, p.Tokens = s, nil
				}
			}})
	}
	return texts
}

// guard runs one guard over the texts. A verdict to block or review ends the request; redactions are written back.
func (x *exchange) guard(stage string, s *Stage, texts []text) error {
	entry := x.trace.add(Entry{Stage: stage, Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: hook.Allow})
	for _, t := range texts {
		content := t.get()
		if content == "" {
			continue
		}
		v, err := x.judge(entry, s, &hook.GuardRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name,
			Stage: t.stage, Role: t.role, Text: content, Final: true})
		if err != nil {
			if x.ctx.Err() != nil {
				return x.ctx.Err()
			}
			if s.Open {
				return nil // it is left out for this request, so that its time limit is paid once
			}
			return failedClosed(stage, s.Plugin.Name(), err)
		}
		entry.evidence(t.message, v.Spans)
		switch v.Verdict {
		case hook.Redact:
			t.set(hook.ApplyRedactions(content, v.Spans))
		case hook.Block, hook.Review:
			return refused(s.Plugin.Name(), v)
		}
	}
	return nil
}

// judge calls the guard once and enters what it said. A failure is entered too, with what the stage makes of it.
func (x *exchange) judge(entry *Entry, s *Stage, req *hook.GuardRequest) (*hook.Verdict, error) {
	input := getBuffer()
	defer putBuffer(input)
	*input = req.AppendJSON((*input)[:0])
	res, err := x.call(s, hook.ExportGuard, *input)
	entry.took(res.Duration, res.Fuel)
	v := &hook.Verdict{}
	if err == nil {
		if err = v.ParseJSON(res.Output); err == nil {
			err = v.Check(req.Text)
		}
		if err != nil {
			err = fmt.Errorf("guard %s: %w", s.Plugin.Name(), err)
		}
	}
	if err != nil {
		entry.fail(s, err)
		return nil, err
	}
	if severity[v.Verdict] > severity[entry.Verdict] || entry.Reason == "" && v.Verdict == entry.Verdict {
		entry.Verdict, entry.Reason = v.Verdict, clip(v.Reason, maxReason)
	}
	return v, nil
}

// fail enters a plugin's failure: the verdict tells whether the stage was passed over or ended the request.
func (e *Entry) fail(s *Stage, err error) {
	e.Error = pluginError(err)
	e.Verdict = "error_closed"
	if s.Open {
		e.Verdict = "error_open"
	}
}

// severity orders verdicts; the strictest holds.
var severity = map[string]int{hook.Allow: 1, hook.Redact: 2, hook.Review: 3, hook.Block: 4}

// refused is what a client sees of a block. The plugin's reason stays in the trace: it would tell an attacker what to
// change.
func refused(plugin string, v *hook.Verdict) error {
	code, message := "policy_blocked", "the request was refused by policy ("+plugin+")"
	if v.Verdict == hook.Review {
		code, message = "policy_review", "the request was held for review by policy ("+plugin+")"
	}
	return &openai.Error{Status: http.StatusBadRequest, Type: openai.TypePolicy, Code: code, Message: message}
}
