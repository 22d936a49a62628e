package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// plugin is a plugin in Go, so that a test can hold still what a guest would decide.
type plugin struct {
	name  string
	calls atomic.Int64
	call  func(c wasm.Call) ([]byte, error)
}

func (p *plugin) Name() string   { return p.name }
func (p *plugin) Digest() string { return "sha256:" + p.name }
func (p *plugin) Call(_ context.Context, c wasm.Call) (wasm.Result, error) {
	p.calls.Add(1)
	out, err := p.call(c)
	return wasm.Result{Output: out, Duration: time.Microsecond, Fuel: 7}, err
}

func guardOf(name string, judge func(r *hook.GuardRequest) hook.Verdict) *plugin {
	return &plugin{name: name, call: func(c wasm.Call) ([]byte, error) {
		var r hook.GuardRequest
		if err := r.ParseJSON(c.Input); err != nil {
			return nil, err
		}
		v := judge(&r)
		return v.AppendJSON(nil), nil
	}}
}

// secretGuard redacts the word "secret" and holds back what may become it.
func secretGuard() *plugin {
	const word = "secret"
	return guardOf("secrets", func(r *hook.GuardRequest) hook.Verdict {
		v := hook.Verdict{Verdict: hook.Allow}
		for i := 0; ; {
			j := strings.Index(r.Text[i:], word)
			if j < 0 {
				break
			}
			v.Verdict = hook.Redact
			v.Spans = append(v.Spans, hook.Span{Start: i + j, End: i + j + len(word), Entity: "SECRET", Rule: "word", Confidence: 1})
			i += j + len(word)
		}
		if !r.Final {
			for n := min(len(word)-1, len(r.Text)); n > 0; n-- {
				if strings.HasSuffix(r.Text, word[:n]) {
					v.Hold = n
					break
				}
			}
		}
		return v
	})
}

func failing(name string) *plugin {
	return &plugin{name: name, call: func(wasm.Call) ([]byte, error) {
		return nil, &wasm.Error{Code: wasm.CodeDeadline, Plugin: name, Message: "stopped after 50ms"}
	}}
}

// model answers with pieces, round by round, and remembers its prompts.
type model struct {
	id      string
	tier    string
	remote  bool
	rounds  []round
	prompts []Prompt
}

type round struct {
	pieces []Delta
	calls  []openai.ToolCall
	err    error
}

