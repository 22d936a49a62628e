package runtime

import (
	"container/heap"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
)

// admission lets a bounded number of requests work and a bounded number wait. Those of higher priority go first, and
// when too many wait those of the lowest are turned away, so that the rest is answered in time.
type admission struct {
	patience time.Duration // the longest wait; 0: as long as the client likes

	mu      sync.Mutex
	free    int
	queue   int
	arrived uint64
	waiting waiters
}

func newAdmission(places, queue int, patience time.Duration) *admission {
	return &admission{free: places, queue: queue, patience: patience}
}

// waiter is a request that waits for a place.
type waiter struct {
	priority int
	arrival  uint64
	place    int           // in the heap; -1: it has left
	turn     chan struct{} // closed with a place, or with turned away
	away     bool
}

// waiters is a heap whose first is who goes next.
type waiters []*waiter

func (w waiters) Len() int { return len(w) }
func (w waiters) Less(i, j int) bool {
	if w[i].priority != w[j].priority {
		return w[i].priority > w[j].priority
	}
	return w[i].arrival < w[j].arrival
}
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}
func (w *waiters) Push(x any) {
	x.(*waiter).place = len(*w)
	*w = append(*w, x.(*waiter))
}
func (w *waiters) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*w, last.place = old[:len(old)-1], -1
	return last
}

// enter takes a place, waiting for one while ctx lives. The function returned gives it back.
func (a *admission) enter(ctx context.Context, priority int) (func(), error) {
	a.mu.Lock()
	if a.free > 0 {
		a.free--
		a.mu.Unlock()
		return a.leave, nil
	}
	w := &waiter{priority: priority, arrival: a.arrived, turn: make(chan struct{})}
	a.arrived++
	if len(a.waiting) >= a.queue {
		last := a.last()
		if last == nil || last.priority >= priority {
			a.mu.Unlock()
			return nil, Overloaded()
		}
		heap.Remove(&a.waiting, last.place)
		last.away = true
		close(last.turn)
	}
	heap.Push(&a.waiting, w)
	a.mu.Unlock()

	var tired <-chan time.Time
	if a.patience > 0 {
		timer := time.NewTimer(a.patience)
		defer timer.Stop()
		tired = timer.C
	}
	var err error
	select {
	case <-w.turn:
		if w.away {
			return nil, Overloaded()
		}
		return a.leave, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-tired:
		err = Overloaded()
	}
	a.mu.Lock()
	if w.place >= 0 {
		heap.Remove(&a.waiting, w.place)
		a.mu.Unlock()
		return nil, err
	}
	a.mu.Unlock()
	if !w.away { // the place came at the same moment
		a.leave()
	}
	return nil, err
}

// last is who would go last; the caller holds mu.
func (a *admission) last() (last *waiter) {
	for _, w := range a.waiting {
		if last == nil || w.priority < last.priority || w.priority == last.priority && w.arrival > last.arrival {
			last = w
		}
	}
	return last
}

// leave gives a place to who goes next.
func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.free++
		return
	}
	close(heap.Pop(&a.waiting).(*waiter).turn)
}

// Overloaded is the error of a request that is turned away.
func Overloaded() error {
	return &openai.Error{Status: http.StatusTooManyRequests, Type: openai.TypeRateLimit, Code: "overloaded", RetryAfter: 1,
		Message: "too many requests are in work and waiting; try again in a moment"}
}
