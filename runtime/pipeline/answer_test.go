package pipeline

import (
	"slices"
	"strings"
	"testing"

	groundingguard "github.com/ledge-run/ledge/plugins/grounding-guard"
	topicguard "github.com/ledge-run/ledge/plugins/topic-guard"
	"github.com/ledge-run/ledge/runtime/hook"
)

func grounding(t *testing.T) Stage {
	t.Helper()
	g, err := groundingguard.New(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return Stage{Plugin: guardOf("grounding-guard", g.Judge)}
}

// What the passages do not say never leaves, though the model said it piece by piece; what they say does.
func TestAnswer_IsHeldAgainstItsPassages(t *testing.T) {
	l := shelf(t, nil, [2]string{"leave.md", "Staff may take 25 days of leave every year."})
	for _, c := range []struct {
		pieces []string
		shown  string
		mode   bool
	}{
		{[]string{"Staff may take ", "25 days of leave ", "every year [1]."}, "Staff may take 25 days of leave every year [1].", false},
		{[]string{"Staff may take ", "35 days of leave ", "every year [1]."}, "", false},
		{[]string{"Staff may take 35 days of leave every year [1]."}, "Staff may take 35 days of leave every year [1].", true},
	} {
		guard := grounding(t)
		guard.Shadow = c.mode
		m := &model{id: "m", rounds: []round{says(c.pieces...)}}
		r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}, Answer: []Stage{guard}}
		text, _, tr, err := grounded(t, testPipeline(), r, question("How many days of leave may staff take?"))
		if err != nil || text != c.shown {
			t.Errorf("%q: %q, %v", c.pieces, text, err)
		}
		i := slices.IndexFunc(tr.Stages, func(e *Entry) bool { return e.Stage == "guard.answer" })
		if i < 0 || (tr.Stages[i].Verdict == hook.Block) != strings.Contains(c.pieces[0]+strings.Join(c.pieces, ""), "35") || tr.Stages[i].Shadow != c.mode {
			t.Errorf("%q: %+v", c.pieces, tr.Stages)
		}
		if want := map[bool]string{true: finishFilter, false: finishStop}[c.shown == ""]; len(tr.Finish) != 1 || tr.Finish[0] != want {
			t.Errorf("%q ended with %v", c.pieces, tr.Finish)
		}
	}
}

func TestAnswer_GetsItsDisclaimerAndThenThePassThroughTheStream(t *testing.T) {
	g, err := topicguard.New(func(k string) (string, bool) {
		v := map[string]string{"topics": "dosage: milligrams", "disclaimers": "dosage = Ask your doctor."}[k]
		return v, v != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	noX := guardOf("no-x", func(r *hook.GuardRequest) hook.Verdict {
		v := hook.Verdict{Verdict: hook.Allow}
		if i := strings.Index(r.Text, "secret"); i >= 0 {
			v = hook.Verdict{Verdict: hook.Redact, Spans: []hook.Span{{Start: i, End: i + 6, Entity: "X"}}}
		}
		return v
	})
	m := &model{id: "m", rounds: []round{says("Take 200 ", "milligrams. It is no sec", "ret.")}}
	r := &Route{Name: "r", Models: []Model{m}, Answer: []Stage{{Plugin: guardOf("topic-guard", g.Judge)}}, Output: []Stage{{Plugin: noX}}, Window: 256}
	got, _, tr, err := grounded(t, testPipeline(), r, question("How much?"))
	if err != nil || got != "Take 200 milligrams. It is no [X].\n\nAsk your doctor." {
		t.Errorf("%q, %v, %+v", got, err, tr)
	}
}
