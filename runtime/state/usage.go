package state

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Use is what one request used, or what several of one day did.
type Use struct {
	Requests         int64 `json:"requests"`
	Failed           int64 `json:"failed"`            // of them, those that ended in an error
	CacheHits        int64 `json:"cache_hits"`        // of them, those answered without a model
	PromptTokens     int64 `json:"prompt_tokens"`     // that models read
	CompletionTokens int64 `json:"completion_tokens"` // that models wrote
	SavedTokens      int64 `json:"saved_tokens"`      // of both kinds, that the cache made unnecessary
	Cost             int64 `json:"cost"`              // in billionths of the unit that prices are in
}

// Add sums up.
func (u *Use) Add(o Use) {
	u.Requests += o.Requests
	u.Failed += o.Failed
	u.CacheHits += o.CacheHits
	u.PromptTokens += o.PromptTokens
	u.CompletionTokens += o.CompletionTokens
	u.SavedTokens += o.SavedTokens
	u.Cost += o.Cost
}

// UsageLine is what one tenant's requests of a day to a route used of a model with a key.
type UsageLine struct {
	Day    string `json:"day"` // 2006-01-02, in UTC
	Tenant string `json:"tenant"`
	Route  string `json:"route"`
	Model  string `json:"model"`
	Key    string `json:"key"` // id of the API key; empty: another credential, or none
	Use
}

// DayFormat is how days are written.
const DayFormat = time.DateOnly

// keepUsage is for how many days lines are kept: a year and a month.
const keepUsage = 396

// usageKey orders a tenant's lines by day.
func usageKey(l *UsageLine, day time.Time) []byte {
	rest := binary.BigEndian.AppendUint32(nil, uint32(day.Unix()/86400))
	return makeKey(l.Tenant, kindUsage, appendName(appendName(appendName(rest, l.Route), l.Model), l.Key))
}

func parseUsage(k key) (l UsageLine, ok bool) {
	if len(k.rest) < 4 {
		return l, false
	}
	l.Tenant = k.tenant
	l.Day = time.Unix(int64(binary.BigEndian.Uint32(k.rest))*86400, 0).UTC().Format(DayFormat)
	rest := k.rest[4:]
	for _, name := range []*string{&l.Route, &l.Model, &l.Key} {
		if *name, rest, ok = cutName(rest); !ok {
			return l, false
		}
	}
	return l, len(rest) == 0
}

// addUsage adds what the traces of a batch used to the lines of their day, in the transaction that writes the traces: what
// is counted is what is traced.
func (t *Traces) addUsage(txn *badger.Txn, batch []pendingTrace) error {
	sums := map[string]Use{}
	for i := range batch {
		p := &batch[i]
		if p.use == nil {
			continue
		}
		line := *p.use
		line.Tenant = p.tenant
		k := string(usageKey(&line, p.time))
		sum := sums[k]
		sum.Add(line.Use)
		sums[k] = sum
	}
	for name, sum := range sums {
		k := []byte(name)
		payload, ok, err := fetch(txn, k)
		if err != nil && !errors.Is(err, ErrDamaged) { // Check reports a damaged line; the count begins anew
			return err
		}
		if ok {
			var before Use
			if err := json.Unmarshal(payload, &before); err != nil {
				return fmt.Errorf("usage: %w", err)
			}
			sum.Add(before)
		}
		doc, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		if err := txn.Set(k, seal(k, doc)); err != nil {
			return err
		}
	}
	return nil
}

// Usage returns the lines of a tenant, or of all for an empty one, from one day to another, both included, ordered by
// tenant and day.
func (t *Traces) Usage(ctx context.Context, tenant string, from, to time.Time) ([]UsageLine, error) {
	if err := t.flush(); err != nil {
		return nil, err
	}
	first, last := from.UTC().Format(DayFormat), to.UTC().Format(DayFormat)
	var out []UsageLine
	err := t.eachUsage(ctx, tenant, func(txn *badger.Txn, item *badger.Item, l UsageLine) error {
		if l.Day < first || l.Day > last {
			return nil
		}
		payload, _, err := fetch(txn, item.KeyCopy(nil))
		if errors.Is(err, ErrDamaged) {
			t.s.log.Error("a damaged line of the usage is left out", "tenant", l.Tenant, "day", l.Day)
			return nil
		}
		if err == nil {
			err = json.Unmarshal(payload, &l.Use)
		}
		out = append(out, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return out, nil
}

// eachUsage calls do for the lines of a tenant, or of all.
func (t *Traces) eachUsage(ctx context.Context, tenant string, do func(*badger.Txn, *badger.Item, UsageLine) error) error {
	tenants := []string{tenant}
	if tenant == "" {
		tenants = t.tenants()
	}
	return t.s.db.View(func(txn *badger.Txn) error {
		for _, tenant := range tenants {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: makeKey(tenant, kindUsage, nil)})
			for it.Rewind(); it.Valid() && ctx.Err() == nil; it.Next() {
				k, _ := parseKey(it.Item().Key())
				l, ok := parseUsage(k)
				if !ok {
					continue // Check reports it
				}
				if err := do(txn, it.Item(), l); err != nil {
					it.Close()
					return err
				}
			}
			it.Close()
		}
		return ctx.Err()
	})
}

// forgetUsage drops lines that are too old.
func (t *Traces) forgetUsage() error {
	oldest := t.s.now().UTC().AddDate(0, 0, -keepUsage).Format(DayFormat)
	var old [][]byte
	err := t.eachUsage(context.Background(), "", func(_ *badger.Txn, item *badger.Item, l UsageLine) error {
		if l.Day < oldest {
			old = append(old, item.KeyCopy(nil))
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return err
	}
	return t.s.db.batch(func(b *badger.WriteBatch) error {
		for _, k := range old {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}
