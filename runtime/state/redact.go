package state

import (
	"github.com/dgraph-io/badger/v4"
)

// Redact lets change replace the documents of the tenant's traces. A trace that was changed, and each one after it, is
// linked anew, so that the chain holds; what the chain can no longer show is what the changed traces said before.
func (t *Traces) Redact(tenant string, change func(doc []byte) (changed []byte, ok bool)) (n int, err error) {
	if err := t.flush(); err != nil {
		return 0, err
	}
	t.write.Lock()
	defer t.write.Unlock()
	known := t.chains[tenant]
	if known == nil {
		return 0, nil
	}
	c := *known
	var linked bool // from here on every trace is linked anew
	var hash [32]byte
	for seq := c.Low; seq < c.Next; seq++ {
		k := seqKey(tenant, seq)
		var payload []byte
		var found bool
		err := t.s.db.View(func(txn *badger.Txn) (err error) {
			payload, found, err = fetch(txn, k)
			return err
		})
		if err != nil || !found {
			continue // damaged or lost: Check says so
		}
		tr, ok := parseTrace(payload)
		if !ok {
			continue
		}
		doc, changed := change(tr.doc)
		if changed {
			n++
			tr.doc = doc
		}
		if changed || linked {
			prev := tr.prev
			if linked {
				prev = hash
			}
			payload = appendTime(nil, tr.time)
			payload = append(payload, prev[:]...)
			payload = append(appendName(payload, tr.id), tr.doc...)
			if err := t.s.db.Update(func(txn *badger.Txn) error { return txn.Set(k, seal(k, payload)) }); err != nil {
				return n, err
			}
			linked = true
		}
		hash = link(tenant, seq, payload)
	}
	if !linked {
		return 0, nil
	}
	c.LastHash = hash
	if err := t.s.db.Update(func(txn *badger.Txn) error { return putHead(txn, tenant, &c) }); err != nil {
		return n, err
	}
	t.chains[tenant] = &c
	return n, t.writeAnchor()
}
