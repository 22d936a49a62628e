package edge

import (
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

func TestExamples_RouteByWhatARequestIsLike(t *testing.T) {
	small, large := newPeer(t, "small"), newPeer(t, "large")
	a := open(t, dataDir(t), withPeers(func(r *config.Route) {
		r.Models = []string{"small/m", "large/m"}
		r.Examples = map[string][]string{"refund": {"I want my money back", "How do I return this item?"}, "hours": {"When are you open?"}}
	}, small, large), func(c *config.Config) {
		p := c.Plugins["router"]
		p.Config = map[string]string{"rules": "intent=refund -> model=large/m"}
		c.Plugins["router"] = p
	})
	for text, want := range map[string]string{"i want my money back please": "large/m", "when are you open today?": "small/m", "Tell me about whales.": "small/m"} {
		r := a.post("/v1/chat/completions", ask(text))
		if r.header.Get("X-Ledge-Model") != want {
			t.Errorf("%q went to %s: %+v", text, r.header.Get("X-Ledge-Model"), entryOf(a.trace(r), "route"))
		}
	}
	e, err := a.rt.RouteText(t.Context(), "default", "i want my money back please")
	if err != nil || e.Model != "large/m" || len(e.Examples) != 2 || e.Examples[0].Name != "refund" || !strings.Contains(e.Reason, "intent refund") {
		t.Errorf("%+v, %v", e, err)
	}
}
