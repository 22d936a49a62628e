package runtime

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

var soak = flag.Int("soak", 0, "calls of the sandbox soak test; 0 leaves it out")

// TestSoak_MemoryStaysFlatOverReloads calls a plugin a million times and reloads it a thousand times meanwhile. No call
// fails, and in the end the process holds what it held after warming up.
func TestSoak_MemoryStaysFlatOverReloads(t *testing.T) {
	calls, reloads := *soak, *soak/1000
	if calls == 0 {
		t.Skip("make soak-sandbox runs it; it takes minutes")
	}
	module, doc, err := plugins.Builtin("router")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "router.wasm")
	versions := [2][]byte{module, append(append([]byte(nil), module...), 0, 2, 1, 'v')} // a custom section makes another digest
	write := func(i int) {
		if err := os.WriteFile(file+".new", versions[i%2], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	if err := os.WriteFile(filepath.Join(dir, "router.yaml"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = filepath.Join(dir, "data")
	cfg.Plugins["router"] = config.Plugin{File: file, Timeout: config.Duration(10 * time.Second)}
	r, err := New(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.WithoutCancel(t.Context()))
	p := r.plugins["router"]
	input := (&hook.RouteRequest{Route: "default", Messages: []hook.Message{{Role: "user", Content: "what is 17*23"}}, Models: []hook.Model{{ID: "m"}}}).AppendJSON(nil)

	var failed atomic.Int64
	traffic := func(calls, reloads int) {
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(calls))
		for range 4 {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := p.Call(t.Context(), wasm.Call{Export: hook.ExportRoute, Input: input}); err != nil {
						failed.Add(1)
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range reloads {
			write(i)
			if err := r.Reload(t.Context(), "router"); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
	}
	traffic(calls/10, reloads/10)
	before := settledRSS(t)
	start := time.Now()
	traffic(calls, reloads)
	after := settledRSS(t)
	t.Logf("%d calls and %d reloads in %v; %d failed; RSS %d KB after warming up, %d KB at the end (%+.1f%%)", calls, reloads, time.Since(start).Round(time.Second),
		failed.Load(), before>>10, after>>10, 100*(float64(after)/float64(before)-1))
	if float64(after) > 1.05*float64(before) {
		t.Errorf("RSS went from %d to %d bytes", before, after)
	}
}

// settledRSS is the resident memory once what was freed has gone back to the system.
func settledRSS(t *testing.T) int64 {
	for range 3 { // the engine unmaps code in finalizers
		goruntime.GC()
		time.Sleep(50 * time.Millisecond)
	}
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
