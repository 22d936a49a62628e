package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

func asDuration(ns int64) time.Duration { return time.Duration(ns) }

// instance is one instantiated module with its memory and ABI state. It belongs to one goroutine at a time: the
// caller's during a call, then the one that restores it, then none while it lies in the pool.
type instance struct {
	plugin  *Plugin
	code    *code
	mod     api.Module
	mem     *linearMemory
	linked  []*linkedInstance // in the order of the plugin's
	kernel  extism.Kernel
	guest   guest
	fuel    api.MutableGlobal
	depth   api.MutableGlobal
	globals []api.MutableGlobal
	exports []export // of the plugin's entries; empty: not called yet
	stack   [2]uint64

	left      int64  // what the counter stands at; 0: unknown
	dirtied   bool   // the guest, or the host for it, may have written what outlives the call
	calls     uint64 // that the pool has not counted yet
	failed    bool   // stopped by an error; must not run again
	idleSince int64  // nanotime of the first sweep that found it idle; 0: not yet

	restoreCost int // bytes that the last restore copied
}

// export is an exported function of an instance.
type export struct {
	f    api.Function
	pure bool // leaves memory and globals as they are
}

// snapshot is the state that every call starts from.
type snapshot struct {
	memory   *image // nil without a memory
	globals  []uint64
	features uint32 // that a filter switched on before its first request
}

