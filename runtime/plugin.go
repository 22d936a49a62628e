package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Plugin is a place for one plugin whose module may be replaced while requests run. It is safe for concurrent use.
type Plugin struct {
	name string
	cfg  config.Plugin

	current atomic.Pointer[generation]
	canary  atomic.Pointer[canary] // nil unless a new generation is on trial
	settle  func(k *canary, fault error)
	reload  sync.Mutex // held while a new generation is built
	failed  time.Time  // modification time of a file that did not load, so that it is reported once
}

// generation is one loaded module with its manifest.
type generation struct {
	plugin   *wasm.Plugin
	manifest *manifest.Manifest
	modified time.Time // of the files it was loaded from
	// credentials: a filter that sees the headers with keys and cookies
	credentials bool
}

// maxModule bounds a plugin file, in bytes.
const maxModule = 64 << 20

// Name is the name the configuration gives the plugin.
func (p *Plugin) Name() string { return p.name }

// Digest is the SHA-256 of the module that serves now.
func (p *Plugin) Digest() string { return p.current.Load().plugin.Digest() }

// Manifest is what the module that serves now says of itself.
func (p *Plugin) Manifest() *manifest.Manifest { return p.current.Load().manifest }

// Exports are the functions that the module exports that serves now.
func (p *Plugin) Exports() []string { return p.current.Load().plugin.Exports() }

// Source is where the module comes from: built in, or a file.
func (p *Plugin) Source() string {
	if p.cfg.File != "" {
		return p.cfg.File
	}
	return "built in"
}

// Stats are the sandbox's figures of the module that serves now.
func (p *Plugin) Stats() wasm.Stats { return p.current.Load().plugin.Stats() }

// Call runs an export in the module that serves now. A module that is replaced while the call waits for an instance is
// not the caller's concern: the call goes to the new one.
func (p *Plugin) Call(ctx context.Context, c wasm.Call) (wasm.Result, error) {
	if k := p.canary.Load(); k != nil {
		return p.callCanary(ctx, k, c)
	}
	for {
		g := p.current.Load()
		res, err := g.plugin.Call(ctx, c)
		var failed *wasm.Error
		if errors.As(err, &failed) && failed.Code == wasm.CodeClosed && p.current.Load() != g {
			continue
		}
		return res, err
	}
}

func (p *Plugin) close(ctx context.Context) error {
	var err error
	if k := p.canary.Swap(nil); k != nil {
		err = k.next.plugin.Close(ctx)
	}
	if g := p.current.Load(); g != nil {
		err = errors.Join(err, g.plugin.Close(ctx))
	}
	return err
}

// openSandbox starts the sandbox and loads every configured plugin, several at once.
func (r *Runtime) openSandbox(ctx context.Context) error {
	key, ok, err := r.store.Meta().Get(ctx, "sandbox-cache-key")
	if err != nil {
		return err
	}
	if !ok {
		key = make([]byte, 32)
		rand.Read(key)
		if err := r.store.Meta().Put(ctx, "sandbox-cache-key", key); err != nil {
			return err
		}
	}
	r.sandbox, err = wasm.New(ctx, wasm.Options{CacheDir: filepath.Join(r.dir, "wasm"), CacheKey: key, Logger: r.log})
	if err != nil {
		return err
	}
	var loading sync.WaitGroup
	slots := make(chan struct{}, goruntime.GOMAXPROCS(0)) // compiling takes about 100 MB a module
	errs := make(chan error, len(r.cfg.Plugins))
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Plugins)) {
		p := &Plugin{name: name, cfg: r.cfg.Plugins[name]}
		p.settle = func(k *canary, fault error) { r.tasks.Go(func() { r.settleCanary(p, k, fault) }) }
		r.plugins[name] = p
		loading.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			g, err := r.load(ctx, p)
			if err != nil {
				errs <- ofPlugin(name, err)
				return
			}
			p.current.Store(g)
		})
	}
	loading.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// load reads a plugin's module and manifest and prepares them for calls.
