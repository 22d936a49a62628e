// Package runtime is the embedding API: it assembles plugins, models and state into routes and answers requests. A
// program that wants what the appliance does without its HTTP surface starts at [New] and [Runtime.Chat].
package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ledge-run/ledge/runtime/airgap"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/limits"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/semantic"
	"github.com/ledge-run/ledge/runtime/state"
	"github.com/ledge-run/ledge/runtime/upstream"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Options are what a configuration file does not hold.
type Options struct {
	Logger *slog.Logger // nil: discard
	// OnTrace sees every finished trace, for metrics. It must not block.
	OnTrace func(*pipeline.Trace)
}

// Runtime answers requests. It is safe for concurrent use.
type Runtime struct {
	cfg                *config.Config
	log                *slog.Logger
	dir                string
	store              *state.Store
	sandbox            *wasm.Host
	plugins            map[string]*Plugin
	locals             localModels
	embedder, reranker *encoderModel // nil where none is configured
	remote             map[string]*remoteModel
	gap                *airgap.Gap // what may be dialled; nil: everything
	pools              map[string]*pool
	pipe               pipeline.Pipeline
	library            *search.Library
	ingest             *ingest.Queue
	erasing            sync.RWMutex // held by an erasure, and for reading by requests
	started            time.Time
	meanings           *semantic.Index
	reports            atomic.Int64 // wrong answers of the cache

	routesMu   sync.RWMutex
	routes     map[string]*pipeline.Route
	transforms map[string][]Transform // by route

	auth    *identity.Authenticator // nil: no credentials are asked for
	keys    *identity.Keys
	limiter *limits.Limiter // nil: no rule limits anything
	admit   *admission
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// New opens the state, loads plugins and the model, and builds the routes. On error nothing stays open.
func New(ctx context.Context, cfg *config.Config, o Options) (_ *Runtime, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := cfg.DataDir()
	if err != nil {
		return nil, err
	}
	r := &Runtime{cfg: cfg, log: o.Logger, dir: dir, gap: cfg.Gap(), plugins: map[string]*Plugin{}, remote: map[string]*remoteModel{}, pools: map[string]*pool{},
		admit: newAdmission(cfg.Limits.Concurrency, cfg.Limits.Queue, cfg.Limits.QueueWait.D()), started: time.Now()}
	defer func() {
		if err != nil {
			r.Close(context.WithoutCancel(ctx))
		}
	}()
	r.store, err = state.Open(filepath.Join(dir, "state"), state.Options{Logger: o.Logger, CacheBytes: int64(cfg.Cache.MaxSize),
		TraceBytes: int64(cfg.Trace.MaxSize), KVBytes: int64(cfg.KV.MaxSize), TraceRetention: cfg.Trace.Retention.D()})
	if err != nil {
		return nil, err
	}
	if err = r.openIdentity(ctx); err != nil {
		return nil, err
	}
	if err = r.openLimits(ctx); err != nil {
		return nil, err
	}
	// Compiling plugins may take a minute: what is wrong with a path should be said before.
	if err = CheckPlugins(cfg); err != nil {
		return nil, err
	}
	if _, _, err = PlanModels(cfg); err != nil {
		return nil, err
	}
	if err = r.openSandbox(ctx); err != nil {
		return nil, err
	}
	if err = r.openModels(ctx); err != nil {
		return nil, err
	}
	if err = r.openEncoders(ctx); err != nil {
		return nil, err
	}
	r.openMeanings()
	r.pipe = pipeline.Pipeline{
		Limits: pipeline.Limits{MaxTokens: cfg.Limits.MaxTokens, ToolRounds: cfg.Limits.ToolRounds},
		Cache:  cacheStore{r.store.Cache()}, CacheTTL: cfg.Cache.TTL.D(), Meanings: r.meanings,
		Log: o.Logger, Prompts: cfg.Trace.Prompts, Now: time.Now, Hand: r.handOver,
		Trace: func(t *pipeline.Trace) { r.record(t, o.OnTrace) },
	}
	if r.embedder != nil {
		r.pipe.Embedder = r.embedder
	}
	if err = r.openDocuments(); err != nil {
		return nil, err
	}
	if err = r.replayErasures(ctx); err != nil {
		return nil, err
	}
	if err = r.buildRoutes(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	r.tasks.Go(func() { r.rest(background) })
	r.tasks.Go(func() { r.watch(background) })
	r.tasks.Go(func() { r.forgetReviews(background) })
	r.tasks.Go(func() { r.remember(background) })
	r.tasks.Go(func() { r.ingest.Run(background) })
	if len(cfg.Documents.Watch) > 0 {
		r.tasks.Go(func() { r.watchFolders(background) })
	}
	return r, nil
}

// restTime is how long plugins that were called while routes were built may take to come to rest.
const restTime = time.Second

// rest gives back, once, what building the routes made resident: an appliance that was asked nothing should hold little.
func (r *Runtime) rest(ctx context.Context) {
	awake := slices.Collect(maps.Values(r.plugins))
	for end := time.Now().Add(restTime); len(awake) > 0 && ctx.Err() == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		awake = slices.DeleteFunc(awake, func(p *Plugin) bool { return p.current.Load().plugin.Rest() })
	}
}

// Close stops background work, waits for plugins and the model to come to rest, and closes the state.
func (r *Runtime) Close(ctx context.Context) error {
	if r.stop != nil {
		r.stop()
	}
	r.tasks.Wait()
	var errs []error
	for _, p := range r.plugins {
		errs = append(errs, p.close(ctx))
	}
	errs = append(errs, r.locals.close(), r.closeEncoders())
	for _, m := range r.remote {
		m.target.Close()
	}
	if r.sandbox != nil {
		errs = append(errs, r.sandbox.Close(ctx))
	}
	if r.limiter != nil {
		errs = append(errs, r.limiter.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	return errors.Join(errs...)
}

// Chat answers a chat request. Events go to emit in order, from the calling goroutine; when emit fails or ctx ends, the
// generation stops within one token. The error is an *openai.Error or the context's or emit's own.
func (r *Runtime) Chat(ctx context.Context, id string, who Identity, req *openai.ChatRequest, emit func(pipeline.Event) error) error {
	p, err := r.chatRequest(id, who, req)
	if err != nil {
		return r.reject(ctx, id, who, "chat", req.Model, req.Stream, err)
	}
	return r.run(ctx, who, p, req.Model, emit)
}

// Complete answers a completion request, as Chat does.
func (r *Runtime) Complete(ctx context.Context, id string, who Identity, req *openai.CompletionRequest, emit func(pipeline.Event) error) error {
	p, err := r.completionRequest(ctx, id, who, req)
	if err != nil {
		return r.reject(ctx, id, who, "completion", req.Model, req.Stream, err)
	}
	return r.run(ctx, who, p, req.Model, emit)
}

// Malformed records a request that could not be read, and returns its error.
func (r *Runtime) Malformed(ctx context.Context, id string, who Identity, endpoint string, err error) error {
	return r.reject(ctx, id, who, endpoint, "", false, err)
}

// reject records a request that never reached a route.
func (r *Runtime) reject(ctx context.Context, id string, who Identity, endpoint, model string, stream bool, err error) error {
	pipeline.Rejected(ctx, &r.pipe, &pipeline.Request{ID: id, Tenant: who.Tenant, Subject: who.Subject, Key: who.Key, Endpoint: endpoint, Stream: stream}, model, err)
	return err
}

func (r *Runtime) run(ctx context.Context, who Identity, req *pipeline.Request, name string, emit func(pipeline.Event) error) error {
	err := mayName(&who, name)
	var route *pipeline.Route
	var model pipeline.Model
	if err == nil {
		route, model, err = r.resolve(name)
	}
	if err != nil {
		return r.reject(ctx, req.ID, who, req.Endpoint, name, req.Stream, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Limits.RequestTimeout.D(), errTimeout)
	defer cancel()
	lease, err := r.hold(ctx, &who, route.Name, req)
	if err != nil {
		return r.reject(ctx, req.ID, who, req.Endpoint, name, req.Stream, err)
	}
	defer lease.Leave(0, 0) // a request that ran has left with what it used
	release, err := r.admit.enter(ctx, route.Priority)
	if err != nil {
		return r.reject(ctx, req.ID, who, req.Endpoint, name, req.Stream, err)
	}
	defer release()
	r.erasing.RLock()
	defer r.erasing.RUnlock()
	if lease != nil {
		client := emit
		emit = func(e pipeline.Event) error {
			if e.Start != nil {
				headers := limitHeaders(lease.State())
				maps.Copy(headers, e.Start.Headers)
				e.Start.Headers = headers
			}
			return client(e)
		}
	}
	if model != nil {
		req.Model = model
	}
	err = r.pipe.Run(ctx, route, req, emit)
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == errTimeout {
		return errTimeout
	}
	return err
}

var errTimeout = &openai.Error{Status: http.StatusGatewayTimeout, Type: openai.TypeServer, Code: "timeout",
	Message: "the request took longer than limits.request_timeout allows"}

// resolve finds the route of a name, or the default route with a model pinned.
func (r *Runtime) resolve(name string) (*pipeline.Route, pipeline.Model, error) {
	r.routesMu.RLock()
	defer r.routesMu.RUnlock()
	if route, ok := r.routes[name]; ok {
		return route, nil, nil
	}
	if r.cfg.DirectModels {
		if route, ok := r.routes[defaultRoute]; ok {
			if m := r.locals.find(name); m != nil {
				return route, m, nil
			}
			if m, ok := r.remote[name]; ok {
				return route, m, nil
			}
			if m, ok := r.pools[name]; ok {
				return route, m, nil
			}
		}
		if r.cfg.LeftOut(name) {
			return nil, nil, errOffline(name)
		}
	}
	return nil, nil, openai.ModelNotFound(name)
}

// errOffline is the answer to a request for a remote model while the appliance is offline.
func errOffline(name string) *openai.Error {
	return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Param: "model", Code: "offline",
		Message: fmt.Sprintf("the model %.200q is remote, and this appliance is offline", name)}
}

// Offline says what the appliance keeps to while it is offline; nil: it is not.
func (r *Runtime) Offline() *Offline { return OfflineOf(r.cfg) }

// OfflineOf says the same of a configuration.
func OfflineOf(cfg *config.Config) *Offline {
	if !cfg.Offline {
		return nil
	}
	return &Offline{Reaches: cfg.Gap().String(), LeftOut: cfg.AllLeftOut()}
}

// Offline says what an appliance that is offline reaches, and which remote models are not there for it.
type Offline struct {
	Reaches string   `json:"reaches"`
	LeftOut []string `json:"left_out"`
}

const defaultRoute = "default"

// RouteName is the route that a client's model field leads to, or "none".
func (r *Runtime) RouteName(model string) string {
	route, _, err := r.resolve(model)
	if err != nil {
		return "none"
	}
	return route.Name
}

// Upstreams are the figures of the upstreams' connections, by model.
func (r *Runtime) Upstreams() map[string]upstream.Stats {
	out := make(map[string]upstream.Stats, len(r.remote))
	for name, m := range r.remote {
		out[name] = m.target.Stats()
	}
	return out
}

// HasRemote says whether any upstream is configured.
func (r *Runtime) HasRemote() bool { return len(r.remote) > 0 }

// Models lists what a caller may put in the model field: routes first.
func (r *Runtime) Models(who Identity) []openai.Model {
	r.routesMu.RLock()
	defer r.routesMu.RUnlock()
	created := r.started.Unix()
	out := []openai.Model{}
	for _, name := range slices.Sorted(maps.Keys(r.routes)) {
		out = append(out, openai.Model{ID: name, Object: "model", Created: created, OwnedBy: "ledge-route"})
	}
	for _, m := range []*encoderModel{r.embedder, r.reranker} {
		if m != nil {
			out = append(out, openai.Model{ID: m.id, Object: "model", Created: created, OwnedBy: "ledge"})
		}
	}
	if r.cfg.DirectModels {
		for _, m := range []struct {
			owner string
			names map[string]*localModel
		}{{"ledge", r.locals.byName}, {"ledge-adapter", r.locals.adapters}} {
			for _, name := range slices.Sorted(maps.Keys(m.names)) {
				out = append(out, openai.Model{ID: name, Object: "model", Created: created, OwnedBy: m.owner})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.pools)) {
			out = append(out, openai.Model{ID: name, Object: "model", Created: created, OwnedBy: "ledge-pool"})
		}
		for _, name := range slices.Sorted(maps.Keys(r.remote)) {
			out = append(out, openai.Model{ID: name, Object: "model", Created: created, OwnedBy: "upstream"})
		}
	}
	return slices.DeleteFunc(out, func(m openai.Model) bool { return !who.MayName(m.ID) })
}

// Degraded lists why the appliance cannot do its main job; empty means that it can.
func (r *Runtime) Degraded() []string {
	r.routesMu.RLock()
	defer r.routesMu.RUnlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.routes)) {
		if len(r.routes[name].Models) == 0 {
			out = append(out, fmt.Sprintf("route %s has no model: start ledge with --model FILE.gguf, or set model.file in its configuration", name))
		}
	}
	return out
}

// DataDir is where the state lives.
func (r *Runtime) DataDir() string { return r.dir }

// Store is the opened state, for surfaces that read it.
func (r *Runtime) Store() *state.Store { return r.store }
