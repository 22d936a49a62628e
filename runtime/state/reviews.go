package state

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// Reviews holds what guards stopped until a person has looked at it, by tenant and id. Ids of later items are greater.
type Reviews struct {
	s *Store

	mu    sync.Mutex
	count map[string]int // by tenant
	total int64          // bytes
}

// Bounds of what is kept for review. Whoever sends what is blocked decides how much there is of it, so the oldest makes
// room for the newest.
const (
	MaxReviews     = 5000    // items of a tenant
	MaxReviewBytes = 8 << 10 // of an item
)

// Put stores an item. A tenant's oldest goes when it has [MaxReviews].
func (r *Reviews) Put(tenant, id string, doc []byte) error {
	if len(doc) > MaxReviewBytes {
		return fmt.Errorf("review %s: %w", id, ErrTooLarge)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := makeKey(tenant, kindReview, []byte(id))
	record := seal(k, doc)
	var had, gone int64
	err := r.s.db.Update(func(txn *badger.Txn) error {
		if item, err := txn.Get(k); err == nil {
			had = item.KeySize() + item.ValueSize()
		}
		if had == 0 && r.count[tenant] >= MaxReviews {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey(tenant, kindReview, nil)})
			it.Rewind()
			if it.Valid() {
				oldest := it.Item().KeyCopy(nil)
				gone = it.Item().KeySize() + it.Item().ValueSize()
				it.Close()
				if err := txn.Delete(oldest); err != nil {
					return err
				}
			} else {
				it.Close()
			}
		}
		return txn.Set(k, record)
	})
	if err != nil {
		return fmt.Errorf("review %s: %w", id, err)
	}
	r.total += int64(len(k)+len(record)) - had - gone
	if had == 0 && gone == 0 {
		r.count[tenant]++
	}
	return nil
}

// Get returns an item.
func (r *Reviews) Get(tenant, id string) (doc []byte, ok bool, err error) {
	err = r.s.db.View(func(txn *badger.Txn) error {
		doc, ok, err = fetch(txn, makeKey(tenant, kindReview, []byte(id)))
		return err
	})
	return doc, ok, err
}

// Delete removes an item. One that is not there is no error.
func (r *Reviews) Delete(tenant, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := makeKey(tenant, kindReview, []byte(id))
	var had int64
	err := r.s.db.Update(func(txn *badger.Txn) error {
		if item, err := txn.Get(k); err == nil {
			had = item.KeySize() + item.ValueSize()
		}
		return txn.Delete(k)
	})
	if err == nil && had > 0 {
		r.count[tenant]--
		r.total -= had
	}
	return err
}

// Each calls do for a tenant's items, or all for an empty one, the newest first within a tenant, until it returns false.
// Damaged ones are passed over; Check reports them.
func (r *Reviews) Each(tenant string, do func(tenant, id string, doc []byte) bool) error {
	r.mu.Lock()
	tenants := []string{tenant}
	if tenant == "" {
		tenants = tenants[:0]
		for t := range r.count {
			tenants = append(tenants, t)
		}
	}
	r.mu.Unlock()
	return r.s.db.View(func(txn *badger.Txn) error {
		for _, t := range tenants {
			prefix := makeKey(t, kindReview, nil)
			it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
			for it.Seek(append(bytes.Clone(prefix), 0xff)); it.Valid(); it.Next() {
				k := it.Item().KeyCopy(nil)
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					it.Close()
					return err
				}
				if doc, err := unseal(k, value); err == nil && !do(t, string(k[len(prefix):]), doc) {
					it.Close()
					return nil
				}
			}
			it.Close()
		}
		return nil
	})
}

func (r *Reviews) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