func (r *Runtime) load(ctx context.Context, p *Plugin) (*generation, error) {
	module, m, stated, modified, err := p.source()
	if err != nil {
		return nil, err
	}
	o := wasm.PluginOptions{Name: p.name, Seed: p.cfg.Seed, Breaker: breaker(p.cfg.Breaker)}
	g := &generation{modified: modified}
	if err := r.grant(p, m, &o, &g.credentials); err != nil {
		return nil, err
	}
	settings := maps.Clone(m.Config)
	if settings == nil {
		settings = map[string]string{}
	}
	maps.Copy(settings, p.cfg.Config)
	limits := wasm.Limits{Timeout: m.Limits.Timeout.D(), Fuel: m.Limits.Fuel, MemoryBytes: uint64(m.Limits.Memory),
		OutputBytes: int(m.Limits.Output), StackBytes: int(m.Limits.Stack), LogBytes: int(m.Limits.Log),
		HostCalls: m.Limits.HostCalls, KVBytes: int(m.Limits.KV), VarBytes: int(m.Limits.Vars), HTTPBytes: int(m.Limits.HTTP), Tokens: m.Limits.Tokens, Instances: m.Limits.Instances}
	if p.cfg.Timeout > 0 {
		limits.Timeout = p.cfg.Timeout.D()
	}
	if p.cfg.Memory > 0 {
		limits.MemoryBytes = uint64(p.cfg.Memory)
	}
	if p.cfg.Fuel > 0 {
		limits.Fuel = p.cfg.Fuel
	}
	o.Limits, o.Config = limits, settings
	for _, l := range m.Linked {
		o.Linked = append(o.Linked, wasm.LinkedModule(l))
	}
	if builtin := p.cfg.Builtin; builtin != "" {
		o.Reread = func() ([]byte, error) {
			module, _, err := plugins.Builtin(builtin)
			return module, err
		}
	}
	loaded, err := r.sandbox.Load(ctx, module, o)
	if err != nil {
		return nil, err
	}
	if !stated {
		var inferred *manifest.Manifest
		if inferred, err = manifest.Infer(p.name, loaded.Exports()); err == nil {
			m.Hooks = inferred.Hooks
		}
	} else {
		err = m.CheckExports(loaded.Exports())
	}
	if err != nil {
		return nil, errors.Join(err, loaded.Close(ctx))
	}
	g.plugin, g.manifest = loaded, m
	return g, nil
}

// source returns the module and its manifest, whether a manifest of ours states its hooks, and when they last changed.
func (p *Plugin) source() (module []byte, m *manifest.Manifest, stated bool, modified time.Time, err error) {
	module, doc, modified, err := p.read()
	switch {
	case err != nil:
	case strings.HasSuffix(p.cfg.File, ".json"): // a manifest of the Extism hosts, with its module in it or beside it
		m, module, err = manifest.ParseExtism(module, p.name, filepath.Dir(p.cfg.File))
	case doc != nil:
		m, err = manifest.Parse(doc)
		stated = true
	default:
		m = &manifest.Manifest{Name: p.name}
	}
	return module, m, stated, modified, err
}

// ofPlugin puts a plugin's name before an error that does not begin with it.
func ofPlugin(name string, err error) error {
	if rest, ok := strings.CutPrefix(err.Error(), "plugin "+name); ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, " ")) {
		return err
	}
	return fmt.Errorf("plugin %s: %w", name, err)
}

// CheckPlugins reads the module and the manifest of every plugin of a configuration, without loading any.
func CheckPlugins(cfg *config.Config) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Plugins)) {
		p := &Plugin{name: name, cfg: cfg.Plugins[name]}
		if _, _, _, _, err := p.source(); err != nil {
			all = append(all, ofPlugin(name, err))
		}
	}
	return errors.Join(all...)
}

// read returns the module, its manifest (nil without one) and when they last changed.
func (p *Plugin) read() (module, doc []byte, modified time.Time, err error) {
	if p.cfg.Builtin != "" {
		module, doc, err = plugins.Builtin(p.cfg.Builtin)
		return module, doc, time.Time{}, err
	}
	modified, err = p.modified()
	if err != nil {
		return nil, nil, modified, err
	}
	info, err := os.Stat(p.cfg.File)
	if err != nil {
		return nil, nil, modified, err
	}
	if info.Size() > maxModule {
		return nil, nil, modified, fmt.Errorf("%s: %d bytes, more than %d", p.cfg.File, info.Size(), maxModule)
	}
	if module, err = os.ReadFile(p.cfg.File); err != nil {
		return nil, nil, modified, err
	}
	for _, path := range p.manifestFiles() {
		if doc, err = os.ReadFile(path); err == nil {
			return module, doc, modified, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, nil, modified, err
		}
	}
	return module, nil, modified, nil
}

// manifestFiles are the places of a file's manifest: NAME.yaml beside NAME.wasm, or plugin.yaml in its folder.
func (p *Plugin) manifestFiles() []string {
	return []string{strings.TrimSuffix(p.cfg.File, ".wasm") + ".yaml", filepath.Join(filepath.Dir(p.cfg.File), manifest.FileName)}
}

