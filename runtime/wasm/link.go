package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// LinkedModule is a module whose exported functions the plugin's module, and the other linked ones, may import by its
// name, as the Extism hosts link the modules of a manifest. Each instance of the plugin has its own instance of it, with
// a memory of its own; all of them share the call's limits, its input and output, and its blocks.
type LinkedModule struct {
	Name   string
	Module []byte // must not be changed while the plugin is open
}

// Bounds of linking. A call from one module into another takes a stack of the engine and one of Go.
const (
	maxLinked   = 16
	maxCrossing = 8 // calls between modules that may be nested
)

// linkedModule is what is known of a linked module before it is compiled.
type linkedModule struct {
	LinkedModule
	digest string
	info   *meter.Info
}

// linkedCode is its resident code.
type linkedCode struct {
	*linkedModule
	compiled  wazero.CompiledModule
	metered   *meter.Output
	forwarder api.Module // exports what the module exports, and calls the instance of whoever calls
	forwards  wazero.CompiledModule
}

// linkedInstance is its instance in an instance of the plugin.
type linkedInstance struct {
	mod  api.Module
	mem  *linearMemory
	fuel api.MutableGlobal
}

// inspectLinked checks the linked modules of a plugin and what imports them.
func inspectLinked(p *Plugin, main *meter.Info, linked []LinkedModule) *Error {
	if len(linked) > maxLinked {
		return errorf(CodeBadModule, "%d linked modules; at most %d", len(linked), maxLinked)
	}
	for _, l := range linked {
		if l.Name == "" || l.Name == "main" || l.Name == meter.TickModule || l.Name == extism.UserModule || lent[l.Name] != nil ||
			slices.ContainsFunc(p.linked, func(o *linkedModule) bool { return o.Name == l.Name }) {
			return errorf(CodeBadModule, "a linked module cannot be named %q: the name is empty, taken, or the host's own", l.Name)
		}
		info, err := meter.Inspect(l.Module)
		if err != nil {
			return &Error{Code: CodeBadModule, Message: fmt.Sprintf("linked module %s: %v", l.Name, err), Err: err}
		}
		sum := sha256.Sum256(l.Module)
		p.linked = append(p.linked, &linkedModule{l, "sha256:" + hex.EncodeToString(sum[:]), info})
	}
	for _, l := range p.linked {
		if e := checkImports(l.info, p.functions, p.linked); e != nil {
			e.Message = "linked module " + l.Name + ": " + e.Message
			return e
		}
	}
	return checkImports(main, p.functions, p.linked)
}

// compileLinked makes the code of the linked modules resident.
func (p *Plugin) compileLinked(ctx context.Context, c *code) error {
	for _, l := range p.linked {
		metered, err := meter.Rewrite(l.Module)
		if err != nil {
			return p.fail(CodeBadModule, "", fmt.Errorf("linked module %s: %w", l.Name, err))
		}
		lc := &linkedCode{linkedModule: l, metered: metered}
		if lc.compiled, err = p.host.compile(ctx, p.name, l.digest, metered.Module); err != nil {
			return p.fail(CodeBadModule, "", fmt.Errorf("linked module %s: %w", l.Name, err))
		}
		c.linked = append(c.linked, lc)
		metered.Module = nil
		index := len(c.linked) - 1
		b := p.host.rt.NewHostModuleBuilder(l.Name)
		for _, e := range l.info.Exports {
			if e.Kind == meter.KindFunc {
				b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, s []uint64) {
					g := guestOf(ctx)
					g.enterHost()
					g.cross(index, e.Name, s)
				}), e.Type.Params, e.Type.Results).Export(e.Name)
			}
		}
		if lc.forwards, err = b.Compile(ctx); err == nil {
			lc.forwarder, err = p.host.rt.InstantiateModule(ctx, lc.forwards, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		}
		if err != nil {
			return p.fail(CodeInternal, "", fmt.Errorf("linked module %s: %w", l.Name, err))
		}
	}
	c.metered.Restorable = c.metered.Restorable && len(c.linked) == 0 // the others' state would have to be restored, too
	return nil
}

