package wasm

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Breaker says when a plugin that keeps failing is left alone: after Failures failures within Window, calls are refused
// with breaker_open for OpenFor. Then one call probes the plugin: if it succeeds calls go on, else the time starts
// again. What the caller did (canceled, a deadline of its own), what the guest reported in good order (guest_error) and
// a full pool are no failures. Failures 0: no breaker.
type Breaker struct {
	Failures int
	Window   time.Duration // default 10 s
	OpenFor  time.Duration // default 2 s
}

func (b Breaker) withDefaults() Breaker {
	if b.Window <= 0 {
		b.Window = 10 * time.Second
	}
	if b.OpenFor <= 0 {
		b.OpenFor = 2 * time.Second
	}
	return b
}

type breaker struct {
	rule Breaker

	mu      sync.Mutex
	at      []int64      // times of the failures in the window, the oldest first
	until   atomic.Int64 // open until; 0: closed
	probing bool
	opened  uint64
}

// enter admits a call, as a probe when the breaker was open long enough.
func (b *breaker) enter() (probe bool, err error) {
	if b.until.Load() == 0 { // no look at the clock for a plugin that works
		return false, nil
	}
	return b.enterOpen()
}

func (b *breaker) enterOpen() (probe bool, err error) {
	now := nanotime()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.Load() == 0:
		return false, nil
	case now < b.until.Load():
		return false, fmt.Errorf("failed %d times within %v; the next attempt is in %v", b.rule.Failures, b.rule.Window, asDuration(b.until.Load()-now).Round(time.Millisecond))
	case b.probing:
		return false, errors.New("failed too often; one call is trying whether it works again")
	}
	b.probing = true
	return true, nil
}

// leave takes note of how a call ended.
func (b *breaker) leave(probe bool, err error) {
	if b.rule.Failures <= 0 || err == nil && !probe {
		return
	}
	failed, verdict := blames(err)
	if !failed && !probe {
		return
	}
	now := nanotime()
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
		switch {
		case failed:
			b.until.Store(now + int64(b.rule.OpenFor))
			b.opened++
		case verdict:
			b.at = b.at[:0]
			b.until.Store(0)
		}
		return
	}
	for len(b.at) > 0 && now-b.at[0] > int64(b.rule.Window) {
		b.at = append(b.at[:0], b.at[1:]...)
	}
	b.at = append(b.at, now)
	if len(b.at) >= b.rule.Failures && b.until.Load() == 0 {
		b.at = b.at[:0]
		b.until.Store(now + int64(b.rule.OpenFor))
		b.opened++
	}
}

// Blames says whether an error of [Plugin.Call] is the plugin's own failure, as the breaker counts them.
func Blames(err error) bool {
	failed, _ := blames(err)
	return failed
}

// blames says whether the plugin failed, and whether the call says anything about it at all.
func blames(err error) (failed, verdict bool) {
	var e *Error
	if !errors.As(err, &e) {
		return err != nil, true
	}
	switch e.Code {
	case CodeGuestError:
		return false, true
	case CodeCanceled, CodePoolExhausted, CodeClosed, CodeNoExport, CodeBreakerOpen:
		return false, false
	}
	return !e.caller, !e.caller
}

func (b *breaker) state(now int64) (string, uint64) {
	if b.rule.Failures <= 0 {
		return "off", 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.Load() == 0:
		return "closed", b.opened
	case now < b.until.Load():
		return "open", b.opened
	}
	return "probing", b.opened
}
