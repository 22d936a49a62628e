package engine

import (
	"container/list"
	"context"
	"sync"
)

// turnstile lets one step run at a time, in the order of arrival. The zero value is ready.
type turnstile struct {
	mu      sync.Mutex
	busy    bool
	waiting list.List // of chan struct{}
}

// enter waits for the turn, or for ctx.
func (t *turnstile) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	place := t.waiting.PushBack(mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	select {
	case <-mine: // the turn came in the same moment: pass it on
		t.mu.Unlock()
		t.leave()
	default:
		t.waiting.Remove(place)
		t.mu.Unlock()
	}
	return ctx.Err()
}

// leave gives the turn to whoever waits longest.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.waiting.Front(); first != nil {
		t.waiting.Remove(first)
		close(first.Value.(chan struct{}))
		return
	}
	t.busy = false
}

// budget is an amount of memory that requests share. Who asks first is served first, so that a large request is not
// passed by small ones for ever.
type budget struct {
	total int64

	mu      sync.Mutex
	free    int64
	waiting list.List // of *claim
}

type claim struct {
	bytes int64
	ready chan struct{}
}

func newBudget(total int64) *budget { return &budget{total: total, free: total} }

// take waits until bytes are free. They must not exceed the total.
func (b *budget) take(ctx context.Context, bytes int64) error {
	b.mu.Lock()
	if b.waiting.Len() == 0 && bytes <= b.free {
		b.free -= bytes
		b.mu.Unlock()
		return nil
	}
	c := &claim{bytes, make(chan struct{})}
	place := b.waiting.PushBack(c)
	b.mu.Unlock()
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.ready:
		b.free += bytes
	default:
		b.waiting.Remove(place)
	}
	b.serve()
	return ctx.Err()
}

func (b *budget) give(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += bytes
	b.serve()
}

func (b *budget) serve() {
	for first := b.waiting.Front(); first != nil; first = b.waiting.Front() {
		c := first.Value.(*claim)
		if c.bytes > b.free {
			return
		}
		b.free -= c.bytes
		b.waiting.Remove(first)
		close(c.ready)
	}
}
