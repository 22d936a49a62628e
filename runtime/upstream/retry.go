package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
)

// Retry says how often and how patiently a request is sent again. Zero values take the defaults.
type Retry struct {
	Attempts int           // at most, the first one included
	Base     time.Duration // the first wait is a random time up to it, each further one up to the double
	Max      time.Duration // the longest wait; a target that asks for more is not asked again
}

// Defaults of Retry.
const (
	DefaultAttempts = 3
	DefaultBase     = 250 * time.Millisecond
	DefaultMax      = 5 * time.Second
)

// Report tells what it took to get an answer, for the trace.
type Report struct {
	Attempts int
	Changes  []string // of the breaker
	Faults   []string // of the attempts that were repeated
}

func (r *Report) note(change string) {
	if change != "" {
		r.Changes = append(r.Changes, change)
	}
}

// String is empty for a request that was answered at once.
func (r *Report) String() string {
	var parts []string
	if r.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts (%s)", r.Attempts, strings.Join(r.Faults, ", ")))
	}
	for _, c := range r.Changes {
		parts = append(parts, "breaker "+c)
	}
	return strings.Join(parts, "; ")
}

// fault is an error of one attempt with what follows from it.
type fault struct {
	error
	again bool          // another attempt may do
	blame bool          // it counts against the target
	after time.Duration // when, if the target said so
}

func (f *fault) Unwrap() error { return f.error }

// Chat sends body, a complete chat request of the OpenAI API with stream set, and hands over the chunks as they come. It
// returns nil after the peer's end of the stream; anything else that ends it is a fault. Until the first chunk has come, a
// fault that may pass is answered with another attempt, after a random wait (full jitter). Errors are *openai.Error, the
// context's, or emit's (but see [ErrExcess]).
func (t *Target) Chat(ctx context.Context, body []byte, emit func(*openai.ChatChunk) error) (r Report, err error) {
	if t.wire.encode != nil {
		if body, err = t.wire.encode(body); err != nil {
			return r, err
		}
	}
	for {
		p, ok, wait, change := t.breaker.allow()
		r.note(change)
		if !ok {
			if err != nil { // it opened while this request tried
				return r, err
			}
			return r, &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "upstream_unavailable",
				RetryAfter: int((wait + time.Second - 1) / time.Second), Message: "the upstream " + t.cfg.Name + " failed often and is left alone for a moment"}
		}
		r.Attempts++
		begun := false
		err = t.once(ctx, body, func(c *openai.ChatChunk) error {
			begun = true
			return emit(c)
		})
		var f *fault
		if !errors.As(err, &f) {
			f = nil
		}
		switch {
		case err == nil:
			r.note(t.breaker.done(p, succeeded))
			return r, nil
		case f == nil:
			r.note(t.breaker.done(p, neither))
			return r, err
		case f.blame:
			r.note(t.breaker.done(p, failed))
		default:
			r.note(t.breaker.done(p, neither))
		}
		err = f.error
		pause := f.after
		if pause == 0 {
			pause = rand.N(min(t.cfg.Retry.Base<<min(r.Attempts-1, 20), t.cfg.Retry.Max) + 1)
		}
		if begun || !f.again || r.Attempts >= t.cfg.Retry.Attempts || pause > t.cfg.Retry.Max {
			return r, err
		}
		var shown *openai.Error
		if errors.As(err, &shown) {
			r.Faults = append(r.Faults, shown.Code)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return r, ctx.Err()
		}
	}
}

// Stats returns the target's figures.
func (t *Target) Stats() Stats { return t.breaker.stats() }

// Passable says whether another target may answer what this error left unanswered: it is the target's fault or nobody's,
// not the request's.
func Passable(err error) bool {
	var e *openai.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "offline", "upstream_error", "upstream_timeout", "upstream_unreachable", "upstream_unavailable", "upstream_rate_limited":
		return true
	}
	return false
}
