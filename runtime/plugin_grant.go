package runtime

import (
	"fmt"
	"time"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// grant lends a plugin what its manifest asks for AND the site grants it AND the site's ceiling allows. A built-in
// plugin needs no grant: it is part of what the site installed. What is missing is an error, unless the manifest says
// by NAME? that the plugin can do without; then the call that uses it fails.
func (r *Runtime) grant(p *Plugin, m *manifest.Manifest, o *wasm.PluginOptions, credentials *bool) error {
	asks, err := capability.ParseGrants(m.Capabilities)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	ceiling, err := capability.ParseGrants(r.cfg.Sandbox.Ceiling)
	if err != nil {
		return fmt.Errorf("sandbox.ceiling: %w", err)
	}
	grants := asks
	if p.cfg.Builtin == "" {
		if grants, err = capability.ParseGrants(p.cfg.Grant); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	denied := func(name, where string) error {
		return &wasm.Error{Code: wasm.CodeCapabilityDenied, Plugin: p.name,
			Message: fmt.Sprintf("the manifest asks for %q, which the site does not grant; add it to %s, or write %s? in the manifest if the plugin can do without", name, where, name)}
	}
	if name, missing := asks.Missing(grants); missing {
		return denied(name, "grant: in the plugin's configuration")
	}
	if name, missing := asks.Missing(ceiling); missing {
		return denied(name, "sandbox.ceiling")
	}
	has := func(name string) bool { return asks.Has(name) && grants.Has(name) && ceiling.Has(name) }
	for name, functions := range map[string][]wasm.HostFunction{
		"kv": capability.KV(kvStore{r.store.KV()}), "slm": capability.SLM(lent{r}), "search": capability.Search(lent{r}),
	} {
		if has(name) {
			o.Functions = append(o.Functions, functions...)
		} else if asks.Has(name) {
			o.Functions = append(o.Functions, capability.Denied(name, functions)...)
		}
	}
	o.PreciseClock = has("clock")
	*credentials = has("credentials")
	if r.gap.Offline() {
		ceiling = ceiling.RulesOnly()
	}
	if e := capability.HTTP(asks, grants, ceiling); e != nil {
		e.Gap = r.gap
		o.HTTP = e.HTTP
	}
	return nil
}

// breaker is on unless the configuration turns it off.
func breaker(c config.Breaker) wasm.Breaker {
	b := wasm.Breaker{Failures: c.Failures, Window: c.Window.D(), OpenFor: c.OpenFor.D()}
	if b.Failures == 0 {
		b.Failures = defaultBreakerFailures
	}
	if b.OpenFor == 0 {
		b.OpenFor = 2 * time.Second
	}
	return b
}

// defaultBreakerFailures within ten seconds open the breaker of a plugin.
const defaultBreakerFailures = 20
