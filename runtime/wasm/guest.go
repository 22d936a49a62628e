package wasm

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/abi/httpwasm"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// Fuel is handed out in slices so that a guest comes back to the host every so often: to have its deadline checked,
// and so that Go's scheduler and garbage collector get their turn. The slice adapts to what the guest's instructions
// cost in time.
const (
	firstSlice  = 50_000
	minSlice    = 1_000
	maxSlice    = 400_000
	keepSlice   = 20_000                 // what a call leaves of its slice serves the next one if it is as much as this
	sliceShort  = 40 * time.Microsecond  // below, the slice doubles
	sliceLong   = 160 * time.Microsecond // above, it halves
	yieldAfter  = int64(time.Millisecond)
	starved     = int64(5 * time.Millisecond) // a slice that takes longer, and longer than slowest for each unit it burnt,
	slowest     = 50                          // in nanoseconds, was not run all the time
	mostExcused = 9                           // timeouts
	lookAfter   = 64                          // calls into the host between two looks at the clock
	lookMoved   = 64 << 10                    // or bytes that host functions moved
)

// clockBase makes times small numbers of nanoseconds on the monotonic clock.
var clockBase = time.Now()

func nanotime() int64 { return int64(time.Since(clockBase)) }

// guest is what the host knows of the call that an instance is in. It is the context of the engine's calls, through
// which host functions find it; the caller's context is behind it, for the functions of the plugin's user.
type guest struct {
	inst   *instance
	caller context.Context
	tenant string

	account
	slice    int64
	random   *rand.ChaCha8 // nil: the system's
	logs     []LogLine
	partial  [2][]byte          // unfinished lines of standard output and error
	exit     *exit              // set when the guest called proc_exit
	exchange *httpwasm.Exchange // of a filter; nil before its first request
	features uint32             // that a filter switched on
}

// account is what a call has used and may still use.
type account struct {
	timeout   time.Duration
	deadline  int64 // nanotime; 0 until the clock was first looked at, in an untimed call
	excused   int64 // of it, time without a processor
	fuel      uint64
	used      uint64 // fuel of finished slices
	held      int64  // of it, what modules were given that wait for a linked one
	given     int64  // of the present slice
	sliceAt   int64
	yieldAt   int64
	hostCalls int
	kvBytes   int
	tokens    int
	logBytes  int
	crossing  int  // calls between linked modules that are nested
	whole     bool // the present slice was a whole one
	watching  bool // the instance's memory is watched, and the goroutine bound to its thread
}

// opening is the account that every call starts with.
func (l *Limits) opening() account {
	return account{timeout: l.Timeout, fuel: l.Fuel, hostCalls: l.HostCalls, kvBytes: l.KVBytes, tokens: l.Tokens}
}

type guestKey struct{}

// The engine looks for options of its own in the context. A caller's context must not bring any, so nothing is found
// here but the guest.

func (g *guest) Deadline() (time.Time, bool) { return time.Time{}, false }
func (g *guest) Done() <-chan struct{}       { return nil }
func (g *guest) Err() error                  { return nil }
func (g *guest) Value(key any) any {
	if _, ok := key.(guestKey); ok {
		return g
	}
	return nil
}

func guestOf(ctx context.Context) *guest {
	if g, ok := ctx.(*guest); ok {
		return g
	}
	return ctx.Value(guestKey{}).(*guest) // while instantiating, the engine's options are around it
}

// begin starts the account of a call. now is 0 for a call that starts its clock at the first look: when the guest comes
// back to the host, at the latest after its first slice.
func (g *guest) begin(caller context.Context, tenant string, opening *account, now int64, timeout time.Duration) {
	g.caller = caller
	g.tenant = tenant
	g.account = *opening
	g.timeout = timeout
	if now != 0 {
		g.deadline, g.sliceAt, g.yieldAt = now+int64(timeout), now, now
	}
	g.given = min(g.slice, int64(g.fuel))
}

