package runtime

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestTurns_HoldBackWhatIsTooMuch(t *testing.T) {
	places := make(turns, 1)
	if err := places.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := places.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one got in, or %v", err)
	}
	places.leave()
	if err := places.enter(t.Context()); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
}
