package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/upstream"
)

// upstreamCollector reads the figures of remote models when they are asked for.
type upstreamCollector struct{ runtime *runtime.Runtime }

var (
	upstreamStateDesc = prometheus.NewDesc("ledge_upstream_breaker", "State of a remote model's breaker: 0 closed, 1 half open, 2 open.", []string{"model"}, nil)
	upstreamOpenDesc  = prometheus.NewDesc("ledge_upstream_breaker_opened_total", "How often a remote model's breaker opened.", []string{"model"}, nil)
)

func (c *upstreamCollector) Describe(out chan<- *prometheus.Desc) {
	out <- upstreamStateDesc
	out <- upstreamOpenDesc
}

func (c *upstreamCollector) Collect(out chan<- prometheus.Metric) {
	for model, s := range c.runtime.Upstreams() {
		state := map[string]float64{upstream.Closed: 0, upstream.HalfOpen: 1, upstream.Open: 2}[s.Breaker]
		out <- prometheus.MustNewConstMetric(upstreamStateDesc, prometheus.GaugeValue, state, model)
		out <- prometheus.MustNewConstMetric(upstreamOpenDesc, prometheus.CounterValue, float64(s.Opened), model)
	}
}
