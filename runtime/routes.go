package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// buildRoutes makes every route of the configuration from the plugins and models as they are now, and puts them in
// place together.
func (r *Runtime) buildRoutes(ctx context.Context) error {
	routes := make(map[string]*pipeline.Route, len(r.cfg.Routes))
	transforms := make(map[string][]Transform)
	for name, cfg := range r.cfg.Routes {
		route, err := r.buildRoute(ctx, name, &cfg)
		if err != nil {
			return fmt.Errorf("route %s: %w", name, err)
		}
		routes[name] = route
		if transforms[name], err = r.transformsOf(cfg.Transform); err != nil {
			return fmt.Errorf("route %s: %w", name, err)
		}
	}
	r.routesMu.Lock()
	r.routes, r.transforms = routes, transforms
	r.routesMu.Unlock()
	return nil
}

func (r *Runtime) buildRoute(ctx context.Context, name string, cfg *config.Route) (*pipeline.Route, error) {
	route := &pipeline.Route{Name: name, System: cfg.System, Window: cfg.Window, CacheTTL: cfg.Cache.TTL.D(), CacheStale: cfg.Cache.Stale.D(), AlwaysOffer: cfg.OfferTools, Refill: cfg.Refill, KeepText: cfg.Guards.KeepText, ContextShift: cfg.ContextShift, Priority: cfg.Priority}
	version := sha256.New()
	fmt.Fprintf(version, "%q %q %d\n", cfg.PromptVersion, cfg.System, cfg.Window)
	route.Models, route.Fallback = r.named(cfg.Models), r.named(cfg.Fallback)
	route.SafeAnswer, route.GoOn = cfg.SafeAnswer, cfg.GoOn
	if cfg.Guards.Leak != "" && cfg.System != "" {
		route.Leak = pipeline.NewLeak(cfg.System, cfg.Guards.Leak)
		fmt.Fprintf(version, "leak %s\n", cfg.Guards.Leak)
	}
	for _, m := range slices.Concat(cfg.Models, cfg.Fallback) {
		if r.cfg.LeftOut(m) {
			route.LeftOut = append(route.LeftOut, m)
		}
	}
	stages := func(list []config.Stage, h string) ([]pipeline.Stage, error) {
		var out []pipeline.Stage
		for _, s := range list {
			if s.Mode == "off" {
				continue
			}
			p := r.plugins[s.Plugin]
			if !p.Manifest().Offers(h) {
				return nil, fmt.Errorf("the plugin %s does not offer the hook %s", s.Plugin, h)
			}
			fmt.Fprintf(version, "%s %s %s %t %v\n", h, p.name, p.Digest(), s.Open(), p.cfg.Config)
			fmt.Fprintln(version, s.Mode, cfg.Refill)
			out = append(out, pipeline.Stage{Plugin: p, Open: s.Open(), Timeout: s.Timeout.D(), Shadow: s.Shadow(), Pure: len(p.Manifest().Capabilities) == 0})
		}
		return out, nil
	}
	one := func(s config.Stage, h string) (*pipeline.Stage, error) {
		if s.Plugin == "" {
			return nil, nil
		}
		list, err := stages([]config.Stage{s}, h)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, nil
		}
		return &list[0], nil
	}
	var err error
	if route.Router, err = one(cfg.Router, hook.ExportRoute); err != nil {
		return nil, err
	}
	if len(cfg.Examples) > 0 {
		fmt.Fprintf(version, "examples %q\n", cfg.Examples)
		var by embedding.Embedder = embedding.Lexical{}
		if r.embedder != nil {
			by = r.embedder
		}
		if route.Examples, err = pipeline.NewExamples(ctx, by, cfg.Examples); err != nil {
			return nil, err
		}
	}
	if route.CachePlan, err = one(config.Stage{Plugin: cfg.Cache.Plugin, Timeout: cfg.Cache.Timeout}, hook.ExportCache); err != nil {
		return nil, err
	}
	for _, g := range []struct {
		name string
		from []config.Stage
		to   *[]pipeline.Stage
	}{{"input", cfg.Guards.Input, &route.Input}, {"tool", cfg.Guards.Tool, &route.Tool}, {"output", cfg.Guards.Output, &route.Output}, {"answer", cfg.Guards.Answer, &route.Answer}} {
		fmt.Fprintln(version, g.name)
		if *g.to, err = stages(g.from, hook.ExportGuard); err != nil {
			return nil, err
		}
	}
	if cfg.Retrieve != nil {
		fmt.Fprintf(version, "retrieve %+v\n", *cfg.Retrieve)
		guards, err := stages(cfg.Guards.Retrieval, hook.ExportGuard)
		if err != nil {
			return nil, err
		}
		route.Retrieve = r.retrieve(cfg.Retrieve, guards)
	}
	if k := cfg.Context; k != nil {
		fmt.Fprintf(version, "context %+v\n", *k)
		route.Context = &pipeline.Context{Policy: k.Policy, Budgets: k.Budgets, History: k.History, Turns: k.Turns, Over: k.Over}
		if models := r.named([]string{k.SummaryModel}); k.Summarises() && len(models) > 0 {
			route.Context.Summary = models[0]
		}
	}
	if k := cfg.Cascade; k != nil {
		fmt.Fprintf(version, "cascade %g %d %q %+v %t %q\n", k.AcceptFrom(), k.Samples, k.Refusals, k.Judges, k.Human, k.Handover)
		judges, err := stages(k.Judges, hook.ExportGuard)
		if err != nil {
			return nil, err
		}
		route.Cascade = &pipeline.Cascade{Accept: k.AcceptFrom(), Samples: k.Samples, Judges: judges, Human: k.Human, Handover: k.Handover}
		for _, phrase := range k.Refusals {
			route.Cascade.Refusals = append(route.Cascade.Refusals, strings.ToLower(phrase))
		}
	}
	for _, t := range cfg.Tools {
		if _, err := stages([]config.Stage{{Plugin: t}}, manifest.HookTools); err != nil {
			return nil, err
		}
		tools, err := r.describe(ctx, r.plugins[t])
		if err != nil {
			r.log.Error("the route goes without a plugin's tools", "route", name, "plugin", t, "error", err)
			route.Undescribed = append(route.Undescribed, pipeline.Undescribed{Plugin: r.plugins[t], Err: err})
			continue
		}
		for _, tool := range tools {
			for _, other := range route.Tools {
				if other.Definition.Function.Name == tool.Definition.Function.Name {
					return nil, fmt.Errorf("the plugins %s and %s both offer a tool %q", other.Plugin.Name(), t, tool.Definition.Function.Name)
				}
			}
			route.Tools = append(route.Tools, tool)
		}
	}
	route.Version = hex.EncodeToString(version.Sum(nil)[:8])
	return route, nil
}

