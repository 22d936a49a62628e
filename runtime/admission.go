package runtime

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime/openai"
)

// admission lets a bounded number of requests work and a bounded number wait.
type admission struct {
	places  chan struct{}
	waiting atomic.Int64
	queue   int64
}

func newAdmission(places, queue int) *admission {
	return &admission{places: make(chan struct{}, places), queue: int64(queue)}
}

// enter takes a place, waiting for one while ctx lives. The function returned gives it back.
func (a *admission) enter(ctx context.Context) (func(), error) {
	leave := func() { <-a.places }
	select {
	case a.places <- struct{}{}:
		return leave, nil
	default:
	}
	if a.waiting.Add(1) > a.queue {
		a.waiting.Add(-1)
		return nil, &openai.Error{Status: http.StatusTooManyRequests, Type: openai.TypeRateLimit, Code: "overloaded", RetryAfter: 1,
			Message: "too many requests are in work and waiting; try again in a moment"}
	}
	defer a.waiting.Add(-1)
	select {
	case a.places <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