func (m *model) Info() hook.Model { return hook.Model{ID: m.id, Tier: m.tier, Remote: m.remote} }
func (m *model) Digest() string   { return "sha256:weights-of-" + m.id }
func (m *model) Generate(_ context.Context, p *Prompt, emit func(Delta) error) (Outcome, error) {
	m.prompts = append(m.prompts, *p)
	r := m.rounds[min(len(m.prompts), len(m.rounds))-1]
	for _, d := range r.pieces {
		if err := emit(d); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{FinishReason: "stop", ToolCalls: r.calls, Usage: openai.Usage{PromptTokens: 3, CompletionTokens: len(r.pieces)}}, r.err
}

func says(pieces ...string) round {
	var r round
	for _, p := range pieces {
		r.pieces = append(r.pieces, Delta{Text: p})
	}
	return r
}

type memoryCache map[string][]byte

func (c memoryCache) Get(_ context.Context, tenant string, key [32]byte) ([]byte, bool, error) {
	v, ok := c[tenant+string(key[:])]
	return v, ok, nil
}

func (c memoryCache) Put(_ context.Context, tenant string, key [32]byte, value []byte, _ time.Duration) error {
	c[tenant+string(key[:])] = value
	return nil
}

// answer is what a client would see.
type answer struct {
	start  *Start
	texts  map[int]string
	tokens []openai.TokenLogprob
	calls  []openai.ToolCall
	finish []string
	usage  *openai.Usage
	trace  *Trace
	err    error
}

func ask(t *testing.T, p *Pipeline, r *Route, req *Request) *answer {
	t.Helper()
	a := &answer{texts: map[int]string{}}
	p.Trace = func(tr *Trace) { a.trace = tr }
	a.err = p.Run(context.Background(), r, req, func(e Event) error {
		switch {
		case e.Start != nil:
			a.start = e.Start
		case e.Usage != nil:
			a.usage = e.Usage
		default:
			a.texts[e.Choice] += e.Text
			a.tokens = append(a.tokens, e.Logprobs...)
			a.calls = append(a.calls, e.ToolCalls...)
			if e.Finish != "" {
				a.finish = append(a.finish, e.Finish)
			}
		}
		return nil
	})
	if a.trace == nil {
		t.Fatal("no trace")
	}
	return a
}

func newPipeline() *Pipeline {
	return &Pipeline{Limits: Limits{MaxTokens: 100, ToolRounds: 2}, Cache: memoryCache{}, CacheTTL: time.Hour, Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func chat(content string) *Request {
	return &Request{ID: "req_1", Tenant: "t1", Endpoint: "chat", Choices: 1, Messages: []openai.Message{{Role: "user", Content: openai.Content(content)}}}
}

func code(err error) string {
	var e *openai.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestRun_RedactedTextReachesTheModelAndTheTraceSaysWhere(t *testing.T) {
	m := &model{id: "m", rounds: []round{says("ok")}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Input: []Stage{{Plugin: secretGuard()}}, Window: 64}, chat("my secret is safe"))
	if a.err != nil {
		t.Fatal(a.err)
	}
	if got := m.prompts[0].Messages[0].Content; got != "my [SECRET] is safe" {
		t.Errorf("the model read %q", got)
	}
	e := a.trace.Stages[0]
	if e.Stage != "guard.input" || e.Plugin != "secrets" || e.Verdict != hook.Redact || len(e.Spans) != 1 || e.Spans[0].Start != 3 || e.Spans[0].Rule != "word" || e.Fuel != 7 {
		t.Errorf("trace entry %+v", e)
	}
	if doc, _ := json.Marshal(a.trace); strings.Contains(string(doc), "safe") {
		t.Error("the trace holds text of the prompt")
	}
}

func TestRun_BlockEndsTheRequestBeforeTheModel(t *testing.T) {
	m := &model{id: "m", rounds: []round{says("no")}}
	block := guardOf("injection", func(*hook.GuardRequest) hook.Verdict {
		return hook.Verdict{Verdict: hook.Block, Reason: "rule override"}
	})
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Input: []Stage{{Plugin: block}}}, chat("x"))
	if code(a.err) != "policy_blocked" || len(m.prompts) != 0 || a.trace.Status != 400 || a.trace.Stages[0].Reason != "rule override" {
		t.Errorf("err %v, prompts %d, trace %+v", a.err, len(m.prompts), a.trace)
	}
}

func TestRun_FailedGuardFailsClosedOrOpen(t *testing.T) {
	for name, open := range map[string]bool{"closed": false, "open": true} {
		t.Run(name, func(t *testing.T) {
			m := &model{id: "m", rounds: []round{says("ok")}}
			for kind, g := range map[string]*plugin{
				"deadline": failing("g"),
				"garbage":  {name: "g", call: func(wasm.Call) ([]byte, error) { return []byte(`{"verdict":"maybe"}`), nil }},
				"no json":  {name: "g", call: func(wasm.Call) ([]byte, error) { return []byte("\x00\xff"), nil }},
				"bad span": {name: "g", call: func(wasm.Call) ([]byte, error) {
					return []byte(`{"verdict":"redact","spans":[{"start":0,"end":999}]}`), nil
				}},
			} {
				a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Input: []Stage{{Plugin: g, Open: open}}}, chat("hello"))
				if open && a.err != nil || !open && code(a.err) != "guard_failed" {
					t.Errorf("%s: err %v", kind, a.err)
				}
				if e := a.trace.Stages[0]; e.Plugin != "g" || e.Error == nil || e.Verdict != "error_"+name {
					t.Errorf("%s: the trace does not name the failure: %+v", kind, e)
				}
			}
		})
	}
}

