package piiguard

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// replay does what the host does with a stream, as the package comment describes it. Pieces are cut at the offsets.
func replay(t testing.TB, g *Guard, text string, cuts []int) string {
	t.Helper()
	var out strings.Builder
	released := 0
	for k, cut := range append(cuts, len(text)) {
		from := max(0, released-256)
		for !boundary(text, from) {
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
		at := released
		for _, s := range v.Spans {
			if from+s.Start < at || from+s.End > end {
				t.Fatalf("%q, start %d, hold %d: span %+v", req.Text, req.Start, v.Hold, s)
			}
			out.WriteString(text[at : from+s.Start])
			out.WriteString(s.Replacement)
			at = from + s.End
		}
		out.WriteString(text[at:end])
		released = end
	}
	if released != len(text) {
		t.Fatalf("%d of %d bytes released", released, len(text))
	}
	return out.String()
}

func whole(t testing.TB, g *Guard, text string) string { return replay(t, g, text, nil) }

func streamTexts(t testing.TB) (texts []string) {
	all := ""
	for _, name := range []string{"tune.jsonl", "heldout.jsonl"} {
		for _, c := range corpus(t, name) {
			texts = append(texts, c.Text)
			all += c.Text + " "
		}
	}
	pad := strings.Repeat("lorem ipsum dolor ", 20)
	return append(texts, all, pad+"call "+"0171 2345678 "+pad+"x@y.example"+pad,
		strings.Repeat("4111 1111 1111 1111, ", 30), strings.Repeat("a", 300)+"@example.com", strings.Repeat("é", 200)+"@example.com")
}

func TestStream_EveryCutInTwoGivesTheWhole(t *testing.T) {
	g := newGuard(t, "")
	for _, text := range streamTexts(t) {
		want := whole(t, g, text)
		for cut := range len(text) {
			if !boundary(text, cut) {
				continue
			}
			if got := replay(t, g, text, []int{cut}); got != want {
				t.Fatalf("cut %d of %q:\n%q\nwant\n%q", cut, text, got, want)
			}
		}
	}
}

func TestStream_CharacterByCharacterGivesTheWhole(t *testing.T) {
	g := newGuard(t, "")
	for _, text := range streamTexts(t) {
		var cuts []int
		for i := range text {
			cuts = append(cuts, i)
		}
		if got, want := replay(t, g, text, cuts), whole(t, g, text); got != want {
			t.Fatalf("%q:\n%q\nwant\n%q", text, got, want)
		}
	}
}

func TestStream_RandomPiecesOfMixedTextGiveTheWhole(t *testing.T) {
	g := newGuard(t, "")
	r := rand.New(rand.NewPCG(1, 2))
	parts := streamTexts(t)
	glue := []string{" ", "\n", "", ", ", "-", ".", "@", "\u200b", "1", ":", "+", "(", " call ", "version ", strings.Repeat("\u200b", 12)}
	for range 3000 {
		var b strings.Builder
		for b.Len() < 700 {
			p := parts[r.IntN(len(parts)-5)]
			if r.IntN(3) == 0 {
				at := r.IntN(len(p) + 1)
				for !boundary(p, at) {
					at--
				}
				p = p[at:]
			}
			b.WriteString(p)
			b.WriteString(glue[r.IntN(len(glue))])
		}
		text := b.String()
		var cuts []int
		for i := 0; i < len(text); i += 1 + r.IntN(60) {
			if boundary(text, i) {
				cuts = append(cuts, i)
			}
		}
		if got, want := replay(t, g, text, cuts), whole(t, g, text); got != want {
			t.Fatalf("cuts %v of %q:\n%q\nwant\n%q", cuts, text, got, want)
		}
	}
}

func TestStream_HoldsNoMoreThanTheLastWordOfProse(t *testing.T) {
	g := newGuard(t, "")
	text := "The quick brown fox jumps over the lazy do"
	if v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text}); v.Hold != 2 || v.Verdict != sdk.Allow {
		t.Errorf("%+v", v)
	}
}

// Matches that overlap over more than MaxHold bytes are replaced in parts; their bytes do not leave.
func TestStream_ChainLongerThanTheHoldDoesNotLeak(t *testing.T) {
	g := newGuard(t, "")
	chain := strings.Repeat("4444 4444 4444 4448 ", 60)
	var cuts []int
	for i := range chain {
		cuts = append(cuts, i)
	}
	if got := replay(t, g, chain, cuts); strings.ContainsAny(got, "48") {
		t.Errorf("%q", got)
	}
}

func FuzzStream(f *testing.F) {
	for _, text := range streamTexts(f) {
		f.Add(text, uint64(len(text)))
	}
	g := newGuard(f, "")
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if !utf8.ValidString(text) || len(text) > 4096 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var cuts []int
		for i := 0; i < len(text); i += 1 + r.IntN(40) {
			if boundary(text, i) {
				cuts = append(cuts, i)
			}
		}
		want := whole(t, g, text)
		got := replay(t, g, text, cuts)
		if got != want && !hasLongSpan(g, text) {
			t.Fatalf("cuts %v of %q:\n%q\nwant\n%q", cuts, text, got, want)
		}
	})
}

func hasLongSpan(g *Guard, text string) bool {
	for _, s := range g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true}).Spans {
		if s.End-s.Start > MaxHold-maxRaw {
			return true
		}
	}
	return false
}
