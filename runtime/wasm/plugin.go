package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// Plugin is a loaded module. All methods are safe for concurrent use.
type Plugin struct {
	host      *Host
	reread    func() ([]byte, error)
	name      string
	digest    string
	abi       string
	limits    Limits
	opening   account // by limits
	config    map[string]string
	functions []HostFunction
	linked    []*linkedModule
	exports   []string
	imports   []Import
	entries   []function // exports, in the module's order
	byName    map[string]int
	pool      pool

	http         func(context.Context, *HostCall, *HTTPRequest) (*HTTPResponse, error)
	preciseClock bool
	seed         *uint64
	breaker      breaker
	leftBehind   atomic.Int32 // host functions that outlived their call

	// codeMu guards code. Lock order: codeMu before pool.mu.
	codeMu sync.Mutex
	code   *code
}

// code is what is resident of a plugin.
type code struct {
	compiled wazero.CompiledModule
	metered  *meter.Output // without the module
	user     api.Module    // "extism:host/user"; nil without functions
	userCode wazero.CompiledModule
	linked   []*linkedCode
	snapshot atomic.Pointer[snapshot] // from the first instance, which is made under codeMu
	settled  atomic.Bool              // it was asked for huge pages
}

func (p *Plugin) fail(code Code, export string, err error) *Error {
	return &Error{Code: code, Plugin: p.name, Export: export, Message: err.Error(), Err: err}
}

func (p *Plugin) failf(code Code, export, format string, args ...any) *Error {
	return &Error{Code: code, Plugin: p.name, Export: export, Message: fmt.Sprintf(format, args...)}
}

func (p *Plugin) describe(info *meter.Info) {
	p.abi = ABIOf(info)
	p.byName = make(map[string]int)
	for _, e := range info.Exports {
		if e.Kind != meter.KindFunc {
			continue
		}
		p.exports = append(p.exports, e.Name)
		r := e.Type.Results
		p.byName[e.Name] = len(p.entries)
		p.entries = append(p.entries, function{e.Name, signature(e.Type), len(e.Type.Params) == 0 &&
			(len(r) == 0 || len(r) == 1 && (r[0] == byte(I32) || r[0] == byte(I64)))})
	}
	for _, i := range info.Imports {
		p.imports = append(p.imports, Import{Module: i.Module, Name: i.Name, Kind: kindName(i.Kind)})
	}
}

// function is an exported function.
type function struct {
	name, signature string
	callable        bool // has the calling convention's signature
}

// maxListed bounds the exports that an error lists.
const maxListed = 12

// callable says what can be called, for errors.
func (p *Plugin) callable() string {
	var names []string
	for _, f := range p.entries {
		if f.callable {
			names = append(names, f.name)
		}
	}
	switch n := len(names); {
	case n == 0:
		return "it has none that can be called"
	case n > maxListed:
		return fmt.Sprintf("it has %s and %d others", strings.Join(names[:maxListed], ", "), n-maxListed)
	}
	return "it has " + strings.Join(names, ", ")
}

// find returns the index of an export, or -1. Most plugins have a few, which are found faster without a map.
func (p *Plugin) find(name string) int {
	if len(p.entries) > 8 {
		if i, ok := p.byName[name]; ok {
			return i
		}
		return -1
	}
	for i := range p.entries {
		if p.entries[i].name == name {
			return i
		}
	}
	return -1
}

// Name is the name given at load.
func (p *Plugin) Name() string { return p.name }

// Digest is "sha256:" and the hex digest of the module as it was given.
func (p *Plugin) Digest() string { return p.digest }

// ABI is the module's by [ABIOf].
func (p *Plugin) ABI() string { return p.abi }

// Exports lists the functions that the module exports, in its order. The caller must not change the slice.
func (p *Plugin) Exports() []string { return p.exports }

// Imports lists what the module imports, in its order. The caller must not change the slice.
func (p *Plugin) Imports() []Import { return p.imports }