// describe asks a plugin for its tools, or recalls what the same module with the same settings said before: an appliance
// that starts should not have to make every tool plugin's code resident.
func (r *Runtime) describe(ctx context.Context, p *Plugin) ([]pipeline.HostTool, error) {
	name, of := "tools:"+p.name, fmt.Sprintf("%s %v", p.Digest(), p.cfg.Config) // fmt sorts the keys of maps
	var known struct {
		Of    string        `json:"of"`
		Tools []openai.Tool `json:"tools"`
	}
	if b, ok, err := r.store.Meta().Get(ctx, name); err != nil {
		return nil, err
	} else if ok && json.Unmarshal(b, &known) == nil && known.Of == of {
		tools := make([]pipeline.HostTool, len(known.Tools))
		for i, t := range known.Tools {
			tools[i] = pipeline.HostTool{Definition: t, Plugin: p}
		}
		return tools, nil
	}
	tools, err := pipeline.Describe(ctx, p)
	if err != nil {
		return nil, err
	}
	known.Of, known.Tools = of, nil
	for _, t := range tools {
		known.Tools = append(known.Tools, t.Definition)
	}
	b, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	return tools, r.store.Meta().Put(ctx, name, b)
}

// openModels makes the models on this device and the remote ones known.
func (r *Runtime) openModels(ctx context.Context) error {
	if err := r.openLocals(ctx); err != nil {
		return err
	}
	for name, u := range r.cfg.Upstreams {
		for _, m := range u.Models {
			if r.cfg.LeftOut(name + "/" + m) {
				continue
			}
			remote, err := openRemote(name, m, u, r.gap)
			if err != nil {
				return fmt.Errorf("upstream %s: %w", name, err)
			}
			r.remote[name+"/"+m] = remote
		}
	}
	return r.openPools()
}

// RouteText dry-runs the router of a route for a text, without a model call.
func (r *Runtime) RouteText(ctx context.Context, name, text string) (*pipeline.Explanation, error) {
	route, model, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	return r.pipe.Explain(ctx, route, model, strings.TrimSpace(text))
}

// named finds the models of a route that are there.
func (r *Runtime) named(names []string) (out []pipeline.Model) {
	for _, m := range names {
		switch {
		case m == config.Local && r.locals.first != nil:
			out = append(out, r.locals.first)
		case r.locals.find(m) != nil:
			out = append(out, r.locals.find(m))
		case r.remote[m] != nil:
			out = append(out, r.remote[m])
		case r.pools[m] != nil:
			out = append(out, r.pools[m])
		}
	}
	return out
}
