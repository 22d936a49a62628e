package state

import (
	"context"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Answers holds what was answered to requests that carry a key for being made once.
type Answers struct{ s *Store }

// Answers holds what was answered to requests that carry a key.
func (s *Store) Answers() *Answers { return &Answers{s} }

// Get returns the tenant's answer under a key, if it is there and not expired.
func (a *Answers) Get(_ context.Context, tenant string, hash [32]byte) (doc []byte, ok bool, err error) {
	k := makeKey(tenant, kindAnswer, hash[:])
	err = a.s.db.View(func(txn *badger.Txn) error {
		payload, found, err := fetch(txn, k)
		if err != nil || !found {
			return err
		}
		expires, rest, whole := cutTime(payload)
		if !whole {
			return ErrDamaged
		}
		doc, ok = rest, expires.After(a.s.now())
		return nil
	})
	return doc, ok, err
}

// Put keeps an answer for ttl.
func (a *Answers) Put(_ context.Context, tenant string, hash [32]byte, doc []byte, ttl time.Duration) error {
	if len(doc) > MaxValue {
		return ErrTooLarge
	}
	k := makeKey(tenant, kindAnswer, hash[:])
	record := seal(k, appendTime(nil, a.s.now().Add(ttl)), doc)
	return a.s.db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry(k, record).WithTTL(max(ttl, time.Second)))
	})
}

// Purge drops every answer of the tenant.
func (a *Answers) Purge(_ context.Context, tenant string) error {
	keys, err := a.s.keys(makeKey(tenant, kindAnswer, nil))
	return errors.Join(err, a.s.deleteAll(keys))
}
