package state

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Documents holds records of documents and their index, by tenant and name. What they mean is the caller's.
type Documents struct{ s *Store }

// Pair is one record.
type Pair struct {
	Name  []byte
	Value []byte
}

// Get returns a record.
func (d *Documents) Get(tenant string, name []byte) (value []byte, ok bool, err error) {
	err = d.s.db.View(func(txn *badger.Txn) error {
		value, ok, err = fetch(txn, makeKey(tenant, kindDocument, name))
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("record of documents: %w", err)
	}
	return value, ok, nil
}

// GetMany calls each for those of the names that are there, in one view of the store. The value is valid until each
// returns.
func (d *Documents) GetMany(tenant string, names [][]byte, each func(i int, value []byte) error) error {
	return d.s.db.View(func(txn *badger.Txn) error {
		for i, name := range names {
			k := makeKey(tenant, kindDocument, name)
			item, err := txn.Get(k)
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err == nil {
				err = item.Value(func(v []byte) error {
					payload, err := unseal(k, v)
					if err != nil {
						return err
					}
					return each(i, payload)
				})
			}
			if err != nil {
				return fmt.Errorf("record of documents: %w", err)
			}
		}
		return nil
	})
}

// Scan calls each for the tenant's records whose names begin with prefix, in their order. Name and value are valid until
// each returns. A damaged record is given to damaged, if that is not nil, and else ends the scan with ErrDamaged.
func (d *Documents) Scan(tenant string, prefix []byte, each func(name, value []byte) error, damaged func(name []byte)) error {
	return d.s.db.View(func(txn *badger.Txn) error {
		whole := makeKey(tenant, kindDocument, prefix)
		skip := len(whole) - len(prefix)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: whole, PrefetchValues: true, PrefetchSize: 64})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(v []byte) error {
				payload, err := unseal(item.Key(), v)
				if err != nil {
					if damaged == nil {
						return fmt.Errorf("record of documents %q: %w", item.Key()[skip:], err)
					}
					damaged(item.Key()[skip:])
					return nil
				}
				return each(item.Key()[skip:], payload)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Names returns the names of the tenant's records that begin with prefix, in their order.
func (d *Documents) Names(tenant string, prefix []byte) (names [][]byte, err error) {
	err = d.s.db.View(func(txn *badger.Txn) error {
		whole := makeKey(tenant, kindDocument, prefix)
		skip := len(whole) - len(prefix)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: whole})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			names = append(names, it.Item().KeyCopy(nil)[skip:])
		}
		return nil
	})
	return names, err
}

// Tenants returns the tenants that have records.
func (d *Documents) Tenants() (tenants []string, err error) {
	err = d.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			tenant, rest, ok := cutName(it.Item().Key())
			switch {
			case !ok || len(rest) == 0:
				it.Next()
			case rest[0] < kindDocument:
				it.Seek(makeKey(tenant, kindDocument, nil))
			default:
				if rest[0] == kindDocument && tenant != "" {
					tenants = append(tenants, tenant)
				}
				it.Seek(makeKey(tenant, 0xff, nil))
			}
		}
		return nil
	})
	return tenants, err
}

// Put stores records, in as many transactions as they need. They are on the disk after the next Commit.
func (d *Documents) Put(tenant string, pairs []Pair) error {
	return d.s.db.batch(func(batch *badger.WriteBatch) error {
		for _, p := range pairs {
			if len(p.Value) > MaxValue {
				return ErrTooLarge
			}
			k := makeKey(tenant, kindDocument, p.Name)
			if err := batch.Set(k, seal(k, p.Value)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Commit stores and drops a few records, all or none, and returns when they and all that was stored before are on the
// disk.
func (d *Documents) Commit(tenant string, puts []Pair, drop [][]byte) error {
	if err := d.s.db.Sync(); err != nil { // what the records speak of comes first
		return err
	}
	err := d.s.db.Update(func(txn *badger.Txn) error {
		for _, p := range puts {
			if len(p.Value) > MaxValue {
				return ErrTooLarge
			}
			k := makeKey(tenant, kindDocument, p.Name)
			if err := txn.Set(k, seal(k, p.Value)); err != nil {
				return err
			}
		}
		for _, name := range drop {
			if err := txn.Delete(makeKey(tenant, kindDocument, name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.s.db.Sync()
}

// Delete drops records, in as many transactions as they need.
func (d *Documents) Delete(tenant string, names [][]byte) error {
	keys := make([][]byte, len(names))
	for i, name := range names {
		keys[i] = makeKey(tenant, kindDocument, name)
	}
	return d.s.deleteAll(keys)
}

// bytes is what documents take in the tables, nearly.
func (d *Documents) bytes() (n int64) {
	tenants, err := d.Tenants()
	if err != nil {
		return 0
	}
	for _, tenant := range tenants {
		n += d.s.db.estimate(makeKey(tenant, kindDocument, nil))
	}
	return n
}

// passDocuments moves to the next record that is none of documents: there may be very many, and most passes over the
// store are not about them.
func passDocuments(it *badger.Iterator) {
	it.Next()
	for it.Valid() {
		tenant, rest, ok := cutName(it.Item().Key())
		if !ok || len(rest) == 0 || rest[0] != kindDocument {
			return
		}
		it.Seek(makeKey(tenant, kindDocument+1, nil))
	}
}
