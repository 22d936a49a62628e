package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm"
)

// canary is a new generation that serves a share of the calls beside the one that served before, until it has served
// enough of them to be judged.
type canary struct {
	next    *generation
	share   uint64 // percent
	enough  uint64 // calls of the new generation
	turn    atomic.Uint64
	decided atomic.Bool

	mu       sync.Mutex
	old, new tally
}

// tally is what was seen of one generation.
type tally struct {
	calls, failed uint64
	duration      time.Duration
	fuel          uint64
}

// What a new generation may be worse by. The floors keep noise of a few microseconds or instructions from counting.
const (
	defaultCanaryCalls = 200
	canaryFailures     = 0.02 // of its calls, more than the old one
	canaryLatency      = 1.5
	canaryLatencyFloor = time.Millisecond
	canaryFuel         = 2.0
	canaryFuelFloor    = 1_000_000
	canaryFewest       = 5 // failures before it is given up early
)

// pick says whether this call is one of the canary's share, evenly spread.
func (c *canary) pick() bool {
	n := c.turn.Add(1)
	return n*c.share/100 != (n-1)*c.share/100
}

// observe notes a call. It returns whether a judgement is due, which happens once, and why the canary is to go.
func (c *canary) observe(isNew bool, res wasm.Result, err error) (due bool, fault error) {
	if err != nil && !wasm.Blames(err) {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.old
	if isNew {
		s = &c.new
	}
	s.calls++
	s.duration += res.Duration
	s.fuel += res.Fuel
	if err != nil {
		s.failed++
	}
	fault = c.judge()
	if c.new.calls < c.enough && fault == nil || c.new.calls < c.enough && c.new.failed < canaryFewest {
		return false, nil
	}
	return !c.decided.Swap(true), fault
}

// judge compares the two generations. The lock must be held.
func (c *canary) judge() error {
	o, n := c.old, c.new
	if n.calls == 0 {
		return nil
	}
	rate := func(s tally) float64 { return float64(s.failed) / float64(max(s.calls, 1)) }
	if rate(n) > rate(o)+canaryFailures {
		return fmt.Errorf("%d of its %d calls failed; before it was %d of %d", n.failed, n.calls, o.failed, o.calls)
	}
	if o.calls == 0 {
		return nil
	}
	was, is := o.duration/time.Duration(o.calls), n.duration/time.Duration(n.calls)
	if float64(is) > canaryLatency*float64(was) && is-was > canaryLatencyFloor {
		return fmt.Errorf("a call takes %v; before it was %v", is, was)
	}
	before, now := o.fuel/o.calls, n.fuel/n.calls
	if float64(now) > canaryFuel*float64(before) && now-before > canaryFuelFloor {
		return fmt.Errorf("a call uses %d units of fuel; before it was %d", now, before)
	}
	return nil
}

// callCanary makes a call while a canary is judged, and acts on the judgement.
func (p *Plugin) callCanary(ctx context.Context, k *canary, c wasm.Call) (wasm.Result, error) {
	g := p.current.Load()
	isNew := k.pick()
	if isNew {
		g = k.next
	}
	res, err := g.plugin.Call(ctx, c)
	var failed *wasm.Error
	if errors.As(err, &failed) && failed.Code == wasm.CodeClosed && p.canary.Load() != k {
		return p.Call(ctx, c) // it was decided meanwhile
	}
	if due, fault := k.observe(isNew, res, err); due {
		p.settle(k, fault)
	}
	return res, err
}
