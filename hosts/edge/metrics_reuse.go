package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime"
)

// reuseCollector reads the cache's figures when they are asked for.
type reuseCollector struct{ runtime *runtime.Runtime }

var (
	cacheBytesDesc     = prometheus.NewDesc("ledge_cache_bytes", "Stored answers, in bytes.", nil, nil)
	cacheQuestionsDesc = prometheus.NewDesc("ledge_cache_questions", "Questions that are compared by meaning.", nil, nil)
	cacheReportsDesc   = prometheus.NewDesc("ledge_cache_false_hits_total", "Reused answers that were evicted as wrong.", nil, nil)
)

func (c *reuseCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{cacheBytesDesc, cacheQuestionsDesc, cacheReportsDesc} {
		out <- d
	}
}

func (c *reuseCollector) Collect(out chan<- prometheus.Metric) {
	s := c.runtime.Reuse()
	out <- prometheus.MustNewConstMetric(cacheBytesDesc, prometheus.GaugeValue, float64(c.runtime.Store().Cache().Stats().Bytes))
	out <- prometheus.MustNewConstMetric(cacheQuestionsDesc, prometheus.GaugeValue, float64(s.Questions))
	out <- prometheus.MustNewConstMetric(cacheReportsDesc, prometheus.CounterValue, float64(s.Reports))
}
