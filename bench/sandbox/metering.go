package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

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
	fmt.Printf("\nWhat metering costs: the module as built, and metered, both on raw wazero; 32 KiB of text; the mean of %d places in memory\n", placements)
	var all []float64
	worst, worstGo, worstName := 0.0, 0.0, ""
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
		pairs, err := b.placed(ctx, module)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		for _, w := range []string{"scan", "chunk", "regex", "parse"} {
			if pairs[0].plain.mod.ExportedFunction(w) == nil {
				continue
			}
			over, where, err := b.overhead(ctx, pairs, w)
			if err != nil {
				return fmt.Errorf("%s.%s: %w", l.name, w, err)
			}
			fmt.Printf("  %-22s %+7.1f%%   %+6.1f\n", l.name+" "+w, over, where)
			all = append(all, over)
			if l.name == "Go" {
				worstGo = max(worstGo, over)
			}
			if over > worst {
				worst, worstName = over, l.name+" "+w
			}
		}
		for _, p := range pairs {
			p.plain.rt.Close(ctx)
			p.metered.rt.Close(ctx)
		}
	}
	fmt.Printf("  median %.1f%% (under 12%%: %s), standard Go at most %.1f%% (under 25%%: %s), worst %.1f%% (%s)\n", median(all), b.verdict(median(all) < 12),
		worstGo, b.verdict(worstGo < 25), worst, worstName)
	return nil
}

// pair is a module as it was built and metered.
type pair struct{ plain, metered *work }

func (b *bench) placed(ctx context.Context, module []byte) (pairs []pair, err error) {
	for n := range placements {
		moved, err := move(module, n)
		if err != nil {
			return nil, err
		}
		metered, err := meter.Rewrite(moved)
		if err != nil {
			return nil, err
		}
		var p pair
		if p.plain, err = newWork(ctx, moved, nil); err != nil {
			return nil, err
		}
		if p.metered, err = newWork(ctx, metered.Module, metered.Data); err != nil {
			return nil, fmt.Errorf("metered: %w", err)
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// overhead returns the mean, in percent, of what metering costs at each place, which is the median over rounds in which
// both run right after each other: the machine may be slower in some than in others.
func (b *bench) overhead(ctx context.Context, pairs []pair, export string) (mean float64, where []float64, err error) {
	for _, p := range pairs {
		plain, metered := p.plain.call(ctx, export), p.metered.call(ctx, export)
		var ratios []float64
		iters := 1
		for round := 0; round <= 12*b.scale; round++ {
			start := time.Now()
			for range iters {
				if err := plain(); err != nil {
					return 0, nil, err
				}
			}
			between := time.Now()
			for range iters {
				if err := metered(); err != nil {
					return 0, nil, err
				}
			}
			if first := between.Sub(start); round == 0 { // warms up, and finds how many calls take a millisecond
				iters = int(max(1, time.Millisecond/max(first, 1)))
			} else {
				ratios = append(ratios, float64(time.Since(between))/float64(first))
			}
		}
		if p.plain.result != p.metered.result {
			return 0, nil, fmt.Errorf("%d, metered %d", p.plain.result, p.metered.result)
		}
		where = append(where, 100*(median(ratios)-1))
		mean += 100 * (median(ratios) - 1) / placements
	}
	return mean, where, nil
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
