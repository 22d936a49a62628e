package capability

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// MemoryStore is a Store in memory, for trying a plugin without an appliance. Its zero value is empty and holds at most
// MaxBytes of keys and values, by default 1 MiB.
type MemoryStore struct {
	MaxBytes int

	mu     sync.Mutex
	values map[[3]string]memoryValue
	bytes  int
}

type memoryValue struct {
	value   []byte
	expires time.Time // zero: never
}

var _ Store = (*MemoryStore)(nil)

// Get implements Store.
func (s *MemoryStore) Get(_ context.Context, plugin, tenant, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.get([3]string{plugin, tenant, key})
	return v, ok, nil
}

// CompareAndSet implements Store.
func (s *MemoryStore) CompareAndSet(_ context.Context, plugin, tenant, key string, old, value []byte, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [3]string{plugin, tenant, key}
	if now, _ := s.get(at); !bytes.Equal(now, old) {
		return false, nil
	}
	return true, s.set(at, value, ttl)
}

func (s *MemoryStore) get(at [3]string) ([]byte, bool) {
	v, ok := s.values[at]
	if ok && !v.expires.IsZero() && time.Now().After(v.expires) {
		s.remove(at)
		ok = false
	}
	return v.value, ok
}

// Set implements Store.
func (s *MemoryStore) Set(_ context.Context, plugin, tenant, key string, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set([3]string{plugin, tenant, key}, value, ttl)
}

func (s *MemoryStore) set(at [3]string, value []byte, ttl time.Duration) error {
	key := at[2]
	limit := s.MaxBytes
	if limit == 0 {
		limit = 1 << 20
	}
	total := s.bytes + len(key) + len(value)
	if old, ok := s.values[at]; ok {
		total -= len(key) + len(old.value)
	}
	if total > limit {
		return ErrQuota
	}
	if s.values == nil {
		s.values = make(map[[3]string]memoryValue)
	}
	v := memoryValue{value: value}
	if ttl > 0 {
		v.expires = time.Now().Add(ttl)
	}
	s.values[at], s.bytes = v, total
	return nil
}

// Delete implements Store.
func (s *MemoryStore) Delete(_ context.Context, plugin, tenant, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove([3]string{plugin, tenant, key})
	return nil
}

func (s *MemoryStore) remove(at [3]string) {
	if v, ok := s.values[at]; ok {
		s.bytes -= len(at[2]) + len(v.value)
		delete(s.values, at)
	}
}
