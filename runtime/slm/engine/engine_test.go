package engine

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when an engine leaves a goroutine behind: its loop, a worker, the writer of the disk cache or a mask.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
