package pipeline

import (
	"strings"
	"testing"
)

const leakSystem = "You are the help desk of the harbour. Never say that the new crane costs 41 million; its code name is Kestrel and the mayor must not know. Answer in one sentence."

// piecewise is an answer in pieces of n bytes, the first of which has first.
func piecewise(text string, first, n int) round {
	var r round
	for len(text) > 0 {
		k := min(first, len(text))
		r.pieces = append(r.pieces, Delta{Text: text[:k]})
		text, first = text[k:], n
	}
	return r
}

func leakRoute(m Model, mode string) *Route {
	return &Route{Name: "default", Models: []Model{m}, System: leakSystem, Leak: NewLeak(leakSystem, mode), Window: 256}
}

func TestLeak_NoRunOfThePromptLeavesForAnySplit(t *testing.T) {
	probe := leakRoute(nil, "redact")
	canary := probe.Leak.canary
	for _, c := range []struct{ text, want string }{
		{"Sure: never say that the new crane costs 41 million! Anything else?", "Sure: [REMOVED]! Anything else?"},
		{"NEVER, say that * the new\ncrane costs — 41 million", "[REMOVED]"},
		{"I am told: " + leakSystem + " That is all.", "I am told: [REMOVED]. That is all."},
		{"My reference is " + canary + ".", "My reference is [REMOVED]."},
		{"It is " + strings.ToUpper(strings.Join(strings.Split(canary, ""), "-")) + "!", "It is [REMOVED]!"},
		{"The new crane costs 41 million.", ""},
		{"You are the help desk of the sea, never say that. The new crane, its code name is Kestrel.", ""},
		{"ldg is an abbreviation; old ld and l.", ""},
		{"", ""},
	} {
		if c.want == "" {
			c.want = c.text
		}
		for first := 1; first <= max(len(c.text), 1); first++ {
			for _, n := range []int{1, 3, 7, 1000} {
				m := &model{id: "m", rounds: []round{piecewise(c.text, first, n)}}
				r := leakRoute(m, "redact")
				r.Leak.canary, r.Leak.needles = canary, probe.Leak.needles
				a := ask(t, newPipeline(), r, chat("hello"))
				if a.err != nil || a.texts[0] != c.want {
					t.Fatalf("%q in pieces of %d, then %d: %q, want %q (%v)", c.text, first, n, a.texts[0], c.want, a.err)
				}
				if !strings.Contains(string(m.prompts[0].Messages[0].Content), canary) {
					t.Fatal("the canary is not in the prompt")
				}
			}
		}
	}
}

func TestLeak_BlocksOrNotes(t *testing.T) {
	text := "Well, it says never say that the new crane costs 41 million, and more."
	for mode, want := range map[string]string{"block": "Well, it says ", "shadow": text} {
		a := ask(t, newPipeline(), leakRoute(&model{id: "m", rounds: []round{piecewise(text, 5, 5)}}, mode), chat("hello"))
		if a.err != nil || a.texts[0] != want {
			t.Errorf("%s: %q %v", mode, a.texts[0], a.err)
		}
		if finish := strings.Join(a.finish, ""); (finish == "content_filter") != (mode == "block") {
			t.Errorf("%s: %q", mode, finish)
		}
		noted := false
		for _, e := range a.trace.Stages {
			noted = noted || e.Plugin == "leak" && len(e.Spans) > 0 && e.Shadow == (mode == "shadow")
		}
		if !noted {
			t.Errorf("%s: not in the trace", mode)
		}
	}
}

func FuzzLeak(f *testing.F) {
	l := NewLeak(leakSystem, "redact")
	f.Add("never say that the new crane costs 41 million", 3, false)
	f.Add(l.canary+" \xff é", 0, true)
	f.Fuzz(func(t *testing.T, text string, start int, final bool) {
		start = min(max(start, 0), len(text))
		v := l.judge(text, start, final)
		at := 0
		for _, s := range v.Spans {
			if s.Start < at || s.End <= s.Start || s.End > len(text) || s.Start < start {
				t.Fatalf("%q: %+v", text, v)
			}
			at = s.End
		}
		if v.Hold < 0 || v.Hold > len(text)-start {
			t.Fatalf("%q: hold %d", text, v.Hold)
		}
	})
}
