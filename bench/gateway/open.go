package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// openLoop is what came of requests that were sent at a rate, whether or not earlier ones were answered.
type openLoop struct {
	Rate    float64 `json:"rate"` // a second
	Sent    int     `json:"sent"`
	Lost    int     `json:"lost"` // without their whole answer
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	FirstP9 float64 `json:"first_text_p99_ms"`
	CPU     float64 `json:"cpu_cores"` // that the server's processes used
	Why     string  `json:"first_loss,omitempty"`
}

// maxInFlight bounds the requests that wait for an answer: a server that fell so far behind has lost the rest.
const maxInFlight = 4096

// flood sends streamed requests at a fixed rate for a time. Each one's time counts from when it was due, so that a client
// or a server that was held up hides nothing.
func flood(ctx context.Context, c *client, pid int, rate float64, length time.Duration, size int) (*openLoop, error) {
	n := int(rate * length.Seconds())
	requests := make([][]byte, min(n, 2048)) // made before, and sent several times
	for i := range requests {
		requests[i] = c.request(prompt(i, size), true)
	}
	all, first := make([]time.Duration, n), make([]time.Duration, n)
	var wait sync.WaitGroup
	var inFlight, lost atomic.Int64
	var why atomic.Pointer[string]
	cpu := cpuTime(pid)
	begin := time.Now().Add(20 * time.Millisecond)
	lose := func(err error) {
		text := err.Error()
		why.CompareAndSwap(nil, &text)
		lost.Add(1)
	}
	for i := range n {
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			sleepUntil(due)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if inFlight.Load() >= maxInFlight {
			lose(fmt.Errorf("%d requests wait for their answers", maxInFlight))
			continue
		}
		inFlight.Add(1)
		wait.Go(func() {
			defer inFlight.Add(-1)
			t, err := c.ask(due, requests[i%len(requests)], true)
			if err != nil {
				lose(err)
				return
			}
			all[i], first[i] = t.whole, t.first
		})
	}
	wait.Wait()
	out := &openLoop{Rate: rate, Sent: n, Lost: int(lost.Load()), CPU: (cpuTime(pid) - cpu).Seconds() / time.Since(begin).Seconds()}
	if w := why.Load(); w != nil {
		out.Why = *w
	}
	answered := func(list []time.Duration) []time.Duration {
		list = slices.DeleteFunc(list, func(d time.Duration) bool { return d == 0 })
		slices.Sort(list)
		return list
	}
	if all = answered(all); len(all) > 0 {
		out.P50, out.P99, out.P999 = ms(all[len(all)/2]), ms(all[len(all)*99/100]), ms(all[len(all)*999/1000])
		first = answered(first)
		out.FirstP9 = ms(first[len(first)*99/100])
	}
	return out, nil
}

// sleepUntil is more exact than [time.Sleep], which wakes up to a millisecond late.
func sleepUntil(due time.Time) {
	if d := time.Until(due) - 200*time.Microsecond; d > 0 {
		time.Sleep(d)
	}
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}
