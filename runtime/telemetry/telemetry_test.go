package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// collector keeps what it is sent, and refuses the first requests with the statuses given.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	refuse  []int
	bodies  map[string][]string // by path
	headers http.Header
}

func newCollector(refuse ...int) *collector {
	c := &collector{refuse: refuse, bodies: map[string][]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.refuse) > 0 {
			status := c.refuse[0]
			c.refuse = c.refuse[1:]
			w.WriteHeader(status)
			return
		}
		c.headers = r.Header
		c.bodies[r.URL.Path] = append(c.bodies[r.URL.Path], string(body))
		fmt.Fprint(w, "{}")
	}))
	return c
}

func sample() *pipeline.Trace {
	return &pipeline.Trace{ID: "req_1", Time: time.Unix(1700000000, 5000), Tenant: "red", Endpoint: "chat", Route: "default", Model: "far/m", Status: 200, Cache: "miss",
		Finish: []string{"stop"}, Usage: openai.Usage{PromptTokens: 12, CompletionTokens: 7, TotalTokens: 19}, DurationUS: 2500,
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7", ParentID: "1111111111111111", Sampled: true,
		Stages: []*pipeline.Entry{
			{Stage: "guard.input", Plugin: "pii-guard", Verdict: "allow", Reason: "found jane@example.com", DurationUS: 100, Fuel: 5},
			{Stage: "model", Plugin: "far/m", Verdict: "ok", SpanID: "2222222222222222", StartUS: 200, DurationUS: 2000},
			{Stage: "tool", Plugin: "tools", Verdict: "error", Reason: "calculator", Error: &pipeline.EntryError{Code: "trap"}},
		}}
}

func TestExporter_SendsSpansAsTheConventionsNameThem(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := newCollector(503)
	defer c.Close()
	e, err := New(Config{Endpoint: c.URL, Service: "box", Version: "1", Headers: map[string]string{"Authorization": "Bearer x"}, Client: &http.Client{Transport: &http.Transport{}},
		Providers: func(m string) (Provider, bool) {
			return Provider{Name: "anthropic", Model: "m", Host: "api.example", Port: 443, Remote: true}, m == "far/m"
		}})
	if err != nil {
		t.Fatal(err)
	}
	unsampled := sample()
	unsampled.Sampled = false
	e.Observe(unsampled)
	e.Observe(sample())
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if sent, _ := e.Stats(); sent == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing was sent")
		}
	}
	e.Close(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bodies["/v1/traces"]) != 1 || c.headers.Get("Authorization") != "Bearer x" {
		t.Fatalf("%v", c.bodies)
	}
	body := c.bodies["/v1/traces"][0]
	if strings.Contains(body, "jane") {
		t.Error("a reason left the box")
	}
	var doc spansDoc
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	spans := doc.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	root, model, tool := spans[0], spans[2], spans[3]
	if root.Name != "chat default" || root.Kind != kindServer || root.ParentID != "1111111111111111" || root.Start != "1700000000000005000" || root.End != "1700000000002505000" {
		t.Errorf("%+v", root)
	}
	want := map[string]string{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "m", "server.address": "api.example", "server.port": "443",
		"gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": "7"}
	for _, a := range model.Attributes {
		got := a.Value.Int
		if a.Value.String != nil {
			got = *a.Value.String
		}
		if w, ok := want[a.Key]; ok && w == got {
			delete(want, a.Key)
		}
	}
	if len(want) > 0 || model.Name != "chat m" || model.Kind != kindClient || model.SpanID != "2222222222222222" || model.ParentID != root.SpanID || model.Start != "1700000000000205000" {
		t.Errorf("the model's span lacks %v: %+v", want, model)
	}
	if tool.Name != "execute_tool calculator" || tool.Status.Code != statusError || len(tool.SpanID) != 16 {
		t.Errorf("%+v", tool)
	}
}

func TestExporter_DropsAndCountsWhatNobodyTakes(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e, err := New(Config{Endpoint: "http://127.0.0.1:1", Client: &http.Client{Transport: &http.Transport{}}})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 3 * queueSize {
		e.Observe(sample())
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("observing took %v", took)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Close(ctx)
	if sent, dropped := e.Stats(); sent != 0 || dropped != 3*queueSize {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
	if _, err := New(Config{Endpoint: "collector:4318"}); err == nil {
		t.Error("an address that is no URL was taken")
	}
}

// One batch is under way and one waits when the end comes.
func TestExporter_CloseDoesNotWaitForACollectorThatHangs(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	asked, release := make(chan struct{}, 8), make(chan struct{})
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	defer c.Close()
	defer close(release)
	e, err := New(Config{Endpoint: c.URL, Client: &http.Client{Transport: &http.Transport{}}, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for range batchSize + 1 {
		e.Observe(sample())
	}
	<-asked
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	e.Close(ctx)
	if took := time.Since(begin); took > postTimeout/2 {
		t.Errorf("closing took %v", took)
	}
	if sent, dropped := e.Stats(); sent != 0 || dropped != batchSize+1 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

func TestPoints_AreThoseOfTheRegistry(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := newCollector()
	defer c.Close()
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gen_ai_client_operation_duration_seconds", Buckets: []float64{1, 2}}, []string{"gen_ai_request_model", "error_type"})
	n := prometheus.NewCounter(prometheus.CounterOpts{Name: "ledge_things_total"})
	registry.MustRegister(h, n)
	for _, v := range []float64{0.5, 1.5, 1.5, 9} {
		h.WithLabelValues("m", "").Observe(v)
	}
	n.Add(3)
	e, err := New(Config{Endpoint: c.URL + "/otlp/", Client: &http.Client{Transport: &http.Transport{}}, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	e.Close(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bodies["/otlp/v1/metrics"]) != 1 {
		t.Fatalf("%v", c.bodies)
	}
	var doc metricsDoc
	if err := json.Unmarshal([]byte(c.bodies["/otlp/v1/metrics"][0]), &doc); err != nil {
		t.Fatal(err)
	}
	all := doc.ResourceMetrics[0].ScopeMetrics[0].Metrics
	if len(all) != 2 || all[0].Name != "gen_ai.client.operation.duration" || all[0].Unit != "s" || all[1].Name != "ledge_things_total" || all[1].Sum.Points[0].Value != 3 {
		t.Fatalf("%+v", all)
	}
	p := all[0].Histogram.Points[0]
	if p.Count != "4" || strings.Join(p.Counts, " ") != "1 2 1" || p.Sum != 12.5 || len(p.Attributes) != 1 || p.Attributes[0].Key != "gen_ai.request.model" {
		t.Errorf("%+v", p)
	}
}

func BenchmarkObserve(b *testing.B) {
	e := &Exporter{queue: make(chan *pipeline.Trace, queueSize)}
	t := sample()
	for b.Loop() {
		e.Observe(t)
		if len(e.queue) == queueSize {
			for len(e.queue) > 0 {
				<-e.queue
			}
		}
	}
}
