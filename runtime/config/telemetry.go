package config

import (
	"maps"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Telemetry is where spans and metrics go, beside the appliance's own traces and /metrics.
type Telemetry struct {
	OTLP     string            `yaml:"otlp"` // URL of an OpenTelemetry collector (OTLP over HTTP, JSON); empty: nowhere
	Headers  map[string]Secret `yaml:"headers"`
	Service  string            `yaml:"service"`
	Sample   float64           `yaml:"sample"`   // share of the traces that begin here, from 0 to 1
	Interval Duration          `yaml:"interval"` // between metrics
}

func (c *Config) validateTelemetry(add func(path, format string, args ...any)) {
	t := &c.Telemetry
	if t.OTLP == "" {
		return
	}
	base, err := url.Parse(t.OTLP)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		add("telemetry.otlp", "%q is not the URL of a collector; write for example http://127.0.0.1:4318", t.OTLP)
	} else if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		add("telemetry.otlp", "is the collector's address alone, without credentials, query or fragment; credentials belong into headers, from an environment variable")
	} else if c.Gap().CheckHost(base.Hostname()) != nil {
		add("telemetry.otlp", "the appliance is offline, and %q is neither this host nor in a network of site", t.OTLP)
	}
	if !(t.Sample >= 0 && t.Sample <= 1) {
		add("telemetry.sample", "%g is not between 0 and 1", t.Sample)
	}
	if t.Interval.D() < time.Second {
		add("telemetry.interval", "must be 1s or longer")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) {
			add("telemetry.headers", "%q is not the name of a header", name)
		} else if !httpguts.ValidHeaderFieldValue(string(t.Headers[name])) {
			add("telemetry.headers", "the value of %q holds a line break or another control character", name)
		}
	}
}
