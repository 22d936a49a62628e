package wasm

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/abi/wasip1"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// chain is a module whose exported function takes 2^depth calls and no loop.
func chain(depth int) []byte {
	m := Build()
	f := m.Func(none, none, 0)
	for range depth {
		f = m.Func(none, none, 0, Invoke(f), Invoke(f))
	}
	m.Export("run", f)
	return m.Bytes()
}

func single(build func(m *Module) [][]byte) []byte {
	m := Build()
	body := build(m)
	m.Export("run", m.Func(none, none, 1, body...))
	return m.Bytes()
}

// TestAdversary_EndsWithItsCode: each module ends with its own code, soon after its limit, and neither the plugin nor
// its neighbour is harmed.
func TestAdversary_EndsWithItsCode(t *testing.T) {
	const timeout = 50 * time.Millisecond
	recursion := Build()
	recursion.Export("run", recursion.Func(none, none, 0, Invoke(0)))
	mutual := Build()
	mutual.Table(1, 1)
	mutual.Elem(0, 0)
	mutual.Export("run", mutual.Func(none, none, 0, Const32(0), Op(0x11, 0, 0)))
	wide := Build()
	wide.Export("run", wide.Func(none, none, 40_000, Invoke(0)))
	for name, c := range map[string]struct {
		module []byte
		code   Code
	}{
		"tight loop":     {single(func(*Module) [][]byte { return [][]byte{Loop()} }), CodeDeadline},
		"call chain":     {chain(60), CodeDeadline},
		"recursion":      {recursion.Bytes(), CodeStackOverflow},
		"indirect":       {mutual.Bytes(), CodeStackOverflow},
		"recursion wide": {wide.Bytes(), CodeStackOverflow},
		"grow flood": {single(func(m *Module) [][]byte {
			m.Memory(1, -1)
			return [][]byte{Loop(Const32(1), Op(0x40, 0), Drop())}
		}), CodeDeadline},
		"grow to the cap, then trap": {single(func(m *Module) [][]byte {
			m.Memory(1, -1)
			return [][]byte{Op(0x03, 0x40), Const32(16), Op(0x40, 0), Const32(0), Op(0x4e, 0x0d, 0, 0x0b, 0x00)}
		}), CodeMemoryLimit},
		"fill flood": {single(func(m *Module) [][]byte {
			m.Memory(500, 500)
			return [][]byte{Loop(Const32(0), Const32(7), Const32(500<<16), Op(0xfc, 11, 0))}
		}), CodeDeadline},
		"copy flood": {single(func(m *Module) [][]byte {
			m.Memory(500, 500)
			return [][]byte{Loop(Const32(0), Const32(1<<16), Const32(499<<16), Op(0xfc, 10, 0, 0))}
		}), CodeDeadline},
		"table flood": {single(func(m *Module) [][]byte {
			m.Table(1, -1)
			return [][]byte{Loop(Op(0xd0, 0x70), Const32(1000), Op(0xfc, 15, 0), Drop())}
		}), CodeDeadline},
		"host alloc flood": {single(func(m *Module) [][]byte {
			alloc, store := env(m, "alloc"), env(m, "store_u8")
			return [][]byte{Loop(Const64(1<<20), Invoke(alloc), Const32(1), Invoke(store))}
		}), CodeMemoryLimit},
		"host alloc and free": {single(func(m *Module) [][]byte {
			alloc, free := env(m, "alloc"), env(m, "free")
			return [][]byte{Loop(Const64(16<<20), Invoke(alloc), Invoke(free))}
		}), CodeDeadline},
		"output flood": {single(func(m *Module) [][]byte {
			alloc, set := env(m, "alloc"), env(m, "output_set")
			return [][]byte{Const64(5 << 20), Invoke(alloc), Const64(5 << 20), Invoke(set)}
		}), CodeOutputLimit},
		"log flood": {single(func(m *Module) [][]byte {
			alloc, log := env(m, "alloc"), env(m, "log_info")
			return [][]byte{Loop(Const64(100), Invoke(alloc), Invoke(log))}
		}), CodeLogLimit},
		"stdout flood": {single(func(m *Module) [][]byte {
			m.Memory(1, 1)
			m.Data(0, []byte{8, 0, 0, 0, 100, 0, 0, 0})
			write := m.Import(wasip1.Module, "fd_write", []byte{0x7f, 0x7f, 0x7f, 0x7f}, i32)
			return [][]byte{Loop(Const32(1), Const32(0), Const32(1), Const32(4096), Invoke(write), Drop())}
		}), CodeLogLimit},
		"host calls": {single(func(m *Module) [][]byte {
			n := env(m, "input_length")
			return [][]byte{Loop(Invoke(n), Drop())}
		}), CodeHostCallLimit},
		"var flood": {single(func(m *Module) [][]byte {
			alloc, set := env(m, "alloc"), env(m, "var_set")
			return [][]byte{Loop(Const64(8), Invoke(alloc), Const64(2<<20), Invoke(alloc), Invoke(set))}
		}), CodeTrap},
		"sleeper": {single(func(m *Module) [][]byte {
			m.Memory(1, 1)
			sub := make([]byte, 48)
			sub[24+7] = 0x10
			m.Data(0, sub)
			poll := m.Import(wasip1.Module, "poll_oneoff", []byte{0x7f, 0x7f, 0x7f, 0x7f}, i32)
			return [][]byte{Const32(0), Const32(1024), Const32(1), Const32(2048), Invoke(poll), Drop()}
		}), CodeDeadline},
		"exit 3": {single(func(m *Module) [][]byte {
			return [][]byte{Const32(3), Invoke(m.Import(wasip1.Module, "proc_exit", i32, none))}
		}), CodeExited},
		"exit 0": {single(func(m *Module) [][]byte {
			return [][]byte{Const32(0), Invoke(m.Import(wasip1.Module, "proc_exit", i32, none))}
		}), "none"},
		"unreachable":   {single(func(*Module) [][]byte { return [][]byte{Op(0x00)} }), CodeTrap},
		"divide by 0":   {single(func(*Module) [][]byte { return [][]byte{Const32(1), Const32(0), Op(0x6d), Drop()} }), CodeTrap},
		"out of bounds": {single(func(m *Module) [][]byte { m.Memory(1, 1); return [][]byte{Const32(65536), Op(0x2d, 0, 0), Drop()} }), CodeTrap},
		"http": {single(func(m *Module) [][]byte {
			http := env(m, "http_request")
			return [][]byte{Const64(0), Const64(0), Invoke(http), Drop()}
		}), CodeCapabilityDenied},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, Options{})
			limits := Limits{Timeout: timeout, HostCalls: 100_000}
			if c.code != CodeDeadline {
				limits.Timeout = 5 * time.Second // another limit ends it, however slow the machine
			}
			if name == "host alloc flood" {
				limits.MemoryBytes = 8 << 20
			}
			p := load(t, h, c.module, PluginOptions{Limits: limits})
			fastest := time.Hour // of three: other processes only ever add
			for range 3 {
				start := time.Now()
				res, err := p.Call(context.Background(), Call{Export: "run"})
				if codeOf(err) != c.code {
					t.Fatalf("got %v after %v, want %s", err, res.Duration, c.code)
				}
				fastest = min(fastest, time.Since(start))
				if c.code == CodeDeadline {
					t.Logf("overshot by %v", res.Duration-timeout)
				}
			}
			// A single bulk operation on 32 MiB of untouched memory is the coarsest thing a guest can do.
			if c.code == CodeDeadline && fastest > timeout+100*time.Millisecond {
				t.Errorf("took %v of %v", fastest, timeout)
			}
			if res, err := load(t, h, echo(), PluginOptions{}).Call(context.Background(), Call{Export: "run", Input: []byte("ok")}); err != nil || string(res.Output) != "ok" {
				t.Errorf("the neighbour answers %q, %v", res.Output, err)
			}
		})
	}
}

