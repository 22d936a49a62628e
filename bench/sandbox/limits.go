package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// limits measures by how much guests that do not want to stop overshoot a deadline of 100 ms, and how long a garbage
// collection takes beside one.
func (b *bench) limits(ctx context.Context) error {
	const deadline = 100 * time.Millisecond
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer h.Close(ctx)
	spin := Build()
	spin.Export("run", spin.Func(nil, nil, 0, Loop()))
	chain := Build() // 60 functions, each of which calls the next one twice: no loop, and no end
	next := chain.Func(nil, nil, 0)
	for range 60 {
		next = chain.Func(nil, nil, 0, Invoke(next), Invoke(next))
	}
	chain.Export("run", next)
	fill := Build()
	fill.Memory(300, 300)
	fill.Export("run", fill.Func(nil, nil, 0, Loop(Const32(0), Const32(1), Const32(300<<16), Op(0xfc, 0x0b, 0))))
	calls := Build()
	alloc, free := calls.Import(extism.Module, "alloc", i64, i64), calls.Import(extism.Module, "free", i64, nil)
	calls.Export("run", calls.Func(nil, nil, 0, Loop(Const64(1<<20), Invoke(alloc), Invoke(free))))
	blocks := Build()
	block := blocks.Import(extism.UserModule, "block", nil, nil)
	blocks.Export("run", blocks.Func(nil, nil, 0, Invoke(block)))
	functions := []wasm.HostFunction{{Name: "block", Func: func(context.Context, *wasm.HostCall, []uint64) error {
		time.Sleep(300 * time.Millisecond)
		return nil
	}}}
	fmt.Printf("\nA deadline of %v, by how much it is overshot\n", deadline)
	var all []time.Duration
	for _, c := range []struct {
		name   string
		module []byte
	}{{"loop", spin.Bytes()}, {"exponential calls", chain.Bytes()}, {"filling 19 MB", fill.Bytes()}, {"1 MB blocks", calls.Bytes()}, {"blocked host function", blocks.Bytes()}} {
		p, err := h.Load(ctx, c.module, wasm.PluginOptions{Name: c.name, Functions: functions, Preload: true, Limits: wasm.Limits{Timeout: deadline}})
		if err != nil {
			return err
		}
		var over []time.Duration
		for range 3 * b.scale {
			res, err := p.Call(ctx, wasm.Call{Export: "run"})
			var failed *wasm.Error
			if !errors.As(err, &failed) || failed.Code != wasm.CodeDeadline {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			over = append(over, res.Duration-deadline)
		}
		all = append(all, over...)
		slices.Sort(over)
		fmt.Printf("  %-22s median %-12v worst %v\n", c.name, over[len(over)/2], over[len(over)-1])
	}
	slices.Sort(all)
	median, worst := all[len(all)/2], all[len(all)-1]
	fmt.Printf("  all: median %v (under 2ms: %s), worst %v (under 5ms: %s)\n", median, b.verdict(median < 2*time.Millisecond), worst, b.verdict(worst < 5*time.Millisecond))
	p, err := h.Load(ctx, spin.Bytes(), wasm.PluginOptions{Name: "spin", Preload: true, Limits: wasm.Limits{Timeout: 3 * time.Second}})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	for range runtime.GOMAXPROCS(0) { // one for each processor
		go func() {
			_, _ = p.Call(ctx, wasm.Call{Export: "run"})
			done <- struct{}{}
		}()
	}
	time.Sleep(20 * time.Millisecond)
	var longest time.Duration
	for range 20 * b.scale {
		start := time.Now()
		runtime.GC()
		if longest = max(longest, time.Since(start)); time.Since(start) > time.Second {
			break
		}
	}
	for range runtime.GOMAXPROCS(0) {
		<-done
	}
	fmt.Printf("  runtime.GC() beside %d guests that spin: worst of %d %v (under 50ms: %s)\n", runtime.GOMAXPROCS(0), 20*b.scale, longest, b.verdict(longest < 50*time.Millisecond))
	return nil
}