func TestRun_RouterPicksModelAndBudget(t *testing.T) {
	small, large := &model{id: "small", rounds: []round{says("s")}}, &model{id: "large", rounds: []round{says("l")}}
	router := &plugin{name: "router", call: func(wasm.Call) ([]byte, error) {
		return (&hook.RouteDecision{Model: "large", MaxTokens: 42, Reason: "long"}).AppendJSON(nil), nil
	}}
	route := &Route{Name: "default", Models: []Model{small, large}, Router: &Stage{Plugin: router, Open: true}}
	if a := ask(t, newPipeline(), route, chat("x")); a.err != nil || a.start.Model != "large" || large.prompts[0].MaxTokens != 42 {
		t.Errorf("got %+v", a)
	}
	asked := chat("x")
	asked.MaxTokens = 60
	if ask(t, newPipeline(), route, asked); large.prompts[1].MaxTokens != 60 {
		t.Errorf("the client's limit became %d", large.prompts[1].MaxTokens)
	}
	asked.MaxTokens = 6000
	if ask(t, newPipeline(), route, asked); large.prompts[2].MaxTokens != 100 {
		t.Errorf("the host's limit became %d", large.prompts[2].MaxTokens)
	}
	router.call = func(wasm.Call) ([]byte, error) {
		return (&hook.RouteDecision{Model: "nosuch"}).AppendJSON(nil), nil
	}
	if a := ask(t, newPipeline(), route, chat("x")); a.err != nil || a.start.Model != "small" || a.trace.Stages[0].Verdict != "error_open" {
		t.Errorf("an impossible choice was not passed over: %+v", a)
	}
}

func TestRun_NoModel(t *testing.T) {
	if a := ask(t, newPipeline(), &Route{Name: "default"}, chat("x")); code(a.err) != "no_model" || a.trace.Status != 503 {
		t.Errorf("got %v", a.err)
	}
}

func exact() *Stage {
	return &Stage{Plugin: &plugin{name: "plan", call: func(wasm.Call) ([]byte, error) {
		return (&hook.CachePlan{Lookup: true, Admit: true, KeyParts: []string{"k"}}).AppendJSON(nil), nil
	}}}
}

func TestRun_CacheAnswersOnlyTheSameTenantModelAndVersion(t *testing.T) {
	m := &model{id: "m", rounds: []round{says("one")}}
	p := newPipeline()
	route := &Route{Name: "default", Version: "1", Models: []Model{m}, CachePlan: exact()}
	if a := ask(t, p, route, chat("x")); a.start.Cache != "miss" {
		t.Fatalf("first: %+v", a.start)
	}
	a := ask(t, p, route, chat("x"))
	if a.start.Cache != "hit" || a.texts[0] != "one" || a.finish[0] != "stop" || a.usage.CompletionTokens != 1 || len(m.prompts) != 1 {
		t.Errorf("second: %+v, model ran %d times", a, len(m.prompts))
	}
	other := chat("x")
	other.Tenant = "t2"
	if a := ask(t, p, route, other); a.start.Cache != "miss" {
		t.Error("another tenant's answer was reused")
	}
	if a := ask(t, p, &Route{Name: "default", Version: "2", Models: []Model{m}, CachePlan: exact()}, chat("x")); a.start.Cache != "miss" {
		t.Error("an answer of another route version was reused")
	}
	if a := ask(t, p, &Route{Name: "default", Version: "1", Models: []Model{&model{id: "n", rounds: m.rounds}}, CachePlan: exact()}, chat("x")); a.start.Cache != "miss" {
		t.Error("another model's answer was reused")
	}
	if a := ask(t, p, &Route{Name: "default", Models: []Model{m}, CachePlan: &Stage{Plugin: failing("plan")}}, chat("x")); a.err != nil || a.start.Cache != "bypass" {
		t.Errorf("a failed plan: %+v", a)
	}
}

func calculator() (*plugin, []HostTool) {
	p := &plugin{name: "tools"}
	p.call = func(c wasm.Call) ([]byte, error) {
		return (&hook.ToolResult{Content: []hook.ToolContent{{Type: "text", Text: "391"}}}).AppendJSON(nil), nil
	}
	return p, []HostTool{{Plugin: p, Definition: openai.Tool{Type: "function", Function: openai.Function{Name: "calculator"}}}}
}

func call(name, args string) []openai.ToolCall {
	return []openai.ToolCall{{ID: "c1", Type: "function", Function: openai.FunctionCall{Name: name, Arguments: args}}}
}

func offering(name string) *Request {
	req := chat("what is 17*23")
	req.Prompt.Tools = []openai.Tool{{Type: "function", Function: openai.Function{Name: name}}}
	return req
}

