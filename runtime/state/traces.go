package state

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Traces holds decision traces. They are written in batches, and each tenant's are chained: a trace holds the hash of
// the one before it. Where the chain ends is written beside Badger as well, because a damaged log makes Badger come up
// with an older state and say nothing.
type Traces struct {
	s         *Store
	budget    int64
	retention time.Duration
	wake      chan struct{}

	mu      sync.Mutex
	pending []pendingTrace
	index   map[string]func() ([]byte, error) // documents of pending traces, by request id

	write  sync.Mutex // held while chains change
	chains map[string]*chain
}

// pendingTrace waits for the next batch.
type pendingTrace struct {
	tenant, id string
	doc        func() ([]byte, error)
	use        *UsageLine // its tenant and day are the trace's; nil: nothing is counted
	time       time.Time
}

// chain is where a tenant's traces begin and end. Low is the oldest that is kept; retention moves it.
type chain struct {
	Next     uint64   `json:"next"`      // sequence number of the next trace
	LastHash [32]byte `json:"last_hash"` // of the trace before Next
	Low      uint64   `json:"low"`
	Lost     uint64   `json:"lost"` // traces that an anchor knew of and the store did not
	// Unwitnessed is what Next was when there was no anchor that could tell whether more had been written; 0: never.
	Unwitnessed uint64 `json:"unwitnessed,omitempty"`

	bytes int64
}

const (
	flushInterval = 100 * time.Millisecond
	flushBatch    = 256              // traces of one transaction
	toldInterval  = 10 * time.Second // between words about a disk that stays full
	maxPending    = 65536            // traces waiting; more are refused
	anchorFile    = "traces.anchor"
)

func newTraces(s *Store, budget int64, retention time.Duration) *Traces {
	return &Traces{s: s, budget: budget, retention: retention, wake: make(chan struct{}, 1), index: map[string]func() ([]byte, error){}, chains: map[string]*chain{}}
}

func (t *Traces) chain(tenant string) *chain {
	c := t.chains[tenant]
	if c == nil {
		c = &chain{}
		t.chains[tenant] = c
	}
	return c
}

