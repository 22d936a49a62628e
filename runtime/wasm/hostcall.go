package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// HostCall is a host function's view of the call that it serves, and of the guest's memory blocks. It is valid until
// the function returns; once the call was stopped it refuses everything.
type HostCall struct {
	plugin, tenant string

	mu sync.Mutex // held while the guest is touched, so that a function left behind touches nothing
	g  *guest     // nil once the call is over
}

var errCallOver = errors.New("the call is over")

func (c *HostCall) do(f func(g *guest) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.g == nil {
		return errCallOver
	}
	return f(c.g)
}

// Plugin is the name that the plugin was loaded by.
func (c *HostCall) Plugin() string { return c.plugin }

// Tenant is the tenant of the call.
func (c *HostCall) Tenant() string { return c.tenant }

// Read returns the bytes of the memory block at off, a view that later writes of the guest change.
func (c *HostCall) Read(off uint64) (b []byte, err error) {
	err = c.do(func(g *guest) (err error) { b, err = g.inst.kernel.Read(off); return err })
	return b, err
}

// Write makes a memory block of b and returns its offset, or 0 for no bytes. The guest is to free it.
func (c *HostCall) Write(b []byte) (off uint64, err error) {
	err = c.do(func(g *guest) (err error) { off, err = g.inst.kernel.Write(b); return err })
	return off, err
}

// Free releases a memory block.
func (c *HostCall) Free(off uint64) {
	_ = c.do(func(g *guest) error { g.inst.kernel.Free(off); return nil })
}

// SpendKV takes n bytes of what the call may move through the key-value store. The error stops the guest.
func (c *HostCall) SpendKV(n int) error {
	return c.do(func(g *guest) error {
		if g.kvBytes -= n; g.kvBytes < 0 {
			return errorf(CodeKVLimit, "moved more than %d bytes through the key-value store", g.inst.plugin.limits.KVBytes)
		}
		return nil
	})
}

// TokensLeft is what the call may still use of models. None is an error that stops the guest.
func (c *HostCall) TokensLeft() (n int, err error) {
	err = c.do(func(g *guest) error {
		if n = g.tokens; n <= 0 {
			return errorf(CodeTokenLimit, "used the %d tokens of models that a call may use", g.inst.plugin.limits.Tokens)
		}
		return nil
	})
	return n, err
}

// SpendTokens takes n tokens of what the call may use of models. The next call that needs some finds out when there are
// none left.
func (c *HostCall) SpendTokens(n int) error {
	return c.do(func(g *guest) error { g.tokens -= n; return nil })
}

// maxLeftBehind bounds the host functions of a plugin that did not return when they should have. A host where so many
// hang is not to start more.
const maxLeftBehind = 64

// serve calls a function of the plugin's user.
func (g *guest) serve(f *HostFunction, stack []uint64) {
	n := max(len(f.Params), len(f.Results))
	own := append(make([]uint64, 0, 8), stack[:n]...) // not the engine's: the function may be left behind
	g.await(f.Name, f.Quick, func(ctx context.Context, call *HostCall) error { return f.Func(ctx, call, own) })
	copy(stack[:n], own)
}

// await runs f under the call's deadline and stops the guest when it fails or does not return in time.
func (g *guest) await(name string, quick bool, f func(ctx context.Context, call *HostCall) error) {
	p := g.inst.plugin
	if late := g.late(nanotime()); late != nil { // also starts the clock
		panic(late)
	}
	call := &HostCall{plugin: p.name, tenant: g.tenant, g: g}
	ctx, cancel := context.WithDeadline(g.caller, clockBase.Add(asDuration(g.deadline)))
	defer cancel()
	run := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic in the host: %v", r)
			}
		}()
		return f(ctx, call)
	}
	var err error
	if quick {
		err = run()
	} else {
		g.unwatch()
		err = p.detach(ctx, name, run)
	}
	call.mu.Lock()
	call.g = nil
	call.mu.Unlock()
	if late := g.late(nanotime()); late != nil {
		panic(late)
	}
	if err != nil {
		g.stop(name, err)
	}
}

// detach runs f on a goroutine of its own and waits until it returns or ctx ends.
func (p *Plugin) detach(ctx context.Context, name string, f func() error) error {
	if p.leftBehind.Load() >= maxLeftBehind {
		return errorf(CodeInternal, "%s: %d earlier calls of host functions are still blocked", name, maxLeftBehind)
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	p.leftBehind.Add(1)
	go func() {
		<-done
		p.leftBehind.Add(-1)
	}()
	return ctx.Err()
}
