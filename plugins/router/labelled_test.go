package router

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// labelled is a request of testdata/requests.txt.
type labelled struct {
	text, domain, tier string
	heldOut            bool
	last               bool // of its group: written after the router's words were fixed
}

func labelledRequests(t testing.TB) (out []labelled) {
	t.Helper()
	doc, err := os.ReadFile("testdata/requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	domain, tier, n := "", "", 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(doc)), "\n") {
		if line[0] == '#' {
			continue
		}
		if words := strings.Fields(line); len(words) == 2 {
			domain, tier, n = words[0], words[1], 0
			continue
		}
		before, rest, ok := strings.Cut(line, "{")
		slot, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			t.Fatalf("no slot in %q", line)
		}
		for choice := range strings.SplitSeq(slot, "|") {
			out = append(out, labelled{before + choice + after, domain, tier, n >= 5, n >= 8})
		}
		n++
	}
	return out
}

// TestRoute_TiersOfLabelledRequests holds the accuracy on the templates that were written beside the router's words. Those
// written afterwards, without looking at them, are counted apart and not held: see the figure that -v prints. It is what to
// expect of requests that name no task.
func TestRoute_TiersOfLabelledRequests(t *testing.T) {
	const tuned, heldOut, fresh = 0, 1, 2
	r := router(t, nil)
	tiers := map[string]string{"simple": "tiny", "middle": "middle", "complex": "big"}
	var right, all, inDomain [3]int
	var wrong []string
	for _, l := range labelledRequests(t) {
		set := tuned
		if l.last {
			set = fresh
		} else if l.heldOut {
			set = heldOut
		}
		f := look(ask(l.text).Messages)
		all[set]++
		if f.domain == l.domain {
			inDomain[set]++
		}
		if d := r.Route(ask(l.text)); d.Model == tiers[l.tier] {
			right[set]++
		} else {
			wrong = append(wrong, fmt.Sprintf("%-8s %s %.2f %s (%s)", l.tier, d.Model, f.complexity, l.text, l.domain))
		}
	}
	percent := func(n [3]int, set int) float64 { return 100 * float64(n[set]) / float64(all[set]) }
	for set, name := range []string{"tuned", "held out", "fresh"} {
		t.Logf("%-8s %d requests, tiers %.1f%%, domains %.1f%%", name, all[set], percent(right, set), percent(inDomain, set))
	}
	t.Log(strings.Join(wrong, "\n"))
	if total := all[tuned] + all[heldOut] + all[fresh]; total < 600 {
		t.Errorf("%d requests, at least 600 are expected", total)
	}
	for _, set := range []int{tuned, heldOut} {
		if percent(right, set) < 90 {
			t.Errorf("%.1f%% of the tiers right; at least 90%% is expected", percent(right, set))
		}
	}
}
