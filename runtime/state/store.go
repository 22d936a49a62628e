// Package state keeps what outlives a request in one Badger store: answers for reuse, decision traces, the plugins'
// key-value pairs, and small records of the host. It is tuned for a device with little memory, and trusts neither the
// disk nor a clean shutdown: every record carries its own checksum, and traces are chained so that a gap is found.
//
// Key space, by tenant first (lengths are uvarints, so that no name reaches into another's keys):
//
//	len tenant | tenant | 'c' | sha256            answer
//	len tenant | tenant | 'a' | sha256            answer to a request that is made once
//	len tenant | tenant | 'k' | len plugin | plugin | key
//	len tenant | tenant | 't' | seq (8, BE)       trace
//	len tenant | tenant | 'd' | name              record of documents and their index
//	len tenant | tenant | 'r' | id                what a guard stopped
//	len tenant | tenant | 'h'                     head and foot of the tenant's chain of traces
//	0          | 'm' | name                       host record
//	0          | 'i' | request id                 where its trace is: tenant and seq
//	0          | 'l' | rule, and whom it counts   counter of a limit
//
// The package knows nothing of what the records mean. Start reading at [Open].
package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Options configure a store. Zero values take the defaults.
type Options struct {
	Logger         *slog.Logger
	CacheBytes     int64 // of answers
	TraceBytes     int64 // of traces
	KVBytes        int64 // of all plugins' pairs together
	TraceRetention time.Duration
	Now            func() time.Time
}

// Defaults of Options.
const (
	DefaultCacheBytes     = 64 << 20
	DefaultTraceBytes     = 64 << 20
	DefaultKVBytes        = 16 << 20
	DefaultTraceRetention = 7 * 24 * time.Hour
)

// MaxValue bounds one record's value, in bytes: values stay in the tables, because Badger's value log does not give back
// the space of small values that expired.
const MaxValue = 1<<20 - 1024

// Sizes of Badger's parts, for a device: two memtables of 8 MiB bound the memory, small tables and levels the files.
const (
	memTable     = 8 << 20
	valueLogFile = 8 << 20
	baseLevel    = 8 << 20
)

// Errors that callers tell apart.
var (
	// ErrLocked means that another process holds the directory.
	ErrLocked = errors.New("another process uses this state directory")
	// ErrTooLarge means that a value exceeds MaxValue.
	ErrTooLarge = errors.New("the value is too large")
	// ErrQuota means that a plugin's pairs would exceed their quota.
	ErrQuota = errors.New("the quota is used up")
)

// Store is one opened state directory. It is safe for concurrent use.
type Store struct {
	db     *database
	dir    string
	log    *slog.Logger
	now    func() time.Time
	cache  *Cache
	traces *Traces
	kv     *KV
	review *Reviews
	stop   context.CancelFunc
	tasks  sync.WaitGroup
}

// Attempts to open: after a kill, 3 of 185 first attempts failed and the next one worked.
const (
	openAttempts = 4
	openPause    = 50 * time.Millisecond
)

