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

	mu        sync.Mutex
	idle      []*instance // the youngest last
	live      int         // busy, being restored, being made, and idle
	restoring int
	waiters   []chan *instance
	isClosed  bool
	drained   chan struct{} // closed when closed and live is 0
	usedAt    int64         // nanotime of the last release
	timer     *time.Timer   // runs the sweep; nil when there is nothing to sweep

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
	s := Stats{Calls: p.calls.Load(), Restores: p.restores.Load(), Discards: p.discards.Load(), Errors: make(map[Code]uint64)}
	p.errMu.Lock()
	for c, n := range p.errors {
		s.Errors[c] = n
	}
	p.errMu.Unlock()
	p.mu.Lock()
	s.Live, s.Idle, s.Waiting = p.live, len(p.idle), len(p.waiters)
	for _, inst := range p.idle {
		s.MemoryBytes += inst.mem.size
	}
	p.mu.Unlock()
	return s
}

// acquire returns an instance that belongs to the caller until it is released.
func (p *pool) acquire(ctx context.Context) (*instance, error) {
	for {
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
	p.mu.Unlock()
	t := time.NewTimer(p.plugin.limits.Timeout)
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
		err = p.plugin.failf(CodePoolExhausted, "", "all %d instances stayed busy for %v", p.plugin.limits.Instances, p.plugin.limits.Timeout)
	}
	p.mu.Lock()
	for i, w := range p.waiters {
		if w == ch {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
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
	ch <- inst
	return true
}

// inlineRestore is the largest memory that is restored before the call returns: the copy is cheaper than a goroutine.
const inlineRestore = 64 << 10

// release takes an instance back after a call. Whatever takes time happens on another goroutine.
func (p *pool) release(inst *instance) {
	snapshot := inst.code.snapshot.Load()
	switch {
	case inst.failed:
	case !inst.touched():
		p.put(inst, inst.ended)
		return
	case snapshot != nil && inst.mem.size <= inlineRestore:
		if inst.restore(snapshot) {
			p.restores.Add(1)
			p.put(inst, inst.ended)
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
	p.put(inst, nanotime())
}

// put makes an instance available.
func (p *pool) put(inst *instance, now int64) {
	inst.idleSince = now
	p.mu.Lock()
	p.usedAt = now
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
	p.usedAt = nanotime()
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
	}
}

func (p *pool) sweep() {
	again := p.plugin.sweep(nanotime())
	p.mu.Lock()
	p.timer = nil
	if !p.isClosed {
		p.arm(again)
	}
	p.mu.Unlock()
}

// shrink closes the instances that were idle for long, and returns how many are left and for how long there was no call.
func (p *pool) shrink(now int64, idle time.Duration) (live int, quiet time.Duration) {
	p.mu.Lock()
	var old []*instance
	for len(p.idle) > 0 && now-p.idle[0].idleSince >= int64(idle) {
		old = append(old, p.idle[0])
		p.idle = append(p.idle[:0], p.idle[1:]...)
		p.live--
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
		if p.timer != nil {
			p.timer.Stop()
		}
		old := p.idle
		p.idle = nil
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