func TestRun_ToolLoopRunsHostToolsAndTellsTheModel(t *testing.T) {
	p, tools := calculator()
	m := &model{id: "m", rounds: []round{{calls: call("calculator", `{"expression":"17*23"}`)}, says("It is 391.")}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Tools: tools}, offering("calculator"))
	if a.err != nil || a.texts[0] != "It is 391." || p.calls.Load() != 1 || len(a.calls) != 0 {
		t.Fatalf("got %+v, tool ran %d times", a, p.calls.Load())
	}
	said := m.prompts[1].Messages
	if last := said[len(said)-1]; last.Role != "tool" || last.Content != "391" || last.ToolCallID != "c1" {
		t.Errorf("the model was told %+v", last)
	}
}

func TestRun_ToolLoopIsBoundedAndRepeatsNoCall(t *testing.T) {
	p, tools := calculator()
	m := &model{id: "m", rounds: []round{{calls: call("calculator", `{}`)}}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Tools: tools}, offering("calculator"))
	if a.err != nil || p.calls.Load() != 1 || len(m.prompts) != 3 || m.prompts[2].Tools != nil {
		t.Errorf("err %v, tool ran %d times, model %d times", a.err, p.calls.Load(), len(m.prompts))
	}
}

func TestRun_RouterMayAskForATool(t *testing.T) {
	p, tools := calculator()
	router := &plugin{name: "router", call: func(wasm.Call) ([]byte, error) {
		return (&hook.RouteDecision{ToolCalls: []hook.ToolCall{{Name: "calculator", Arguments: `{"expression":"17*23"}`}}}).AppendJSON(nil), nil
	}}
	m := &model{id: "m", rounds: []round{says("391")}}
	route := &Route{Name: "default", Models: []Model{m}, Tools: tools, Router: &Stage{Plugin: router}}
	if a := ask(t, newPipeline(), route, offering("calculator")); a.err != nil || p.calls.Load() != 1 || len(m.prompts[0].Messages) != 3 {
		t.Errorf("err %v, tool ran %d times, prompt %+v", a.err, p.calls.Load(), m.prompts)
	}
	if a := ask(t, newPipeline(), route, chat("what is 17*23")); a.trace.Stages[0].Error == nil || p.calls.Load() != 1 {
		t.Errorf("a tool ran that nobody offered: %+v", a.trace.Stages[0])
	}
}

func TestRun_ClientToolsGoToTheClient(t *testing.T) {
	p, tools := calculator()
	m := &model{id: "m", rounds: []round{{calls: call("weather", `{}`)}}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Tools: tools}, offering("weather"))
	if a.err != nil || len(a.calls) != 1 || a.finish[0] != "tool_calls" || p.calls.Load() != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestOutput_NoByteOfAMatchLeavesHoweverTheStreamIsCut(t *testing.T) {
	const said, want = "a secret, sesecret ünd secre t secret", "a [SECRET], se[SECRET] ünd secre t [SECRET]"
	for i := 0; i <= len(said); i++ {
		for j := i; j <= len(said); j++ {
			if strings.ToValidUTF8(said[:i], "") != said[:i] || strings.ToValidUTF8(said[:j], "") != said[:j] {
				continue
			}
			m := &model{id: "m", rounds: []round{says(said[:i], said[i:j], said[j:])}}
			a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Output: []Stage{{Plugin: secretGuard()}}, Window: 64}, chat("x"))
			if a.err != nil || a.texts[0] != want {
				t.Fatalf("cut at %d and %d: %q, %v", i, j, a.texts[0], a.err)
			}
		}
	}
	m := &model{id: "m", rounds: []round{says(strings.Split(said, "")...)}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Output: []Stage{{Plugin: secretGuard()}}, Window: 64}, chat("x"))
	e := a.trace.Stages[len(a.trace.Stages)-1]
	if a.texts[0] != want || e.Verdict != hook.Redact || len(e.Spans) != 3 {
		t.Errorf("one by one: %q, entry %+v", a.texts[0], e)
	}
}

func TestOutput_LogprobsDoNotSpellWhatWasRedacted(t *testing.T) {
	var r round
	for _, tok := range []string{"my ", "sec", "ret", " here"} {
		r.pieces = append(r.pieces, Delta{Text: tok, Tokens: []openai.TokenLogprob{{Token: tok}}})
	}
	req := chat("x")
	req.Prompt.Logprobs = true
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{&model{id: "m", rounds: []round{r}}}, Output: []Stage{{Plugin: secretGuard()}}, Window: 64}, req)
	var got []string
	for _, tok := range a.tokens {
		got = append(got, tok.Token)
	}
	if strings.Join(got, "|") != "my | here" || a.texts[0] != "my [SECRET] here" {
		t.Errorf("tokens %q, text %q", got, a.texts[0])
	}
}

