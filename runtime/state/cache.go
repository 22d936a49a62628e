package state

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Cache holds answers under a byte budget; the oldest go first.
type Cache struct {
	s      *Store
	budget int64

	mu    sync.Mutex
	total int64 // at least what is stored; an eviction makes it exact
}

// Entry is one stored answer.
type Entry struct {
	Value            []byte
	Created, Expires time.Time
}

// Get returns the tenant's entry under the key, if it is there, whole and not expired. A damaged entry is dropped.
func (c *Cache) Get(_ context.Context, tenant string, hash [32]byte) (e Entry, ok bool, err error) {
	k := makeKey(tenant, kindCache, hash[:])
	err = c.s.db.View(func(txn *badger.Txn) error {
		payload, found, err := fetch(txn, k)
		if err != nil || !found {
			return err
		}
		if e.Created, payload, ok = cutTime(payload); ok {
			e.Expires, e.Value, ok = cutTime(payload)
		}
		if !ok {
			return ErrDamaged
		}
		ok = e.Expires.After(c.s.now())
		return nil
	})
	if errors.Is(err, ErrDamaged) {
		c.s.log.Warn("a damaged answer was dropped from the cache")
		return Entry{}, false, c.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(k) })
	}
	return e, ok, err
}

// Put stores a value for ttl. A value over MaxValue is refused with ErrTooLarge.
func (c *Cache) Put(_ context.Context, tenant string, hash [32]byte, value []byte, ttl time.Duration) error {
	if len(value) > MaxValue {
		return ErrTooLarge
	}
	k := makeKey(tenant, kindCache, hash[:])
	now := c.s.now()
	stamps := appendTime(appendTime(nil, now), now.Add(ttl))
	record := seal(k, stamps, value)
	err := c.s.db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry(k, record).WithTTL(max(ttl, time.Second)))
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.total += int64(len(k) + len(record))
	over := c.total > c.budget
	c.mu.Unlock()
	if over {
		return c.evict(true)
	}
	return nil
}

// Each calls f for every whole entry that has not expired, until it returns an error or ctx ends.
func (c *Cache) Each(ctx context.Context, f func(tenant string, hash [32]byte, e Entry) error) error {
	return c.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); passDocuments(it) {
			if err := ctx.Err(); err != nil {
				return err
			}
			k, ok := parseKey(it.Item().Key())
			if !ok || k.kind != kindCache {
				continue
			}
			tenant, hash := strings.Clone(k.tenant), [32]byte(k.rest)
			payload, found, err := fetch(txn, it.Item().KeyCopy(nil))
			if err != nil || !found {
				continue // damaged; a look-up drops it
			}
			var e Entry
			if e.Created, payload, ok = cutTime(payload); ok {
				e.Expires, e.Value, ok = cutTime(payload)
			}
			if !ok || !e.Expires.After(c.s.now()) {
				continue
			}
			if err := f(tenant, hash, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete drops one entry.
func (c *Cache) Delete(_ context.Context, tenant string, hash [32]byte) error {
	return c.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(makeKey(tenant, kindCache, hash[:])) })
}

// Purge drops every entry of the tenant.
func (c *Cache) Purge(_ context.Context, tenant string) error {
	keys, err := c.s.keys(makeKey(tenant, kindCache, nil))
	return errors.Join(err, c.s.deleteAll(keys), c.evict(false))
}

// CacheStats tell what the cache holds.
type CacheStats struct {
	Bytes  int64 `json:"bytes"`
	Budget int64 `json:"budget"`
}

// Stats returns the cache's size, which may count entries that expired a short while ago.
func (c *Cache) Stats() CacheStats { return CacheStats{c.bytes(), c.budget} }

func (c *Cache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// evict counts what is stored and, over the budget, drops the oldest entries down to four fifths of it.
func (c *Cache) evict(over bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if over && c.total <= c.budget {
		return nil // another call was faster
	}
	type entry struct {
		key     []byte
		version uint64 // Badger's commit order
		size    int64
	}
	var all []entry
	var total int64
	err := c.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); passDocuments(it) {
			item := it.Item()
			if k, ok := parseKey(item.Key()); ok && k.kind == kindCache {
				all = append(all, entry{item.KeyCopy(nil), item.Version(), item.EstimatedSize()})
				total += item.EstimatedSize()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var drop [][]byte
	if total > c.budget {
		slices.SortFunc(all, func(a, b entry) int {
			if a.version < b.version {
				return -1
			}
			return 1
		})
		for _, e := range all {
			if total <= c.budget/5*4 {
				break
			}
			drop = append(drop, e.key)
			total -= e.size
		}
	}
	c.total = total
	return c.s.deleteAll(drop)
}

// keys returns the keys that begin with prefix.
func (s *Store) keys(prefix []byte) (keys [][]byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys, err
}

// deleteAll drops many records, in as many transactions as they need.
func (s *Store) deleteAll(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	return s.db.batch(func(batch *badger.WriteBatch) error {
		for _, k := range keys {
			if err := batch.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}
