package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrFull means that the disk has no room for what was to be written.
var ErrFull = errors.New("the disk is full")

// minFree is what must be free, in bytes, for the database to be opened and written: Badger writes to mapped files, and a
// page of such a file for which the disk has no room ends the process. It is enough for the tables and the logs that a
// write may set off.
const minFree = 4 * memTable

// space keeps Badger from writing where there is no room.
type space struct {
	dir  string
	free func(dir string) (bytes int64, ok bool)

	mu       sync.Mutex
	looked   time.Time
	reserved map[string]bool // logs whose blocks are allocated
}

// lookInterval is how often space looks for new logs.
const lookInterval = 100 * time.Millisecond

// check returns ErrFull, or nil where nobody can tell, and allocates the blocks of the logs that are being written.
func (s *space) check() error {
	if free, ok := s.free(s.dir); ok && free < minFree {
		return fmt.Errorf("%w: %d MiB are left in %s, and %d are needed", ErrFull, free>>20, s.dir, minFree>>20)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.looked) < lookInterval {
		return nil
	} else {
		s.looked = now
	}
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	if err != nil {
		return err
	}
	now := make(map[string]bool, len(logs))
	for _, path := range logs {
		if !s.reserved[path] {
			if err := allocate(path); errors.Is(err, os.ErrNotExist) {
				continue // its memory became a table meanwhile
			} else if err != nil {
				return fmt.Errorf("%w: %w", ErrFull, err)
			}
		}
		now[path] = true
	}
	s.reserved = now
	return nil
}

// forget is for new files under the old names.
func (s *space) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved, s.looked = nil, time.Time{}
}
