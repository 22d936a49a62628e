package identity

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often at most a file is looked at for a change.
const lookEvery = 2 * time.Second

// maxFile bounds a file of keys or revocations, in bytes.
const maxFile = 4 << 20

// watched is a parsed file that is read again when it changes. A file that can no longer be read or parsed leaves what
// was read before in force, and says so once in the log.
type watched[T any] struct {
	path  string
	log   *slog.Logger
	parse func([]byte) (T, error)

	value atomic.Pointer[T]
	mu    sync.Mutex // held by the one that looks
	stamp string
	next  atomic.Int64 // when to look again, Unix nanoseconds
}

func watch[T any](path string, log *slog.Logger, parse func([]byte) (T, error)) (*watched[T], error) {
	w := &watched[T]{path: path, log: log, parse: parse}
	if err := w.read(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *watched[T]) get() T {
	if now := time.Now().UnixNano(); now > w.next.Load() && w.mu.TryLock() {
		if err := w.read(); err != nil {
			w.log.Error("a changed file was not taken over; what it said before holds", "file", w.path, "error", err)
		}
		w.mu.Unlock()
	}
	return *w.value.Load()
}

// read takes the file over if it is not the one that was read before.
func (w *watched[T]) read() error {
	w.next.Store(time.Now().Add(lookEvery).UnixNano())
	f, err := os.Open(w.path)
	if err != nil {
		return w.once("", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return w.once("", err)
	}
	stamp := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	if stamp == w.stamp {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return w.once(stamp, err)
	}
	v, err := w.parse(b)
	if err != nil {
		return w.once(stamp, err)
	}
	w.stamp = stamp
	w.value.Store(&v)
	return nil
}

// once passes an error on unless the same state of the file gave one before.
func (w *watched[T]) once(stamp string, err error) error {
	stamp = "failed " + stamp
	if w.stamp == stamp {
		return nil
	}
	w.stamp = stamp
	return err
}
