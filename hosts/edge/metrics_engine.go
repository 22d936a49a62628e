package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

// engineCollector reads the engines' figures when they are asked for.
type engineCollector struct{ runtime *runtime.Runtime }

type engineMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*engine.Stats) float64
}

func engineMetricOf(name, help string, kind prometheus.ValueType, value func(*engine.Stats) float64) engineMetric {
	return engineMetric{prometheus.NewDesc("ledge_engine_"+name, help, []string{"model"}, nil), kind, value}
}

// Tokens a second and the mean size of a step are rates of these counters.
var engineMetrics = []engineMetric{
	engineMetricOf("waiting", "Requests that wait for memory.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.Waiting) }),
	engineMetricOf("running", "Requests in work.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.Running) }),
	engineMetricOf("pages", "Pages of keys and values that may be held.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.PagesTotal) }),
	engineMetricOf("pages_reserved", "Pages that requests in work hold or may come to hold.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.PagesReserved) }),
	engineMetricOf("pages_cached", "Pages of the prefix cache.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.PagesCached) }),
	engineMetricOf("page_bytes", "Size of a page.", prometheus.GaugeValue, func(s *engine.Stats) float64 { return float64(s.PageBytes) }),
	engineMetricOf("admitted_total", "Requests that were admitted.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Admitted) }),
	engineMetricOf("refused_total", "Requests that were turned away because too many waited.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Refused) }),
	engineMetricOf("prompt_tokens_total", "Tokens of prompts.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.PromptTokens) }),
	engineMetricOf("prefix_tokens_total", "Tokens of prompts that were found in the prefix cache.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.ReusedTokens) }),
	engineMetricOf("prefix_evicted_total", "Pages that left the prefix cache to make room.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Evicted) }),
	engineMetricOf("generated_tokens_total", "Tokens of answers.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Generated) }),
	engineMetricOf("steps_total", "Forward passes.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Steps) }),
	engineMetricOf("step_sequences_total", "Sequences in forward passes: over steps, the mean batch.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Sequences) }),
	engineMetricOf("step_tokens_total", "Tokens in forward passes.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Rows) }),
	engineMetricOf("busy_seconds_total", "Time in forward passes.", prometheus.CounterValue, func(s *engine.Stats) float64 { return s.Busy.Seconds() }),
	engineMetricOf("proposed_tokens_total", "Tokens that speculation proposed.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Proposed) }),
	engineMetricOf("accepted_tokens_total", "Proposed tokens that the model chose.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Accepted) }),
	engineMetricOf("context_shifts_total", "Times that an answer went on with a shortened context.", prometheus.CounterValue, func(s *engine.Stats) float64 { return float64(s.Shifts) }),
}

func (c *engineCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range engineMetrics {
		out <- m.desc
	}
}

func (c *engineCollector) Collect(out chan<- prometheus.Metric) {
	for id, s := range c.runtime.EngineStats() {
		for _, m := range engineMetrics {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s), id)
		}
	}
}
