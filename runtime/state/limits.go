package state

import (
	"context"
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// Limits holds the counters of limits, which are the host's own: a counter may be of one tenant or of all.
type Limits struct{ s *Store }

// Limits holds the counters of limits.
func (s *Store) Limits() *Limits { return &Limits{s} }

// Load returns every counter. A damaged one is left out and told of in the log.
func (l *Limits) Load(_ context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := l.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey("", kindLimit, nil)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k, ok := parseKey(it.Item().Key())
			if !ok {
				continue // Check reports it
			}
			payload, _, err := fetch(txn, it.Item().KeyCopy(nil))
			if errors.Is(err, ErrDamaged) {
				l.s.log.Error("a damaged counter of a limit begins anew", "counter", string(k.rest))
				continue
			}
			if err != nil {
				return err
			}
			out[string(k.rest)] = payload
		}
		return nil
	})
	return out, err
}

// Save writes counters in one transaction as far as they fit; with sync it returns when they are on the disk.
func (l *Limits) Save(_ context.Context, docs map[string][]byte, sync bool) error {
	err := l.s.db.batch(func(batch *badger.WriteBatch) error {
		for name, doc := range docs {
			k := makeKey("", kindLimit, []byte(name))
			if err := batch.Set(k, seal(k, doc)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !sync {
		return err
	}
	return l.s.db.Sync()
}
