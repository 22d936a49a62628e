package wasm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/extism/go-sdk"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

func TestLink_SameAnswerAsReference(t *testing.T) {
	dir := sdkModules()
	if dir == "" {
		t.Skip("the module extism/go-sdk is not there")
	}
	ctx := context.Background()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Skip(err)
		}
		return b
	}
	main, lib := read("main.wasm"), read("lib.wasm")
	theirs, err := sdk.NewPlugin(ctx, sdk.Manifest{Wasm: []sdk.Wasm{sdk.WasmData{Data: lib, Name: "lib"}, sdk.WasmData{Data: main, Name: "main"}}}, sdk.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close(ctx)
	p := load(t, newHost(t, Options{}), main, PluginOptions{Linked: []LinkedModule{{"lib", lib}}})
	for _, input := range []string{"benjamin", "", "grüße"} {
		_, want, wantErr := theirs.Call("run_test", []byte(input))
		for range 3 {
			res, err := p.Call(ctx, Call{Export: "run_test", Input: []byte(input)})
			if string(res.Output) != string(want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%q: %q, %v; the reference has %q, %v", input, res.Output, err, want, wantErr)
			}
		}
	}
	if s := p.Stats(); s.Live > 1 {
		t.Errorf("%d instances are left", s.Live)
	}
}

// linked is a module that exports run, which does what build says with function f of the module lib.
func linked(build func(f int) [][]byte) []byte {
	m := Build()
	f := m.Import("lib", "f", i64, i64)
	m.Memory(1, -1)
	m.Export("run", m.Func(none, none, 1, build(f)...))
	return m.Bytes()
}

func library(build func(m *Module) [][]byte) []byte {
	m := Build()
	m.Memory(1, -1)
	m.Export("f", m.Func(i64, i64, 1, build(m)...))
	return m.Bytes()
}

func TestLink_LimitsHoldAcrossModules(t *testing.T) {
	h := newHost(t, Options{})
	once := func(f int) [][]byte { return [][]byte{Const64(1), Invoke(f), Drop()} }
	again := func(f int) [][]byte { return [][]byte{Loop(Const64(1), Invoke(f), Drop())} }
	for name, c := range map[string]struct {
		main, lib []byte
		limits    Limits
		code      Code
	}{
		"a loop in the library":   {linked(once), library(func(*Module) [][]byte { return [][]byte{Loop(), Op(0x00)} }), Limits{}, CodeDeadline},
		"a loop of calls":         {linked(again), library(func(*Module) [][]byte { return [][]byte{Get(0)} }), Limits{}, CodeDeadline},
		"fuel in the library":     {linked(once), library(func(*Module) [][]byte { return [][]byte{Loop(), Op(0x00)} }), Limits{Fuel: 100_000}, CodeFuelExhausted},
		"fuel in a loop of calls": {linked(again), library(func(*Module) [][]byte { return [][]byte{Get(0)} }), Limits{Fuel: 10_000}, CodeFuelExhausted},
		"calls":                   {linked(again), library(func(*Module) [][]byte { return [][]byte{Get(0)} }), Limits{HostCalls: 1000}, CodeHostCallLimit},
		"a trap in the library":   {linked(once), library(func(*Module) [][]byte { return [][]byte{Op(0x00)} }), Limits{}, CodeTrap},
		"memory of both": {linked(func(f int) [][]byte {
			return [][]byte{Const32(200), Op(0x40, 0), Drop(), Const64(1), Invoke(f), Drop()}
		}), library(func(*Module) [][]byte {
			return [][]byte{Const32(200), Op(0x40, 0), Const32(0), Op(0x48), Op(0x04, 0x40), Op(0x00), Op(0x0b), Get(0)}
		}), Limits{MemoryBytes: 16 << 20}, CodeMemoryLimit},
		"a library that calls itself": {linked(once), func() []byte {
			m := Build()
			f := m.Import("lib", "f", i64, i64)
			m.Memory(1, 1)
			m.Export("f", m.Func(i64, i64, 0, Get(0), Invoke(f)))
			return m.Bytes()
		}(), Limits{}, CodeStackOverflow},
	} {
		c.limits.Timeout = 50 * time.Millisecond
		if c.code != CodeDeadline {
			c.limits.Timeout = 4 * time.Second // another limit ends it, however slow the machine
		}
		p := load(t, h, c.main, PluginOptions{Name: "test", Limits: c.limits, Linked: []LinkedModule{{"lib", c.lib}}})
		for range 3 {
			start := time.Now()
			if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != c.code {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		}
	}
}

// TestLink_EachCallIsTheFirst: what a library keeps in its memory is gone with the call.
func TestLink_EachCallIsTheFirst(t *testing.T) {
	m := Build()
	f := m.Import("lib", "f", i64, i64)
	alloc := m.Import(extism.Module, "alloc", i64, i64)
	store := m.Import(extism.Module, "store_u64", []byte{0x7e, 0x7e}, none)
	set := m.Import(extism.Module, "output_set", []byte{0x7e, 0x7e}, none)
	m.Memory(1, 1)
	m.Export("run", m.Func(none, none, 1, Const64(8), Invoke(alloc), Op(0x22, 0), Const64(0), Invoke(f), Invoke(store), Get(0), Const64(8), Invoke(set)))
	count := library(func(*Module) [][]byte { // adds one to what lies at 0, and returns it
		return [][]byte{Const32(0), Const32(0), Op(0x29, 3, 0), Const64(1), Op(0x7c), Op(0x37, 3, 0), Const32(0), Op(0x29, 3, 0)}
	})
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Linked: []LinkedModule{{"lib", count}}})
	for range 5 {
		res, err := p.Call(context.Background(), Call{Export: "run"})
		if err != nil || string(res.Output) != "\x01\x00\x00\x00\x00\x00\x00\x00" {
			t.Errorf("%q, %v", res.Output, err)
		}
	}
}

func TestLink_RefusesWhatDoesNotFit(t *testing.T) {
	h := newHost(t, Options{})
	good := library(func(*Module) [][]byte { return [][]byte{Get(0)} })
	main := linked(func(f int) [][]byte { return [][]byte{Const64(1), Invoke(f), Drop()} })
	other := Build()
	other.Export("f", other.Func(none, none, 0))
	strange := Build()
	strange.Import("env", "g", none, none)
	for name, c := range map[string]struct {
		linked []LinkedModule
		code   Code
		text   string
	}{
		"none":            {nil, CodeUnknownImport, `"lib"`},
		"no such export":  {[]LinkedModule{{"lib", noop()}}, CodeUnknownImport, "does not export"},
		"other signature": {[]LinkedModule{{"lib", other.Bytes()}}, CodeUnknownImport, "(i64) -> (i64)"},
		"twice":           {[]LinkedModule{{"lib", good}, {"lib", good}}, CodeBadModule, "taken"},
		"the host's name": {[]LinkedModule{{"lib", good}, {extism.Module, good}}, CodeBadModule, "the host's own"},
		"no module":       {[]LinkedModule{{"lib", []byte("x")}}, CodeBadModule, "linked module lib"},
		"unknown import":  {[]LinkedModule{{"lib", strange.Bytes()}}, CodeUnknownImport, "linked module lib"},
	} {
		_, err := h.Load(context.Background(), main, PluginOptions{Name: "x", Linked: c.linked})
		if codeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %s with %q", name, err, c.code, c.text)
		}
	}
}
