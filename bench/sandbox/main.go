// Command sandbox measures the sandbox against what else there is, in one run on one machine: the engine without any
// limit (raw wazero) and the reference Extism host (extism/go-sdk), with and without its timeout.
//
//	go run ./bench/sandbox            # languages other than Go join where rustc, npx asc or clang are installed
//	go run ./bench/sandbox -quick     # a tenth of the rounds
//	go run ./bench/sandbox -only calls,metering
//
// Times are the best of several rounds that take turns, since other processes only ever add.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	quick := flag.Bool("quick", false, "a tenth of the rounds")
	only := flag.String("only", "calls,metering,instances,request,limits", "the parts to run")
	flag.Parse()
	b := &bench{scale: 10, only: strings.Split(*only, ",")}
	if *quick {
		b.scale = 1
	}
	if err := b.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench/sandbox:", err)
		os.Exit(1)
	}
}

type bench struct {
	scale  int
	only   []string
	missed int
}

func (b *bench) run(ctx context.Context) error {
	fmt.Printf("%s %s/%s, %d CPUs\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	parts := map[string]func(context.Context) error{"calls": b.calls, "metering": b.metering, "instances": b.instances, "request": b.request, "limits": b.limits}
	for _, name := range b.only {
		part := parts[name]
		if part == nil {
			return fmt.Errorf("no part %q", name)
		}
		if err := part(ctx); err != nil {
			return err
		}
	}
	if b.missed > 0 {
		fmt.Printf("\n%d figures fall short of what is asked of them\n", b.missed)
	}
	return nil
}

// verdict says how a figure compares with what is asked of it.
func (b *bench) verdict(ok bool) string {
	if ok {
		return "holds"
	}
	b.missed++
	return "SHORT"
}

// contender is one way of doing the same thing.
type contender struct {
	name  string
	f     func() error
	iters int // in a round
	best  time.Duration
	alloc float64 // allocations of one operation
	bytes float64
}

// compare lets the contenders take turns and keeps the best round of each. What they allocate is counted before, so that
// it does not disturb the clock.
func compare(rounds int, cs ...*contender) error {
	for _, c := range cs {
		c.best = time.Hour
		if err := c.repeat(max(300, c.iters/4)); err != nil { // a plugin called that often gets huge pages, which takes a moment
			return err
		}
		time.Sleep(50 * time.Millisecond)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := c.repeat(c.iters); err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		c.alloc = float64(after.Mallocs-before.Mallocs) / float64(c.iters)
		c.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(c.iters)
	}
	for range rounds {
		for _, c := range cs {
			start := time.Now()
			if err := c.repeat(c.iters); err != nil {
				return err
			}
			c.best = min(c.best, time.Since(start)/time.Duration(c.iters))
		}
	}
	return nil
}

func (c *contender) repeat(n int) error {
	for range n {
		if err := c.f(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