// newInstance instantiates the module and brings it to the state that calls start from. The first instance runs the
// module's initialization and, where all state can be restored, leaves a snapshot for the others.
func (p *Plugin) newInstance(c *code) (made *instance, err error) {
	inst := &instance{plugin: p, code: c, exports: make([]export, len(p.entries))}
	inst.guest.inst, inst.guest.slice = inst, firstSlice
	mem, err := newLinearMemory(p.limits.MemoryBytes)
	if err != nil {
		return nil, p.fail(CodeInternal, "", err)
	}
	inst.mem = mem
	inst.kernel = extism.Kernel{Config: p.config, Reserve: mem.reserveExtra, Log: inst.guest.logLine}
	if p.http != nil {
		inst.kernel.HTTP = inst.guest.http
	}
	defer func() {
		if r := recover(); r != nil { // the engine panics when it gets no memory
			err = p.fail(CodeInternal, "", fmt.Errorf("instantiate: %v", r))
		}
		if err != nil {
			inst.close()
			made = nil
		}
	}()

	inst.guest.begin(context.Background(), "", &p.opening, nanotime(), initTimeout)
	defer inst.guest.end()
	inst.guest.given = 0 // the module starts without fuel and asks at its first check
	inst.kernel.Begin(nil)
	defer inst.kernel.End()

	ctx := experimental.WithMemoryAllocator(&inst.guest, experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return mem }))
	if c.user != nil || len(c.linked) > 0 {
		ctx = experimental.WithImportResolver(ctx, c.resolve)
	}
	if err := inst.link(c); err != nil {
		return nil, err
	}
	mod, err := p.host.rt.InstantiateModule(ctx, c.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, inst.notStarted("", err)
	}
	inst.mod = mod
	inst.fuel = mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	inst.depth = mod.ExportedGlobal(meter.StackGlobal).(api.MutableGlobal)
	inst.depth.Set(uint64(p.limits.StackBytes))
	for _, name := range c.metered.Globals {
		inst.globals = append(inst.globals, mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	if s := c.snapshot.Load(); s != nil {
		return inst, inst.install(s)
	}
	for _, s := range c.metered.Data {
		if !mod.Memory().Write(s.Offset, s.Bytes) {
			return nil, p.fail(CodeInternal, "", errors.New("a data segment does not fit"))
		}
	}
	if err := inst.initialize(); err != nil {
		return nil, err
	}
	if c.metered.Restorable {
		s, err := inst.snapshot()
		if err != nil {
			return nil, p.fail(CodeInternal, "", err)
		}
		c.snapshot.Store(s)
		c.metered.Data = nil // it is in the snapshot
	}
	return inst, nil
}

// initialize runs what language runtimes need before the first call, in the order of the reference: hs_init after
// _initialize for Haskell, else the reactor's _initialize, else __wasm_call_ctors.
func (inst *instance) initialize() error {
	call := func(name string, params ...uint64) (bool, error) {
		f := inst.mod.ExportedFunction(name)
		if f == nil || len(f.Definition().ParamTypes()) != len(params) {
			return false, nil
		}
		if _, err := f.Call(&inst.guest, params...); err != nil {
			return true, inst.notStarted(name, err)
		}
		return true, nil
	}
	did, err := call("_initialize")
	if err != nil {
		return err
	}
	if haskell, err := call("hs_init", 0, 0); haskell || err != nil {
		return err
	}
	if !did && inst.plugin.abi == abiFilter && inst.plugin.find("_start") >= 0 {
		return inst.start()
	}
	if !did {
		_, err = call("__wasm_call_ctors")
	}
	return err
}

// notStarted explains an error from before the first call. There, an exit with status 0 is one: nobody is left to call.
func (inst *instance) notStarted(export string, err error) error {
	if e := inst.explain(export, err); e != nil {
		return e
	}
	return inst.plugin.failf(CodeExited, export, "exit status 0 before the first call")
}

func (inst *instance) snapshot() (*snapshot, error) {
	s := &snapshot{features: inst.guest.features}
	for _, g := range inst.globals {
		s.globals = append(s.globals, g.Get())
	}
	if inst.mod.Memory() == nil {
		return s, nil
	}
	var err error
	if s.memory, err = newImage(inst.mem.region[:inst.mem.size]); err != nil {
		return nil, err
	}
	inst.mem.high = inst.mem.size
	return s, s.memory.install(inst.mem)
}

// install brings a new instance to the snapshot's state.
func (inst *instance) install(s *snapshot) error {
	for i, g := range inst.globals {
		g.Set(s.globals[i])
	}
	inst.guest.features = s.features
	if s.memory == nil {
		return nil
	}
	if delta := uint64(s.memory.size) - inst.mem.size; delta > 0 {
		if _, ok := inst.mod.Memory().Grow(uint32(delta >> 16)); !ok {
			return inst.plugin.fail(CodeInternal, "", errors.New("memory cannot grow to the snapshot's size"))
		}
	}
	if err := s.memory.install(inst.mem); err != nil {
		return inst.plugin.fail(CodeInternal, "", err)
	}
	return nil
}

// restore brings the instance back to the snapshot's state; false means that it cannot be used again.
func (inst *instance) restore(s *snapshot) bool {
	for i, g := range inst.globals {
		g.Set(s.globals[i])
	}
	inst.dirtied = false
	inst.guest.features = s.features
	if s.memory == nil {
		return true
	}
	if inst.mem.size != uint64(s.memory.size) && !inst.shrink(uint64(s.memory.size)) {
		return false
	}
	copied, err := s.memory.restore(inst.mem)
	if err != nil {
		return false
	}
	inst.restoreCost = copied
	inst.mem.high = inst.mem.size
	return true
}

// shrink sets the memory back to size bytes. The engine knows no such operation; but its memory has an exported field
// with the present bytes, and growing tells the compiled code of whatever the allocator returns. So the field is set
// to one page less, and the memory grown by one. If a later engine has no such field the instance is thrown away
// instead, which costs time and nothing else.
func (inst *instance) shrink(size uint64) bool {
	if size == 0 {
		return false
	}
	m := reflect.ValueOf(inst.mod.Memory()).Elem()
	i := memoryField(m.Type())
	if i < 0 {
		return false
	}
	m.Field(i).SetBytes(inst.mem.region[: size-1<<16 : len(inst.mem.region)])
	_, ok := inst.mod.Memory().Grow(1)
	return ok && inst.mem.size == size && uint64(inst.mod.Memory().Size()) == size
}

// memoryField is the index of the exported field with a memory's bytes, or -1.
func memoryField(t reflect.Type) int {
	if i, ok := memoryFields.Load(t); ok {
		return i.(int)
	}
	i := -1
	if f, ok := t.FieldByName("Buffer"); ok && len(f.Index) == 1 && f.IsExported() && f.Type == reflect.TypeFor[[]byte]() {
		i = f.Index[0]
	}
	memoryFields.Store(t, i)
	return i
}

var memoryFields sync.Map // of reflect.Type to int

// call runs one export under the limits. The instance must be in the snapshot's state.
func (inst *instance) call(ctx context.Context, c *Call, export int, timeout time.Duration, res *Result) error {
	inst.kernel.Begin(c.Input)
	inst.stack[0] = 0
	err := inst.run(ctx, c, export, timeout, res)
	if !inst.guest.cameToHost() { // no output, no blocks, no logs
		inst.kernel.Rest()
		inst.guest.caller = nil
		if err == nil && uint32(inst.stack[0]) != 0 {
			err = inst.guestError(c.Export)
		}
		return err
	}
	if out := inst.kernel.Output(); len(out) > inst.plugin.limits.OutputBytes {
		if err == nil {
			err = inst.plugin.failf(CodeOutputLimit, c.Export, "output of %d bytes; at most %d are allowed", len(out), inst.plugin.limits.OutputBytes)
		}
	} else if len(out) > 0 {
		res.Output = append([]byte(nil), out...)
	}
	if err == nil {
		err = inst.guestError(c.Export)
	}
	inst.kernel.End()
	inst.mem.extra = 0
	inst.guest.end()
	return err
}

// run runs a function with the parameters in inst.stack under the limits and accounts for it.
func (inst *instance) run(ctx context.Context, c *Call, index int, timeout time.Duration, res *Result) (err error) {
	x := &inst.exports[index]
	if x.f == nil {
		x.f, x.pure = inst.mod.ExportedFunction(c.Export), inst.code.metered.Pure[c.Export]
	}
	g := &inst.guest
	var start int64
	if !c.Untimed {
		start = nanotime()
	}
	g.begin(ctx, c.Tenant, &inst.plugin.opening, start, timeout)
	if left := inst.left; left >= keepSlice && left <= int64(g.fuel) {
		g.given = left // the counter stands there
	} else {
		inst.fuel.Set(uint64(g.given))
	}
	inst.left = 0
	inst.dirtied = inst.dirtied || !x.pure
	if e := g.gone(); e != nil {
		err = e
	} else {
		err = x.f.CallWithStack(g, inst.stack[:])
	}
	if !c.Untimed {
		res.Duration = asDuration(nanotime() - start)
	}
	if g.given != 0 {
		inst.left = int64(inst.fuel.Get())
		g.used += uint64(g.given - inst.left)
	}
	res.Fuel = g.used
	if err != nil {
		err = inst.explain(c.Export, err)
		inst.failed = true
	}
	res.MemoryPeak = inst.mem.size
	if g.cameToHost() {
		inst.afterHost(res)
	}
	return err
}

// afterHost accounts for what a call did by the host's functions.
func (inst *instance) afterHost(res *Result) {
	g := &inst.guest
	if g.exit != nil {
		inst.failed = true // its runtime has shut down
	}
	if len(g.partial[0])+len(g.partial[1]) > 0 {
		g.flush()
	}
	if g.logBytes > 0 {
		res.Logs = g.logs
	}
	res.MemoryPeak += inst.kernel.Peak() + inst.mem.others()
}

// guestError is the error that the guest reported by the ABI.
func (inst *instance) guestError(export string) error {
	msg := inst.kernel.GuestError()
	status := inst.stack[0] // 0 for exports without a result
	if msg == nil && uint32(status) == 0 {
		return nil
	}
	text := fmt.Sprintf("returned %d", int32(status))
	if msg != nil {
		text = string(msg[:min(len(msg), maxMessage)])
	}
	if inst.mem.refused() {
		return inst.plugin.failf(CodeMemoryLimit, export, "%s (after it was refused memory: at most %d bytes)", text, inst.plugin.limits.MemoryBytes)
	}
	return inst.plugin.failf(CodeGuestError, export, "%s", text)
}

// maxMessage bounds what an error quotes of a guest.
const maxMessage = 4 << 10

// explain turns what the engine returned into an *Error, or nil for an exit with status 0.
func (inst *instance) explain(export string, err error) error {
	p := inst.plugin
	var typed *Error
	var ex *exit
	switch {
	case errors.As(err, &ex):
		if ex.code == 0 {
			return nil
		}
		return p.failf(CodeExited, export, "exit status %d", ex.code)
	case errors.As(err, &typed):
		e := *typed
		e.Plugin, e.Export = p.name, export
		if e.Code == CodeTrap && inst.mem.refused() { // mostly the null handle of a refused block
			e.Code = CodeMemoryLimit
			e.Message += fmt.Sprintf(" (after it was refused memory: at most %d bytes)", p.limits.MemoryBytes)
		}
		return &e
	}
	text, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n\t")
	text = strings.TrimPrefix(text, "wasm error: ")
	if strings.Contains(text, "stack overflow") {
		return p.failf(CodeStackOverflow, export, "calls nested too deep for the engine's stack")
	}
	if frames := strings.SplitN(trace, "\n\t", 4); trace != "" {
		frames = frames[:min(3, len(frames))]
		for i, f := range frames {
			f, _, _ = strings.Cut(f, "\n")
			frames[i] = strings.TrimPrefix(f, ".")
		}
		text += " in " + strings.Join(frames, " < ")
	}
	if len(text) > maxMessage {
		text = text[:maxMessage]
	}
	code := CodeTrap
	if inst.mem.refused() {
		code = CodeMemoryLimit
		text += fmt.Sprintf(" (after it was refused memory: at most %d bytes)", p.limits.MemoryBytes)
	}
	e := p.failf(code, export, "%s", text)
	e.Err = err
	return e
}

func (inst *instance) close() {
	if inst.mod != nil {
		_ = inst.mod.Close(context.Background())
	}
	for _, l := range inst.linked {
		if l.mod != nil {
			_ = l.mod.Close(context.Background())
		}
		l.mem.Free()
	}
	inst.mem.Free()
}

func (g *guest) logLine(level int, text []byte) error {
	levels := [...]slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	if err := g.log(levels[level], "log", string(text)); err != nil {
		return err
	}
	return nil
}

// http lends the plugin's HTTP to the ABI. It stops the guest when the call is over.
func (g *guest) http(r *extism.HTTPRequest) (res *extism.HTTPResponse, err error) {
	var got *HTTPResponse
	g.await("http_request", false, func(ctx context.Context, call *HostCall) (err error) {
		got, err = g.inst.plugin.http(ctx, call, &HTTPRequest{Method: r.Method, URL: r.URL, Headers: r.Headers, Body: bytes.Clone(r.Body)})
		return err
	})
	return &extism.HTTPResponse{Status: got.Status, Headers: got.Headers, Body: got.Body}, nil
}
