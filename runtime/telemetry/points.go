package telemetry

import (
	"math"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

type metricsDoc struct {
	ResourceMetrics []resourceMetrics `json:"resourceMetrics"`
}

type resourceMetrics struct {
	Resource     resource       `json:"resource"`
	ScopeMetrics []scopeMetrics `json:"scopeMetrics"`
}

type scopeMetrics struct {
	Scope   scope    `json:"scope"`
	Metrics []metric `json:"metrics"`
}

type metric struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Unit        string     `json:"unit,omitempty"`
	Sum         *sum       `json:"sum,omitempty"`
	Gauge       *gauge     `json:"gauge,omitempty"`
	Histogram   *histogram `json:"histogram,omitempty"`
}

type sum struct {
	Points      []point `json:"dataPoints"`
	Temporality int     `json:"aggregationTemporality"`
	Monotonic   bool    `json:"isMonotonic"`
}

type gauge struct {
	Points []point `json:"dataPoints"`
}

type histogram struct {
	Points      []histogramPoint `json:"dataPoints"`
	Temporality int              `json:"aggregationTemporality"`
}

type point struct {
	Attributes []attribute `json:"attributes,omitempty"`
	Start      string      `json:"startTimeUnixNano,omitempty"`
	Time       string      `json:"timeUnixNano"`
	Value      float64     `json:"asDouble"`
}

type histogramPoint struct {
	Attributes []attribute `json:"attributes,omitempty"`
	Start      string      `json:"startTimeUnixNano"`
	Time       string      `json:"timeUnixNano"`
	Count      string      `json:"count"`
	Sum        float64     `json:"sum"`
	Counts     []string    `json:"bucketCounts"`
	Bounds     []float64   `json:"explicitBounds"`
}

// cumulative: counts since the start.
const cumulative = 2

// dotted gives names of the conventions their dots back, which Prometheus does not take.
var dotted = strings.NewReplacer("gen_ai_client_token_usage", "gen_ai.client.token.usage", "gen_ai_client_operation_duration", "gen_ai.client.operation.duration",
	"gen_ai_server_time_to_first_token", "gen_ai.server.time_to_first_token", "gen_ai_server_request_duration", "gen_ai.server.request.duration",
	"gen_ai_operation_name", "gen_ai.operation.name", "gen_ai_provider_name", "gen_ai.provider.name", "gen_ai_token_type", "gen_ai.token.type",
	"gen_ai_request_model", "gen_ai.request.model", "gen_ai_response_model", "gen_ai.response.model", "error_type", "error.type")

// units by the endings of names.
var units = []struct{ ending, unit string }{{"_seconds", "s"}, {"_bytes", "By"}}

// points turns the families of a registry into a document. Summaries have no form here and are left out.
func (e *Exporter) points(families []*dto.MetricFamily, now time.Time) metricsDoc {
	start, at := strconv.FormatInt(e.begun.UnixNano(), 10), strconv.FormatInt(now.UnixNano(), 10)
	var all []metric
	for _, f := range families {
		m := metric{Name: f.GetName(), Description: f.GetHelp()}
		for _, u := range units {
			if rest, ok := strings.CutSuffix(strings.TrimSuffix(m.Name, "_total"), u.ending); ok {
				m.Unit = u.unit
				if strings.HasPrefix(rest, "gen_ai_") {
					m.Name = rest
				}
			}
		}
		if m.Name = dotted.Replace(m.Name); m.Name == "gen_ai.client.token.usage" {
			m.Unit = "{token}"
		}
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			m.Sum = &sum{Temporality: cumulative, Monotonic: true}
			for _, each := range f.Metric {
				m.Sum.Points = appendPoint(m.Sum.Points, each, start, at, each.GetCounter().GetValue())
			}
		case dto.MetricType_GAUGE:
			m.Gauge = &gauge{}
			for _, each := range f.Metric {
				m.Gauge.Points = appendPoint(m.Gauge.Points, each, "", at, each.GetGauge().GetValue())
			}
		case dto.MetricType_HISTOGRAM:
			m.Histogram = &histogram{Temporality: cumulative}
			for _, each := range f.Metric {
				m.Histogram.Points = append(m.Histogram.Points, histogramOf(each, start, at))
			}
		default:
			continue
		}
		all = append(all, m)
	}
	return metricsDoc{[]resourceMetrics{{e.resource(), []scopeMetrics{{e.scope(), all}}}}}
}

func appendPoint(list []point, m *dto.Metric, start, at string, v float64) []point {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return list // JSON has no such numbers
	}
	return append(list, point{labels(m), start, at, v})
}

func histogramOf(m *dto.Metric, start, at string) histogramPoint {
	h := m.GetHistogram()
	p := histogramPoint{Attributes: labels(m), Start: start, Time: at, Count: strconv.FormatUint(h.GetSampleCount(), 10), Sum: h.GetSampleSum()}
	below := uint64(0)
	for _, b := range h.Bucket {
		if math.IsInf(b.GetUpperBound(), 0) {
			continue // the last one goes without saying
		}
		p.Bounds = append(p.Bounds, b.GetUpperBound())
		p.Counts = append(p.Counts, strconv.FormatUint(b.GetCumulativeCount()-below, 10))
		below = b.GetCumulativeCount()
	}
	p.Counts = append(p.Counts, strconv.FormatUint(h.GetSampleCount()-below, 10))
	return p
}

func labels(m *dto.Metric) []attribute {
	var a attributes
	for _, l := range m.Label {
		a.text(dotted.Replace(l.GetName()), l.GetValue())
	}
	return a
}
