package kernel

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Pool runs regions of small equal pieces of work on a fixed number of threads, the caller among them.
//
// A region is a number of chunks. Each thread walks a contiguous range of its own and then takes from the others'; the
// region ends when all chunks are done, not when all threads have arrived, so that a thread that another process keeps
// from running delays nothing. Between regions the threads spin, then yield, and park when there is no work for a
// while: an idle pool takes no processor time.
//
// The methods are safe for concurrent use; regions run one after the other.
type Pool struct {
	threads int
	run     sync.Mutex
	region  atomic.Pointer[region]
	seq     atomic.Uint64
	workers []*worker
	closed  atomic.Bool
	done    sync.WaitGroup
}

type worker struct {
	parked atomic.Bool
	wake   chan struct{}
}

// region is one call of Run.
type region struct {
	f     func(int)
	next  []cursor
	left  atomic.Int64
	panic atomic.Pointer[any]
}

// cursor is a thread's range, on a cache line of its own.
type cursor struct {
	at  atomic.Int64
	end int64
	_   [48]byte
}

// How long a worker waits in each way.
const (
	spinTime  = 40 * time.Microsecond
	yieldTime = 2 * time.Millisecond
	spinBatch = 64
)

// NewPool starts threads-1 workers; 0 means one thread a processor.
func NewPool(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{threads: threads}
	for i := 1; i < threads; i++ {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		p.done.Go(func() { p.work(w, i) })
	}
	return p
}

// Threads is the number of threads, the caller's included.
func (p *Pool) Threads() int { return p.threads }

// Close ends the workers. No Run may be in work or follow.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.signal()
	p.done.Wait()
}

func (p *Pool) signal() {
	p.seq.Add(1)
	for _, w := range p.workers {
		if w.parked.Swap(false) {
			w.wake <- struct{}{}
		}
	}
}

// Run calls f once for each chunk from 0 to chunks-1, on several threads at once, and returns when all have returned. A
// panic in f is passed on to the caller after that.
func (p *Pool) Run(chunks int, f func(chunk int)) {
	if chunks <= 0 {
		return
	}
	if len(p.workers) == 0 || chunks == 1 {
		for i := range chunks {
			f(i)
		}
		return
	}
	p.run.Lock()
	defer p.run.Unlock()
	r := &region{f: f, next: make([]cursor, p.threads)}
	for i := range r.next {
		r.next[i].at.Store(int64(chunks * i / p.threads))
		r.next[i].end = int64(chunks * (i + 1) / p.threads)
	}
	r.left.Store(int64(chunks))
	p.region.Store(r)
	p.signal()
	r.walk(0)
	w := waiter{}
	for r.left.Load() > 0 {
		w.wait()
	}
	p.region.Store(nil)
	if fault := r.panic.Load(); fault != nil {
		panic(fmt.Sprintf("in a worker: %v", *fault))
	}
}

// walk takes chunks from the thread's own range first, then from the others'.
func (r *region) walk(thread int) {
	for i := range r.next {
		c := &r.next[(thread+i)%len(r.next)]
		for {
			n := c.at.Add(1) - 1
			if n >= c.end {
				break
			}
			r.do(int(n))
		}
	}
}

func (r *region) do(chunk int) {
	defer func() {
		if fault := recover(); fault != nil {
			r.panic.CompareAndSwap(nil, &fault)
		}
		r.left.Add(-1)
	}()
	r.f(chunk)
}

func (p *Pool) work(self *worker, thread int) {
	for !p.closed.Load() {
		seen := p.seq.Load() // before the region: it is never older than its number
		if r := p.region.Load(); r != nil {
			r.walk(thread)
		}
		w := waiter{}
		for p.seq.Load() == seen && !p.closed.Load() {
			if w.wait() < yieldTime {
				continue
			}
			self.parked.Store(true)
			if p.seq.Load() != seen && self.parked.Swap(false) {
				break // work came in between, and nobody has seen us parked
			}
			<-self.wake
			break
		}
	}
}

// waiter waits first by spinning, then by giving the processor away.
type waiter struct {
	begin time.Time
	spun  int
}

// wait pauses a little and returns how long this waiter has waited.
func (w *waiter) wait() time.Duration {
	if w.spun == 0 {
		w.begin = time.Now()
	}
	w.spun++
	waited := time.Duration(0)
	if w.spun%8 == 0 {
		waited = time.Since(w.begin)
	}
	if waited < spinTime && w.spun < 4096 {
		pause(spinBatch)
		return 0
	}
	yield()
	return time.Since(w.begin)
}