// cameToHost says whether the guest called any function of the host but tick.
func (g *guest) cameToHost() bool { return g.hostCalls != g.inst.plugin.limits.HostCalls }

func (g *guest) end() {
	g.caller = nil
	if g.logBytes > 0 || len(g.partial[0])+len(g.partial[1]) > 0 {
		g.partial = [2][]byte{}
		g.logs = nil
	}
	if g.random != nil || g.exit != nil {
		g.random, g.exit = nil, nil
	}
}

// unwatch comes before whatever may take the goroutine off its thread for long, which is dear while it is bound to it.
func (g *guest) unwatch() {
	if g.watching {
		g.watching = false
		g.inst.mem.unwatched()
	}
}

// tick is called by the guest when its slice is used up, with what the counter says now. It returns the next slice or
// panics with the error that stops the guest.
func (g *guest) tick(counter int64) int64 {
	if counter == meter.TickStackOverflow {
		panic(errorf(CodeStackOverflow, "calls nested deeper than %d bytes of frames", g.inst.plugin.limits.StackBytes))
	}
	burnt := g.given - counter // more than was given where a bulk operation was the last
	g.used += uint64(burnt)
	g.given = 0
	if g.used+uint64(g.held) > g.fuel {
		panic(errorf(CodeFuelExhausted, "used more than %d units of fuel; raise the plugin's fuel limit if it needs that much", g.fuel))
	}
	now := nanotime()
	if g.sliceAt != 0 {
		g.excuse(now - g.sliceAt - starved - burnt*slowest)
	}
	g.checkTime(now)
	switch took := asDuration(now - g.sliceAt); {
	case g.sliceAt == 0:
		g.yieldAt = now
	case took < sliceShort && g.whole:
		g.slice = min(2*g.slice, maxSlice)
	case took > sliceLong:
		g.slice = max(g.slice/2, minSlice)
	}
	if now-g.yieldAt > yieldAfter {
		g.unwatch()
		runtime.Gosched()
		waited := now
		now = nanotime()
		g.excuse(now - waited)
		g.checkTime(now)
		g.yieldAt = now
	}
	g.sliceAt, g.whole = now, true
	g.given = min(g.slice, int64(g.fuel-g.used)-g.held)
	return g.given
}

func (g *guest) checkTime(now int64) {
	if err := g.late(now); err != nil {
		panic(err)
	}
}

// excuse moves the deadline by time in which the guest had no processor, so that a busy machine does not fail calls that
// use little of it. What is excused in a call is bounded: it ends in time whatever the machine does.
func (g *guest) excuse(d int64) {
	if d > 0 && g.deadline != 0 {
		d = min(d, mostExcused*int64(g.timeout)-g.excused)
		g.excused += d
		g.deadline += d
	}
}

// late says whether the call must end, by the clock or because its caller does not want it any more.
func (g *guest) late(now int64) *Error {
	if err := g.gone(); err != nil {
		return err
	}
	if g.deadline == 0 {
		g.deadline = now + int64(g.timeout)
	}
	if now >= g.deadline {
		return &Error{Code: CodeDeadline, Message: "did not finish in its time limit", Err: context.DeadlineExceeded}
	}
	return nil
}

// gone says whether the caller does not want the call any more.
func (g *guest) gone() *Error {
	err := g.caller.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return &Error{Code: CodeCanceled, Message: "the caller went away", Err: err, caller: true}
	}
	return &Error{Code: CodeDeadline, Message: "the caller's deadline passed", Err: err, caller: true}
}

// enterHost accounts for a call into the host. It looks at the clock now and then: a look costs more than most functions.
func (g *guest) enterHost() {
	g.hostCalls--
	if g.hostCalls < 0 {
		panic(errorf(CodeHostCallLimit, "more calls into the host than allowed"))
	}
	if g.hostCalls%lookAfter == 0 || g.inst.kernel.Moved >= lookMoved {
		g.inst.kernel.Moved = 0
		g.checkTime(nanotime())
	}
}