// modified is when the module or its manifest last changed.
func (p *Plugin) modified() (time.Time, error) {
	info, err := os.Stat(p.cfg.File)
	if err != nil {
		return time.Time{}, err
	}
	latest := info.ModTime()
	for _, path := range p.manifestFiles() {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return latest, nil
}

// Reload replaces a plugin's module by what its source holds now. The new generation is loaded and called before it
// serves; on error the old one stays. The old one is closed once its calls are done.
func (r *Runtime) Reload(ctx context.Context, name string) error {
	p, ok := r.plugins[name]
	if !ok {
		return fmt.Errorf("there is no plugin %q", name)
	}
	p.reload.Lock()
	defer p.reload.Unlock()
	g, err := r.load(ctx, p)
	if err == nil {
		if err = r.healthy(ctx, p, g); err != nil {
			err = errors.Join(err, g.plugin.Close(ctx))
		}
	}
	if err != nil {
		return fmt.Errorf("reload: %w; the module that served before still does", ofPlugin(name, err))
	}
	if share := p.cfg.Canary.Share; share > 0 {
		k := &canary{next: g, share: uint64(share), enough: defaultCanaryCalls}
		if n := p.cfg.Canary.Calls; n > 0 {
			k.enough = uint64(n)
		}
		r.log.Info("plugin on trial", "plugin", name, "digest", g.plugin.Digest(), "share", share, "calls", k.enough)
		if before := p.canary.Swap(k); before != nil {
			return before.next.plugin.Close(ctx)
		}
		return nil
	}
	return r.promote(ctx, p, g)
}

// promote gives all calls to a new generation and closes the old one once its calls are done.
func (r *Runtime) promote(ctx context.Context, p *Plugin, g *generation) error {
	name := p.name
	old := p.current.Swap(g)
	if err := r.buildRoutes(ctx); err != nil {
		p.current.Store(old)
		return errors.Join(fmt.Errorf("reload: %w; the module that served before still does", ofPlugin(name, err)), r.buildRoutes(ctx), g.plugin.Close(ctx))
	}
	r.log.Info("plugin reloaded", "plugin", name, "digest", g.plugin.Digest(), "was", old.plugin.Digest())
	return old.plugin.Close(ctx)
}

// settleCanary ends a trial: the new generation gets all calls, or is closed.
func (r *Runtime) settleCanary(p *Plugin, k *canary, fault error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p.reload.Lock()
	defer p.reload.Unlock()
	if !p.canary.CompareAndSwap(k, nil) {
		return // a newer one took its place, and closed it
	}
	err := fault
	if err == nil {
		if err = r.promote(ctx, p, k.next); err == nil {
			return
		}
	} else {
		p.failed = k.next.modified
		err = errors.Join(err, k.next.plugin.Close(ctx))
	}
	r.log.Error("plugin rolled back; the module that served before still does", "plugin", p.name, "digest", k.next.plugin.Digest(), "reason", err)
}

// healthy calls every hook of a new generation once with a harmless input.
func (r *Runtime) healthy(ctx context.Context, p *Plugin, g *generation) error {
	for _, offered := range p.Manifest().Hooks {
		if !g.manifest.Offers(offered) {
			return fmt.Errorf("it no longer offers the hook %s", offered)
		}
	}
	for _, h := range g.manifest.Hooks {
		if h == manifest.HookTransform {
			if err := probeFilter(ctx, g); err != nil {
				return fmt.Errorf("health check: %w", err)
			}
			continue
		}
		export, input := probe(h)
		if _, err := g.plugin.Call(ctx, wasm.Call{Export: export, Input: input}); err != nil {
			return fmt.Errorf("health check: %w", err)
		}
	}
	return nil
}

// probe is a harmless input for a hook.
func probe(h string) (export string, input []byte) {
	hello := []hook.Message{{Role: "user", Content: "hello"}}
	switch h {
	case hook.ExportRoute:
		return h, (&hook.RouteRequest{Route: defaultRoute, Messages: hello, Models: []hook.Model{{ID: "probe"}}}).AppendJSON(nil)
	case hook.ExportGuard:
		return h, (&hook.GuardRequest{Stage: hook.StageInput, Role: "user", Text: "hello", Final: true}).AppendJSON(nil)
	case hook.ExportChunk:
		return h, (&hook.Document{Text: "hello"}).AppendJSON(nil)
	case hook.ExportCache:
		return h, (&hook.CacheRequest{Route: defaultRoute, Model: "probe", ModelDigest: "probe", Messages: hello, Choices: 1}).AppendJSON(nil)
	}
	return hook.ExportDescribe, nil
}

// watchInterval is how often plugin files are looked at.
const watchInterval = time.Second

// watch reloads plugins whose file changed, until ctx ends.
func (r *Runtime) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for name, p := range r.plugins {
			if p.cfg.File == "" {
				continue
			}
			// A file that is gone for a moment, while it is replaced, is looked at again with the next tick.
			modified, err := p.modified()
			if err != nil || modified.Equal(p.current.Load().modified) || modified.Equal(p.failedAt()) {
				continue
			}
			if k := p.canary.Load(); k != nil && modified.Equal(k.next.modified) {
				continue
			}
			if err := r.Reload(ctx, name); err != nil && ctx.Err() == nil {
				p.reload.Lock()
				p.failed = modified
				p.reload.Unlock()
				r.log.Error("plugin not reloaded", "plugin", name, "error", err)
			}
		}
	}
}

func (p *Plugin) failedAt() time.Time {
	p.reload.Lock()
	defer p.reload.Unlock()
	return p.failed
}

// Plugins lists the plugins by name.
func (r *Runtime) Plugins() []*Plugin {
	out := make([]*Plugin, 0, len(r.plugins))
	for _, name := range slices.Sorted(maps.Keys(r.plugins)) {
		out = append(out, r.plugins[name])
	}
	return out
}

// FromFile says whether the module comes from a file, which may change.
func (p *Plugin) FromFile() bool { return p.cfg.File != "" }
