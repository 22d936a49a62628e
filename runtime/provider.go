package runtime

import (
	"net/url"
	"strconv"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/telemetry"
	"github.com/ledge-run/ledge/runtime/upstream"
)

// providerNames are those of OpenTelemetry's conventions for GenAI, by kind of API.
var providerNames = map[string]string{"": "openai", upstream.KindOpenAI: "openai", upstream.KindAzure: "azure.ai.openai", upstream.KindAnthropic: "anthropic"}

// describeProvider is an upstream as telemetry names it.
func describeProvider(model string, u *config.Upstream) telemetry.Provider {
	p := telemetry.Provider{Name: providerNames[u.Kind], Model: model, Remote: true}
	if base, err := url.Parse(u.BaseURL); err == nil {
		p.Host = base.Hostname()
		p.Port, _ = strconv.Atoi(base.Port())
		if p.Port == 0 {
			p.Port = map[string]int{"http": 80, "https": 443}[base.Scheme]
		}
	}
	return p
}

// Provider is who answers for a model, by the id that traces have; of a pool, the pool.
func (r *Runtime) Provider(model string) (telemetry.Provider, bool) {
	if m := r.remote[model]; m != nil {
		return m.provider, true
	}
	if r.pools[model] != nil {
		return telemetry.Provider{Name: "ledge", Model: model, Remote: true}, true
	}
	return telemetry.Provider{Name: "ledge", Model: model}, r.locals.find(model) != nil
}
