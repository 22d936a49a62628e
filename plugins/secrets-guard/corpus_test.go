package secretsguard

import (
	"testing"

	"github.com/ledge-run/ledge/bench/guard/sets"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func newGuard(t testing.TB) *Guard {
	t.Helper()
	g, err := New(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A secret is found when the spans cover all of it; an alarm is a span that touches none.
func TestCorpus_PrecisionAndRecall(t *testing.T) {
	g := newGuard(t)
	for _, split := range []sets.Split{sets.Tune, sets.Heldout} {
		hit, miss, alarm := 0, 0, 0
		shown := map[string]bool{}
		for _, c := range sets.Secrets(split) {
			v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageInput, Text: c.Text})
			for _, l := range c.Labels {
				covered := false
				for _, s := range v.Spans {
					covered = covered || s.Start <= l.Start && s.End >= l.End
				}
				if covered {
					hit++
					continue
				}
				miss++
				if !shown[l.Entity+c.Text[:min(12, len(c.Text))]] {
					shown[l.Entity+c.Text[:min(12, len(c.Text))]] = true
					t.Logf("split %d missed %s in %q: %+v", split, l.Entity, c.Text, v.Spans)
				}
			}
			for _, s := range v.Spans {
				touched := false
				for _, l := range c.Labels {
					touched = touched || s.Start < l.End && s.End > l.Start
				}
				if !touched {
					alarm++
					t.Logf("split %d alarm %+v in %q", split, s, c.Text)
				}
			}
		}
		recall, precision := float64(hit)/float64(hit+miss), float64(hit)/float64(hit+alarm)
		t.Logf("split %d: recall %.3f precision %.3f (%d secrets)", split, recall, precision, hit+miss)
		if recall < 0.95 || precision < 0.95 {
			t.Errorf("split %d: recall %.3f, precision %.3f; want at least 0.95", split, recall, precision)
		}
	}
}
