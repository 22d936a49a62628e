package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ledge-run/ledge/runtime/wasm/abi/bulk"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/abi/httpwasm"
	"github.com/ledge-run/ledge/runtime/wasm/abi/wasip1"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// Host holds the engine, the cache of native code and the loaded plugins. All methods are safe for concurrent use.
type Host struct {
	rt     wazero.Runtime
	ec     wazero.CompilationCache // nil without a cache
	cache  *cache                  // nil without a cache
	logger *slog.Logger

	idleInstance, idleCode time.Duration // how long instances and code stay when nobody calls

	placing  sync.Mutex  // guards the engine's cache directory while a module is loaded
	uncached atomic.Bool // the cache could not be written when that was last tried

	mu      sync.Mutex
	plugins map[*Plugin]struct{}
	closed  bool
}

// How long an instance and a plugin's native code stay in memory when nobody calls.
const (
	idleInstance = time.Minute
	idleCode     = 5 * time.Minute
)

func engineConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2).
		WithDebugInfoEnabled(false) // metering moves code, so line tables would lie
}

// New makes a host. It starts no goroutine and opens no file until a plugin is loaded, beside its place in CacheDir.
func New(ctx context.Context, o Options) (*Host, error) {
	h := &Host{logger: o.Logger, plugins: make(map[*Plugin]struct{}), idleInstance: idleInstance, idleCode: idleCode}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	config := engineConfig()
	if o.CacheDir != "" {
		if len(o.CacheKey) < 16 {
			return nil, fmt.Errorf("the cache in %s needs a key of 16 bytes or more, got %d", o.CacheDir, len(o.CacheKey))
		}
		if err := h.openCache(ctx, o); err != nil {
			h.logger.Warn("there is no code cache: plugins work, but are compiled at every start; make room, or let the process write there",
				"directory", o.CacheDir, "reason", err)
		} else {
			config = config.WithCompilationCache(h.ec)
		}
	}
	h.rt = wazero.NewRuntimeWithConfig(ctx, config)
	if err := instantiateImports(ctx, h.rt); err != nil {
		return nil, errors.Join(fmt.Errorf("host functions: %w", err), h.free(ctx))
	}
	return h, nil
}

func (h *Host) openCache(ctx context.Context, o Options) error {
	c, err := openCache(o.CacheDir, o.CacheKey)
	if err != nil {
		return err
	}
	ec, dir, err := c.newEngineCache()
	if err != nil {
		return errors.Join(err, c.close())
	}
	h.cache, h.ec, c.engine = c, ec, dir
	return nil
}

// Close closes every plugin, each after its calls in flight, then the engine.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	plugins := maps.Clone(h.plugins)
	h.mu.Unlock()
	var errs []error
	for p := range plugins {
		errs = append(errs, p.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // calls are still running: the engine must stay
	}
	return h.free(ctx)
}

func (h *Host) free(ctx context.Context) error {
	err := h.rt.Close(ctx)
	if h.ec != nil {
		err = errors.Join(err, h.ec.Close(ctx), h.cache.close())
	}
	return err
}

