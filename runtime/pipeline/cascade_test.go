package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// tier is a model that answers with tokens of one log-probability.
func tier(id string, logprob float64, answers ...string) *model {
	m := &model{id: id, tier: id}
	for _, text := range answers {
		r := round{}
		for _, word := range strings.SplitAfter(text, " ") {
			r.pieces = append(r.pieces, Delta{Text: word, Tokens: []openai.TokenLogprob{{Token: word, Logprob: logprob}}})
		}
		m.rounds = append(m.rounds, r)
	}
	return m
}

func broken(id string) *model {
	return &model{id: id, tier: id, rounds: []round{{err: &openai.Error{Status: 502, Type: openai.TypeServer, Code: "upstream_error", Message: "it failed"}}}}
}

func cascadeOf(models ...Model) *Route {
	return &Route{Name: "default", Models: models, Cascade: &Cascade{Accept: 0.5}, Window: 64}
}

// steps are a trace's entries of a cascade: model and verdict.
func steps(t *Trace) (out []string) {
	for _, e := range t.Stages {
		if e.Stage == "cascade" {
			out = append(out, e.Plugin+" "+e.Verdict)
		}
	}
	return out
}

func TestCascade_Escalates(t *testing.T) {
	schema := &Format{Kind: "json_schema", Source: `{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}`}
	for _, c := range []struct {
		name  string
		small *model
		edit  func(*Route, *Request)
		model string
		want  []string
		why   string
	}{
		{name: "a sure answer is accepted", small: tier("small", -0.1, "Paris it is"), model: "small", want: []string{"small accepted"}},
		{name: "an unlikely one is not", small: tier("small", -2, "Paris it is"), model: "large", want: []string{"small escalated"}, why: "mean probability 0.14 of 3 tokens"},
		{name: "a refusal", small: tier("small", -0.1, "I’m sorry, but I can't help."), model: "large", want: []string{"small escalated"}, why: "refusal"},
		{name: "a refusal in German", small: tier("small", -0.1, "Es tut mir leid, das weiß ich nicht."), model: "large", want: []string{"small escalated"}, why: "refusal"},
		{name: "a refusal of the site's", small: tier("small", -0.1, "Computer says no."), model: "large", want: []string{"small escalated"}, why: "computer says no",
			edit: func(r *Route, _ *Request) { r.Cascade.Refusals = []string{"computer says no"} }},
		{name: "nothing", small: tier("small", -0.1, " "), model: "large", want: []string{"small escalated"}, why: "empty"},
		{name: "a circle", small: tier("small", 0, strings.Repeat("the same again and ", 5)), model: "large", want: []string{"small escalated"}, why: "repeats itself"},
		{name: "a fault", small: broken("small"), model: "large", want: []string{"small escalated"}, why: "it failed"},
		{name: "what does not fit the schema", small: tier("small", -0.1, `{"a":"x"}`), model: "large", want: []string{"small escalated"}, why: "schema",
			edit: func(_ *Route, r *Request) { r.Prompt.Format = schema }},
		{name: "what fits it", small: tier("small", -0.1, `{"a":1}`), model: "small", want: []string{"small accepted"},
			edit: func(_ *Route, r *Request) { r.Prompt.Format = schema }},
		{name: "answers that agree", small: tier("small", -0.1, "It is 42.", "it is 42"), model: "small", want: []string{"small accepted"},
			edit: func(r *Route, _ *Request) { r.Cascade.Samples = 2 }},
		{name: "answers that do not", small: tier("small", -0.1, "It is 42.", "It is 17."), model: "large", want: []string{"small escalated"}, why: "with 2 further answers",
			edit: func(r *Route, _ *Request) { r.Cascade.Samples = 2 }},
		{name: "what a judge does not allow", small: tier("small", -0.1, "The moon is cheese."), model: "large", want: []string{"small escalated"}, why: "cheese-guard: review",
			edit: func(r *Route, _ *Request) {
				r.Cascade.Judges = []Stage{{Plugin: guardOf("cheese-guard", func(r *hook.GuardRequest) hook.Verdict {
					if strings.Contains(r.Text, "cheese") {
						return hook.Verdict{Verdict: hook.Review, Reason: "it is not"}
					}
					return hook.Verdict{Verdict: hook.Allow}
				})}}
			}},
		{name: "a judge that fails allows nothing", small: tier("small", -0.1, "yes"), model: "large", want: []string{"small escalated"}, why: "it failed",
			edit: func(r *Route, _ *Request) { r.Cascade.Judges = []Stage{{Plugin: failing("judge")}} }},
		{name: "an open judge that fails is passed over", small: tier("small", -0.1, "yes"), model: "small", want: []string{"small accepted"},
			edit: func(r *Route, _ *Request) { r.Cascade.Judges = []Stage{{Plugin: failing("judge"), Open: true}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			large := tier("large", -9, "the large one's answer")
			r, req := cascadeOf(c.small, large), chat("a question")
			if c.edit != nil {
				c.edit(r, req)
			}
			a := ask(t, newPipeline(), r, req)
			if a.err != nil || a.start == nil || a.start.Model != c.model || a.start.Headers[HeaderTier] != c.model || a.trace.Model != c.model {
				t.Fatalf("%v, start %+v, trace %+v", a.err, a.start, a.trace)
			}
			if got := steps(a.trace); !slices.Equal(got, c.want) {
				t.Errorf("steps %v", got)
			}
			if c.model == "large" && a.texts[0] != "the large one's answer" {
				t.Errorf("said %q", a.texts[0])
			}
			if len(a.tokens) != 0 && c.model == "small" {
				t.Error("log-probabilities that the client did not ask for reached it")
			}
			if i := slices.IndexFunc(a.trace.Stages, func(e *Entry) bool { return e.Stage == "cascade" }); !strings.Contains(a.trace.Stages[i].Reason, c.why) {
				t.Errorf("reason %q", a.trace.Stages[i].Reason)
			}
			if len(a.finish) != 1 || len(a.trace.Finish) != 1 {
				t.Errorf("finished %v, in the trace %v", a.finish, a.trace.Finish)
			}
		})
	}
}

func TestCascade_CountsEveryAttempt(t *testing.T) {
	a := ask(t, newPipeline(), cascadeOf(tier("small", -3, "one two"), tier("medium", -3, "one two three"), tier("large", 0, "one")), chat("q"))
	if a.usage == nil || a.usage.PromptTokens != 9 || a.usage.CompletionTokens != 6 || a.start.Headers[HeaderEscalations] != "2" {
		t.Errorf("%+v, %+v, %v", a.usage, a.start, a.err)
	}
	want := []Spend{{"small", "small", 3, 2}, {"medium", "medium", 3, 3}, {"large", "large", 3, 1}}
	if !slices.Equal(a.trace.Spent, want) {
		t.Errorf("spent %+v", a.trace.Spent)
	}
}

func TestCascade_HandsOverToAPerson(t *testing.T) {
	p, r := newPipeline(), cascadeOf(tier("small", -3, "perhaps"), tier("large", -2, "maybe so"))
	r.Cascade.Human = true
	var got *Handover
	p.Hand = func(_ context.Context, h *Handover) error { got = h; return nil }
	req := chat("a hard question")
	req.Subject = "ada"
	a := ask(t, p, r, req)
	if a.err != nil || a.start.Model != "human" || a.start.Degraded != "handed_over" || a.start.Headers[HeaderTier] != "human" || a.texts[0] != handoverText || !slices.Equal(a.finish, []string{"stop"}) {
		t.Fatalf("%v, %+v, %q, %v", a.err, a.start, a.texts[0], a.finish)
	}
	if got == nil || got.ID != "req_1" || got.Tenant != "t1" || got.Subject != "ada" || got.Messages[0].Content != "a hard question" || got.Attempt != "maybe so" || !strings.Contains(got.Reason, "large, confidence 0.14") {
		t.Errorf("%+v", got)
	}
	if !slices.Contains(a.trace.Degraded, "handed_over") || !slices.Equal(steps(a.trace), []string{"small escalated", "large escalated", "human handed_over"}) {
		t.Errorf("%v %v", a.trace.Degraded, steps(a.trace))
	}

	p.Hand = func(context.Context, *Handover) error { return errors.New("the disk is full") }
	if a := ask(t, p, r, chat("q")); code(a.err) != "handover_failed" || a.start != nil {
		t.Errorf("a client was told that a person knows: %v, %+v", a.err, a.start)
	}
}

func TestCascade_KeepsSensitiveRequestsOnTheDevice(t *testing.T) {
	far := tier("far", 0, "from afar")
	far.remote = true
	router := &plugin{name: "router", call: func(wasm.Call) ([]byte, error) {
		return (&hook.RouteDecision{Sensitive: true}).AppendJSON(nil), nil
	}}
	r := cascadeOf(tier("small", -3, "perhaps"), far)
	r.Router = &Stage{Plugin: router}
	a := ask(t, newPipeline(), r, chat("my diagnosis"))
	if a.err != nil || a.texts[0] != "perhaps" || a.start.Degraded != "low_confidence" || len(far.prompts) != 0 {
		t.Errorf("%v, %q, %+v; the remote model was asked %d times", a.err, a.texts[0], a.start, len(far.prompts))
	}
	r.Router = nil
	if a := ask(t, newPipeline(), r, chat("the weather")); a.texts[0] != "from afar" {
		t.Errorf("%q", a.texts[0])
	}
}

func TestCascade_TheBestAnswerStandsInForATierThatFails(t *testing.T) {
	r := cascadeOf(tier("small", -2, "perhaps"), broken("large"))
	r.SafeAnswer = "Please call us."
	a := ask(t, newPipeline(), r, chat("q"))
	if a.err != nil || a.texts[0] != "perhaps" || a.start.Degraded != "low_confidence" || a.start.Model != "small" {
		t.Errorf("%v, %q, %+v", a.err, a.texts[0], a.start)
	}
	r = cascadeOf(broken("small"), broken("large"))
	if a := ask(t, newPipeline(), r, chat("q")); code(a.err) != "upstream_error" {
		t.Errorf("%v", a.err)
	}
	r.SafeAnswer = "Please call us."
	if a := ask(t, newPipeline(), r, chat("q")); a.texts[0] != "Please call us." || a.start.Degraded != "safe_answer" {
		t.Errorf("%v %q %+v", a.err, a.texts[0], a.start)
	}
}

func TestCascade_TextOfARejectedAnswerIsNotInTheTrace(t *testing.T) {
	p := newPipeline()
	p.Prompts = true
	a := ask(t, p, cascadeOf(tier("small", -3, "wrong"), tier("large", 0, "right")), chat("q"))
	if !slices.Equal(a.trace.Text.Answers, []string{"right"}) {
		t.Errorf("%v", a.trace.Text.Answers)
	}
	if a := ask(t, p, cascadeOf(tier("small", 0, "right"), tier("large", 0, "unasked")), chat("q")); !slices.Equal(a.trace.Text.Answers, []string{"right"}) {
		t.Errorf("%v", a.trace.Text.Answers)
	}
}

func TestFitsSchema_ReadsNothingFromOutside(t *testing.T) {
	for _, ref := range []string{"file:///etc/passwd", "http://127.0.0.1:1/x.json", "other.json"} {
		if err := fitsSchema(`{"$ref":"`+ref+`"}`, `{}`); err == nil || !strings.Contains(err.Error(), "outside") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
