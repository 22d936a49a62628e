//go:build !linux

package limits

import "time"

var processStart = time.Now()

// sinceBoot counts from the start of the process where the system has no clock that is the same for all of them.
func sinceBoot() (string, time.Duration) { return "", time.Since(processStart) }
