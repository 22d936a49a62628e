package edge

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// The small model has random weights: it runs in circles.
func TestCascade_TheNextTierAnswersAndEveryTokenIsCounted(t *testing.T) {
	far := newPeer(t, "far")
	a := open(t, dataDir(t), withPeers(func(r *config.Route) {
		r.Models, r.Router, r.Cascade = []string{"local", "far/m"}, config.Stage{}, &config.Cascade{}
	}, far), withModel(tinyModel(t)), func(c *config.Config) {
		c.Prices = map[string]config.Price{"local": {Prompt: 1, Answer: 1}, "far/m": {Prompt: 1000, Answer: 1000}}
	})
	for _, stream := range []bool{false, true} {
		r := a.post("/v1/chat/completions", ask("Once upon a time", "stream", stream, "max_tokens", 40))
		if r.status != 200 || !strings.Contains(string(r.body), "from far") {
			t.Fatalf("%d %s", r.status, r.body)
		}
		for name, want := range map[string]string{"X-Ledge-Model": "far/m", "X-Ledge-Tier": "remote", "X-Ledge-Escalations": "1", "X-Ledge-Degraded": ""} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		trace := a.trace(r)
		if len(trace.Spent) != 2 || trace.Spent[0].CompletionTokens != 40 || trace.Usage.CompletionTokens <= 40 {
			t.Errorf("spent %+v, usage %+v", trace.Spent, trace.Usage)
		}
	}
	usage := a.get(a.admin.URL + "/admin/v1/usage")
	var all struct {
		Usage []struct {
			Model string
			Cost  int64
		}
	}
	if err := json.Unmarshal(usage.body, &all); err != nil || len(all.Usage) != 1 || all.Usage[0].Model != "far/m" || all.Usage[0].Cost == 0 {
		t.Errorf("%s", usage.body)
	}
	if r := a.post("/v1/chat/completions", ask("Once upon a time", "model", "tiny")); r.header.Get("X-Ledge-Model") != "tiny" {
		t.Errorf("a model that was named: %v", r.header)
	}
}

func TestCascade_APersonIsTheLastTier(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), func(c *config.Config) {
		r := c.Routes["default"]
		r.Cascade = &config.Cascade{Human: true, Handover: "Ada will call you."}
		c.Routes["default"] = r
	})
	r := a.post("/v1/chat/completions", ask("Once upon a time bob@example.com wrote.", "max_tokens", 40))
	if r.status != 200 || r.text() != "Ada will call you." || r.header.Get("X-Ledge-Degraded") != "handed_over" || r.header.Get("X-Ledge-Tier") != "human" ||
		!strings.Contains(string(r.body), `"degraded":"handed_over"`) || !strings.Contains(string(r.body), `"finish_reason":"stop"`) {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	if again := a.post("/v1/chat/completions", ask("Once upon a time bob@example.com wrote.", "max_tokens", 40)); again.header.Get("X-Ledge-Cache") == "hit" {
		t.Error("that a person was asked was taken from the cache")
	}
	list := func() (out []pipeline.Handover) {
		var answer struct{ Handovers []pipeline.Handover }
		if got := a.get(a.admin.URL + "/admin/v1/handovers"); json.Unmarshal(got.body, &answer) != nil {
			t.Fatalf("%s", got.body)
		}
		return answer.Handovers
	}
	waiting := list()
	id := r.header.Get("X-Ledge-Request-Id")
	if len(waiting) != 2 || strings.Contains(string(waiting[0].Messages[0].Content), "bob@") || !strings.Contains(string(waiting[0].Messages[0].Content), "[EMAIL]") {
		t.Fatalf("%+v", waiting)
	}
	for _, want := range []int{200, 404} {
		req, _ := http.NewRequest("DELETE", a.admin.URL+"/admin/v1/handovers/"+id, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != want {
			t.Errorf("done: %v %v", resp, err)
		}
		resp.Body.Close()
	}
	if left := list(); len(left) != 1 || left[0].ID == id {
		t.Errorf("%+v", left)
	}
}
