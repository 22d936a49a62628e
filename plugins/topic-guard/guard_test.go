package topicguard

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/hook"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var clinic = map[string]string{
	"topics":      "dosage: dosage, how many milligrams, overdos*, Dosierung, дозировка, 剂量; booking: appointment, book a visit, opening hours; politics: election*, vote for, Wahlkampf",
	"deny":        "politics",
	"allow":       "dosage, booking",
	"disclaimers": "dosage = This is no medical advice. | booking = Times may change.",
}

func newGuard(t testing.TB, config map[string]string) *Guard {
	t.Helper()
	g, err := New(func(k string) (string, bool) { v, ok := config[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestJudge_StopsDeniedAndForeignTopics(t *testing.T) {
	g := newGuard(t, clinic)
	for _, c := range []struct{ stage, text, verdict, evidence string }{
		{sdk.StageInput, "Whom should I vote for next spring, and why?", sdk.Block, "vote for"},
		{sdk.StageInput, "Tell me about the ELECTIONS of 1998 please.", sdk.Block, "ELECTIONS"},
		{sdk.StageInput, "Was ist im ＷＡＨＬＫＡＭＰＦ los?", sdk.Block, "ＷＡＨＬＫＡＭＰＦ"},
		{sdk.StageInput, "the e\u200blec\u200btion", sdk.Block, "e\u200blec\u200btion"},
		{sdk.StageInput, "Could you write me a poem about the autumn sea?", sdk.Block, ""},
		{sdk.StageInput, "Hello there!", sdk.Allow, ""},
		{sdk.StageInput, "How many milligrams of ibuprofen may an adult take?", sdk.Allow, ""},
		{sdk.StageInput, "Какая ДОЗИРОВКА ибупрофена для взрослых сейчас нормальна?", sdk.Allow, ""},
		{sdk.StageInput, "布洛芬的剂量是多少 请告诉我", sdk.Allow, ""},
		{sdk.StageInput, "May I book a visit to the dentist for Tuesday?", sdk.Allow, ""},
		{sdk.StageInput, "The selection of devotees for the overdone voters' role.", sdk.Block, ""}, // off topic, and no word of politics
		{sdk.StageRetrieval, "Could you write me a poem about the autumn sea?", sdk.Allow, ""},
		{sdk.StageOutput, "You should vote for no one.", sdk.Block, "vote for"},
	} {
		v := g.Judge(&sdk.GuardRequest{Stage: c.stage, Role: "user", Text: c.text, Final: true})
		got := ""
		for _, s := range v.Spans {
			got += c.text[s.Start:s.End]
		}
		if v.Verdict != c.verdict || got != c.evidence {
			t.Errorf("%s %q: %+v (%q)", c.stage, c.text, v, got)
		}
		if err := v.Check(c.text); err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

func TestJudge_AddsTheDisclaimerThatAWholeAnswerLacks(t *testing.T) {
	g := newGuard(t, clinic)
	for answer, want := range map[string]string{
		"The usual dosage is 200 mg.\n":                              "The usual dosage is 200 mg.\n\nThis is no medical advice.\n",
		"The dosage is low. THIS IS NO MEDICAL ADVICE, as you know.": "The dosage is low. THIS IS NO MEDICAL ADVICE, as you know.",
		"Your appointment is at nine; the dosage stays":              "Your appointment is at nine; the dosage stays\n\nThis is no medical advice.\n\nTimes may change.",
		"Nothing to say. 剂量是二百":                                      "Nothing to say. 剂量是二百\n\nThis is no medical advice.",
		"The sea is blue.":                                           "The sea is blue.",
	} {
		v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: answer, Final: true})
		if err := v.Check(answer); err != nil {
			t.Fatal(err)
		}
		got := answer
		if v.Verdict == sdk.Redact {
			got = hook.ApplyRedactions(answer, v.Spans)
		}
		if got != want {
			t.Errorf("%q became %q, want %q", answer, got, want)
		}
	}
}

// However an answer is cut, nothing of a denied phrase leaves before the guard stops it.
func TestStream_NoPhraseLeavesForAnyCut(t *testing.T) {
	g := newGuard(t, clinic)
	answer := "I looked at it for a while. People vote for the wind, and no élection is like another."
	at := strings.Index(answer, "vote for")
	rng := rand.New(rand.NewPCG(3, 3))
	held := 0
	for range 3000 {
		released := 0
		stopped := false
		for end := 0; end < len(answer) && !stopped; {
			end = min(end+1+rng.IntN(12), len(answer))
			for end < len(answer) && !utf8.RuneStart(answer[end]) {
				end++
			}
			context := max(0, released-256)
			text := answer[context:end]
			v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Start: released - context, Final: end == len(answer)})
			if err := v.Check(text); err != nil {
				t.Fatal(err)
			}
			if stopped = v.Verdict == sdk.Block; !stopped {
				released = max(released, end-v.Hold)
				held = max(held, v.Hold)
			}
		}
		if !stopped || released > at {
			t.Fatalf("stopped %v, %q left", stopped, answer[:released])
		}
	}
	t.Logf("held %d bytes at most", held)
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	for want, config := range map[string]map[string]string{
		"has no name":             {"topics": "a, b"},
		"is there twice":          {"topics": "a: b; A: c"},
		"has no phrases":          {"topics": "a: ,"},
		"no topic \"b\"":          {"topics": "a: x", "deny": "b"},
		"both allowed and denied": {"topics": "a: x", "deny": "a", "allow": "a"},
		"is not NAME = sentence":  {"topics": "a: x", "disclaimers": "a"},
		"neither block nor":       {"action": "redact"},
		"not a number":            {"least": "0"},
		"fewer than 3 letters":    {"topics": "a: ab*"},
		"more than 8 words":       {"topics": "a: 1 2 3 4 5 6 7 8 9"},
	} {
		if _, err := New(func(k string) (string, bool) { v, ok := config[k]; return v, ok }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", config, err, want)
		}
	}
}

func TestGuest_JudgesAsNatively(t *testing.T) {
	native, guest := newGuard(t, clinic), plugintest.Load(t, "wasm", clinic)
	for _, text := range []string{"", "vote for", "The dosage of ÄÖÜ", "Who wins the elections? 剂量", strings.Repeat("nothing to see here, ", 200)} {
		for _, req := range []sdk.GuardRequest{{Stage: sdk.StageInput, Text: text, Final: true}, {Stage: sdk.StageOutput, Text: text, Final: true}, {Stage: sdk.StageOutput, Text: text}} {
			v := native.Judge(&req)
			if got, want := plugintest.Call(t, guest, "guard", &req), string(v.AppendJSON(nil)); got != want {
				t.Errorf("%s %q: %s, natively %s", req.Stage, text, got, want)
			}
		}
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	if stated := newGuard(t, plugintest.Manifest(t).Config); !reflect.DeepEqual(stated, newGuard(t, nil)) {
		t.Errorf("%+v", stated)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("vote for \xe2 剂量 dosage", 3, true)
	g := newGuard(f, clinic)
	f.Fuzz(func(t *testing.T, text string, start int, final bool) {
		if !utf8.ValidString(text) {
			return
		}
		start = min(max(start, 0), len(text))
		for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
			start--
		}
		for _, stage := range []string{sdk.StageInput, sdk.StageOutput} {
			req := &sdk.GuardRequest{Stage: stage, Text: text, Start: start, Final: final}
			v := g.Judge(req)
			if err := v.Check(text); err != nil {
				t.Fatalf("%q from %d: %+v: %v", text, start, v, err)
			}
		}
	})
}
