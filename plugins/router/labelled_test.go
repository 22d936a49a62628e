package router

import (
	"fmt"
	"testing"

	"github.com/ledge-run/ledge/plugins/router/requests"
)

// TestRoute_TiersOfLabelledRequests holds the accuracy on requests that the model was not fitted on: each fourth of
// testdata/requests, and all of testdata/fresh, which were written when the model and its features were fixed.
func TestRoute_TiersOfLabelledRequests(t *testing.T) {
	tiers := map[string]int{"tiny": requests.Simple, "middle": requests.Medium, "big": requests.Complex}
	r := router(t, nil)
	type figures struct{ right, inDomain, all int }
	sets := map[string]*figures{"fitted": {}, "held out": {}, "fresh": {}}
	rate := func(set string, l requests.Request) {
		n := sets[set]
		n.all++
		req := ask(l.Text)
		for i := range req.Models { // all fit, so that the length does not choose
			req.Models[i].ContextTokens = 0
		}
		f := look(req.Messages)
		if f.domain == l.Domain || f.domain == "" && l.Domain == "general" {
			n.inDomain++
		}
		if d := r.Route(req); tiers[d.Model] == l.Tier {
			n.right++
		} else if set != "fitted" {
			t.Logf("%s, %s %s: %s", set, l.Domain, requests.Tiers[l.Tier], fmt.Sprintf("rated %.2f: %.100q", f.complexity, l.Text))
		}
	}
	for dir, fresh := range map[string]bool{"testdata/requests": false, "testdata/fresh": true} {
		all, err := requests.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !fresh && len(all) < 600 {
			t.Errorf("%d requests, at least 600 are expected", len(all))
		}
		for _, l := range all {
			switch {
			case fresh:
				rate("fresh", l)
			case l.HeldOut:
				rate("held out", l)
			default:
				rate("fitted", l)
			}
		}
	}
	for set, n := range sets {
		right := 100 * float64(n.right) / float64(n.all)
		t.Logf("%-8s %d requests, tiers %.1f%%, domains %.1f%%", set, n.all, right, 100*float64(n.inDomain)/float64(n.all))
		if right < 90 {
			t.Errorf("%s: %.1f%% of the tiers right; at least 90%% is expected", set, right)
		}
	}
}
