package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"
)

// database is Badger behind a lock that lets it be put on new files while the store is open. The lock is held for every
// transaction; a transaction must not be opened inside another.
type database struct {
	mu    sync.RWMutex
	db    *badger.DB
	space space
}

// View runs a read-only transaction.
func (d *database) View(fn func(*badger.Txn) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.db.View(fn)
}

// Update runs a transaction and commits it.
func (d *database) Update(fn func(*badger.Txn) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.space.check(); err != nil {
		return err
	}
	return d.db.Update(fn)
}

// batch writes as many transactions as it takes.
func (d *database) batch(fn func(*badger.WriteBatch) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.space.check(); err != nil {
		return err
	}
	b := d.db.NewWriteBatch()
	defer b.Cancel()
	if err := fn(b); err != nil {
		return err
	}
	return b.Flush()
}

// snapshot opens a read-only transaction; release must be called.
func (d *database) snapshot() (txn *badger.Txn, release func()) {
	d.mu.RLock()
	txn = d.db.NewTransaction(false)
	return txn, func() { txn.Discard(); d.mu.RUnlock() }
}

// Sync returns when everything that was written is on the disk.
func (d *database) Sync() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.db.Sync()
}

func (d *database) size() (tables, logs int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.db.Size()
}

func (d *database) estimate(prefix []byte) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	onDisk, _ := d.db.EstimateSize(prefix)
	return int64(onDisk)
}

// verify checks every block of every table against its checksum.
func (d *database) verify() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.db.VerifyChecksum()
}

func (d *database) flatten() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.db.Flatten(1)
}

// Close closes Badger.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.db.Close()
}

// Folders of Badger below the state directory: the one in use, the next one while it is written, and the one before until
// it is removed.
const (
	folderNow  = "db"
	folderNext = "db.next"
	folderOld  = "db.old"
)

// settleFolders ends what a Rewrite of an earlier process left: the folder in use is whole at every moment, under one of
// two names.
func settleFolders(dir string) error {
	now, next, old := filepath.Join(dir, folderNow), filepath.Join(dir, folderNext), filepath.Join(dir, folderOld)
	_, err := os.Stat(now)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(old); err == nil {
			// The next one was whole when the old one gave up its name.
			if err := os.Rename(next, now); err != nil {
				return err
			}
		}
	} else if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(next), os.RemoveAll(old))
}

// Rewrite copies what the store holds into new files, takes these into use, and removes the old ones: bytes of records
// that were deleted or overwritten are then in no file any more. Everyone else waits meanwhile. An end of the process at
// any moment leaves the old files in use or the new ones.
func (s *Store) Rewrite(ctx context.Context) error {
	if err := s.traces.flush(); err != nil {
		return err
	}
	d := s.db
	d.mu.Lock()
	defer d.mu.Unlock()
	now, next, old := filepath.Join(s.dir, folderNow), filepath.Join(s.dir, folderNext), filepath.Join(s.dir, folderOld)
	if err := errors.Join(os.RemoveAll(next), os.RemoveAll(old)); err != nil {
		return err
	}
	if free, ok := freeBytes(s.dir); ok {
		if tables, logs := d.db.Size(); free < tables+logs+minFree {
			return fmt.Errorf("state not rewritten: %w: %d MiB are left, and a copy needs %d", ErrFull, free>>20, (tables+logs+minFree)>>20)
		}
	}
	if err := copyInto(ctx, d.db, next, s); err != nil {
		return errors.Join(fmt.Errorf("state not rewritten: %w", err), os.RemoveAll(next))
	}
	if err := d.db.Close(); err != nil {
		return err
	}
	err := os.Rename(now, old)
	if err == nil {
		err = os.Rename(next, now)
	}
	err = errors.Join(err, settleFolders(s.dir), syncFolder(s.dir))
	opened, openErr := openBadger(now, s.log)
	if openErr != nil {
		return errors.Join(err, openErr) // the store is closed; every use of it fails
	}
	d.db = opened
	d.space.forget()
	return err
}

// copyInto writes the latest version of every record into a new Badger.
func copyInto(ctx context.Context, from *badger.DB, dir string, s *Store) (err error) {
	to, err := openBadger(dir, s.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	w := to.NewStreamWriter()
	if err := w.Prepare(); err != nil {
		return err
	}
	stream := from.NewStream()
	stream.NumGo = 2
	stream.Send = func(buf *z.Buffer) error { return w.Write(buf) }
	if err := stream.Orchestrate(ctx); err != nil {
		w.Cancel()
		return err
	}
	return errors.Join(w.Flush(), to.Sync())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
