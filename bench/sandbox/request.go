package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ledge-run/ledge/plugins"
	cachepolicy "github.com/ledge-run/ledge/plugins/cache-policy"
	injectionguard "github.com/ledge-run/ledge/plugins/injection-guard"
	piiguard "github.com/ledge-run/ledge/plugins/pii-guard"
	"github.com/ledge-run/ledge/plugins/router"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// step is one plugin of a request: the export with its input, and the same logic in native Go with its JSON.
type step struct {
	plugin, export string
	input          []byte
	native         func(in []byte) ([]byte, error)
}

// request compares five plugins for each request with the same logic compiled into the program.
func (b *bench) request(ctx context.Context) error {
	steps, err := fiveSteps()
	if err != nil {
		return err
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer h.Close(ctx)
	loaded := map[string]*wasm.Plugin{}
	for _, s := range steps {
		if loaded[s.plugin] != nil {
			continue
		}
		module, _, err := plugins.Builtin(s.plugin)
		if err != nil {
			return err
		}
		if loaded[s.plugin], err = h.Load(ctx, module, wasm.PluginOptions{Name: s.plugin, Preload: true, Limits: wasm.Limits{Timeout: 10 * time.Second, MemoryBytes: 64 << 20}}); err != nil {
			return err
		}
	}
	sandboxed := func() error {
		for _, s := range steps {
			if _, err := loaded[s.plugin].Call(ctx, wasm.Call{Export: s.export, Input: s.input}); err != nil {
				return err
			}
		}
		return nil
	}
	native := func() error {
		for _, s := range steps {
			if _, err := s.native(s.input); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range steps { // the same work, or the comparison means nothing
		want, err := s.native(s.input)
		if err != nil {
			return err
		}
		if res, err := loaded[s.plugin].Call(ctx, wasm.Call{Export: s.export, Input: s.input}); err != nil || string(res.Output) != string(want) {
			return fmt.Errorf("%s: %q, natively %q, %v", s.plugin, res.Output, want, err)
		}
	}
	fmt.Printf("\nFive plugins per request (router, pii, injection, cache, pii on the answer; 640 B of text), against the same logic in native Go\n")
	fmt.Printf("  %-12s %14s %14s %12s %12s %8s\n", "concurrency", "sandboxed p50", "native p50", "req/s", "native", "ratio")
	for _, c := range []int{1, 16, 256} {
		ours, ourRate, err := load(c, 300*b.scale, sandboxed)
		if err != nil {
			return err
		}
		theirs, theirRate, err := load(c, 1000*b.scale, native)
		if err != nil {
			return err
		}
		fmt.Printf("  %-12d %14v %14v %12.0f %12.0f %7.1fx\n", c, ours, theirs, ourRate, theirRate, theirRate/ourRate)
	}
	return nil
}

func fiveSteps() ([]step, error) {
	none := func(string) (string, bool) { return "", false }
	r, err := router.New(none)
	if err != nil {
		return nil, err
	}
	pii, err := piiguard.New(none)
	if err != nil {
		return nil, err
	}
	injection, err := injectionguard.New(none)
	if err != nil {
		return nil, err
	}
	policy, err := cachepolicy.New(none)
	if err != nil {
		return nil, err
	}
	text := strings.Repeat("The station lifts storm water from the lower basin to the river. ", 10)[:640]
	messages := []hook.Message{{Role: "user", Content: text}}
	guard := func(judge func(*hook.GuardRequest) hook.Verdict) func([]byte) ([]byte, error) {
		return func(in []byte) ([]byte, error) {
			var q hook.GuardRequest
			if err := q.ParseJSON(in); err != nil {
				return nil, err
			}
			v := judge(&q)
			return v.AppendJSON(nil), nil
		}
	}
	input := (&hook.GuardRequest{Stage: hook.StageInput, Role: "user", Text: text, Final: true}).AppendJSON(nil)
	output := (&hook.GuardRequest{Stage: hook.StageOutput, Role: "assistant", Text: text, Final: true}).AppendJSON(nil)
	return []step{
		{"router", hook.ExportRoute, (&hook.RouteRequest{Route: "default", Messages: messages, Models: []hook.Model{{ID: "m"}}}).AppendJSON(nil), func(in []byte) ([]byte, error) {
			var q hook.RouteRequest
			if err := q.ParseJSON(in); err != nil {
				return nil, err
			}
			d := r.Route(&q)
			return d.AppendJSON(nil), nil
		}},
		{"pii-guard", hook.ExportGuard, input, guard(pii.Judge)},
		{"injection-guard", hook.ExportGuard, input, guard(injection.Judge)},
		{"cache-policy", hook.ExportCache, (&hook.CacheRequest{Route: "default", Model: "m", ModelDigest: "d", Messages: messages, Choices: 1}).AppendJSON(nil), func(in []byte) ([]byte, error) {
			var q hook.CacheRequest
			if err := q.ParseJSON(in); err != nil {
				return nil, err
			}
			p := policy.Plan(&q)
			return p.AppendJSON(nil), nil
		}},
		{"pii-guard", hook.ExportGuard, output, guard(pii.Judge)},
	}, nil
}

// load makes n requests from c clients and returns the median time and the rate.
func load(c, n int, f func() error) (time.Duration, float64, error) {
	var mu sync.Mutex
	var times []time.Duration
	var failure error
	var wg sync.WaitGroup
	start := time.Now()
	for range c {
		wg.Go(func() {
			mine := make([]time.Duration, 0, n/c+1)
			for range max(1, n/c) {
				began := time.Now()
				if err := f(); err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(start)
	if failure != nil {
		return 0, 0, failure
	}
	slices.Sort(times)
	return times[len(times)/2], float64(len(times)) / took.Seconds(), nil
}
