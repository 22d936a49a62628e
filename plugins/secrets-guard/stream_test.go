package secretsguard

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ledge-run/ledge/bench/guard/sets"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// replay does what the host does with a stream: 256 bytes of context, or from where a span began that touched the end.
func replay(t testing.TB, g *Guard, text string, cuts []int) string {
	t.Helper()
	var out strings.Builder
	released, open := 0, -1
	for k, cut := range append(cuts, len(text)) {
		from := max(0, released-256)
		if open >= 0 {
			from = min(from, open)
		}
		for from > 0 && from < len(text) && !utf8.RuneStart(text[from]) {
			from--
		}
		req := &sdk.GuardRequest{Stage: sdk.StageOutput, Text: text[from:cut], Start: released - from, Final: k == len(cuts)}
		v := g.Judge(req)
		if err := v.Check(req.Text); err != nil {
			t.Fatalf("%q, start %d: %v", req.Text, req.Start, err)
		}
		if v.Hold > MaxHold || v.Hold > cut-released {
			t.Fatalf("%q, start %d: hold %d", req.Text, req.Start, v.Hold)
		}
		end := cut - v.Hold
		if end == released {
			continue
		}
		at, was := released, open
		open = -1
		for _, s := range v.Spans {
			out.WriteString(text[at : from+s.Start])
			if from+s.Start > released || was < 0 {
				out.WriteString("[X]")
			}
			at = from + s.End
			if at == end {
				open = from + s.Start
				if s.Start == req.Start && was >= 0 {
					open = was
				}
			}
		}
		out.WriteString(text[at:end])
		released = end
	}
	return out.String()
}

// secretPieces are the labelled secrets of the set in texts with prose around them.
func TestStream_NoByteOfASecretLeavesForAnyCut(t *testing.T) {
	g := newGuard(t)
	r := rand.New(rand.NewPCG(3, 4))
	for i, c := range sets.Secrets(sets.Tune) {
		if len(c.Labels) == 0 || i%5 != 0 {
			continue
		}
		l := c.Labels[0]
		secret := c.Text[l.Start:l.End]
		v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: c.Text})
		if v.Verdict != sdk.Redact || v.Spans[0].Start > l.Start || v.Spans[0].End < l.End {
			continue // missed as a whole; the corpus test counts it
		}
		check := func(cuts []int) {
			t.Helper()
			got := replay(t, g, c.Text, cuts)
			for k := 0; k+8 <= len(secret); k++ {
				if piece := secret[k : k+8]; !strings.ContainsAny(piece, " -\n") && strings.Contains(got, piece) {
					t.Fatalf("%d cuts: %q left in %q", len(cuts), piece, got)
				}
			}
		}
		step := 1 + len(c.Text)/120
		for cut := 0; cut < len(c.Text); cut += step {
			check([]int{cut})
		}
		var all []int
		for k := 1; k < len(c.Text); k++ {
			all = append(all, k)
		}
		check(all)
		for range 10 {
			var cuts []int
			for k := r.IntN(9); k < len(c.Text); k += 1 + r.IntN(40) {
				cuts = append(cuts, k)
			}
			check(cuts)
		}
	}
}

func TestStream_HoldsNoMoreThanTheLastWordOfProse(t *testing.T) {
	v := newGuard(t).Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: "The quick brown fox jumps over the lazy do"})
	if v.Hold != 2 || v.Verdict != sdk.Allow {
		t.Errorf("%+v", v)
	}
}

func FuzzJudge(f *testing.F) {
	for _, c := range sets.Secrets(sets.Tune) {
		f.Add(c.Text, len(c.Text)/2)
	}
	g := newGuard(f)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if !utf8.ValidString(text) || cut < 0 || cut > len(text) || cut < len(text) && !utf8.RuneStart(text[cut]) {
			return
		}
		for _, req := range []*sdk.GuardRequest{{Stage: sdk.StageInput, Text: text}, {Stage: sdk.StageOutput, Text: text, Start: cut}, {Stage: sdk.StageOutput, Text: text[:cut], Final: true}} {
			v := g.Judge(req)
			if err := v.Check(req.Text); err != nil {
				t.Fatalf("%+v: %v", req, err)
			}
		}
	})
}

func TestJudge_SeesThroughDisguises(t *testing.T) {
	g := newGuard(t)
	for name, text := range map[string]string{
		"zero width": "key sk_live_\u200b4eC39HqLyjWDarjtT1zdp7dc ok",
		"wide":       "key ｓｋ_ｌｉｖｅ_4eC39HqLyjWDarjtT1zdp7dc ok",
		"base64":     "c2tfbGl2ZV80ZUMzOUhxTHlqV0Rhcmp0VDF6ZHA3ZGM=",
	} {
		v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: text})
		if v.Verdict != sdk.Redact || len(v.Spans) != 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