// Limits are the plugin's limits with the defaults filled in.
func (p *Plugin) Limits() Limits { return p.limits }

// Call runs an export of signature () or () -> i32 on an instance in its first state. It waits for an instance until
// the context is done, but no longer than [Limits].Wait when all instances are busy. The error is nil or of
// type *[Error]; a guest's own error, or a return value other than 0, is one of code guest_error.
func (p *Plugin) Call(ctx context.Context, c Call) (res Result, err error) {
	export := p.find(c.Export)
	switch {
	case export < 0:
		return res, p.count(p.failf(CodeNoExport, c.Export, "the module has no such export; %s", p.callable()))
	case !p.entries[export].callable:
		return res, p.count(p.failf(CodeNoExport, c.Export, "has the signature %s, not () -> (i32), so other modules may call it and hosts not; %s", p.entries[export].signature, p.callable()))
	}
	probe, err := p.breaker.enter()
	if err != nil {
		return res, p.count(p.failf(CodeBreakerOpen, c.Export, "%v", err))
	}
	err = p.call(ctx, &c, export, &res)
	if err != nil || probe {
		p.breaker.leave(probe, err)
		p.countError(err)
	}
	return res, err
}

// call fills res, which is not copied on its way: that would be a third of a small call.
func (p *Plugin) call(ctx context.Context, c *Call, export int, res *Result) error {
	inst, err := p.pool.acquire(ctx)
	if err != nil {
		p.pool.calls.Add(1)
		return p.at(c.Export, err)
	}
	timeout := p.limits.Timeout
	if c.Timeout > 0 && c.Timeout < timeout {
		timeout = c.Timeout
	}
	err = inst.call(ctx, c, export, timeout, res)
	if inst.calls++; inst.calls == popular {
		p.pool.collect(inst)
	}
	p.pool.release(inst)
	return err
}

// at names the export in an error from before the call.
func (p *Plugin) at(export string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Export == "" {
		clone := *e
		clone.Export = export
		return &clone
	}
	return err
}

// count counts a call that came to no instance.
func (p *Plugin) count(err error) error {
	p.pool.calls.Add(1)
	p.countError(err)
	return err
}

func (p *Plugin) countError(err error) {
	var e *Error
	if err != nil && errors.As(err, &e) {
		p.pool.countError(e.Code)
	}
}

// Stats says what the plugin did and holds.
func (p *Plugin) Stats() Stats {
	p.codeMu.Lock()
	resident := p.code != nil
	p.codeMu.Unlock()
	s := p.pool.stats()
	s.Resident = resident
	s.Breaker, s.Opened = p.breaker.state(nanotime())
	return s
}

// Close refuses new calls, waits for those in flight, and frees everything. When ctx ends first it returns ctx's error,
// and the last call frees what is left. Close may be called more than once.
func (p *Plugin) Close(ctx context.Context) error {
	if err := p.pool.close(ctx); err != nil {
		return fmt.Errorf("plugin %s: close: %w", p.name, err)
	}
	return nil
}

// closed runs once, after the last instance is gone.
func (p *Plugin) closed() {
	p.dropCode()
	p.host.mu.Lock()
	delete(p.host.plugins, p)
	p.host.mu.Unlock()
}

// create makes an instance, and the code resident before if it is not.
func (p *Plugin) create(ctx context.Context) (*instance, error) {
	p.codeMu.Lock()
	c, err := p.loadCode(ctx)
	if err != nil {
		p.codeMu.Unlock()
		return nil, err
	}
	if c.snapshot.Load() == nil && c.metered.Restorable {
		defer p.codeMu.Unlock() // the first instance makes the snapshot; the others wait for it
		return p.newInstance(c)
	}
	p.codeMu.Unlock()
	return p.newInstance(c)
}

func (p *Plugin) resident(ctx context.Context) (*code, error) {
	p.codeMu.Lock()
	defer p.codeMu.Unlock()
	return p.loadCode(ctx)
}

