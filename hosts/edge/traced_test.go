package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/upstream/upstreamtest"
)

func TestTraceContext_GoesThroughToTheUpstream(t *testing.T) {
	var parent, state atomic.Value
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent.Store(r.Header.Get("Traceparent"))
		state.Store(r.Header.Get("Tracestate"))
		upstreamtest.Hostile{}.ServeHTTP(w, r)
	}))
	defer peer.Close()
	a := open(t, dataDir(t), func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"peer": {BaseURL: peer.URL, Models: []string{"m"}}}
		r := c.Routes["default"]
		r.Models, r.Cache = []string{"peer/m"}, config.CacheUse{}
		c.Routes["default"] = r
	})
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	send := func(path, traceparent string) reply {
		req, err := http.NewRequest("POST", a.api.URL+path, strings.NewReader(`{"model":"default","max_tokens":5,"messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", traceparent)
		req.Header.Set("Tracestate", "rojo=1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return a.read(resp)
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		r := send(path, "00-"+trace+"-"+span+"-01")
		tr := a.trace(r)
		if r.status != 200 || tr.TraceID != trace || tr.ParentID != span || tr.SpanID == "" || tr.SpanID == span {
			t.Errorf("%s: %d, trace %s, span %s below %s", path, r.status, tr.TraceID, tr.SpanID, tr.ParentID)
		}
		if want := "00-" + trace + "-" + tr.SpanID + "-01"; r.header.Get("Traceresponse") != want {
			t.Errorf("%s: traceresponse %q, want %q", path, r.header.Get("Traceresponse"), want)
		}
		told := ""
		for _, e := range tr.Stages {
			if e.Stage == "model" {
				told = e.SpanID
			}
		}
		if got := parent.Load(); told == "" || got != "00-"+trace+"-"+told+"-01" || state.Load() != "rojo=1" {
			t.Errorf("%s: the upstream was told %v, %v; the model's span is %s", path, got, state.Load(), told)
		}
	}
	r := send("/v1/chat/completions", "00-broken")
	if tr := a.trace(r); r.status != 200 || tr.TraceID != "" || r.header.Get("Traceresponse") != "" || parent.Load() != "" {
		t.Errorf("a broken header: %d, %q, the upstream was told %v", r.status, tr.TraceID, parent.Load())
	}
	r = send("/v1/chat/completions", "00-"+trace+"-"+span+"-00")
	if want := "-00"; !strings.HasSuffix(parent.Load().(string), want) {
		t.Errorf("not sampled: the upstream was told %v", parent.Load())
	}
	if tr := a.trace(send("/v1/messages", "")); tr.TraceID != "" {
		t.Error("a trace began that nobody asked for")
	}
	metrics := string(a.get(a.admin.URL + "/metrics").body)
	for _, want := range []string{`gen_ai_client_operation_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="m"}`,
		`gen_ai_client_token_usage_count{gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="m",gen_ai_token_type="output"}`, "gen_ai_server_time_to_first_token_seconds_bucket"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