// log takes text of the guest as lines.
func (g *guest) log(level slog.Level, source, text string) *Error {
	g.logBytes += len(text) + 1
	if limit := g.inst.plugin.limits.LogBytes; g.logBytes > limit {
		return errorf(CodeLogLimit, "logged more than %d bytes", limit)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		g.logs = append(g.logs, LogLine{Level: level, Source: source, Text: line})
	}
	return nil
}

// flush turns unfinished lines of standard output and error into lines.
func (g *guest) flush() {
	for i, p := range g.partial {
		if len(p) > 0 {
			_ = g.stream(i == 1, []byte("\n"))
		}
	}
}

func (g *guest) stream(stderr bool, p []byte) error {
	i, level, source := 0, slog.LevelInfo, "stdout"
	if stderr {
		i, level, source = 1, slog.LevelWarn, "stderr"
	}
	if limit := g.inst.plugin.limits.LogBytes; g.logBytes+len(g.partial[i])+len(p) > limit {
		return errorf(CodeLogLimit, "wrote more than %d bytes to %s", limit, source)
	}
	b := append(g.partial[i], p...)
	if end := bytes.LastIndexByte(p, '\n'); end >= 0 {
		end += len(b) - len(p)
		if err := g.log(level, source, string(b[:end+1])); err != nil {
			return err
		}
		b = b[end+1:]
	}
	g.partial[i] = b
	return nil
}

// The methods below are the guest's WASI.

func (g *guest) Write(stderr bool, p []byte) error { return g.stream(stderr, p) }

func (g *guest) Now() (time.Time, time.Duration) {
	now, mono := time.Now(), time.Since(clockBase)
	if !g.inst.plugin.preciseClock {
		now, mono = now.Truncate(CoarseClock), mono.Truncate(CoarseClock)
	}
	return now, mono
}

// randomChunk is how much is made between two looks at the deadline.
const randomChunk = 256 << 10

func (g *guest) Random(p []byte) error {
	read := cryptorand.Read
	if seed := g.inst.plugin.seed; seed != nil {
		if g.random == nil {
			var key [32]byte
			binary.LittleEndian.PutUint64(key[:], *seed)
			g.random = rand.NewChaCha8(key)
		}
		read = g.random.Read
	}
	for len(p) > 0 {
		n, err := read(p[:min(len(p), randomChunk)])
		if err != nil {
			return err
		}
		p = p[n:]
		if len(p) > 0 {
			if late := g.late(nanotime()); late != nil {
				return late
			}
		}
	}
	return nil
}

func (g *guest) Sleep(d time.Duration) error {
	now := nanotime()
	if err := g.late(now); err != nil {
		return err
	}
	g.unwatch()
	t := time.NewTimer(min(d, time.Duration(max(0, g.deadline-now))))
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.caller.Done():
	}
	if err := g.late(nanotime()); err != nil {
		return err
	}
	return nil
}

// exit is what proc_exit stops a guest with.
type exit struct{ code uint32 }

func (e *exit) Error() string { return fmt.Sprintf("exit status %d", e.code) }

func (g *guest) Exit(code uint32) error {
	g.exit = &exit{code}
	return g.exit
}

// stop panics with what ends the guest, as an *Error or *exit.
func (g *guest) stop(name string, err error) {
	var typed *Error
	var ex *exit
	switch {
	case errors.As(err, &typed):
		panic(typed)
	case errors.As(err, &ex):
		panic(ex)
	case errors.Is(err, extism.ErrDenied):
		panic(&Error{Code: CodeCapabilityDenied, Message: err.Error(), Err: err})
	case errors.Is(err, httpwasm.ErrTooMuch):
		panic(&Error{Code: CodeOutputLimit, Message: name + ": " + err.Error(), Err: err})
	case errors.Is(err, extism.ErrMemory):
		panic(&Error{Code: CodeMemoryLimit, Message: name + ": " + err.Error(), Err: err})
	}
	panic(&Error{Code: CodeTrap, Message: name + ": " + err.Error(), Err: err})
}