// Open opens or creates the store in dir. The directory is created with mode 0700.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := settleFolders(dir); err != nil {
		return nil, fmt.Errorf("state %s: %w", dir, err)
	}
	if free, ok := freeBytes(dir); ok && free < minFree {
		return nil, fmt.Errorf("state %s: %w: %d MiB are left, and %d are needed", dir, ErrFull, free>>20, minFree>>20)
	}
	db, err := openBadger(filepath.Join(dir, folderNow), o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Store{db: &database{db: db, space: space{dir: filepath.Join(dir, folderNow), free: freeBytes}}, dir: dir, log: o.Logger, now: o.Now}
	s.cache = &Cache{s: s, budget: o.CacheBytes}
	s.kv = &KV{s: s, budget: o.KVBytes, used: map[string]int64{}}
	s.review = &Reviews{s: s, count: map[string]int{}}
	s.traces = newTraces(s, o.TraceBytes, o.TraceRetention)
	for _, read := range []func() error{s.account, s.traces.recover} {
		if err := caught(read); err != nil {
			return nil, errors.Join(notOpened(dir, err), db.Close())
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tasks.Go(func() { s.traces.flushLoop(ctx) })
	s.tasks.Go(func() { s.maintain(ctx) })
	return s, nil
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.CacheBytes, DefaultCacheBytes)
	def(&o.TraceBytes, DefaultTraceBytes)
	def(&o.KVBytes, DefaultKVBytes)
	if o.TraceRetention <= 0 {
		o.TraceRetention = DefaultTraceRetention
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	opt := badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithMemTableSize(memTable).WithNumMemtables(2).
		WithValueThreshold(1 << 20).WithValueLogFileSize(valueLogFile).
		WithBaseLevelSize(baseLevel).WithNumLevelZeroTables(2).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(0). // values are read once; the page cache holds the tables
		WithNumVersionsToKeep(1).WithDetectConflicts(false).WithMetricsEnabled(false).WithNumGoroutines(2)
	var err error
	for range openAttempts {
		var db *badger.DB
		if err = inspect(dir); err == nil {
			if db, err = badger.Open(opt); err == nil {
				return db, nil
			}
		}
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("state %s: %w; stop it, or give this one another --data directory", filepath.Dir(dir), ErrLocked)
		}
		log.Warn("state not opened, trying again", "dir", dir, "error", err)
		time.Sleep(openPause)
	}
	return nil, notOpened(filepath.Dir(dir), err)
}

// notOpened says what to do about a state directory that cannot be opened.
func notOpened(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("state %s: %w", dir, err)
	}
	return fmt.Errorf("state %s: %w; put back a backup of the data directory, or move it away to begin with an empty one", dir, err)
}

// Close writes what is pending and closes the store.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	return errors.Join(s.traces.flush(), s.db.Close())
}

// Cache holds answers.
func (s *Store) Cache() *Cache { return s.cache }

// Traces holds decision traces.
func (s *Store) Traces() *Traces { return s.traces }

// Documents holds documents and their index.
func (s *Store) Documents() *Documents { return &Documents{s} }

// Reviews holds what guards stopped.
func (s *Store) Reviews() *Reviews { return s.review }

// KV holds the plugins' pairs.
func (s *Store) KV() *KV { return s.kv }

// Meta holds small records of the host.
func (s *Store) Meta() *Meta { return &Meta{s} }

// maintainInterval is how often retention and budgets are looked after.
const maintainInterval = time.Minute

func (s *Store) maintain(ctx context.Context) {
	tick := time.NewTicker(maintainInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := errors.Join(s.traces.retain(), s.cache.evict(false), s.reclaim()); err != nil {
			s.log.Error("state not maintained", "error", err)
		}
	}
}

// reclaim compacts the tables when they hold far more than the records do.
func (s *Store) reclaim() error {
	tables, logs := s.db.size()
	if live := s.cache.bytes() + s.traces.bytes() + s.kv.bytes() + s.review.bytes() + s.Documents().bytes(); tables+logs < 3*live+8*memTable {
		return nil
	}
	return s.db.flatten()
}

// account sums up what is stored, by kind.
func (s *Store) account() error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); passDocuments(it) {
			item := it.Item()
			k, ok := parseKey(item.Key())
			if !ok {
				continue // Check reports it
			}
			switch k.kind {
			case kindCache:
				s.cache.total += item.EstimatedSize()
			case kindKV:
				s.kv.used[k.owner()] += item.EstimatedSize()
			case kindReview:
				s.review.count[k.tenant]++
				s.review.total += item.EstimatedSize()
			case kindTrace:
				s.traces.chain(k.tenant).bytes += item.EstimatedSize()
			}
		}
		return nil
	})
}

// badgerLog passes Badger's own log on, as detail.
type badgerLog struct{ log *slog.Logger }

func (b badgerLog) Errorf(f string, a ...any) {
	b.log.Warn("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b badgerLog) Warningf(f string, a ...any) {
	b.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b badgerLog) Infof(f string, a ...any) {
	b.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b badgerLog) Debugf(string, ...any) {}
