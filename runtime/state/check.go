package state

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Report is what Check found. Lists hold at most maxFindings.
type Report struct {
	Records int      `json:"records"`
	Traces  int      `json:"traces"`
	Damaged int      `json:"damaged"` // records whose bytes are not those that were written
	Missing uint64   `json:"missing"` // traces that should be there
	Broken  int      `json:"broken"`  // traces whose link to the one before does not hold
	Found   []string `json:"findings"`
}

const maxFindings = 50

// OK says that nothing was found.
func (r Report) OK() bool { return r.Damaged == 0 && r.Missing == 0 && r.Broken == 0 }

func (r Report) String() string {
	s := fmt.Sprintf("%d records, %d traces", r.Records, r.Traces)
	if r.OK() {
		return s + ", all whole"
	}
	s += fmt.Sprintf("; %d damaged, %d missing, %d with a broken chain", r.Damaged, r.Missing, r.Broken)
	for _, f := range r.Found {
		s += "\n  " + f
	}
	return s
}

func (r *Report) find(format string, args ...any) {
	if len(r.Found) < maxFindings {
		r.Found = append(r.Found, fmt.Sprintf(format, args...))
	}
}

// Check verifies every record against its checksum and every chain of traces against its ends.
func (s *Store) Check(ctx context.Context) (Report, error) {
	if err := s.traces.flush(); err != nil {
		return Report{}, err
	}
	s.traces.write.Lock()
	chains := map[string]chain{}
	for tenant, c := range s.traces.chains {
		chains[tenant] = *c
	}
	// The transaction sees what the chains describe.
	txn, release := s.db.snapshot()
	s.traces.write.Unlock()
	defer release()

	r := Report{Found: []string{}}
	err := caught(func() error { return s.db.verify() })
	if err != nil {
		r.Damaged++
		r.find("tables: %v", err)
	}
	if _, fault := s.traces.readAnchor(); fault != nil && len(chains) > 0 {
		r.Broken++
		r.find("%v", fault)
	}
	return r, caught(func() error { return s.checkRecords(ctx, txn, chains, &r) })
}

func (s *Store) checkRecords(ctx context.Context, txn *badger.Txn, chains map[string]chain, r *Report) error {
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Records++
		item := it.Item()
		_, known := parseKey(item.Key())
		err := item.Value(func(value []byte) error {
			_, err := unseal(item.Key(), value)
			return err
		})
		if err != nil || !known {
			r.Damaged++
			r.find("record %s: damaged", hex.EncodeToString(item.Key()))
		}
	}
	for _, tenant := range slices.Sorted(maps.Keys(chains)) {
		c := chains[tenant]
		if c.Unwitnessed > c.Low {
			r.Broken++
			r.find("tenant %s: the anchor was gone or damaged when trace %d was to come next: whether later ones were there cannot be told", tenant, c.Unwitnessed)
		}
		if err := checkChain(ctx, txn, tenant, &c, r); err != nil {
			return err
		}
	}
	return nil
}

// checkChain walks a tenant's traces from the oldest that is kept to the newest.
func checkChain(ctx context.Context, txn *badger.Txn, tenant string, c *chain, r *Report) error {
	var want [32]byte
	linked := false // whether want is known: retention dropped what the oldest links to
	var gap uint64
	close := func(before uint64) {
		if gap > 0 {
			r.find("tenant %s: traces %d to %d are missing", tenant, before-gap, before-1)
			r.Missing += gap
			gap = 0
		}
	}
	prefix := makeKey(tenant, kindTrace, nil)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	next := c.Low
	for it.Rewind(); it.Valid(); it.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		item := it.Item()
		k, ok := parseKey(item.Key())
		if !ok {
			continue
		}
		seq := binary.BigEndian.Uint64(k.rest)
		if seq < c.Low || seq >= c.Next {
			r.Broken++
			r.find("tenant %s: trace %d lies outside the chain", tenant, seq)
			continue
		}
		if seq > next {
			gap, linked = seq-next, false
			close(seq)
		}
		next = seq + 1
		r.Traces++
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		payload, err := unseal(item.Key(), value)
		tr, whole := parseTrace(payload)
		if err != nil || !whole {
			linked = false // counted with the records
			continue
		}
		if linked && tr.prev != want {
			r.Broken++
			r.find("tenant %s: trace %d does not follow the one before it", tenant, seq)
		}
		want, linked = link(tenant, seq, payload), true
	}
	if next < c.Next {
		gap = c.Next - next
		close(c.Next)
	} else if linked && want != c.LastHash {
		r.Broken++
		r.find("tenant %s: the newest trace is not the one that was written", tenant)
	}
	return nil
}
