package piiguard

import (
	"strings"
	"testing"
	"time"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestJudge_FollowsThePolicy(t *testing.T) {
	const text = "a@b.de 4111 1111 1111 1111"
	for _, c := range []struct{ entities, verdict, reason string }{
		{"", sdk.Redact, "EMAIL 1, CARD 1"},
		{"card=block", sdk.Block, "EMAIL 1, CARD 1"},
		{"email=allow", sdk.Redact, "CARD 1"},
		{"all=allow", sdk.Allow, ""},
		{" all = allow , card = redact ", sdk.Redact, "CARD 1"},
	} {
		v := newGuard(t, c.entities).Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: text})
		if v.Verdict != c.verdict || v.Reason != c.reason || v.Hold != 0 {
			t.Errorf("%q: %+v", c.entities, v)
		}
	}
}

func TestParsePolicy_RefusesWhatItDoesNotKnow(t *testing.T) {
	for _, s := range []string{"mail=redact", "email=hide", "email", "=block"} {
		if _, err := ParsePolicy(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

// A stricter entity inside the range of a milder one decides.
func TestJudge_OverlapTakesTheBlock(t *testing.T) {
	text := "write to 4111111111111111@pay.example"
	if v := newGuard(t, "card=block").Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: text}); v.Verdict != sdk.Block || len(v.Spans) != 1 {
		t.Errorf("%+v", v)
	}
}

func FuzzJudge(f *testing.F) {
	for _, text := range streamTexts(f) {
		f.Add(text, 0, true)
	}
	f.Add("\xff@\xc3.de \xe2\x80", 2, false)
	g := newGuard(f, "card=block")
	f.Fuzz(func(t *testing.T, text string, start int, final bool) {
		for _, stage := range []string{sdk.StageInput, sdk.StageOutput} {
			for start > 0 && !boundary(text, start) {
				start--
			}
			v := g.Judge(&sdk.GuardRequest{Stage: stage, Text: text, Start: start, Final: final})
			if err := v.Check(text); err != nil {
				t.Fatalf("%s %q: %v", stage, text, err)
			}
			last := 0
			for _, s := range v.Spans {
				if s.Start < last {
					t.Fatalf("%s %q: spans %+v", stage, text, v.Spans)
				}
				last = s.End
			}
		}
	})
}

func TestJudge_TimeIsLinear(t *testing.T) {
	g := newGuard(t, "")
	for name, unit := range map[string]string{
		"digits": "1", "at signs": "@", "invisible": "\u200b", "groups": "4 ", "addresses": "a@", "dots": "a.", "plus": "+1(", "colons": "a:",
		"hyphens": "1-", "wide": "\uff11", "cards": "4111 1111 1111 1111 ", "mixed": "1\u200b", "double colons": "::", "brackets": "((((",
	} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		for _, stage := range []string{sdk.StageInput, sdk.StageOutput} {
			began := time.Now()
			g.Judge(&sdk.GuardRequest{Stage: stage, Text: text})
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("1 MB of %s at %s took %v", name, stage, took)
			}
		}
	}
}

func BenchmarkJudge4K(b *testing.B) {
	all := ""
	for _, c := range corpus(b, "tune.jsonl") {
		all += c.Text + "\n"
	}
	prose := strings.Repeat("The committee met again in the afternoon to talk about the budget of the next year. ", 50)[:4096]
	for _, c := range []struct{ name, text string }{{"prose", prose}, {"dense", strings.ToValidUTF8(strings.Repeat(all, 2)[:4096], "")}} {
		b.Run(c.name, func(b *testing.B) {
			g := newGuard(b, "")
			req := &sdk.GuardRequest{Stage: sdk.StageInput, Text: c.text}
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				g.Judge(req)
			}
		})
	}
}
