package limits

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// keepEvery is how often counts are written.
const keepEvery = 500 * time.Millisecond

// commit is one write of the counters; those who spend money wait for it.
type commit struct {
	done chan struct{}
	sync bool // someone's money is in it
	err  error
}

func newCommit() *commit { return &commit{done: make(chan struct{})} }

func (l *Limiter) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Limiter) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		durable := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.wake:
			durable = true
		}
		if err := l.save(context.Background(), durable); err != nil {
			l.log.Error("counts of limits not written; they are kept for another try", "error", err)
		}
	}
}

// kept is a bucket on the disk. Windows hold only the seconds in which something was counted.
type kept struct {
	Rule     string     `json:"rule"`
	Requests [][2]int64 `json:"requests,omitempty"` // second, count
	Tokens   [][2]int64 `json:"tokens,omitempty"`
	Day      period     `json:"day"`
	Month    period     `json:"month"`
}

// clockRecord is where the clock is kept; no bucket's name is like it, for rules have names.
const clockRecord = "\x00clock"

// save writes the buckets that changed, and tells those who wait for it.
func (l *Limiter) save(ctx context.Context, durable bool) error {
	l.mu.Lock()
	c := l.next
	l.next = newCommit()
	docs := map[string][]byte{}
	var err error
	for name, b := range l.buckets {
		if !b.dirty {
			if b.idle() {
				delete(l.buckets, name)
			}
			continue
		}
		if docs[name], err = json.Marshal(b.kept()); err != nil {
			break
		}
		b.dirty = false
	}
	if len(docs) > 0 && err == nil {
		docs[clockRecord], err = json.Marshal(l.clock.record())
	}
	l.mu.Unlock()
	if len(docs) > 0 && err == nil {
		err = l.store.Save(ctx, docs, durable || c.sync)
	}
	if err != nil {
		l.mu.Lock()
		for name := range docs {
			if b := l.buckets[name]; b != nil {
				b.dirty = true
			}
		}
		l.mu.Unlock()
	}
	c.err = err
	close(c.done)
	return err
}

func (b *bucket) kept() kept {
	return kept{Rule: b.rule.Name, Requests: b.requests.list(), Tokens: b.tokens.list(), Day: b.day, Month: b.month}
}

func (w *window) list() (out [][2]int64) {
	for age := int64(windowSeconds - 1); age >= 0; age-- {
		if second := w.last - age; second >= 0 {
			if n := w.slots[second%windowSeconds]; n != 0 {
				out = append(out, [2]int64{second, n})
			}
		}
	}
	return out
}

func (w *window) restore(list [][2]int64, now int64) {
	for _, at := range list {
		if at[0] >= 0 && at[0] <= now && at[1] > 0 {
			w.add(at[0], at[1])
		}
	}
}

// load reads the clock and the buckets of rules that still exist.
func (l *Limiter) load(ctx context.Context) error {
	docs, err := l.store.Load(ctx)
	if err != nil {
		return err
	}
	var r clockKept
	if doc, ok := docs[clockRecord]; ok && json.Unmarshal(doc, &r) == nil {
		l.clock.resume(r)
	}
	for name, doc := range docs {
		var k kept
		if name == clockRecord || json.Unmarshal(doc, &k) != nil {
			continue
		}
		rule, _, _ := strings.Cut(name, "\x00")
		for i := range l.rules {
			if l.rules[i].Name != rule {
				continue
			}
			b := l.bucket(name, &l.rules[i])
			b.day, b.month = k.Day, k.Month
			b.requests.restore(k.Requests, seconds(l.clock.Now()))
			b.tokens.restore(k.Tokens, seconds(l.clock.Now()))
		}
	}
	return nil
}
