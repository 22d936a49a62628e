package groundingguard

import (
	"bufio"
	"os"
	"strings"
	"testing"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// The 200 pairs: a context, and a claim that it supports, two that it contradicts (an altered number; a negation, an
// opposite or another name), one that it does not speak of, and the context itself. Every other line is held out.
func TestCheck_AccuracyOnPairs(t *testing.T) {
	f, err := os.Open("testdata/pairs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	right, all := [2]int{}, [2]int{}
	verdicts := 0
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan(); n++ {
		p := strings.Split(lines.Text(), "|")
		if len(p) != 5 {
			t.Fatalf("line %d has %d parts", n+1, len(p))
		}
		for i, want := range []string{Supported, Supported, Contradicted, Contradicted, Unsupported} {
			r := Check([]string{p[0]}, p[i])
			got := "no claim"
			if len(r.Claims) == 1 {
				got = r.Claims[0].Status
			}
			all[n%2]++
			if got == want {
				right[n%2]++
			} else {
				t.Logf("%s, want %s: %q from %q: %+v", got, want, p[i], p[0], r.Claims)
			}
			if (r.Score >= DefaultBlock) == (want == Supported) {
				verdicts++
			}
		}
	}
	for k, name := range []string{"tune", "held out"} {
		a := float64(right[k]) / float64(all[k])
		t.Logf("%s: accuracy %.3f of %d", name, a, all[k])
		if a < 0.9 {
			t.Errorf("%s: accuracy %.3f, want at least 0.90", name, a)
		}
	}
	t.Logf("blocked or passed rightly: %d of %d", verdicts, all[0]+all[1])
}

func TestCheck_ACitationMustExist(t *testing.T) {
	passages := []string{"The ferry leaves at 9:45.", "The pier is closed on Mondays."}
	for answer, want := range map[string]string{
		"The ferry leaves at 9:45 [1].": Supported,
		"The ferry leaves at 9:45. [1]": Supported,
		"The ferry leaves at 9:45 [3].": Unsupported,
		"The ferry leaves at 9:45 [2].": Unsupported,
	} {
		r := Check(passages, answer)
		if len(r.Claims) != 1 || r.Claims[0].Status != want {
			t.Errorf("%q: %+v, want %s", answer, r, want)
		}
	}
}

func TestJudge_TakesPassagesAndAnswerApart(t *testing.T) {
	g, err := New(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	text := PassageMark + "The museum holds 4,500 paintings." + AnswerMark + "The museum holds 4,700 paintings."
	v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true})
	if v.Verdict != sdk.Block || len(v.Spans) != 1 || text[v.Spans[0].Start:v.Spans[0].End] != "The museum holds 4,700 paintings." {
		t.Errorf("%+v", v)
	}
	if v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: "no passages"}); v.Verdict != sdk.Allow {
		t.Errorf("%+v", v)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("The museum holds 4,500 paintings.", "It holds 3 [1]. [[2,, 9]")
	g, _ := New(func(string) (string, bool) { return "", false })
	f.Fuzz(func(t *testing.T, passage, answer string) {
		text := PassageMark + passage + AnswerMark + answer
		v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true})
		if err := v.Check(text); err != nil {
			t.Fatal(err)
		}
	})
}
