package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// A trace that keeps the prompt is written after its request is over, while the stale answer is made anew by the same guards.
func TestRefresh_LeavesTheMessagesOfTheTraceAlone(t *testing.T) {
	const args = `{"a":"secret"}`
	rewriting := guardOf("rewriting", func(r *hook.GuardRequest) hook.Verdict { // not idempotent: each run shows
		if r.Stage != hook.StageTool || len(r.Text) > 100 {
			return hook.Verdict{Verdict: hook.Allow}
		}
		return hook.Verdict{Verdict: hook.Redact, Spans: []hook.Span{{Start: 0, End: 1, Entity: "X", Replacement: "<<"}}}
	})
	plan := &plugin{name: "plan", call: func(wasm.Call) ([]byte, error) {
		return (&hook.CachePlan{KeyParts: []string{"k"}, Lookup: true, Admit: true, TTLSeconds: 1}).AppendJSON(nil), nil
	}}
	clock := time.Unix(1e9, 0)
	p, r := newPipeline(), &Route{Name: "default", Models: []Model{&model{id: "m", rounds: []round{says("one"), says("two")}}}}
	p.Prompts, p.Now = true, func() time.Time { return clock }
	r.Input, r.CachePlan, r.CacheStale = []Stage{{Plugin: rewriting}}, &Stage{Plugin: plan}, time.Hour
	request := func(id string) *Request {
		return &Request{ID: id, Endpoint: "chat", Choices: 1, Messages: []openai.Message{{Role: "user", Content: "go"},
			{Role: "assistant", ToolCalls: []openai.ToolCall{{ID: "1", Type: "function", Function: openai.FunctionCall{Name: "f", Arguments: args}}}}}}
	}
	traces := make(chan *Trace, 8)
	p.Trace = func(t *Trace) { traces <- t }
	run := func(id string) *Trace {
		if err := p.Run(context.Background(), r, request(id), func(Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return <-traces
	}
	run("first")
	clock = clock.Add(time.Minute)
	stale := run("second")
	if len(stale.Degraded) == 0 {
		t.Fatal("the answer was not stale")
	}
	if refreshed := <-traces; refreshed.ID != "second-refresh" || refreshed.Text.Messages[1].ToolCalls[0].Function.Arguments != `<<<"a":"secret"}` {
		t.Fatalf("%s: %+v", refreshed.ID, refreshed.Text)
	}
	if got := stale.Text.Messages[1].ToolCalls[0].Function.Arguments; got != `<<"a":"secret"}` {
		t.Fatalf("the trace of the answered request now says %q", got)
	}
}
