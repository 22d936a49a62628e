package cli

import (
	"context"
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// shedStartup gives back what starting needed and serving does not, now and once the plugins have come to rest. Native
// code is freed by finalizers, which run after a first collection; what they held goes with the second.
func shedStartup() {
	debug.FreeOSMemory()
	time.Sleep(1500 * time.Millisecond)
	goruntime.GC()
	debug.FreeOSMemory()
}

// When a time of work is over, and what it must have allocated for its rests to be worth a collection.
const (
	quietTime  = 5 * time.Second
	quietBytes = 1 << 20  // allocated in quietTime, at most
	worthBytes = 16 << 20 // allocated since the last time
)

// shedWork gives back what a time of work left, once it is over, until ctx ends. Go by itself collects after two minutes
// and returns memory slowly; a device has others to serve.
func shedWork(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	allocated := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	shed := allocated()
	last := shed
	tick := time.NewTicker(quietTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-last <= quietBytes && now-shed >= worthBytes {
			debug.FreeOSMemory()
			shed = now
		}
		last = now
	}
}