func TestAdversary_GarbageHandlesOnEveryImport(t *testing.T) {
	handles := []int64{0, 1, 7, 4095, 4096, 4097, 4104, 1 << 31, 1<<32 - 8, 1<<32 - 1, 1 << 32, 1<<32 + 4096, -1, -8, -4096, 1 << 62, -1 << 63}
	h := newHost(t, Options{})
	for _, f := range extism.Functions() {
		if len(f.Params) == 0 {
			continue
		}
		var modules [][]byte
		for _, a := range handles {
			for _, b := range handles[:max(1, (len(f.Params)-1)*len(handles))] {
				modules = append(modules, single(func(m *Module) [][]byte {
					alloc, fn := env(m, "alloc"), env(m, f.Name)
					body := [][]byte{Const64(16), Invoke(alloc), Drop(), Const64(a)}
					if len(f.Params) == 2 && f.Params[1] == byte(I64) {
						body = append(body, Const64(b))
					} else if len(f.Params) == 2 {
						body = append(body, Const32(int(b)))
					}
					body = append(body, Invoke(fn))
					if len(f.Results) > 0 {
						body = append(body, Drop())
					}
					return body
				}))
			}
		}
		// One module for each would compile thousands; try every handle alone, and a few pairs.
		for i := 0; i < len(modules); i += max(1, len(modules)/20) {
			p := load(t, h, modules[i], PluginOptions{})
			if _, err := p.Call(context.Background(), Call{Export: "run"}); err != nil {
				switch codeOf(err) {
				case CodeTrap, CodeCapabilityDenied, CodeMemoryLimit, CodeGuestError:
				default:
					t.Errorf("%s: %v", f.Name, err)
				}
				if strings.Contains(err.Error(), "runtime error") {
					t.Errorf("%s: the host itself failed: %v", f.Name, err)
				}
			}
			if err := p.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAdversary_GarbageCollectorRunsBesideSpinningGuest(t *testing.T) {
	p := load(t, newHost(t, Options{}), single(func(*Module) [][]byte { return [][]byte{Loop()} }), PluginOptions{Limits: Limits{Timeout: 400 * time.Millisecond}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Call(context.Background(), Call{Export: "run"})
	}()
	time.Sleep(20 * time.Millisecond)
	var worst time.Duration
	for range 5 {
		start := time.Now()
		runtime.GC()
		worst = max(worst, time.Since(start))
	}
	<-done
	t.Logf("worst collection took %v", worst)
	if worst > 50*time.Millisecond {
		t.Errorf("a collection took %v", worst)
	}
}

func TestAdversary_DeadlineOvershoot(t *testing.T) {
	const timeout = 20 * time.Millisecond
	h := newHost(t, Options{})
	for name, module := range map[string][]byte{"loop": single(func(*Module) [][]byte { return [][]byte{Loop()} }), "chain": chain(60)} {
		p := load(t, h, module, PluginOptions{Limits: Limits{Timeout: timeout}})
		best := time.Hour
		for round := 0; round < 10 && best > 2*time.Millisecond; round++ { // other processes only ever add
			var over []time.Duration
			for range 9 {
				res, err := p.Call(context.Background(), Call{Export: "run"})
				if codeOf(err) != CodeDeadline {
					t.Fatal(err)
				}
				over = append(over, res.Duration-timeout)
			}
			slices.Sort(over)
			t.Logf("%s: median overshoot %v, worst %v", name, over[len(over)/2], over[len(over)-1])
			best = min(best, over[len(over)/2])
		}
		if best > 2*time.Millisecond {
			t.Errorf("%s: median overshoot %v", name, best)
		}
	}
}

func TestAdversary_HundredFailuresThenGoodCall(t *testing.T) {
	m := Build()
	m.Memory(1, 1)
	m.Export("bad", m.Func(none, none, 0, Op(0x00)))
	m.Export("good", m.Func(none, i32, 0, Const32(0)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{})
	for range 100 {
		if _, err := p.Call(context.Background(), Call{Export: "bad"}); codeOf(err) != CodeTrap {
			t.Fatal(err)
		}
	}
	if _, err := p.Call(context.Background(), Call{Export: "good"}); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.Errors[CodeTrap] != 100 || s.Calls != 101 {
		t.Errorf("stats %+v", s)
	}
}

func TestAdversary_StackMemoryIsBounded(t *testing.T) {
	m := Build()
	m.Export("run", m.Func(none, none, 0, Invoke(0)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := p.Call(context.Background(), Call{Export: "run"})
	runtime.ReadMemStats(&after)
	grown := after.TotalAlloc - before.TotalAlloc
	t.Logf("recursion allocated %d MB, ended after %v", grown>>20, res.Duration)
	if codeOf(err) != CodeStackOverflow || grown > 64<<20 {
		t.Errorf("%v; allocated %d bytes", err, grown)
	}
}

func TestAdversary_CancelStorm(t *testing.T) {
	p := load(t, newHost(t, Options{}), single(func(*Module) [][]byte { return [][]byte{Loop()} }), PluginOptions{Limits: Limits{Timeout: time.Second}})
	done := make(chan Code)
	for i := range 64 {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%8)*time.Millisecond)
			defer cancel()
			_, err := p.Call(ctx, Call{Export: "run"})
			done <- codeOf(err)
		}()
	}
	for range 64 {
		if c := <-done; c != CodeDeadline && c != CodeCanceled {
			t.Errorf("got %s", c)
		}
	}
	// Every instance came back or was thrown away.
	for range 100 {
		if s := p.Stats(); s.Live == s.Idle && s.Waiting == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("instances are missing: %+v", p.Stats())
}

func mappings(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("no /proc/self/maps here")
	}
	return strings.Count(string(b), "\n")
}

func TestClose_LeavesNothingBehind(t *testing.T) {
	fds := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc/self/fd here")
		}
		return len(d)
	}
	round := func() {
		h, err := New(context.Background(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := Build()
		m.Memory(16, -1)
		m.Export("run", m.Func(none, none, 0, Const32(0), Const32(1), Op(0x36, 2, 0)))
		p := load(t, h, m.Bytes(), PluginOptions{})
		for range 10 {
			if _, err := p.Call(context.Background(), Call{Export: "run"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeClosed {
			t.Fatalf("call after close: %v", err)
		}
	}
	round()
	runtime.GC()
	maps, files := mappings(t), fds()
	for range 20 {
		round()
	}
	runtime.GC() // the engine unmaps code in finalizers
	time.Sleep(10 * time.Millisecond)
	runtime.GC()
	if m, f := mappings(t), fds(); m > maps+20 || f > files {
		t.Errorf("mappings %d, then %d; files %d, then %d", maps, m, files, f)
	}
}

func ExampleError() {
	fmt.Println(&Error{Code: CodeDeadline, Plugin: "router", Export: "route", Message: "did not finish in its time limit"})
	// Output: plugin router.route: deadline: did not finish in its time limit
}
