package wasm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// pool holds the instances of a plugin. An instance is in one of four states: busy in a call, being restored, idle, or
// gone. A call takes an idle instance; else it makes one, unless the limit is reached or one is being restored for it;
// else it waits in line.
type pool struct {
	plugin *Plugin

	// hot is an idle instance that is taken and put back without the lock; so it is used first. Whoever puts one there
	// looks at attention afterwards, and whoever raises that looks at hot afterwards, so neither misses the other.
	hot       atomic.Pointer[instance]
	attention atomic.Int32 // calls waiting, and 1 when closed
	armed     atomic.Bool  // timer is not nil

	mu        sync.Mutex
	idle      []*instance // the others that are idle, the youngest last
	live      int         // busy, being restored, being made, and idle
	restoring int
	waiters   []chan *instance
	isClosed  bool
	drained   chan struct{} // closed when closed and live is 0
	usedAt    int64         // nanotime of the sweep that last found a new call
	swept     uint64        // calls at that sweep
	timer     *time.Timer   // runs the sweep; nil when there is nothing to sweep

	// calls are finished calls. An instance counts its own while it is passed on by hot, which saves an atomic operation;
	// whoever else comes to hold it adds them here.
	calls              atomic.Uint64
	restores, discards atomic.Uint64
	errMu              sync.Mutex
	errors             map[Code]uint64
}

func (p *pool) init(plugin *Plugin) {
	p.plugin = plugin
	p.drained = make(chan struct{})
	p.errors = make(map[Code]uint64)
}

func (p *pool) countError(c Code) {
	p.errMu.Lock()
	p.errors[c]++
	p.errMu.Unlock()
}

func (p *pool) stats() Stats {
	s := Stats{Restores: p.restores.Load(), Discards: p.discards.Load(), Errors: make(map[Code]uint64)}
	p.errMu.Lock()
	for c, n := range p.errors {
		s.Errors[c] = n
	}
	p.errMu.Unlock()
	hot := p.hot.Swap(nil) // nobody else may look at it while a call may take it
	p.collect(hot)
	s.Calls = p.calls.Load()
	p.mu.Lock()
	s.Live, s.Idle, s.Waiting = p.live, len(p.idle), len(p.waiters)
	for _, inst := range p.idle {
		s.MemoryBytes += inst.mem.size
	}
	p.mu.Unlock()
	if hot != nil {
		s.Idle++
		s.MemoryBytes += hot.mem.size
		p.put(hot)
	}
	return s
}

// acquire returns an instance that belongs to the caller until it is released.
func (p *pool) acquire(ctx context.Context) (*instance, error) {
	for {
		if inst := p.hot.Swap(nil); inst != nil {
			return inst, nil
		}
		p.mu.Lock()
		if p.isClosed {
			p.mu.Unlock()
			return nil, p.plugin.failf(CodeClosed, "", "the plugin is closed")
		}
		if n := len(p.idle); n > 0 {
			inst := p.idle[n-1]
			p.idle[n-1] = nil
			p.idle = p.idle[:n-1]
			p.mu.Unlock()
			return inst, nil
		}
		if p.live < p.plugin.limits.Instances && p.restoring <= len(p.waiters) {
			p.live++
			p.mu.Unlock()
			inst, err := p.plugin.create(ctx)
			if err != nil {
				p.gone()
				return nil, err
			}
			return inst, nil
		}
		inst, err := p.wait(ctx) // unlocks
		if inst != nil || err != nil {
			return inst, err
		}
	}
}

// wait stands in line. It returns neither an instance nor an error when there is room to make one.
func (p *pool) wait(ctx context.Context) (*instance, error) {
	ch := make(chan *instance, 1)
	p.waiters = append(p.waiters, ch)
	p.attention.Add(1)
	if inst := p.hot.Swap(nil); inst != nil {
		p.wake(inst) // the first in line, which may be this call
	}
	p.mu.Unlock()
	t := time.NewTimer(p.plugin.limits.Wait)
	defer t.Stop()
	var err *Error
	select {
	case inst := <-ch:
		return inst, nil
	case <-ctx.Done():
		err = &Error{Code: CodeCanceled, Plugin: p.plugin.name, Message: "canceled while waiting for an instance", Err: ctx.Err(), caller: true}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err.Code, err.Message = CodeDeadline, "the caller's deadline passed while waiting for an instance"
		}
	case <-t.C:
		err = p.plugin.failf(CodePoolExhausted, "", "all %d instances stayed busy for %v", p.plugin.limits.Instances, p.plugin.limits.Wait)
	}
	p.mu.Lock()
	for i, w := range p.waiters {
		if w == ch {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.attention.Add(-1)
			p.mu.Unlock()
			return nil, err
		}
	}
	p.mu.Unlock()
	// Served in the same moment: take it, or pass on the news.
	inst := <-ch
	if inst == nil {
		p.mu.Lock()
		p.wake(nil)
		p.mu.Unlock()
		return nil, err
	}
	return inst, nil
}

// wake hands an instance, or the news that there may be room (nil), to the first in line. The lock must be held.
func (p *pool) wake(inst *instance) bool {
	if len(p.waiters) == 0 {
		return false
	}
	ch := p.waiters[0]
	p.waiters = append(p.waiters[:0], p.waiters[1:]...)
	p.attention.Add(-1)
	ch <- inst
	return true
}

// inlineRestore is how much may have to be copied for an instance to be restored before the call returns: that is cheaper
// than a goroutine, and than a next call that has to wait for it.
const inlineRestore = 256 << 10