// Load checks a module and makes it ready to be called: its imports must be granted, it must meter and compile. With a
// cache that knows the module it is not compiled again; that it still loads is found out at the first call.
//
// Without [PluginOptions.Reread] and without a cache, Load keeps module, which must not be changed while the plugin is
// open. Errors are of type *[Error], with the codes bad_module, unsupported_abi, unknown_import, capability_denied,
// memory_limit, closed and internal. Several loads may run at once.
func (h *Host) Load(ctx context.Context, module []byte, o PluginOptions) (*Plugin, error) {
	digest := sha256.Sum256(module)
	p := &Plugin{
		host: h, reread: o.Reread, name: o.Name, digest: "sha256:" + hex.EncodeToString(digest[:]),
		limits: o.Limits.withDefaults(), config: maps.Clone(o.Config), functions: o.Functions,
		http: o.HTTP, preciseClock: o.PreciseClock, seed: o.Seed, breaker: breaker{rule: o.Breaker.withDefaults()},
	}
	p.opening = p.limits.opening()
	p.pool.init(p)
	info, err := meter.Inspect(module)
	switch {
	case errors.Is(err, meter.ErrComponent):
		return nil, p.failf(CodeUnsupportedABI, "", "a component; this host runs core modules: build for wasm32-wasip1, not wasip2")
	case err != nil:
		return nil, p.fail(CodeBadModule, "", err)
	}
	p.describe(info)
	if p.abi == abiFilter && o.Limits.Instances <= 0 {
		p.limits.Instances = filterInstances
	}
	if e := inspectLinked(p, info, o.Linked); e != nil {
		e.Plugin = o.Name
		return nil, e
	}
	if p.abi == abiFilter {
		if e := checkFilter(info); e != nil {
			e.Plugin = o.Name
			return nil, e
		}
	}
	if least := uint64(info.MinPages) << 16; least > p.limits.MemoryBytes {
		return nil, p.failf(CodeMemoryLimit, "", "starts with %d bytes of memory; at most %d are allowed", least, p.limits.MemoryBytes)
	}
	if p.reread == nil {
		p.reread = h.keep(module)
	}
	if err := p.ready(ctx, module); err != nil {
		return nil, err
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.plugins[p] = struct{}{}
	}
	h.mu.Unlock()
	if closed {
		p.dropCode()
		return nil, p.failf(CodeClosed, "", "the host is closed")
	}
	if o.Preload {
		inst, err := p.pool.acquire(ctx)
		if err != nil {
			return nil, errors.Join(err, p.Close(ctx))
		}
		p.pool.put(inst)
	}
	return p, nil
}

// keep holds a module for a plugin that cannot reread it: compressed, if its code comes from a cache most of the time.
func (h *Host) keep(module []byte) func() ([]byte, error) {
	if h.cache == nil {
		return func() ([]byte, error) { return module, nil }
	}
	c := codec()
	packed := c.enc.EncodeAll(module, nil)
	return func() ([]byte, error) { return c.dec.DecodeAll(packed, nil) }
}

type zstdCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// codec is one for all: EncodeAll and DecodeAll are safe for concurrent use.
var codec = sync.OnceValue(func() zstdCodec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err == nil {
		var dec *zstd.Decoder
		if dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err == nil {
			return zstdCodec{enc, dec}
		}
	}
	panic(err) // the options are constant
})

// ready makes sure that the code can be made resident: it is in the cache, or it is resident now.
func (p *Plugin) ready(ctx context.Context, module []byte) error {
	c := p.host.cache
	if c == nil {
		_, err := p.resident(ctx)
		return err
	}
	if c.has(p.digest) {
		return nil
	}
	if p.host.uncached.Load() { // until there is room again, which making the code resident finds out
		_, err := p.resident(ctx)
		return err
	}
	p.host.logger.Info("compiling a plugin for this processor; its code is kept", "plugin", p.name)
	metered, err := meter.Rewrite(module)
	if err != nil {
		return p.fail(CodeBadModule, "", err)
	}
	switch err := c.compile(ctx, p.digest, metered.Module); {
	case errors.Is(err, errUnwritable):
		p.host.withoutCache(err)
		_, err := p.resident(ctx)
		return err
	case err != nil:
		return p.fail(CodeBadModule, "", err)
	}
	return nil
}

// ABIOf names the ABI of a module by its imports and exports: "extism", "http-wasm", "wasip1" (WASI and nothing else) or
// "plain".
func ABIOf(info *meter.Info) string {
	abi := "plain"
	if isFilter(info) {
		return abiFilter
	}
	for _, i := range info.Imports {
		switch i.Module {
		case httpwasm.Module:
			return abiFilter
		case extism.Module, extism.UserModule, bulk.Module:
			return "extism"
		case wasip1.Module:
			abi = "wasip1"
		}
	}
	return abi
}