func (c *code) closeLinked(ctx context.Context) {
	for _, l := range c.linked {
		if l.forwarder != nil {
			_ = l.forwarder.Close(ctx)
		}
		if l.forwards != nil {
			_ = l.forwards.Close(ctx)
		}
		_ = l.compiled.Close(ctx)
	}
}

// resolve finds the modules that an instance imports beside the host's own.
func (c *code) resolve(name string) api.Module {
	if name == extism.UserModule && c.user != nil {
		return c.user
	}
	for _, l := range c.linked {
		if l.Name == name {
			return l.forwarder
		}
	}
	return nil
}

// link instantiates the linked modules. A start function or initialization may call one that is not there yet, which
// fails.
func (inst *instance) link(c *code) error {
	p := inst.plugin
	for _, l := range c.linked {
		mem, err := newLinearMemory(p.limits.MemoryBytes)
		if err != nil {
			return p.fail(CodeInternal, "", err)
		}
		li := &linkedInstance{mem: mem}
		inst.linked = append(inst.linked, li)
		mem.peers = append(mem.peers, inst.mem)
		for _, other := range inst.linked[:len(inst.linked)-1] {
			mem.peers = append(mem.peers, other.mem)
			other.mem.peers = append(other.mem.peers, mem)
		}
		inst.mem.peers = append(inst.mem.peers, mem)
		ctx := experimental.WithMemoryAllocator(&inst.guest, experimental.MemoryAllocatorFunc(
			func(_, _ uint64) experimental.LinearMemory { return mem }))
		ctx = experimental.WithImportResolver(ctx, c.resolve)
		mod, err := p.host.rt.InstantiateModule(ctx, l.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			return inst.notStarted("", err)
		}
		li.mod = mod
		li.fuel = mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
		mod.ExportedGlobal(meter.StackGlobal).(api.MutableGlobal).Set(uint64(p.limits.StackBytes))
		for _, s := range l.metered.Data {
			if !mod.Memory().Write(s.Offset, s.Bytes) {
				return p.fail(CodeInternal, "", errors.New("a data segment does not fit"))
			}
		}
	}
	for i, li := range inst.linked {
		for _, name := range []string{"_initialize", "__wasm_call_ctors"} {
			if f := li.mod.ExportedFunction(name); f != nil && len(f.Definition().ParamTypes())+len(f.Definition().ResultTypes()) == 0 {
				if err := inst.guest.within(i, func() error { _, err := f.Call(&inst.guest); return err }); err != nil {
					return inst.notStarted(name, err)
				}
				break
			}
		}
	}
	return nil
}

// cross calls an export of a linked module on behalf of the module that imports it.
func (g *guest) cross(index int, export string, stack []uint64) {
	if index >= len(g.inst.linked) || g.inst.linked[index].mod == nil {
		panic(errorf(CodeTrap, "calls a linked module before it is instantiated"))
	}
	f := g.inst.linked[index].mod.ExportedFunction(export) // a new one, since calls may be nested
	g.inst.dirtied = true
	if err := g.within(index, func() error { return f.CallWithStack(g, stack) }); err != nil {
		panic(err)
	}
}

// within runs f with fuel in the counter of a linked module. What the outer modules were given and have not used yet
// stays theirs.
func (g *guest) within(index int, f func() error) error {
	if g.crossing >= maxCrossing {
		return errorf(CodeStackOverflow, "calls between linked modules nested deeper than %d", maxCrossing)
	}
	outer := g.given
	g.crossing++
	g.held += outer
	g.given = max(0, min(g.slice, int64(g.fuel-g.used)-g.held))
	counter := g.inst.linked[index].fuel
	counter.Set(uint64(g.given))
	err := f()
	if g.given != 0 { // else it was stopped, and accounted for
		g.used += uint64(g.given - int64(counter.Get()))
	}
	g.held -= outer
	g.given = outer
	g.crossing--
	return err
}
