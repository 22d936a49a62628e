package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func putHead(txn *badger.Txn, tenant string, c *chain) error {
	doc, err := json.Marshal(c)
	if err != nil {
		return err
	}
	k := makeKey(tenant, kindHead, nil)
	return txn.Set(k, seal(k, doc))
}

// writeAnchor writes the ends of all chains to a file of their own, after the transaction that they describe.
func (t *Traces) writeAnchor() error {
	doc, err := json.Marshal(t.chains)
	if err != nil {
		return err
	}
	path := filepath.Join(t.s.dir, anchorFile)
	if err := os.WriteFile(path+".new", seal([]byte(anchorFile), doc), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// recover reads where the chains end, from the store and from the anchor. Where the anchor knows more, traces were lost:
// the chain goes on behind the gap, so that Check finds it.
func (t *Traces) recover() error {
	err := t.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); passDocuments(it) {
			k, ok := parseKey(it.Item().Key())
			if !ok || k.kind != kindHead {
				continue
			}
			payload, _, err := fetch(txn, it.Item().KeyCopy(nil))
			c := t.chain(k.tenant)
			if err == nil {
				err = json.Unmarshal(payload, c)
			}
			if err != nil {
				t.s.log.Error("the head of a chain of traces is damaged; ledge check tells more", "tenant", k.tenant)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	anchor, fault := t.readAnchor()
	if fault != nil {
		return t.goOnUnwitnessed(fault)
	}
	for tenant, known := range anchor {
		c := t.chain(tenant)
		if known.Next > c.Next {
			t.s.log.Error("traces were lost", "tenant", tenant, "lost", known.Next-c.Next)
			c.Lost += known.Next - c.Next
			c.Next, c.LastHash = known.Next, known.LastHash
			if err := t.s.db.Update(func(txn *badger.Txn) error { return putHead(txn, tenant, c) }); err != nil {
				return err
			}
		}
	}
	return t.retain()
}

// goOnUnwitnessed remembers in every chain that no anchor could tell where it ends.
func (t *Traces) goOnUnwitnessed(fault error) error {
	for tenant, c := range t.chains {
		if c.Next == 0 {
			continue
		}
		t.s.log.Error("whether traces were lost cannot be told", "tenant", tenant, "error", fault)
		c.Unwitnessed = c.Next
		if err := t.s.db.Update(func(txn *badger.Txn) error { return putHead(txn, tenant, c) }); err != nil {
			return err
		}
	}
	if len(t.chains) > 0 {
		if err := t.writeAnchor(); err != nil {
			return err
		}
	}
	return t.retain()
}

// readAnchor returns what the anchor knows, or why it is no witness: it is absent or damaged.
func (t *Traces) readAnchor() (known map[string]*chain, fault error) {
	b, err := os.ReadFile(filepath.Join(t.s.dir, anchorFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the anchor of the traces, %s, is missing", anchorFile)
	}
	if err == nil {
		if b, err = unseal([]byte(anchorFile), b); err == nil {
			err = json.Unmarshal(b, &known)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the anchor of the traces, %s, is damaged: %w", anchorFile, err)
	}
	return known, nil
}

func (t *Traces) bytes() (n int64) {
	t.write.Lock()
	defer t.write.Unlock()
	return t.sum()
}

func (t *Traces) sum() (n int64) {
	for _, c := range t.chains {
		n += c.bytes
	}
	return n
}

// retain drops traces that are older than the retention, and the oldest over the budget.
func (t *Traces) retain() error {
	if err := t.forgetUsage(); err != nil {
		return err
	}
	t.write.Lock()
	defer t.write.Unlock()
	oldest := t.s.now().Add(-t.retention)
	excess := t.sum() - t.budget
	for tenant, c := range t.chains {
		// Over the budget each tenant gives its share, and a tenth more so that this is rare.
		share := int64(0)
		if excess > 0 {
			share = excess*c.bytes/max(t.sum(), 1) + t.budget/10*c.bytes/max(t.sum(), 1)
		}
		if err := t.truncate(tenant, c, oldest, share); err != nil {
			return err
		}
	}
	return nil
}

// truncateBatch is how many traces one transaction drops.
const truncateBatch = 500

// truncate drops a tenant's traces from the oldest on, while they are older than the time or bytes are to be freed. What
// is missing or damaged goes when a trace behind it goes, so that Check finds it as long as its neighbours are kept.
func (t *Traces) truncate(tenant string, c *chain, oldest time.Time, free int64) error {
	for done := false; !done && c.Low < c.Next; {
		next := *c
		err := t.s.db.Update(func(txn *badger.Txn) error {
			keys, full := t.droppable(txn, tenant, &next, oldest, &free)
			done = !full || next.Low == c.Low
			if next.Low == c.Low {
				return nil
			}
			for _, k := range keys {
				if err := txn.Delete(k); err != nil {
					return err
				}
			}
			return putHead(txn, tenant, &next)
		})
		if err != nil {
			return err
		}
		*c = next
	}
	return nil
}

// droppable moves the chain's low end and returns the keys of what lies below it then, and whether there may be more.
func (t *Traces) droppable(txn *badger.Txn, tenant string, c *chain, oldest time.Time, free *int64) (keys [][]byte, full bool) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey(tenant, kindTrace, nil)})
	defer it.Close()
	var doubtful [][]byte // damaged: nobody knows how old they are
	waiting := int64(0)   // their bytes
	seen := 0
	for it.Seek(seqKey(tenant, c.Low)); it.Valid(); it.Next() {
		if seen++; seen > truncateBatch {
			return keys, true
		}
		item := it.Item()
		k := item.KeyCopy(nil)
		parsed, ok := parseKey(k)
		if !ok || len(parsed.rest) != 8 {
			continue // Check reports it
		}
		seq := binary.BigEndian.Uint64(parsed.rest)
		if seq >= c.Next {
			break
		}
		value, err := item.ValueCopy(nil)
		if err == nil {
			value, err = unseal(k, value)
		}
		tr, whole := parseTrace(value)
		intact := err == nil && whole
		size := item.EstimatedSize()
		if *free <= 0 && intact && !tr.time.Before(oldest) {
			break
		}
		if *free <= 0 && !intact {
			doubtful, waiting = append(doubtful, k), waiting+size
			continue
		}
		keys = append(append(keys, doubtful...), k)
		if intact {
			keys = append(keys, makeKey("", kindIndex, []byte(tr.id)))
		}
		*free -= size + waiting
		c.bytes -= size + waiting
		doubtful, waiting = nil, 0
		c.Low = seq + 1
	}
	return keys, false
}
