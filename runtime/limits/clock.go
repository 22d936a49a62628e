package limits

import (
	"os"
	"strings"
	"sync"
	"time"
)

// Clock tells how much time has passed since limits were first counted, whatever the wall clock says: a box without a
// battery may start in 1970, and an administrator may set the time by years. While the machine runs, time passes as the
// kernel's clock since boot counts it. Across a boot, what the wall clock moved forward counts as time that passed; a
// step back counts as none. Budgets end by this clock, so that a jump neither grants one nor locks anyone out.
type Clock struct {
	wall func() time.Time
	boot func() (id string, since time.Duration)

	mu     sync.Mutex
	steady time.Duration // at since
	since  time.Duration
}

// NewClock returns the clock of this machine.
func NewClock() *Clock { return newClock(time.Now, sinceBoot) }

func newClock(wall func() time.Time, boot func() (string, time.Duration)) *Clock {
	c := &Clock{wall: wall, boot: boot}
	_, c.since = boot()
	return c
}

// Now is the steady time.
func (c *Clock) Now() time.Duration {
	_, since := c.boot()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steady + since - c.since
}

// Wall is what the wall clock says, for the calendar's boundaries.
func (c *Clock) Wall() time.Time { return c.wall() }

// clockKept is the clock on the disk.
type clockKept struct {
	Steady time.Duration `json:"steady"`
	Wall   time.Time     `json:"wall"`
	Boot   string        `json:"boot"`
	Since  time.Duration `json:"since"`
}

func (c *Clock) record() clockKept {
	id, since := c.boot()
	return clockKept{Steady: c.Now(), Wall: c.wall().UTC(), Boot: id, Since: since}
}

// unset is before any release of this program: a wall clock that says so was never set.
var unset = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// resume goes on from what was kept.
func (c *Clock) resume(k clockKept) {
	id, since := c.boot()
	passed := time.Duration(0)
	switch now := c.wall(); {
	case id != "" && id == k.Boot && since >= k.Since:
		passed = since - k.Since
	case k.Wall.After(unset) && now.After(k.Wall):
		passed = now.Sub(k.Wall)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steady, c.since = k.Steady+passed, since
}

// bootID names this boot of the machine; empty where the system does not tell.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})
