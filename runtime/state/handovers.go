package state

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Handovers is the queue of requests that people are to answer, by their ids. They are written through
// to the disk.
type Handovers struct{ s *Store }

// Handovers is the queue of requests that people are to answer.
func (s *Store) Handovers() *Handovers { return &Handovers{s} }

// Put enters a request for ttl, or until it is taken out.
func (h *Handovers) Put(_ context.Context, tenant, id string, doc []byte, ttl time.Duration) error {
	if len(doc) > MaxValue {
		return ErrTooLarge
	}
	k := makeKey(tenant, kindHandover, []byte(id))
	record := seal(k, appendTime(nil, h.s.now()), doc)
	err := h.s.db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry(k, record).WithTTL(max(ttl, time.Second)))
	})
	if err != nil {
		return err
	}
	return h.s.db.Sync()
}

// List returns the entries of a tenant, or of all for an empty one, at most most.
func (h *Handovers) List(ctx context.Context, tenant string, most int) (docs []json.RawMessage, err error) {
	err = h.each(ctx, tenant, func(_ []byte, _ time.Time, doc []byte) bool {
		docs = append(docs, doc)
		return len(docs) < most
	})
	return docs, err
}

// Done takes an entry out, of a tenant or, for an empty one, of whichever has it.
func (h *Handovers) Done(ctx context.Context, tenant, id string) (found bool, err error) {
	keys, err := h.keys(ctx, tenant, func(k key, _ time.Time, _ []byte) bool { return string(k.rest) == id })
	return len(keys) > 0, errors.Join(err, h.s.deleteAll(keys))
}

// Forget takes out the entries of a tenant that which picks.
func (h *Handovers) Forget(ctx context.Context, tenant string, which func(at time.Time, doc []byte) bool) error {
	keys, err := h.keys(ctx, tenant, func(_ key, at time.Time, doc []byte) bool { return which(at, doc) })
	return errors.Join(err, h.s.deleteAll(keys))
}

func (h *Handovers) keys(ctx context.Context, tenant string, which func(k key, at time.Time, doc []byte) bool) (keys [][]byte, err error) {
	err = h.each(ctx, tenant, func(raw []byte, at time.Time, doc []byte) bool {
		if k, ok := parseKey(raw); ok && which(k, at, doc) {
			keys = append(keys, raw)
		}
		return true
	})
	return keys, err
}

// each passes entries until more is false. What it passes is the callee's.
func (h *Handovers) each(ctx context.Context, tenant string, f func(key []byte, at time.Time, doc []byte) (more bool)) error {
	return h.s.db.View(func(txn *badger.Txn) error {
		options := badger.IteratorOptions{PrefetchValues: tenant != "", PrefetchSize: 16}
		if tenant != "" {
			options.Prefix = makeKey(tenant, kindHandover, nil)
		}
		it := txn.NewIterator(options)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			item := it.Item()
			if k, ok := parseKey(item.Key()); !ok || k.kind != kindHandover {
				continue
			}
			var doc []byte
			var at time.Time
			err := item.Value(func(value []byte) error {
				payload, err := unseal(item.Key(), value)
				if err != nil {
					return err
				}
				var ok bool
				if at, payload, ok = cutTime(payload); !ok {
					return ErrDamaged
				}
				doc = append([]byte(nil), payload...)
				return nil
			})
			if err != nil {
				return err
			}
			if !f(item.KeyCopy(nil), at, doc) {
				return nil
			}
		}
		return nil
	})
}
