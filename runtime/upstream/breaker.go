package upstream

import (
	"sync"
	"time"
)

// Breaker says when a target is left alone. Zero values take the defaults; Failures below 0 means never.
type Breaker struct {
	Failures int           // within Window, until it opens
	Window   time.Duration // in which failures are counted
	OpenFor  time.Duration // until probes are let through
	Probes   int           // at once while half open; as many must succeed to close it
}

// Defaults of Breaker.
const (
	DefaultFailures = 5
	DefaultWindow   = 30 * time.Second
	DefaultOpenFor  = 10 * time.Second
	DefaultProbes   = 2
)

// States of a breaker.
const (
	Closed   = "closed"
	Open     = "open"
	HalfOpen = "half_open"
)

// breaker keeps requests from a target that fails, and lets a few through after a while to see whether it recovered.
type breaker struct {
	cfg Breaker
	now func() time.Time

	mu       sync.Mutex
	state    string
	failures []time.Time // within the window, while closed
	until    time.Time   // end of open
	probes   int         // in work, while half open
	good     int         // probes that succeeded
	opened   int64
}

func newBreaker(c Breaker, now func() time.Time) *breaker {
	if c.Failures == 0 {
		c.Failures = DefaultFailures
	}
	if c.Window <= 0 {
		c.Window = DefaultWindow
	}
	if c.OpenFor <= 0 {
		c.OpenFor = DefaultOpenFor
	}
	if c.Probes <= 0 {
		c.Probes = DefaultProbes
	}
	return &breaker{cfg: c, now: now, state: Closed}
}

// pass is a request that the breaker let through.
type pass struct {
	probe bool
	epoch int64
}

// allow lets a request through, or says how long the target is left alone. change names a change of state.
func (b *breaker) allow() (p pass, ok bool, wait time.Duration, change string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open {
		if left := b.until.Sub(b.now()); left > 0 {
			return pass{}, false, left, ""
		}
		b.state, b.probes, b.good, change = HalfOpen, 0, 0, Open+" to "+HalfOpen
	}
	if b.state == HalfOpen {
		if b.probes >= b.cfg.Probes {
			return pass{}, false, time.Second, ""
		}
		b.probes++
		return pass{true, b.opened}, true, 0, change
	}
	return pass{epoch: b.opened}, true, 0, ""
}

// outcomes of a request, for the breaker.
type outcome int

const (
	succeeded outcome = iota
	failed            // the target's fault
	neither           // the client's, or nobody's
)

// done tells how a request that was let through went, and returns the change of state that came of it.
func (b *breaker) done(p pass, o outcome) (change string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.epoch != b.opened {
		return "" // of a time before the breaker opened
	}
	switch {
	case b.state == HalfOpen && p.probe:
		b.probes--
		switch o {
		case failed:
			return b.open()
		case succeeded:
			if b.good++; b.good >= b.cfg.Probes {
				b.state, b.failures = Closed, nil
				return HalfOpen + " to " + Closed
			}
		}
	case b.state == Closed && o == failed && b.cfg.Failures > 0:
		now := b.now()
		kept := b.failures[:0]
		for _, at := range b.failures {
			if now.Sub(at) < b.cfg.Window {
				kept = append(kept, at)
			}
		}
		if b.failures = append(kept, now); len(b.failures) >= b.cfg.Failures {
			return b.open()
		}
	}
	return ""
}

// open leaves the target alone; the caller holds mu.
func (b *breaker) open() string {
	change := b.state + " to " + Open
	b.state, b.failures, b.until = Open, nil, b.now().Add(b.cfg.OpenFor)
	b.opened++
	return change
}

// Stats are the figures of a target.
type Stats struct {
	Breaker string `json:"breaker"`
	Opened  int64  `json:"opened"` // times that the breaker opened
}

func (b *breaker) stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{b.state, b.opened}
	if b.state == Open && !b.now().Before(b.until) {
		s.Breaker = HalfOpen
	}
	return s
}
