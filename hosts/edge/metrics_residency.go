package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime"
)

// residencyCollector reads which models are in memory when it is asked.
type residencyCollector struct{ runtime *runtime.Runtime }

var (
	modelMemoryDesc  = prometheus.NewDesc("ledge_models_memory_limit_bytes", "What all models on this device may take together; 0: no limit.", nil, nil)
	modelLoadedDesc  = prometheus.NewDesc("ledge_model_loaded", "Whether a model is in memory.", []string{"model"}, nil)
	modelNeedDesc    = prometheus.NewDesc("ledge_model_need_bytes", "What a model takes while it is loaded, by what for: weights, kv, work.", []string{"model", "part"}, nil)
	modelUsersDesc   = prometheus.NewDesc("ledge_model_users", "Requests that use a model.", []string{"model"}, nil)
	modelWaitingDesc = prometheus.NewDesc("ledge_model_waiting", "Requests that wait for a model to be loaded.", []string{"model"}, nil)
	modelLoadsDesc   = prometheus.NewDesc("ledge_model_loads_total", "Times that a model was loaded.", []string{"model"}, nil)
	modelUnloadsDesc = prometheus.NewDesc("ledge_model_unloads_total", "Times that a model was unloaded to make room.", []string{"model"}, nil)
	modelTookDesc    = prometheus.NewDesc("ledge_model_load_seconds", "How long the last load of a model took.", []string{"model"}, nil)
)

func (c *residencyCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{modelMemoryDesc, modelLoadedDesc, modelNeedDesc, modelUsersDesc, modelWaitingDesc, modelLoadsDesc, modelUnloadsDesc, modelTookDesc} {
		out <- d
	}
}

func (c *residencyCollector) Collect(out chan<- prometheus.Metric) {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	out <- prometheus.MustNewConstMetric(modelMemoryDesc, gauge, float64(c.runtime.ModelMemory()))
	for _, m := range c.runtime.LocalModels() {
		loaded := 0.0
		if m.State == "loaded" {
			loaded = 1
		}
		out <- prometheus.MustNewConstMetric(modelLoadedDesc, gauge, loaded, m.Name)
		for part, n := range map[string]int64{"weights": m.Need.Weights, "kv": m.Need.KV, "work": m.Need.Work} {
			out <- prometheus.MustNewConstMetric(modelNeedDesc, gauge, float64(n), m.Name, part)
		}
		out <- prometheus.MustNewConstMetric(modelUsersDesc, gauge, float64(m.Users), m.Name)
		out <- prometheus.MustNewConstMetric(modelWaitingDesc, gauge, float64(m.Waiting), m.Name)
		out <- prometheus.MustNewConstMetric(modelLoadsDesc, counter, float64(m.Loads), m.Name)
		out <- prometheus.MustNewConstMetric(modelUnloadsDesc, counter, float64(m.Unloads), m.Name)
		out <- prometheus.MustNewConstMetric(modelTookDesc, gauge, m.LoadSeconds, m.Name)
	}
}
