package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	sdk "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/ledge-run/ledge/runtime/wasm"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

var i32, i64, i64s = []byte{0x7f}, []byte{0x7e}, []byte{0x7e, 0x7e}

func noop() []byte {
	m := Build()
	m.Memory(1, 1)
	m.Export("run", m.Func(nil, i32, 0, Const32(0)))
	return m.Bytes()
}

// echo answers with its input, read by the ABI's 8 bytes a call into a new block.
func echo() []byte {
	m := Build()
	length := m.Import(extism.Module, "input_length", nil, i64)
	load := m.Import(extism.Module, "input_load_u64", i64, i64)
	alloc := m.Import(extism.Module, "alloc", i64, i64)
	store := m.Import(extism.Module, "store_u64", i64s, nil)
	set := m.Import(extism.Module, "output_set", i64s, nil)
	m.Memory(1, 1)
	m.Export("run", m.Func(nil, i32, 3, // 0: n, 1: block, 2: i
		Invoke(length), Op(0x22, 0), Invoke(alloc), Set(1),
		Op(0x03, 0x40), Get(1), Get(2), Op(0x7c), Get(2), Invoke(load), Invoke(store),
		Get(2), Const64(8), Op(0x7c), Op(0x22, 2), Get(0), Op(0x54, 0x0d, 0, 0x0b),
		Get(1), Get(0), Invoke(set), Const32(0)))
	return m.Bytes()
}

// countVowels is a plug-in of the reference host, with the language's own library.
func countVowels() ([]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/extism/go-sdk").Output()
	if err != nil {
		return nil, fmt.Errorf("where is extism/go-sdk: %w", err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "wasm", "count_vowels.wasm"))
}

func (b *bench) calls(ctx context.Context) error {
	vowels, err := countVowels()
	if err != nil {
		return err
	}
	fmt.Printf("\nA call, all limits on: fuel, time, memory, stack, output, logs, host calls; fresh state each time; durations not asked for\n")
	fmt.Printf("  %-14s %12s %12s %14s %14s %8s %10s %10s\n", "", "ledge", "raw wazero", "go-sdk", "go-sdk+timeout", "allocs", "vs raw", "vs go-sdk")
	for _, c := range []struct {
		name   string
		module []byte
		export string
		input  string
		times  float64 // faster than go-sdk with timeout
		raw    float64 // slower than raw at most; 0: not asked
	}{
		{"no-op", noop(), "run", "", 100, 3},
		{"echo 64 B", echo(), "run", strings.Repeat("0123456789abcdef", 4), 15, 0},
		{"count_vowels", vowels, "count_vowels", strings.Repeat("Hello, World! ", 5)[:64], 20, 0},
	} {
		ours, closeOurs, err := ledge(ctx, c.module, c.export, c.input)
		if err != nil {
			return err
		}
		raw, closeRaw, err := rawWazero(ctx, c.module, c.export, c.input)
		if err != nil {
			return err
		}
		plain, closePlain, err := goSDK(ctx, c.module, c.export, c.input, 0)
		if err != nil {
			return err
		}
		timed, closeTimed, err := goSDK(ctx, c.module, c.export, c.input, 1000)
		if err != nil {
			return err
		}
		cs := []*contender{{name: "ledge", f: ours, iters: 500 * b.scale}, {name: "raw", f: raw, iters: 500 * b.scale},
			{name: "go-sdk", f: plain, iters: 20 * b.scale}, {name: "go-sdk+timeout", f: timed, iters: 20 * b.scale}}
		if c.name == "count_vowels" {
			cs[0].iters, cs[1].iters = 50*b.scale, 50*b.scale
		}
		if err := compare(60, cs...); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		vsRaw, faster := float64(cs[0].best)/float64(cs[1].best), float64(cs[3].best)/float64(cs[0].best)
		fmt.Printf("  %-14s %12v %12v %14v %14v %8.1f %9.1fx %9.0fx  %s\n", c.name, cs[0].best, cs[1].best, cs[2].best, cs[3].best,
			cs[0].alloc, vsRaw, faster, b.verdict(faster >= c.times && (c.raw == 0 || vsRaw <= c.raw) && cs[0].alloc < 2.5))
		fmt.Printf("  %-14s %9.0f B %10.0f B %12.0f B %12.0f B\n", "  allocated", cs[0].bytes, cs[1].bytes, cs[2].bytes, cs[3].bytes)
		for _, f := range []func(){closeOurs, closeRaw, closePlain, closeTimed} {
			f()
		}
	}
	return nil
}

func ledge(ctx context.Context, module []byte, export, input string) (func() error, func(), error) {
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, nil, err
	}
	p, err := h.Load(ctx, module, wasm.PluginOptions{Name: "bench", Preload: true, Limits: wasm.Limits{Timeout: time.Second}})
	if err != nil {
		return nil, nil, err
	}
	call := wasm.Call{Export: export, Input: []byte(input), Untimed: true}
	return func() error {
		_, err := p.Call(ctx, call)
		return err
	}, func() { h.Close(ctx) }, nil
}

// rawWazero is the engine with the ABI in Go and nothing else: no limit, and every call finds what the last one left.
func rawWazero(ctx context.Context, module []byte, export, input string) (func() error, func(), error) {
	rt := wazero.NewRuntime(ctx)
	k := &extism.Kernel{}
	host := rt.NewHostModuleBuilder(extism.Module)
	for _, f := range extism.Functions() {
		host.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, s []uint64) {
			if err := f.Call(k, s); err != nil {
				panic(err)
			}
		}), f.Params, f.Results).Export(f.Name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return nil, nil, err
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return nil, nil, err
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return nil, nil, err
	}
	f, in := mod.ExportedFunction(export), []byte(input)
	var stack [1]uint64
	return func() error {
		k.Begin(in)
		err := f.CallWithStack(ctx, stack[:])
		k.End()
		return err
	}, func() { rt.Close(ctx) }, nil
}

func goSDK(ctx context.Context, module []byte, export, input string, timeoutMS uint64) (func() error, func(), error) {
	p, err := sdk.NewPlugin(ctx, sdk.Manifest{Wasm: []sdk.Wasm{sdk.WasmData{Data: module}}, Timeout: timeoutMS}, sdk.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		return nil, nil, err
	}
	in := []byte(input)
	return func() error {
		status, _, err := p.Call(export, in)
		if err == nil && status != 0 {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}, func() { p.Close(ctx) }, nil
}
