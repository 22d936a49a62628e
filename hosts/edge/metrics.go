package edge

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// Metrics counts what traces tell and what plugins use.
type Metrics struct {
	Registry *prometheus.Registry

	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	firstText *prometheus.HistogramVec
	tokens    *prometheus.CounterVec
	saved     *prometheus.CounterVec
	stages    *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	shadow    *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	genAI     atomic.Pointer[genAI] // once the runtime is known, which tells whose models they are
	tenants   tenantLabels
}

// NewMetrics returns a registry of its own, so that two appliances in one process do not share figures.
func NewMetrics() *Metrics {
	fast := prometheus.ExponentialBuckets(0.00001, 4, 9) // 10 us to 0.66 s
	slow := prometheus.ExponentialBuckets(0.001, 4, 9)   // 1 ms to 66 s
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_requests_total",
			Help: "Requests by tenant, route, status, error code and cache outcome."}, []string{"tenant", "route", "status", "code", "cache"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ledge_request_duration_seconds",
			Help: "Time from the request read to its last byte.", Buckets: slow}, []string{"route"}),
		firstText: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ledge_first_text_seconds",
			Help: "Time from the request read to the first text.", Buckets: slow}, []string{"route"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_tokens_total",
			Help: "Tokens read and written by models."}, []string{"tenant", "model", "kind"}),
		saved: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_cache_saved_tokens_total",
			Help: "Tokens that models did not have to read and write, because the answer was there."}, []string{"tenant", "model", "kind"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ledge_stage_duration_seconds",
			Help: "Time in a stage of a request, all its calls together.", Buckets: fast}, []string{"stage", "plugin"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_stage_failures_total",
			Help: "Stages whose plugin failed, by the failure's code."}, []string{"stage", "plugin", "code"}),
		shadow: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_guard_shadow_total",
			Help: "Requests that a guard in shadow mode judged, by what it would have done."}, []string{"route", "stage", "plugin", "verdict"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ledge_credentials_refused_total",
			Help: "Requests whose credential did not count, by why."}, []string{"reason"}),
	}
	m.Registry.MustRegister(m.requests, m.duration, m.firstText, m.tokens, m.saved, m.stages, m.failures, m.shadow, m.refusals,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts one finished request.
func (m *Metrics) Observe(t *pipeline.Trace) {
	tenant := m.tenants.label(t.Tenant)
	m.requests.WithLabelValues(tenant, t.Route, strconv.Itoa(t.Status), t.Code, t.Cache).Inc()
	if t.Route == "" {
		return // it never came to a route, and its model's name is the client's invention
	}
	m.duration.WithLabelValues(t.Route).Observe(float64(t.DurationUS) / 1e6)
	if t.FirstTextUS > 0 {
		m.firstText.WithLabelValues(t.Route).Observe(float64(t.FirstTextUS) / 1e6)
	}
	counter := m.tokens
	if t.Reused() {
		counter = m.saved
	}
	if t.Usage.TotalTokens > 0 {
		counter.WithLabelValues(tenant, t.Model, "prompt").Add(float64(t.Usage.PromptTokens))
		counter.WithLabelValues(tenant, t.Model, "completion").Add(float64(t.Usage.CompletionTokens))
	}
	if g := m.genAI.Load(); g != nil {
		g.observe(t)
	}
	for _, e := range t.Stages {
		m.stages.WithLabelValues(e.Stage, e.Plugin).Observe(float64(e.DurationUS) / 1e6)
		if e.Shadow {
			m.shadow.WithLabelValues(t.Route, e.Stage, e.Plugin, e.Verdict).Inc()
		}
		if e.Error != nil {
			m.failures.WithLabelValues(e.Stage, e.Plugin, e.Error.Code).Inc()
		}
	}
}

// maxTenantLabels bounds the series of a registry: tenants may come from tokens that others sign.
const maxTenantLabels = 500

// tenantLabels lets the first tenants have series of their own and counts the others together.
type tenantLabels struct {
	mu   sync.RWMutex
	seen map[string]bool
}

func (t *tenantLabels) label(tenant string) string {
	t.mu.RLock()
	known := t.seen[tenant]
	t.mu.RUnlock()
	if known {
		return tenant
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.seen) >= maxTenantLabels && !t.seen[tenant] {
		return "others"
	}
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	t.seen[tenant] = true
	return tenant
}

// Watch adds the figures of a runtime's plugins and state.
func (m *Metrics) Watch(r *runtime.Runtime) {
	g := newGenAI(r.Provider)
	m.Registry.MustRegister(g.tokens, g.operation, g.firstToken)
	m.genAI.Store(g)
	m.Registry.MustRegister(&pluginCollector{r}, &engineCollector{r}, &upstreamCollector{r}, &residencyCollector{r}, &reuseCollector{r})
}

// pluginCollector reads the sandbox's figures when they are asked for.
type pluginCollector struct{ runtime *runtime.Runtime }

var (
	instancesDesc = prometheus.NewDesc("ledge_plugin_instances", "Live instances of a plugin.", []string{"plugin"}, nil)
	memoryDesc    = prometheus.NewDesc("ledge_plugin_memory_bytes", "Linear memory of a plugin's live instances.", []string{"plugin"}, nil)
	callsDesc     = prometheus.NewDesc("ledge_plugin_calls_total", "Calls of a plugin since it was loaded.", []string{"plugin"}, nil)
	breakerDesc   = prometheus.NewDesc("ledge_plugin_breaker_open", "Whether the breaker refuses a plugin's calls.", []string{"plugin"}, nil)
	openedDesc    = prometheus.NewDesc("ledge_plugin_breaker_opened_total", "How often a plugin's breaker opened since it was loaded.", []string{"plugin"}, nil)
	errorsDesc    = prometheus.NewDesc("ledge_plugin_errors_total", "Failed calls of a plugin since it was loaded, by code.", []string{"plugin", "code"}, nil)
)

func (c *pluginCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{instancesDesc, memoryDesc, callsDesc, errorsDesc, breakerDesc, openedDesc} {
		out <- d
	}
}

func (c *pluginCollector) Collect(out chan<- prometheus.Metric) {
	for _, p := range c.runtime.Plugins() {
		s := p.Stats()
		out <- prometheus.MustNewConstMetric(instancesDesc, prometheus.GaugeValue, float64(s.Live), p.Name())
		out <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(s.MemoryBytes), p.Name())
		out <- prometheus.MustNewConstMetric(callsDesc, prometheus.CounterValue, float64(s.Calls), p.Name())
		open := 0.0
		if s.Breaker == "open" {
			open = 1
		}
		out <- prometheus.MustNewConstMetric(breakerDesc, prometheus.GaugeValue, open, p.Name())
		out <- prometheus.MustNewConstMetric(openedDesc, prometheus.CounterValue, float64(s.Opened), p.Name())
		for code, n := range s.Errors {
			out <- prometheus.MustNewConstMetric(errorsDesc, prometheus.CounterValue, float64(n), p.Name(), string(code))
		}
	}
}
