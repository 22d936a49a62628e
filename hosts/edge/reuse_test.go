package edge

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
)

// numbered is an upstream whose answers are numbered, each after a pause.
func numbered(t *testing.T, pause time.Duration) (*httptest.Server, *atomic.Int64) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := n.Add(1)
		time.Sleep(pause)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"answer %d\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n", k)
	}))
	t.Cleanup(srv.Close)
	return srv, &n
}

func withSemanticCache(srv *httptest.Server, change func(*config.Route)) options {
	return func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"up": {BaseURL: srv.URL, Models: []string{"m"}}}
		p := c.Plugins["cache-policy"]
		p.Config = map[string]string{"semantic": "true"}
		c.Plugins = maps.Clone(c.Plugins)
		c.Plugins["cache-policy"] = p
		r := c.Routes["default"]
		r.Models, r.Guards = []string{"up/m"}, config.Guards{}
		if change != nil {
			change(&r)
		}
		c.Routes["default"] = r
	}
}

func TestSemanticCache_AnswersWhatAsksTheSame(t *testing.T) {
	srv, _ := numbered(t, 0)
	dir := dataDir(t)
	a := open(t, dir, withSemanticCache(srv, nil))
	first := a.post("/v1/chat/completions", ask("How do I reset my password?"))
	if first.text() != "answer 1" || first.header.Get("X-Ledge-Cache") != "miss" {
		t.Fatalf("%d %s %v", first.status, first.body, first.header)
	}
	system := func(text string) []map[string]string {
		return []map[string]string{{"role": "system", "content": text}, {"role": "user", "content": "How do I reset my password?"}}
	}
	for _, c := range []struct {
		name  string
		body  map[string]any
		cache string
	}{
		{"the same in other words", ask("how can I reset my password"), "semantic"},
		{"streamed", ask("how can I reset my password", "stream", true), "semantic"},
		{"a negation", ask("How do I not reset my password?"), "miss"},
		{"another system prompt", ask("", "messages", system("Be brief.")), "miss"},
		{"other sampling", ask("How can I reset my password?", "max_tokens", 13), "miss"},
	} {
		r := a.post("/v1/chat/completions", c.body)
		if got := r.header.Get("X-Ledge-Cache"); got != c.cache {
			t.Errorf("%s: %s, want %s; %+v", c.name, got, c.cache, a.trace(r).Stages)
		}
		if c.cache == "semantic" && !strings.Contains(string(r.body), "answer 1") {
			t.Errorf("%s: %s", c.name, r.body)
		}
	}

	a.stop()
	a = open(t, dir, withSemanticCache(srv, nil))
	for end := time.Now().Add(5 * time.Second); a.rt.Reuse().Questions == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	hit := a.post("/v1/chat/completions", ask("How can I reset my password"))
	if hit.header.Get("X-Ledge-Cache") != "semantic" || hit.text() != "answer 1" {
		t.Fatalf("after a restart: %v %s", hit.header.Get("X-Ledge-Cache"), hit.body)
	}

	req, _ := http.NewRequest("DELETE", a.admin.URL+"/admin/v1/cache/"+hit.header.Get("X-Ledge-Request-Id"), nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 204 {
		t.Fatalf("evict: %v %v", resp, err)
	}
	resp.Body.Close()
	if r := a.post("/v1/chat/completions", ask("How can I reset my password")); r.header.Get("X-Ledge-Cache") != "miss" {
		t.Errorf("a wrong answer was given again: %s", r.body)
	}
	if s := a.rt.Reuse(); s.Reports != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCache_SameRequestsAtOnceAskTheModelOnce(t *testing.T) {
	srv, n := numbered(t, 200*time.Millisecond)
	a := open(t, dataDir(t), withSemanticCache(srv, nil))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if r := a.post("/v1/chat/completions", ask("Once upon a time", "stream", i%2 == 0)); !strings.Contains(string(r.body), "answer 1") {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Errorf("the model was asked %d times", n.Load())
	}
}

func TestCache_StaleAnswerIsGivenAndMadeAnew(t *testing.T) {
	srv, n := numbered(t, 0)
	a := open(t, dataDir(t), withSemanticCache(srv, func(r *config.Route) {
		r.Cache.TTL, r.Cache.Stale = config.Duration(300*time.Millisecond), config.Duration(time.Minute)
	}))
	a.post("/v1/chat/completions", ask("Once upon a time"))
	time.Sleep(350 * time.Millisecond)
	r := a.post("/v1/chat/completions", ask("Once upon a time"))
	if r.text() != "answer 1" || r.header.Get("X-Ledge-Degraded") != "stale" || !strings.Contains(string(r.body), `"degraded":"stale"`) {
		t.Fatalf("%s %v", r.body, r.header)
	}
	for end := time.Now().Add(5 * time.Second); n.Load() < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	time.Sleep(50 * time.Millisecond)
	if r := a.post("/v1/chat/completions", ask("Once upon a time")); r.text() != "answer 2" {
		t.Errorf("%s after the answer was made anew", r.text())
	}
}