// release takes an instance back after a call. Whatever takes time happens on another goroutine.
func (p *pool) release(inst *instance) {
	if !inst.failed && !inst.dirtied {
		p.put(inst)
		return
	}
	snapshot := inst.code.snapshot.Load()
	switch {
	case inst.failed:
	case snapshot != nil && inst.restoreCost <= inlineRestore:
		if inst.restore(snapshot) {
			p.restores.Add(1)
			p.put(inst)
			return
		}
	}
	p.mu.Lock()
	p.restoring++
	p.mu.Unlock()
	go p.recycle(inst, snapshot)
}

// recycle restores an instance, or replaces it where that cannot be done.
func (p *pool) recycle(inst *instance, s *snapshot) {
	p.collect(inst)
	if !inst.failed && s != nil && inst.restore(s) {
		p.restores.Add(1)
	} else {
		p.discards.Add(1)
		inst.close()
		inst = nil
		p.mu.Lock()
		needed := len(p.waiters) > 0 && !p.isClosed
		p.mu.Unlock()
		if needed {
			if fresh, err := p.plugin.create(context.Background()); err == nil {
				inst = fresh
			}
		}
	}
	p.mu.Lock()
	p.restoring--
	p.mu.Unlock()
	if inst == nil {
		p.gone()
		return
	}
	p.put(inst)
}

// popular is from how many calls on a plugin's code is worth huge pages.
const popular = 200

// collect takes over what an instance counted. The caller holds the instance, if there is one.
func (p *pool) collect(inst *instance) {
	if inst != nil && inst.calls > 0 {
		if p.calls.Add(inst.calls) >= popular && !inst.code.settled.Swap(true) {
			go collapseCode()
		}
		inst.calls = 0
	}
}

// put makes an instance available.
func (p *pool) put(inst *instance) {
	inst.idleSince = 0
	if p.attention.Load() == 0 && p.armed.Load() && p.hot.CompareAndSwap(nil, inst) {
		if p.attention.Load() == 0 || !p.hot.CompareAndSwap(inst, nil) {
			return // where it should be, or taken by someone
		}
	}
	p.collect(inst)
	p.mu.Lock()
	if p.isClosed {
		p.mu.Unlock()
		inst.close()
		p.gone()
		return
	}
	if !p.wake(inst) {
		p.idle = append(p.idle, inst)
		p.arm(p.plugin.host.idleInstance)
	}
	p.mu.Unlock()
}

// gone notes that an instance is closed or could not be made.
func (p *pool) gone() {
	p.mu.Lock()
	p.live--
	last := p.isClosed && p.live == 0
	if !last {
		p.wake(nil)
		if !p.isClosed {
			p.arm(p.plugin.host.idleInstance)
		}
	}
	p.mu.Unlock()
	if last {
		p.finish()
	}
}

// arm makes sure that the sweep runs. The lock must be held.
func (p *pool) arm(d time.Duration) {
	if p.timer == nil && d > 0 {
		p.timer = time.AfterFunc(d, p.sweep)
		p.armed.Store(true)
	}
}

func (p *pool) sweep() {
	again := p.plugin.sweep(nanotime())
	p.mu.Lock()
	p.timer = nil
	if p.armed.Store(false); !p.isClosed {
		if again == 0 && p.live > 0 { // made since
			again = p.plugin.host.idleInstance
		}
		p.arm(again)
	}
	p.mu.Unlock()
}

// shrink closes the instances that were idle for long, and returns how many are left and for how long there was no call.
// Calls do not look at the clock: an instance is idle since the first sweep that finds it so.
func (p *pool) shrink(now int64, idle time.Duration) (live int, quiet time.Duration) {
	hot := p.hot.Swap(nil)
	p.collect(hot)
	p.mu.Lock()
	if hot != nil {
		p.idle = append(p.idle, hot)
	}
	if calls := p.calls.Load(); calls != p.swept || p.usedAt == 0 {
		p.swept, p.usedAt = calls, now
	}
	var old []*instance
	kept := p.idle[:0]
	for _, inst := range p.idle {
		if inst.idleSince == 0 {
			inst.idleSince = now
		}
		if now-inst.idleSince >= int64(idle) {
			old = append(old, inst)
		} else {
			kept = append(kept, inst)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.live -= len(old)
	for n := len(p.idle); n > 0 && p.wake(p.idle[n-1]); n-- { // hot may have been missed by a call that waits now
		p.idle = p.idle[:n-1]
	}
	for range old { // room for calls that found none while the hot instance was here
		p.wake(nil)
	}
	live, quiet = p.live, time.Duration(now-p.usedAt)
	p.mu.Unlock()
	for _, inst := range old {
		inst.close()
	}
	return live, quiet
}

// close refuses new calls, closes what is idle and waits for the rest.
func (p *pool) close(ctx context.Context) error {
	p.mu.Lock()
	if !p.isClosed {
		p.isClosed = true
		p.attention.Add(1)
		if p.timer != nil {
			p.timer.Stop()
		}
		old := p.idle
		p.idle = nil
		if hot := p.hot.Swap(nil); hot != nil {
			p.collect(hot)
			old = append(old, hot)
		}
		p.live -= len(old)
		for p.wake(nil) {
		}
		last := p.live == 0
		p.mu.Unlock()
		for _, inst := range old {
			inst.close()
		}
		if last {
			p.finish()
		}
	} else {
		p.mu.Unlock()
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) finish() {
	p.plugin.closed()
	close(p.drained)
}
