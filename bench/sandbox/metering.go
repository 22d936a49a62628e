package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// language builds the workloads of testdata in one language.
type language struct {
	name, tool string
	build      func(out string) *exec.Cmd
}

const sources = "bench/sandbox/testdata/"

var languages = []language{
	{"Go", "go", func(out string) *exec.Cmd {
		c := exec.Command("go", "build", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, "./"+sources+"go")
		c.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
		return c
	}},
	{"Rust", "rustc", func(out string) *exec.Cmd {
		return exec.Command("rustc", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib", "-C", "opt-level=3", "-C", "panic=abort", "-o", out, sources+"rust/lib.rs")
	}},
	{"C", "clang", func(out string) *exec.Cmd {
		return exec.Command("clang", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", out, sources+"c/work.c")
	}},
	{"AssemblyScript", "asc", func(out string) *exec.Cmd {
		return exec.Command("asc", sources+"assemblyscript/index.ts", "-O3", "--runtime", "incremental", "--use", "abort=", "-o", out)
	}},
}

// metering compares each workload as it was built with the same one metered, both on the engine alone.
func (b *bench) metering(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ledge-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("\nWhat metering costs: the module as built, and metered, both on raw wazero; 32 KiB of text\n")
	var native, standardGo []float64
	worst, worstName := 0.0, ""
	for _, l := range languages {
		if _, err := exec.LookPath(l.tool); err != nil {
			fmt.Printf("  %-22s left out: %s is not installed\n", l.name, l.tool)
			continue
		}
		file := filepath.Join(dir, l.name+".wasm")
		if msg, err := l.build(file).CombinedOutput(); err != nil {
			fmt.Printf("  %-22s left out: %s\n", l.name, strings.SplitN(strings.TrimSpace(string(msg)), "\n", 2)[0])
			continue
		}
		module, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		metered, err := meter.Rewrite(module)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		plain, err := newWork(ctx, module, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		counted, err := newWork(ctx, metered.Module, metered.Data)
		if err != nil {
			return fmt.Errorf("%s, metered: %w", l.name, err)
		}
		for _, w := range []string{"scan", "chunk", "regex", "parse"} {
			if plain.mod.ExportedFunction(w) == nil {
				continue
			}
			iters := 20
			if w == "regex" || w == "parse" {
				iters = 2
			}
			cs := []*contender{{name: "plain", f: plain.call(ctx, w), iters: iters}, {name: "metered", f: counted.call(ctx, w), iters: iters}}
			if err := compare(8*b.scale, cs...); err != nil {
				return fmt.Errorf("%s.%s: %w", l.name, w, err)
			}
			if plain.result != counted.result {
				return fmt.Errorf("%s.%s: %d, metered %d", l.name, w, plain.result, counted.result)
			}
			over := float64(cs[1].best)/float64(cs[0].best) - 1
			fmt.Printf("  %-22s %12v %12v %+7.1f%%\n", l.name+" "+w, cs[0].best, cs[1].best, 100*over)
			if l.name == "Go" {
				standardGo = append(standardGo, over)
			} else {
				native = append(native, over)
			}
			if over > worst {
				worst, worstName = over, l.name+" "+w
			}
		}
		plain.rt.Close(ctx)
		counted.rt.Close(ctx)
	}
	all := append(append([]float64(nil), native...), standardGo...)
	fmt.Printf("  median %.1f%% (under 12%%: %s), standard Go %.1f%% (under 25%%: %s), worst %.1f%% (%s)\n", 100*median(all), b.verdict(median(all) < 0.12),
		100*median(standardGo), b.verdict(median(standardGo) < 0.25), 100*worst, worstName)
	return nil
}

type work struct {
	rt     wazero.Runtime
	mod    api.Module
	n      uint64
	result uint64
}

func newWork(ctx context.Context, module []byte, data []meter.Segment) (*work, error) {
	rt := wazero.NewRuntime(ctx)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return nil, err
	}
	_, err := rt.NewHostModuleBuilder(meter.TickModule).NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, s []uint64) {
		s[0] = 200_000
	}), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).Export(meter.TickName).Instantiate(ctx)
	if err != nil {
		return nil, err
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return nil, err
	}
	for _, s := range data {
		mod.Memory().Write(s.Offset, s.Bytes)
	}
	if init := mod.ExportedFunction("_initialize"); init != nil {
		if _, err := init.Call(ctx); err != nil {
			return nil, err
		}
	}
	at, err := mod.ExportedFunction("buffer").Call(ctx)
	if err != nil {
		return nil, err
	}
	text := strings.Repeat("On 12 May 2024 mary@example.org wrote 4111 1111 1111 1111 to the archive, and nobody answered her.\n", 400)[:32<<10]
	if !mod.Memory().Write(uint32(at[0]), []byte(text)) {
		return nil, fmt.Errorf("the buffer at %d is out of bounds", at[0])
	}
	return &work{rt: rt, mod: mod, n: uint64(len(text))}, nil
}

func (w *work) call(ctx context.Context, export string) func() error {
	f := w.mod.ExportedFunction(export)
	return func() error {
		res, err := f.Call(ctx, w.n)
		if err == nil {
			w.result = res[0]
		}
		return err
	}
}
