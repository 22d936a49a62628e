package wasm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm/abi/bulk"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/abi/wasip1"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// TestCorpus_StrangeModules: each is refused with its code when it is loaded or first called, or works; and in a few
// seconds.
func TestCorpus_StrangeModules(t *testing.T) {
	exits := func(status int, export string) []byte {
		m := Build()
		m.Memory(1, 1)
		exit := m.Import(wasip1.Module, "proc_exit", i32, none)
		f := m.Func(none, none, 0, Const32(status), Invoke(exit))
		if export == "" {
			m.Start(f)
		} else {
			m.Export(export, f)
		}
		m.Export("run", m.Func(none, none, 0))
		return m.Bytes()
	}
	table := Build() // a br_table with many labels, all of them the same
	labels := append([]byte{0x0e}, leb(200_000)...)
	labels = append(labels, bytes.Repeat([]byte{0}, 200_001)...)
	table.Export("run", table.Func(none, none, 0, Op(0x02, 0x40), Const32(199_999), labels, Op(0x0b)))
	deepBlocks := Build()
	var nest []byte
	for range 10_000 {
		nest = append(nest, 0x02, 0x40)
	}
	nest = append(nest, bytes.Repeat([]byte{0x0b}, 10_000)...)
	deepBlocks.Export("run", deepBlocks.Func(none, none, 0, nest))
	deepLoops := Build()
	nest = nil
	for range 2_000 {
		nest = append(nest, 0x03, 0x40)
	}
	nest = append(nest, bytes.Repeat([]byte{0x0b}, 2_000)...)
	deepLoops.Export("run", deepLoops.Func(none, none, 0, nest))
	locals := Build()
	locals.Export("run", locals.Func(none, none, 1<<20))
	outside := Build()
	outside.Memory(1, 1)
	outside.Data(1<<16-2, []byte("beyond the end"))
	outside.Export("run", outside.Func(none, none, 0))
	spins := Build()
	spins.Start(spins.Func(none, none, 0, Loop()))
	spins.Export("run", spins.Func(none, none, 0))
	for name, c := range map[string]struct {
		module []byte
		codes  []Code // one of them; "none" is no error
	}{
		"200,000 labels":                     {table.Bytes(), []Code{CodeBadModule}},
		"10,000 blocks around each other":    {deepBlocks.Bytes(), []Code{"none"}},
		"2,000 loops around each other":      {deepLoops.Bytes(), []Code{"none"}},
		"a million locals":                   {locals.Bytes(), []Code{CodeBadModule}},
		"data out of range":                  {outside.Bytes(), []Code{CodeTrap, CodeBadModule}},
		"a start function that exits with 3": {exits(3, ""), []Code{CodeExited}},
		"a start function that exits with 0": {exits(0, ""), []Code{CodeExited}},
		"an _initialize that exits with 0":   {exits(0, "_initialize"), []Code{CodeExited}},
		"an _initialize that exits with 3":   {exits(3, "_initialize"), []Code{CodeExited}},
		"a start function that does not end": {spins.Bytes(), []Code{CodeDeadline}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			h := newHost(t, Options{})
			p, err := h.Load(context.Background(), c.module, PluginOptions{Name: "test"})
			if err == nil {
				_, err = p.Call(context.Background(), Call{Export: "run"})
			}
			code := codeOf(err)
			for _, want := range c.codes {
				if code == want {
					if took := time.Since(start); took > 30*time.Second {
						t.Errorf("took %v", took)
					}
					return
				}
			}
			t.Errorf("got %v, want one of %v", err, c.codes)
		})
	}
}