// read returns the module that was loaded, or an error.
func (p *Plugin) read() ([]byte, error) {
	module, err := p.reread()
	if err != nil {
		return nil, fmt.Errorf("read the module again: %w", err)
	}
	if sum := sha256.Sum256(module); "sha256:"+hex.EncodeToString(sum[:]) != p.digest {
		return nil, errors.New("read the module again: it is not the one that was loaded")
	}
	return module, nil
}

// loadCode makes the code resident. It meters the module again, which is cheaper than reading it from a cache would
// be, and takes the native code from the cache.
func (p *Plugin) loadCode(ctx context.Context) (*code, error) {
	if p.code != nil {
		return p.code, nil
	}
	ctx = context.WithoutCancel(ctx) // half-loaded code would have to be loaded again by the next caller
	module, err := p.read()
	if err != nil {
		return nil, p.fail(CodeInternal, "", err)
	}
	metered, err := meter.Rewrite(module)
	if err != nil {
		return nil, p.fail(CodeBadModule, "", err)
	}
	c := &code{metered: metered}
	if c.compiled, err = p.host.compile(ctx, p.name, p.digest, metered.Module); err != nil {
		return nil, p.fail(CodeBadModule, "", err)
	}
	metered.Module = nil
	if len(p.functions) > 0 {
		if c.user, c.userCode, err = userModule(ctx, p.host.rt, p.functions); err != nil {
			c.compiled.Close(ctx)
			return nil, p.fail(CodeInternal, "", fmt.Errorf("host functions: %w", err))
		}
	}
	if err := p.compileLinked(ctx, c); err != nil {
		c.close(ctx)
		return nil, err
	}
	p.code = c
	return c, nil
}

// dropCode frees the resident code. There must be no instance.
func (p *Plugin) dropCode() {
	p.codeMu.Lock()
	defer p.codeMu.Unlock()
	p.dropCodeLocked()
}

func (p *Plugin) dropCodeLocked() {
	c := p.code
	if c == nil {
		return
	}
	p.code = nil
	ctx := context.Background()
	if s := c.snapshot.Load(); s != nil && s.memory != nil {
		s.memory.close()
	}
	c.close(ctx)
}

func (c *code) close(ctx context.Context) {
	if c.user != nil {
		_ = c.user.Close(ctx)
		_ = c.userCode.Close(ctx)
	}
	c.closeLinked(ctx)
	_ = c.compiled.Close(ctx)
}

// sweep closes instances that were idle for long, and drops the code when there has been none for long. It returns
// when to look again; 0 means when something was used again.
func (p *Plugin) sweep(now int64) time.Duration {
	h := p.host
	p.codeMu.Lock()
	defer p.codeMu.Unlock()
	live, quiet := p.pool.shrink(now, h.idleInstance)
	switch {
	case live > 0:
		return max(h.idleInstance/2, time.Millisecond)
	case p.code == nil || !h.cached(p.digest):
		return 0
	case quiet < h.idleCode:
		return h.idleCode - quiet
	}
	p.dropCodeLocked()
	return 0
}

// Rest gives back what the plugin holds in memory, if no call is in work; the next call takes it up again. It says
// whether nothing is held any more.
func (p *Plugin) Rest() bool {
	p.codeMu.Lock()
	defer p.codeMu.Unlock()
	if live, _ := p.pool.shrink(nanotime(), 0); live > 0 {
		return false
	}
	if !p.host.cached(p.digest) {
		return p.code == nil // dropped code would have to be compiled again
	}
	p.dropCodeLocked()
	return true
}

// Warm makes instances ahead of the calls that will need them, until n are there, at most as many as the limits allow.
// They go when they are idle for long, like any other.
func (p *Plugin) Warm(ctx context.Context, n int) error {
	var held []*instance
	defer func() {
		for _, inst := range held {
			p.pool.put(inst)
		}
	}()
	for range min(n, p.limits.Instances) {
		inst, err := p.pool.acquire(ctx)
		if err != nil {
			return err
		}
		held = append(held, inst)
	}
	return nil
}
