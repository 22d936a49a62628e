package edge

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/telemetry"
)

// genAI are the metrics of OpenTelemetry's GenAI conventions (1.37), with their names as Prometheus writes them and the
// buckets that the conventions give.
type genAI struct {
	tokens, operation, firstToken *prometheus.HistogramVec

	provider telemetry.Providers
	known    sync.Map // genAIKey: *genAISeries
}

type genAIKey struct{ operation, model, code string }

// genAISeries are the series of one operation of one model.
type genAISeries struct{ input, output, duration, firstToken prometheus.Observer }

func newGenAI(providers telemetry.Providers) *genAI {
	exponential := func(first, factor float64, n int) []float64 { return prometheus.ExponentialBuckets(first, factor, n) }
	labels := []string{"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"}
	return &genAI{provider: providers,
		tokens: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gen_ai_client_token_usage", Help: "Tokens that a model read and wrote for a request.",
			Buckets: exponential(1, 4, 14)}, append(labels, "gen_ai_token_type")),
		operation: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gen_ai_client_operation_duration_seconds", Help: "Time of a model's work for a request.",
			Buckets: exponential(0.01, 2, 14)}, append(labels, "error_type")),
		firstToken: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gen_ai_server_time_to_first_token_seconds", Help: "Time until the first text of an answer.",
			Buckets: []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}}, labels),
	}
}

// observe counts what a model did for a request; an answer from the cache is none of its work.
func (g *genAI) observe(t *pipeline.Trace) {
	us, ran := int64(0), false
	for _, e := range t.Stages {
		if e.Stage == "model" {
			us, ran = us+e.DurationUS, true
		}
	}
	if !ran || t.Reused() {
		return
	}
	s := g.series(genAIKey{t.Endpoint, t.Model, t.Code})
	s.duration.Observe(float64(us) / 1e6)
	if t.Usage.TotalTokens > 0 {
		s.input.Observe(float64(t.Usage.PromptTokens))
		s.output.Observe(float64(t.Usage.CompletionTokens))
	}
	if t.FirstTextUS > 0 {
		s.firstToken.Observe(float64(t.FirstTextUS) / 1e6)
	}
}

// series finds the series of a key; finding them anew by their labels would take a microsecond of each request.
func (g *genAI) series(k genAIKey) *genAISeries {
	if s, ok := g.known.Load(k); ok {
		return s.(*genAISeries)
	}
	p, ok := g.provider(k.model)
	if !ok {
		p = telemetry.Provider{Name: "ledge", Model: k.model}
	}
	operation := telemetry.Operation(k.operation)
	s, _ := g.known.LoadOrStore(k, &genAISeries{
		input:      g.tokens.WithLabelValues(operation, p.Name, p.Model, "input"),
		output:     g.tokens.WithLabelValues(operation, p.Name, p.Model, "output"),
		duration:   g.operation.WithLabelValues(operation, p.Name, p.Model, k.code),
		firstToken: g.firstToken.WithLabelValues(operation, p.Name, p.Model),
	})
	return s.(*genAISeries)
}

// WatchTelemetry adds the figures of an exporter.
func (m *Metrics) WatchTelemetry(e *telemetry.Exporter) {
	count := func(outcome string, of func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ledge_telemetry_requests_total", Help: "Requests whose spans were sent to the collector, or were not.",
			ConstLabels: prometheus.Labels{"outcome": outcome}}, func() float64 { return float64(of()) })
	}
	m.Registry.MustRegister(count("sent", func() int64 { n, _ := e.Stats(); return n }), count("dropped", func() int64 { _, n := e.Stats(); return n }))
}
