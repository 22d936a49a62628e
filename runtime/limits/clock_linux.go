package limits

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the time since the machine started, with the time in which it slept.
func sinceBoot() (string, time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", time.Since(processStart)
	}
	return bootID(), time.Duration(ts.Nano())
}

var processStart = time.Now()
