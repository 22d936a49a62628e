package injectionguard

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func corpus(t testing.TB, name string) (texts []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%s: %v: %s", name, err, lines.Text())
		}
		texts = append(texts, c.Text)
	}
	return texts
}

func newGuard(t testing.TB, config map[string]string) *Guard {
	t.Helper()
	g, err := New(func(key string) (string, bool) { v, ok := config[key]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// rate returns the share of the texts that are blocked. The held-out texts were set apart before the rules were tuned;
// which of them fail is not shown, so that nobody tunes to them.
func rate(t *testing.T, g *Guard, file, stage string, blocked bool) float64 {
	n := 0
	texts := corpus(t, file)
	for _, text := range texts {
		v := g.Judge(&sdk.GuardRequest{Stage: stage, Text: text})
		if v.Verdict == sdk.Block {
			n++
		}
		if (v.Verdict == sdk.Block) != blocked && file != "attacks_heldout.jsonl" && file != "benign_heldout.jsonl" {
			t.Logf("%s %s: %s %q", file, v.Verdict, v.Reason, text)
		}
	}
	r := float64(n) / float64(len(texts))
	t.Logf("%s at %s: %d of %d blocked, %.3f", file, stage, n, len(texts), r)
	return r
}

func TestCorpus_DirectAttacksAreCaught(t *testing.T) {
	g := newGuard(t, nil)
	for file, floor := range map[string]float64{"attacks_tune.jsonl": 0.95, "attacks_heldout.jsonl": 0.85} {
		if r := rate(t, g, file, sdk.StageInput, true); r < floor {
			t.Errorf("%s: recall %.3f, want %.2f", file, r, floor)
		}
	}
}

func TestCorpus_HarmlessTextPasses(t *testing.T) {
	g := newGuard(t, nil)
	for _, file := range []string{"benign_tune.jsonl", "benign_heldout.jsonl"} {
		for _, stage := range []string{sdk.StageInput, sdk.StageRetrieval, sdk.StageTool, sdk.StageOutput} {
			if r := rate(t, g, file, stage, false); r > 0.02 {
				t.Errorf("%s at %s: false alarms %.3f, want at most 0.02", file, stage, r)
			}
		}
	}
}
