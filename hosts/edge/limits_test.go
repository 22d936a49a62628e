package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
)

func withRules(rules ...config.LimitRule) options {
	return func(c *config.Config) { c.Limits.Rules = rules }
}

func TestLimits_AnswerWith429AndWhatClientsReadOfIt(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withAuth, withRules(config.LimitRule{Per: []string{"tenant"}, RequestsPerMinute: 3, TokensPerMinute: 50000}))
	red, blue := a.key(identity.Key{Tenant: "red"}), a.key(identity.Key{Tenant: "blue"})
	url := a.api.URL + "/v1/chat/completions"
	for i := range 3 {
		r := a.as(red, "POST", url, ask("Once", "stream", i == 1))
		if r.status != 200 || r.header.Get("X-Ratelimit-Limit-Requests") != "3" || r.header.Get("X-Ratelimit-Remaining-Requests") != strconv.Itoa(2-i) || r.header.Get("X-Ratelimit-Remaining-Tokens") == "" {
			t.Errorf("%d: %d %v", i, r.status, r.header)
		}
	}
	r := a.as(red, "POST", url, ask("Once"))
	after, _ := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != 429 || r.code() != "rate_limit_exceeded" || after < 1 || after > 61 || r.header.Get("X-Ratelimit-Remaining-Requests") != "0" || r.header.Get("X-Ledge-Request-Id") == "" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if tr := a.trace(r); tr.Status != 429 || tr.Tenant != "red" {
		t.Errorf("trace %+v", tr)
	}
	if r := a.as(blue, "POST", url, ask("Once")); r.status != 200 {
		t.Errorf("another tenant: %d %s", r.status, r.body)
	}
	var seen struct{ Limits []struct{ For string } }
	if got := a.get(a.admin.URL + "/admin/v1/limits"); json.Unmarshal(got.body, &seen) != nil || len(seen.Limits) != 2 {
		t.Errorf("limits %s", got.body)
	}
}

func TestBudget_StopsAtTheLastCentAndWarnsBefore(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}`+"\n\n"+
			`data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":100,"total_tokens":200}}`+"\n\ndata: [DONE]\n\n")
	}))
	defer upstream.Close()
	a := open(t, dataDir(t), withRules(config.LimitRule{Name: "pocket", Per: []string{"tenant"}, CostPerDay: 1, Soft: 0.5}), func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"far": {BaseURL: upstream.URL, Models: []string{"m"}}}
		r := c.Routes["default"]
		r.Models, r.Cache = []string{"far/m"}, config.CacheUse{}
		c.Routes["default"] = r
		c.Prices = map[string]config.Price{"far/m": {Prompt: 1000, Answer: 1000}} // 0.2 an answer
	})
	warned := 0
	for i := range 5 {
		r := a.post("/v1/chat/completions", ask("x", "max_tokens", 100))
		if r.status != 200 {
			t.Fatalf("%d: %d %s", i, r.status, r.body)
		}
		if strings.Contains(r.header.Get("X-Ledge-Budget-Warning"), "pocket") {
			warned++
		}
	}
	if warned < 2 {
		t.Errorf("%d warnings", warned)
	}
	if r := a.post("/v1/chat/completions", ask("x", "max_tokens", 100)); r.status != 429 || r.code() != "insufficient_quota" {
		t.Errorf("beyond the budget: %d %s", r.status, r.body)
	}
}

func TestIdempotencyKey_SameAnswerOnce(t *testing.T) {
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{"content":"answer %d"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n", n)
	}))
	defer upstream.Close()
	dir := dataDir(t)
	remote := func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"far": {BaseURL: upstream.URL, Models: []string{"m"}}}
		r := c.Routes["default"]
		r.Models, r.Cache = []string{"far/m"}, config.CacheUse{}
		c.Routes["default"] = r
	}
	a := open(t, dir, withAuth, remote)
	red, blue := a.key(identity.Key{Tenant: "red"}), a.key(identity.Key{Tenant: "blue"})
	post := func(who, key, content string, stream bool) reply {
		doc, _ := json.Marshal(ask(content, "stream", stream))
		req, _ := http.NewRequest("POST", a.api.URL+"/v1/chat/completions", strings.NewReader(string(doc)))
		req.Header.Set("Authorization", "Bearer "+who)
		req.Header.Set("Idempotency-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return a.read(resp)
	}
	replies := make([]reply, 16)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = post(red, "k1", "x", false) })
	}
	all.Wait()
	for _, r := range replies {
		if r.status != 200 || string(r.body) != string(replies[0].body) {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("16 requests of one key asked the model %d times", asked.Load())
	}
	if r := post(red, "k1", "y", false); r.status != 422 || r.code() != "idempotency_key_reused" {
		t.Errorf("another body: %d %s", r.status, r.body)
	}
	if r := post(blue, "k1", "x", false); r.status != 200 || string(r.body) == string(replies[0].body) {
		t.Errorf("another tenant got %s", r.body)
	}
	one, two := post(red, "k2", "x", true), post(red, "k2", "x", true)
	if string(one.body) != string(two.body) || two.header.Get("Idempotent-Replayed") != "true" || two.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("stream: %s, then %v %s", one.body, two.header, two.body)
	}
	a.stop()
	a = open(t, dir, withAuth, remote)
	if r := post(red, "k1", "x", false); string(r.body) != string(replies[0].body) {
		t.Errorf("after the restart: %d %s", r.status, r.body)
	}
}
