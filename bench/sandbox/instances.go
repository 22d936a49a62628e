package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// instances measures what another instance of a standard-Go plugin costs once the first has left its snapshot.
func (b *bench) instances(ctx context.Context) error {
	const n = 64
	module, _, err := plugins.Builtin("pii-guard")
	if err != nil {
		return err
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer h.Close(ctx)
	p, err := h.Load(ctx, module, wasm.PluginOptions{Name: "bench", Preload: true, Limits: wasm.Limits{Timeout: time.Second, Instances: n + 1, MemoryBytes: 64 << 20}})
	if err != nil {
		return err
	}
	best := time.Hour
	var private float64
	for i := range 5 {
		debug.FreeOSMemory()
		before := privateBytes()
		start := time.Now()
		if err := p.Warm(ctx, n+1); err != nil {
			return err
		}
		best = min(best, time.Since(start)/n)
		if i == 0 {
			private = float64(privateBytes()-before) / n
		}
		if i < 4 {
			p.Rest()
			if err := p.Warm(ctx, 1); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nA cold instance of a standard-Go plugin (pii-guard, %d KB of module) from its snapshot\n", len(module)>>10)
	fmt.Printf("  %v each (under 200us: %s), %.0f KB private before its first call\n", best, b.verdict(best < 200*time.Microsecond), private/1024)
	return nil
}

// privateBytes is the memory that this process shares with nobody, or 0 where the system does not say.
func privateBytes() int64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	sum := int64(0)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[0], "Private_") {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			sum += kb << 10
		}
	}
	return sum
}
