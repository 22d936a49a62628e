package pipeline

import (
	"github.com/ledge-run/ledge/runtime/hook"
)

// judgeAnswer asks the guards of the whole answer, with the passages that it was made from, and passes on what they leave.
func (o *output) judgeAnswer() error {
	x := o.x
	begin := x.Now()
	answer, tokens := string(o.whole), o.wholeTokens
	o.whole, o.wholeTokens = nil, nil
	passages := x.passages()
	for i := range x.route.Answer {
		s := &x.route.Answer[i]
		entry := x.trace.add(Entry{Stage: "guard.answer", Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: hook.Allow, Shadow: s.Shadow})
		if answer == "" {
			continue
		}
		v, err := x.judge(entry, s, &hook.GuardRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name,
			Stage: hook.StageOutput, Role: "assistant", Text: answer, Final: true, Passages: passages})
		if err != nil {
			if x.ctx.Err() != nil {
				return x.ctx.Err()
			}
			if s.Open || s.Shadow {
				continue
			}
			return failedClosed("answer", s.Plugin.Name(), err)
		}
		entry.evidence(o.choice, v.Spans)
		switch {
		case s.Shadow:
		case v.Verdict == hook.Block || v.Verdict == hook.Review:
			x.hold(s.Plugin.Name(), s.Plugin.Digest(), hook.StageOutput, answer, v)
			o.spent += x.Now().Sub(begin)
			return errFiltered
		case v.Verdict == hook.Redact:
			answer = hook.ApplyRedactions(answer, v.Spans)
			tokens = nil // they spell the answer as it was
		}
	}
	o.spent += x.Now().Sub(begin)
	if answer == "" && len(tokens) == 0 {
		return nil
	}
	return o.pass(Delta{Text: answer, Tokens: tokens})
}

// passages are the texts of the sources by their numbers.
func (x *exchange) passages() []string {
	var out []string
	for _, s := range x.sources {
		for len(out) < s.Number {
			out = append(out, "")
		}
		if s.Number > 0 {
			out[s.Number-1] = s.text
		}
	}
	return out
}
