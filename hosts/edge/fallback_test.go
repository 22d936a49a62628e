package edge

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

// peer is an upstream that does what its mode says.
type peer struct {
	*httptest.Server
	name  string
	mode  atomic.Value // ok, down, breaks
	asked atomic.Int64
}

func newPeer(t testing.TB, name string) *peer {
	p := &peer{name: name}
	p.mode.Store("ok")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		text := func(s string) {
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", s)
		}
		switch p.mode.Load() {
		case "down":
			http.Error(w, "secret detail", http.StatusServiceUnavailable)
		case "breaks":
			w.Header().Set("Content-Type", "text/event-stream")
			text("begun by " + p.name)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			text("from " + p.name)
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func withPeers(change func(r *config.Route), peers ...*peer) options {
	return func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{}
		for _, p := range peers {
			c.Upstreams[p.name] = config.Upstream{BaseURL: p.URL, Models: []string{"m"}, Retry: config.Retry{Attempts: 1}, Breaker: config.UpstreamBreaker{Failures: -1}}
		}
		r := c.Routes["default"]
		r.Models, r.Cache, r.Guards = []string{peers[0].name + "/m"}, config.CacheUse{}, config.Guards{}
		change(&r)
		c.Routes["default"] = r
	}
}

func TestPool_SharesByWeightAndStandsIn(t *testing.T) {
	a, b, c := newPeer(t, "a"), newPeer(t, "b"), newPeer(t, "c")
	app := open(t, dataDir(t), withPeers(func(r *config.Route) { r.Models, r.Router = []string{"all"}, config.Stage{} }, a, b, c), func(cfg *config.Config) {
		cfg.Pools = map[string][]config.PoolMember{"all": {{Model: "a/m", Weight: 3}, {Model: "b/m"}, {Model: "c/m", Priority: 1}}}
	})
	for range 200 {
		if r := app.post("/v1/chat/completions", ask("x")); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if x, y := a.asked.Load(), b.asked.Load(); x < 120 || y < 25 || c.asked.Load() != 0 {
		t.Errorf("weights of 3 and 1: %d and %d, and %d of the one behind", x, y, c.asked.Load())
	}
	a.mode.Store("down")
	b.mode.Store("down")
	r := app.post("/v1/chat/completions", ask("x"))
	if r.text() != "from c" {
		t.Errorf("%d %s", r.status, r.body)
	}
	tr := app.trace(r)
	if tr.Model != "c/m" || !strings.Contains(tr.Stages[len(tr.Stages)-1].Reason, "upstream_error") {
		t.Errorf("trace: model %s, %+v", tr.Model, tr.Stages[len(tr.Stages)-1])
	}
	c.mode.Store("down")
	if r := app.post("/v1/chat/completions", ask("x")); r.status != 502 || strings.Contains(string(r.body), "secret") {
		t.Errorf("all down: %d %s", r.status, r.body)
	}
}

func TestStream_FaultAfterTheFirstTokenIsAnErrorEventUnlessTheRouteGoesOn(t *testing.T) {
	a, b := newPeer(t, "a"), newPeer(t, "b")
	a.mode.Store("breaks")
	pool := func(cfg *config.Config) {
		cfg.Pools = map[string][]config.PoolMember{"two": {{Model: "a/m"}, {Model: "b/m", Priority: 1}}}
	}
	for _, goOn := range []bool{false, true} {
		app := open(t, dataDir(t), withPeers(func(r *config.Route) { r.Models, r.Router, r.GoOn = []string{"two"}, config.Stage{}, goOn }, a, b), pool)
		events := app.post("/v1/chat/completions", ask("x", "stream", true)).events()
		all := strings.Join(events, "\n")
		if !goOn && (!strings.Contains(all, "begun by a") || !strings.Contains(all, "upstream_error") || strings.Contains(all, "from b") || strings.Contains(all, "[DONE]")) {
			t.Errorf("the route does not go on: %s", all)
		}
		if goOn && (!strings.Contains(all, "begun by a") || !strings.Contains(all, "from b") || !strings.Contains(all, `"degraded":"went_on"`) || !strings.Contains(all, "[DONE]")) {
			t.Errorf("the route goes on: %s", all)
		}
		app.stop()
	}
}

func TestLadder_SaysThatTheAnswerIsDegraded(t *testing.T) {
	a, b := newPeer(t, "a"), newPeer(t, "b")
	app := open(t, dataDir(t), withPeers(func(r *config.Route) {
		r.Router, r.Fallback, r.SafeAnswer = config.Stage{}, []string{"a/m", "b/m"}, "Please call us."
	}, a, b))
	if r := app.post("/v1/chat/completions", ask("x")); r.text() != "from a" || r.header.Get("X-Ledge-Degraded") != "" || strings.Contains(string(r.body), "degraded") {
		t.Errorf("%v %s", r.header, r.body)
	}
	a.mode.Store("down")
	for _, stream := range []bool{false, true} {
		r := app.post("/v1/chat/completions", ask("x", "stream", stream))
		if r.status != 200 || !strings.Contains(string(r.body), "from b") || r.header.Get("X-Ledge-Degraded") != "fallback" || r.header.Get("X-Ledge-Model") != "b/m" || !strings.Contains(string(r.body), `"degraded":"fallback"`) {
			t.Errorf("stream %t: %v %s", stream, r.header, r.body)
		}
	}
	b.mode.Store("down")
	r := app.post("/v1/chat/completions", ask("x"))
	if r.text() != "Please call us." || r.header.Get("X-Ledge-Degraded") != "safe_answer" {
		t.Errorf("%v %s", r.header, r.body)
	}
	if tr := app.trace(r); len(tr.Degraded) != 2 {
		t.Errorf("trace %+v", tr)
	}
	if r := app.post("/v1/chat/completions", ask("x", "model", "a/m")); r.status != 502 {
		t.Errorf("a model that was named is not replaced: %d %s", r.status, r.body)
	}
}