// Put keeps the trace of a request, and with it what the request used unless that is nil. It is on its way to the disk
// within 100 ms, and can be read at once. The tenant must not be empty. The document is made by doc when it is first
// needed, on another goroutine, so that the request does not wait for it; one that cannot be made is logged.
func (t *Traces) Put(_ context.Context, tenant, id string, doc func() ([]byte, error), use *UsageLine) error {
	if tenant == "" {
		return errors.New("trace without a tenant")
	}
	doc = sync.OnceValues(doc)
	t.mu.Lock()
	if len(t.pending) >= maxPending {
		t.mu.Unlock()
		return fmt.Errorf("trace %s: %d traces wait for the disk", id, maxPending)
	}
	t.pending = append(t.pending, pendingTrace{tenant, id, doc, use, t.s.now()})
	t.index[id] = doc
	full := len(t.pending) >= flushBatch
	t.mu.Unlock()
	if full {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// Get returns the trace of a request.
func (t *Traces) Get(_ context.Context, id string) (doc []byte, ok bool, err error) {
	t.mu.Lock()
	pending := t.index[id]
	t.mu.Unlock()
	if pending != nil {
		doc, err = pending()
		return doc, err == nil, err
	}
	err = t.s.db.View(func(txn *badger.Txn) error {
		place, found, err := fetch(txn, makeKey("", kindIndex, []byte(id)))
		if err != nil || !found {
			return err
		}
		tenant, seq, whole := cutName(place)
		if !whole || len(seq) != 8 {
			return ErrDamaged
		}
		payload, found, err := fetch(txn, makeKey(tenant, kindTrace, seq))
		if err != nil || !found {
			return err
		}
		tr, whole := parseTrace(payload)
		if !whole {
			return ErrDamaged
		}
		doc, ok = tr.doc, tr.id == id
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("trace %s: %w", id, err)
	}
	return doc, ok, nil
}

// Recent returns the latest traces of a tenant, or of all for an empty one, newest first. Damaged ones are passed over;
// Check reports them.
func (t *Traces) Recent(_ context.Context, tenant string, limit int) ([][]byte, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	tenants := []string{tenant}
	if tenant == "" {
		tenants = t.tenants()
	}
	var all []trace
	for _, tenant := range tenants {
		list, err := t.recent(tenant, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	if len(tenants) > 1 {
		slices.SortStableFunc(all, func(a, b trace) int { return b.time.Compare(a.time) })
	}
	out := make([][]byte, min(len(all), limit))
	for i := range out {
		out[i] = all[i].doc
	}
	return out, nil
}

// tenants are those of whom anything was traced, ordered.
func (t *Traces) tenants() []string {
	t.write.Lock()
	defer t.write.Unlock()
	return slices.Sorted(maps.Keys(t.chains))
}

func (t *Traces) recent(tenant string, limit int) ([]trace, error) {
	var out []trace
	err := t.s.db.View(func(txn *badger.Txn) error {
		prefix := makeKey(tenant, kindTrace, nil)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
		defer it.Close()
		for it.Seek(append(prefix, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)); it.Valid() && len(out) < limit; it.Next() {
			item := it.Item()
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			if payload, err := unseal(item.Key(), value); err == nil {
				if tr, ok := parseTrace(payload); ok {
					out = append(out, tr)
				}
			}
		}
		return nil
	})
	return out, err
}

// Each calls do for the traces of a tenant, or of all for an empty one, oldest first in each tenant. Damaged ones are passed
// over.
func (t *Traces) Each(ctx context.Context, tenant string, do func(kept time.Time, doc []byte) error) error {
	if err := t.flush(); err != nil {
		return err
	}
	tenants := []string{tenant}
	if tenant == "" {
		tenants = t.tenants()
	}
	return t.s.db.View(func(txn *badger.Txn) error {
		for _, tenant := range tenants {
			if err := eachTrace(ctx, txn, tenant, do); err != nil {
				return err
			}
		}
		return nil
	})
}

func eachTrace(ctx context.Context, txn *badger.Txn, tenant string, do func(kept time.Time, doc []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey(tenant, kindTrace, nil), PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		payload, _, err := fetch(txn, it.Item().KeyCopy(nil))
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if tr, ok := parseTrace(payload); err == nil && ok {
			if err := do(tr.time, tr.doc); err != nil {
				return err
			}
		}
	}
	return nil
}

// trace is the parsed payload of a record: time, hash of the one before, id, document.
type trace struct {
	time time.Time
	prev [32]byte
	id   string
	doc  []byte
}

func parseTrace(payload []byte) (t trace, ok bool) {
	if t.time, payload, ok = cutTime(payload); !ok || len(payload) < 32 {
		return t, false
	}
	t.prev = [32]byte(payload)
	t.id, t.doc, ok = cutName(payload[32:])
	return t, ok
}

// link is the hash that the next trace of a chain carries.
func link(tenant string, seq uint64, payload []byte) [32]byte {
	h := sha256.New()
	h.Write(seqKey(tenant, seq))
	h.Write(payload)
	return [32]byte(h.Sum(nil))
}

func (t *Traces) flushLoop(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-t.wake:
		}
		err := t.flush()
		if now := time.Now(); err != nil && now.Sub(told) >= toldInterval {
			told = now
			t.s.log.Error("traces not written; they are kept for another try", "error", err)
		}
	}
}

// flush writes what is pending. What could not be written stays pending.
func (t *Traces) flush() error {
	t.write.Lock()
	defer t.write.Unlock()
	wrote := false
	for {
		t.mu.Lock()
		batch := t.pending[:min(len(t.pending), flushBatch)]
		t.mu.Unlock()
		if len(batch) == 0 {
			break
		}
		n, err := t.writeBatch(batch)
		if err != nil {
			return err
		}
		wrote = true
		t.mu.Lock()
		for _, p := range batch[:n] {
			delete(t.index, p.id)
		}
		t.pending = t.pending[n:]
		if len(t.pending) == 0 {
			t.pending = nil
		}
		t.mu.Unlock()
	}
	if wrote {
		return t.writeAnchor()
	}
	return nil
}

// batchBytes keeps a transaction below Badger's own limit.
const batchBytes = memTable / 100 * 10

// writeBatch writes the first traces of the batch in one transaction and returns how many.
func (t *Traces) writeBatch(batch []pendingTrace) (n int, err error) {
	heads := map[string]*chain{}
	size := 0
	err = t.s.db.Update(func(txn *badger.Txn) error {
		for _, p := range batch {
			doc, err := p.doc()
			if err == nil && len(doc) > MaxValue {
				err = ErrTooLarge
			}
			if err != nil {
				t.s.log.Error("trace not kept", "request", p.id, "error", err)
				n++
				continue
			}
			if size += len(doc) + 512; size > batchBytes && n > 0 {
				break
			}
			c := heads[p.tenant]
			if c == nil {
				copied := *t.chain(p.tenant)
				c = &copied
				heads[p.tenant] = c
			}
			payload := appendTime(nil, p.time)
			payload = append(payload, c.LastHash[:]...)
			payload = append(appendName(payload, p.id), doc...)
			k := seqKey(p.tenant, c.Next)
			record := seal(k, payload)
			if err := txn.Set(k, record); err != nil {
				return err
			}
			at := makeKey("", kindIndex, []byte(p.id))
			if err := txn.Set(at, seal(at, appendName(nil, p.tenant), binary.BigEndian.AppendUint64(nil, c.Next))); err != nil {
				return err
			}
			c.LastHash = link(p.tenant, c.Next, payload)
			c.Next++
			c.bytes += int64(len(k) + len(record))
			n++
		}
		for tenant, c := range heads {
			if err := putHead(txn, tenant, c); err != nil {
				return err
			}
		}
		return t.addUsage(txn, batch[:n])
	})
	if err != nil {
		return 0, err
	}
	for tenant, c := range heads {
		t.chains[tenant] = c
	}
	return n, nil
}
