package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Quota bounds what one plugin may keep for one tenant, in bytes of keys and values. MaxKey bounds a key.
const (
	Quota  = 1 << 20
	MaxKey = 1024
)

// KV holds the plugins' pairs: each plugin has its own for each tenant.
type KV struct {
	s      *Store
	budget int64

	mu   sync.Mutex       // also orders writes, so that a quota is exact
	used map[string]int64 // by kvPrefix; at least what is stored, since pairs expire
}

// Get returns a value, if it is there and not expired.
func (kv *KV) Get(_ context.Context, plugin, tenant, name string) (value []byte, ok bool, err error) {
	k := append(kvPrefix(plugin, tenant), name...)
	err = kv.s.db.View(func(txn *badger.Txn) error {
		payload, found, err := fetch(txn, k)
		if err != nil || !found {
			return err
		}
		expires, rest, whole := cutTime(payload)
		if !whole {
			return ErrDamaged
		}
		value, ok = rest, expires.IsZero() || expires.After(kv.s.now())
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("kv of %s: %w", plugin, err)
	}
	return value, ok, nil
}

// Set stores a value; ttl 0 keeps it until it is deleted. It fails with ErrTooLarge or ErrQuota and then changes nothing.
func (kv *KV) Set(_ context.Context, plugin, tenant, name string, value []byte, ttl time.Duration) error {
	prefix, k, record, err := kv.record(plugin, tenant, name, value, ttl)
	if err != nil {
		return err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.set(prefix, k, record, ttl)
}

// CompareAndSet stores a value if old is what is stored now, and says whether. Nothing and an empty value are the same.
func (kv *KV) CompareAndSet(ctx context.Context, plugin, tenant, name string, old, value []byte, ttl time.Duration) (bool, error) {
	prefix, k, record, err := kv.record(plugin, tenant, name, value, ttl)
	if err != nil {
		return false, err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	now, ok, err := kv.Get(ctx, plugin, tenant, name)
	if err != nil {
		return false, err
	}
	if !ok {
		now = nil // it may have expired
	}
	if !bytes.Equal(now, old) {
		return false, nil
	}
	return true, kv.set(prefix, k, record, ttl)
}

// record is what is stored of a pair, and where.
func (kv *KV) record(plugin, tenant, name string, value []byte, ttl time.Duration) (prefix, k, record []byte, err error) {
	if len(value) > MaxValue || len(name) > MaxKey || len(plugin)+len(tenant) > MaxKey {
		return nil, nil, nil, ErrTooLarge
	}
	prefix = kvPrefix(plugin, tenant)
	k = append(prefix[:len(prefix):len(prefix)], name...)
	var expires time.Time
	if ttl > 0 {
		expires = kv.s.now().Add(ttl)
	}
	return prefix, k, seal(k, appendTime(nil, expires), value), nil
}

// set stores a record. The lock must be held.
func (kv *KV) set(prefix, k, record []byte, ttl time.Duration) error {
	size := int64(len(k) + len(record))
	old, err := kv.sizeOf(k)
	if err != nil {
		return err
	}
	if kv.over(string(prefix), size-old) {
		if err := kv.recount(prefix); err != nil { // pairs may have expired
			return err
		}
		if kv.over(string(prefix), size-old) {
			return ErrQuota
		}
	}
	err = kv.s.db.Update(func(txn *badger.Txn) error {
		e := badger.NewEntry(k, record)
		if ttl > 0 {
			e = e.WithTTL(max(ttl, time.Second))
		}
		return txn.SetEntry(e)
	})
	if err == nil {
		kv.used[string(prefix)] += size - old
	}
	return err
}

// Delete drops a pair; one that is absent is no error.
func (kv *KV) Delete(_ context.Context, plugin, tenant, name string) error {
	prefix := kvPrefix(plugin, tenant)
	k := append(prefix[:len(prefix):len(prefix)], name...)
	kv.mu.Lock()
	defer kv.mu.Unlock()
	old, err := kv.sizeOf(k)
	if err != nil || old == 0 {
		return err
	}
	if err := kv.s.db.Update(func(txn *badger.Txn) error { return txn.Delete(k) }); err != nil {
		return err
	}
	kv.used[string(prefix)] -= old
	return nil
}

// Forget drops the tenant's pairs, of any plugin, whose name or value matches, and returns their number.
func (kv *KV) Forget(_ context.Context, tenant string, match func(name string, value []byte) bool) (int, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	all, err := kv.s.keys(makeKey(tenant, kindKV, nil))
	if err != nil {
		return 0, err
	}
	var drop [][]byte
	touched := map[string]bool{}
	for _, key := range all {
		k, ok := parseKey(key)
		if !ok {
			continue
		}
		err := kv.s.db.View(func(txn *badger.Txn) error {
			payload, found, err := fetch(txn, key)
			if err == nil && found && match(string(k.rest), payload) || errors.Is(err, ErrDamaged) {
				drop = append(drop, key)
				touched[k.owner()] = true
				return nil
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	if err := kv.s.deleteAll(drop); err != nil {
		return 0, err
	}
	for owner := range touched {
		if err := kv.recount([]byte(owner)); err != nil {
			return len(drop), err
		}
	}
	return len(drop), nil
}

// Usage is what a plugin keeps for a tenant, in bytes.
func (kv *KV) Usage(plugin, tenant string) int64 {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.used[string(kvPrefix(plugin, tenant))]
}

func (kv *KV) bytes() int64 {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.sum()
}

func (kv *KV) sum() (n int64) {
	for _, used := range kv.used {
		n += used
	}
	return n
}

func (kv *KV) over(owner string, more int64) bool {
	return more > 0 && (kv.used[owner]+more > Quota || kv.sum()+more > kv.budget)
}

// sizeOf is what a pair takes now, 0 without it.
func (kv *KV) sizeOf(k []byte) (size int64, err error) {
	err = kv.s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(k)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err == nil {
			size = item.KeySize() + item.ValueSize()
		}
		return err
	})
	return size, err
}

func (kv *KV) recount(prefix []byte) error {
	var n int64
	err := kv.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n += it.Item().KeySize() + it.Item().ValueSize()
		}
		return nil
	})
	kv.used[string(prefix)] = n
	return err
}

// Meta holds small records of the host, written through to the disk.
type Meta struct{ s *Store }

// Get returns a record.
func (m *Meta) Get(_ context.Context, name string) (value []byte, ok bool, err error) {
	err = m.s.db.View(func(txn *badger.Txn) error {
		value, ok, err = fetch(txn, makeKey("", kindMeta, []byte(name)))
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("host record %s: %w", name, err)
	}
	return value, ok, nil
}

// List returns the records whose names begin with prefix, by name.
func (m *Meta) List(_ context.Context, prefix string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := m.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey("", kindMeta, []byte(prefix))})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k, ok := parseKey(it.Item().Key())
			if !ok {
				continue // Check reports it
			}
			payload, _, err := fetch(txn, it.Item().KeyCopy(nil))
			if err != nil {
				return fmt.Errorf("host record %s: %w", k.rest, err)
			}
			out[string(k.rest)] = payload
		}
		return nil
	})
	return out, err
}

// Put stores a record and returns when it is on the disk.
func (m *Meta) Put(_ context.Context, name string, value []byte) error {
	k := makeKey("", kindMeta, []byte(name))
	err := m.s.db.Update(func(txn *badger.Txn) error { return txn.Set(k, seal(k, value)) })
	return errors.Join(err, m.s.db.Sync())
}