func TestOutput_BlockCutsTheAnswerOff(t *testing.T) {
	g := guardOf("g", func(r *hook.GuardRequest) hook.Verdict {
		if strings.Contains(r.Text, "bad") {
			return hook.Verdict{Verdict: hook.Block, Reason: "bad word"}
		}
		return hook.Verdict{Verdict: hook.Allow, Hold: 2}
	})
	m := &model{id: "m", rounds: []round{says("fine ", "ba", "d", " more")}}
	p := newPipeline()
	route := &Route{Name: "default", Models: []Model{m}, Output: []Stage{{Plugin: g}}, Window: 64, CachePlan: exact()}
	a := ask(t, p, route, chat("x"))
	if a.err != nil || a.texts[0] != "fine " || a.finish[0] != "content_filter" {
		t.Errorf("got %q, %v, %v", a.texts[0], a.finish, a.err)
	}
	if ask(t, p, route, chat("x")).start.Cache == "hit" {
		t.Error("an answer that was cut off was cached")
	}
}

func TestOutput_FailedOpenGuardIsCalledOnce(t *testing.T) {
	g := failing("g")
	m := &model{id: "m", rounds: []round{says("a", "b", "c")}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}, Output: []Stage{{Plugin: g, Open: true}}, Window: 64}, chat("x"))
	if a.err != nil || a.texts[0] != "abc" || g.calls.Load() != 1 {
		t.Errorf("text %q, calls %d, err %v", a.texts[0], g.calls.Load(), a.err)
	}
}

func TestRun_ChoicesAndPrompts(t *testing.T) {
	m := &model{id: "m", rounds: []round{says("1"), says("2"), says("3"), says("4")}}
	seed := int64(5)
	req := &Request{ID: "r", Endpoint: "completion", Choices: 2, Prompts: []openai.PromptItem{{Text: "a"}, {Text: "b"}}, Prompt: Prompt{Seed: &seed}}
	a := ask(t, newPipeline(), &Route{Name: "default", Models: []Model{m}}, req)
	if a.err != nil || fmt.Sprint(a.texts) != "map[0:1 1:2 2:3 3:4]" || *m.prompts[1].Seed != 6 || *m.prompts[2].Seed != 5 || m.prompts[2].Text != "b" {
		t.Errorf("got %v, %v", a.texts, a.err)
	}
	if a.usage.PromptTokens != 6 || a.usage.CompletionTokens != 4 || a.usage.TotalTokens != 10 {
		t.Errorf("usage %+v", a.usage)
	}
}

func TestRun_ClientThatLeavesEndsTheRequest(t *testing.T) {
	m := &model{id: "m", rounds: []round{says("a", "b")}}
	p := newPipeline()
	var tr *Trace
	p.Trace = func(got *Trace) { tr = got }
	gone := errors.New("gone")
	n := 0
	err := p.Run(context.Background(), &Route{Name: "default", Models: []Model{m}}, chat("x"), func(e Event) error {
		if n++; n == 2 {
			return gone
		}
		return nil
	})
	if !errors.Is(err, gone) || n != 2 || tr.Status != 499 {
		t.Errorf("err %v after %d events, trace %+v", err, n, tr)
	}
}

func TestTrace_TellsFaultsFromClientsThatLeft(t *testing.T) {
	broken := errors.New("broken pipe")
	for name, tc := range map[string]struct {
		model, client error
		status        int
	}{
		"the model fails":    {model: errors.New("no such weights"), status: 500},
		"the client left":    {client: broken, status: 499},
		"its context ended":  {model: context.Canceled, status: 499},
		"the model is asked": {model: openai.Invalid("tools", "invalid_value", "no"), status: 400},
		"all is well":        {status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			said := says("a")
			said.err = tc.model
			var trace *Trace
			p := newPipeline()
			p.Trace = func(t *Trace) { trace = t }
			route := &Route{Name: "default", Models: []Model{&model{id: "m", rounds: []round{said}}}}
			err := p.Run(context.Background(), route, chat("x"), func(Event) error { return tc.client })
			if trace.Status != tc.status {
				t.Errorf("status %d, error %v", trace.Status, err)
			}
			if tc.client != nil && !errors.Is(err, tc.client) {
				t.Errorf("the client's own error became %v", err)
			}
		})
	}
}
