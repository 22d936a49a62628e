package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Transform is an http-wasm filter in its place before a route.
type Transform struct {
	Plugin  *Plugin
	Open    bool          // go on without it when it fails
	Timeout time.Duration // of each of its two calls; 0: the plugin's own
}

// Transforms returns the filters of the route that a request's model field leads to, the outermost first, and the
// route's name. There are none where the field leads nowhere.
func (r *Runtime) Transforms(model string) (route string, list []Transform) {
	route = r.RouteName(model)
	r.routesMu.RLock()
	defer r.routesMu.RUnlock()
	return route, r.transforms[route]
}

// HasTransforms says whether any route has filters.
func (r *Runtime) HasTransforms() bool {
	for _, route := range r.cfg.Routes {
		if len(route.Transform) > 0 {
			return true
		}
	}
	return false
}

func (r *Runtime) transformsOf(stages []config.Stage) (list []Transform, err error) {
	for _, s := range stages {
		if s.Mode == "off" {
			continue
		}
		p := r.plugins[s.Plugin]
		if !p.Manifest().Offers(manifest.HookTransform) {
			return nil, fmt.Errorf("the plugin %s does not offer the hook %s", s.Plugin, manifest.HookTransform)
		}
		list = append(list, Transform{Plugin: p, Open: s.Open(), Timeout: s.Timeout.D()})
	}
	return list, nil
}

// Transformed records a request that a filter answered, or that ended with one that failed, and returns its error.
func (r *Runtime) Transformed(ctx context.Context, id string, who Identity, route string, began time.Time, err error) error {
	pipeline.Stopped(ctx, &r.pipe, &pipeline.Request{ID: id, Tenant: who.Tenant, Subject: who.Subject, Key: who.Key, Endpoint: "transform"}, route, began, err)
	return err
}

// TransformFailed is what a client gets when a filter failed that must not be left out.
func TransformFailed(p *Plugin, err error) error {
	return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "transform_failed", Cause: err,
		Message: "the filter " + p.Name() + " failed, and this route does not answer without it; the decision trace or the log has the details"}
}

// credentialHeaders are what filters see only with the capability credentials: whoever has a key can use it elsewhere.
var credentialHeaders = map[string]bool{"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "X-Api-Key": true, "Api-Key": true}

// Filter passes a request through the filter that serves now. A canary gets its share.
func (p *Plugin) Filter(ctx context.Context, f wasm.Filter) (wasm.FilterResult, error) {
	for {
		g, k, isNew := p.current.Load(), p.canary.Load(), false
		if k != nil && k.pick() {
			g, isNew = k.next, true
		}
		f.Exchange.Hidden = nil
		if !g.credentials {
			f.Exchange.Hidden = credentialHeaders
		}
		began := false
		next := f.Next
		f.Next = func(request wasm.Result, buffered bool) error { began = true; return next(request, buffered) }
		res, err := g.plugin.Filter(ctx, f)
		f.Next = next
		var failed *wasm.Error
		if errors.As(err, &failed) && failed.Code == wasm.CodeClosed && !began {
			if now := p.current.Load(); now != g && (k == nil || p.canary.Load() != k || !isNew) {
				continue // it was replaced while the request waited for an instance
			}
		}
		if k != nil {
			all := wasm.Result{Duration: res.Request.Duration + res.Response.Duration, Fuel: res.Request.Fuel + res.Response.Fuel}
			if due, fault := k.observe(isNew, all, err); due {
				p.settle(k, fault)
			}
		}
		return res, err
	}
}

// probeFilter passes a harmless request through a filter.
func probeFilter(ctx context.Context, g *generation) error {
	x := &wasm.HTTPExchange{Method: http.MethodPost, URI: "/v1/chat/completions", Protocol: "HTTP/1.1", Source: "127.0.0.1:1", Host: "localhost",
		Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"model":"default","messages":[{"role":"user","content":"hello"}]}`),
		Response: wasm.HTTPAnswer{Header: http.Header{}}, Limit: 1 << 20}
	_, err := g.plugin.Filter(ctx, wasm.Filter{Exchange: x, Next: func(wasm.Result, bool) error {
		x.Response.Header.Set("Content-Type", "application/json")
		x.Response.Body = []byte(`{"object":"chat.completion","choices":[]}`)
		return nil
	}})
	return err
}
