package runtime

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
)

func overloaded(err error) bool {
	var e *openai.Error
	return errors.As(err, &e) && e.Code == "overloaded" && e.RetryAfter > 0
}

// settle waits until n requests wait.
func (a *admission) settle(n int) {
	for {
		a.mu.Lock()
		waiting := len(a.waiting)
		a.mu.Unlock()
		if waiting == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAdmission_HigherPrioritiesGoFirstAndTheLowestIsTurnedAway(t *testing.T) {
	a := newAdmission(1, 2, 0)
	first, err := a.enter(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var order []int
	var mu sync.Mutex
	var all sync.WaitGroup
	wait := func(priority, waiting int) chan error {
		out := make(chan error, 1)
		all.Go(func() {
			leave, err := a.enter(context.Background(), priority)
			out <- err
			if err == nil {
				mu.Lock()
				order = append(order, priority)
				mu.Unlock()
				leave()
			}
		})
		a.settle(waiting)
		return out
	}
	low := wait(-5, 1)
	mid := wait(1, 2)
	if _, err := a.enter(context.Background(), -5); !overloaded(err) {
		t.Errorf("no higher than the lowest that waits: %v", err)
	}
	high := wait(7, 2)
	if err := <-low; !overloaded(err) {
		t.Errorf("the lowest: %v", err)
	}
	first()
	all.Wait()
	if <-mid != nil || <-high != nil || len(order) != 2 || order[0] != 7 {
		t.Errorf("order %v", order)
	}
}

func TestAdmission_WaitersLeaveWithoutLosingPlaces(t *testing.T) {
	a := newAdmission(3, 50, 5*time.Millisecond)
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*100*time.Microsecond)
				leave, err := a.enter(ctx, i%3)
				if err == nil {
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(200 * time.Microsecond)
					inside.Add(-1)
					leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if a.free != 3 || len(a.waiting) != 0 || most.Load() > 3 {
		t.Errorf("%d places free, %d wait, %d were inside at once", a.free, len(a.waiting), most.Load())
	}
}