func leb(v uint32) (b []byte) {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// TestCorpus_MemoryIsOneBudget: what the guest takes by memory.grow and what it makes the host hold in blocks count
// against one limit, in either order.
func TestCorpus_MemoryIsOneBudget(t *testing.T) {
	const limit = 32 << 20
	m := Build()
	m.Memory(1, -1)
	alloc := m.Import(extism.Module, "alloc", i64, i64)
	// Each returns 0 when everything went as it should: growing to the cap works, the host then refuses, and so on.
	m.Export("grow first", m.Func(none, i32, 0,
		Const32(limit>>16-1), Op(0x40, 0), Const32(-1), Op(0x46),
		Const64(1<<20), Invoke(alloc), Const64(0), Op(0x52), Op(0x72)))
	m.Export("blocks first", m.Func(none, i32, 0,
		Const64(limit-(2<<16)), Invoke(alloc), Op(0x50),
		Const32(16), Op(0x40, 0), Const32(-1), Op(0x47), Op(0x72)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{MemoryBytes: limit}})
	for _, export := range []string{"grow first", "blocks first", "grow first"} {
		if res, err := p.Call(context.Background(), Call{Export: export}); err != nil || res.MemoryPeak > limit {
			t.Errorf("%s: %v, peak %d", export, err, res.MemoryPeak)
		}
	}
}

func residentBytes(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc/self/statm here")
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// TestCorpus_MemoryReturnsAfterALargeCall: a call that writes 32 MiB leaves nothing behind for the call of one byte
// after it.
func TestCorpus_MemoryReturnsAfterALargeCall(t *testing.T) {
	m := Build()
	m.Memory(4, -1)
	m.Export("large", m.Func(none, none, 0,
		Const32(480), Op(0x40, 0), Drop(), Const32(0), Const32(7), Const32(480<<16), Op(0xfc, 11, 0)))
	m.Export("small", m.Func(none, none, 0, Const32(0), Const32(1), Op(0x3a, 0, 0)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{MemoryBytes: 32 << 20, Instances: 1, Timeout: 10 * time.Second}})
	small := func() {
		if _, err := p.Call(context.Background(), Call{Export: "small"}); err != nil {
			t.Fatal(err)
		}
	}
	small()
	before := residentBytes(t)
	if _, err := p.Call(context.Background(), Call{Export: "large"}); err != nil {
		t.Fatal(err)
	}
	small()
	if grown := residentBytes(t) - before; grown > 8<<20 {
		t.Errorf("%d MiB more are resident than before", grown>>20)
	}
}

// TestCorpus_HostFunctionThatFails: a guest that is stopped inside a host function, by an error, a typed error or a
// panic, is gone; the plugin is not.
func TestCorpus_HostFunctionThatFails(t *testing.T) {
	fail := func(name string, f func() error) HostFunction {
		return HostFunction{Name: name, Func: func(context.Context, *HostCall, []uint64) error { return f() }}
	}
	functions := []HostFunction{
		fail("plain", func() error { return errors.New("out of order") }),
		fail("typed", func() error { return &Error{Code: CodeKVLimit, Message: "too much"} }),
		fail("panics", func() error { panic("a bug of the host") }),
		fail("fine", func() error { return nil }),
	}
	m := Build()
	for _, f := range functions {
		m.Import(extism.UserModule, f.Name, none, none)
	}
	for i, f := range functions {
		m.Export(f.Name, m.Func(none, none, 0, Invoke(i)))
	}
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Functions: functions})
	for range 3 {
		for export, want := range map[string]Code{"plain": CodeTrap, "typed": CodeKVLimit, "panics": CodeTrap, "fine": "none"} {
			if _, err := p.Call(context.Background(), Call{Export: export}); codeOf(err) != want {
				t.Errorf("%s: %v, want %s", export, err, want)
			}
		}
	}
}

// TestCorpus_GuestsWithoutMemory: functions that read or write the guest's memory find that there is none.
func TestCorpus_GuestsWithoutMemory(t *testing.T) {
	h := newHost(t, Options{})
	for _, module := range []string{bulk.Module, wasip1.Module} {
		for _, f := range lent[module] {
			p := load(t, h, single(func(m *Module) [][]byte {
				var body [][]byte
				for _, p := range f.Params {
					if p == byte(I64) {
						body = append(body, Const64(1))
					} else {
						body = append(body, Const32(1))
					}
				}
				body = append(body, Invoke(m.Import(module, f.name, f.Params, f.Results)))
				for range f.Results {
					body = append(body, Drop())
				}
				return body
			}), PluginOptions{})
			_, err := p.Call(context.Background(), Call{Export: "run"})
			if err != nil && (strings.Contains(err.Error(), "runtime error") || strings.Contains(err.Error(), "nil pointer")) {
				t.Errorf("%s.%s: the host itself failed: %v", module, f.name, err)
			}
		}
	}
}
