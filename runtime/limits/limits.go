// Package limits holds requests, tokens, streams and money below what rules allow, for each tenant, user, key, route and
// tier that a rule tells apart. Counting is exact under concurrency, survives a restart, and does not trust the clock:
// see [Clock].
//
// Windows of a minute are counts of whole seconds, so that no interval of 60 seconds ever holds more than a rule allows.
// Counts are on the disk within a second; money is reserved there before it is spent.
//
// The package knows neither models nor HTTP. Start reading at [Limiter.Enter].
package limits

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Money is an amount in billionths of the unit that the price table is written in.
type Money int64

// Unit is one unit of money.
const Unit Money = 1e9

// Price is what a model's tokens cost, each.
type Price struct{ Prompt, Answer Money }

// Cost of tokens.
func (p Price) Cost(prompt, answer int) Money { return p.Prompt*Money(prompt) + p.Answer*Money(answer) }

// What a rule can tell apart.
const (
	PerTenant = "tenant"
	PerUser   = "user" // within its tenant
	PerKey    = "key"
	PerRoute  = "route"
	PerTier   = "tier"
)

// Dimensions lists them.
var Dimensions = []string{PerTenant, PerUser, PerKey, PerRoute, PerTier}

// Rule is a set of limits, each counted for every combination of what Per tells apart. A limit of 0 is none.
type Rule struct {
	Name  string
	Per   []string
	Match map[string]string // by dimension: counts only what is equal

	RequestsPerMinute int64
	TokensPerMinute   int64
	Streams           int64 // requests in work at once
	TokensPerDay      int64
	TokensPerMonth    int64
	MoneyPerDay       Money
	MoneyPerMonth     Money
	Soft              float64 // share of a budget from which on answers carry a warning
}

// late says whether the rule needs to know which model answers.
func (r *Rule) late() bool { return slices.Contains(r.Per, PerTier) || r.Match[PerTier] != "" }

// money says whether the rule bounds money, which is known only with the model.
func (r *Rule) money() bool { return r.MoneyPerDay > 0 || r.MoneyPerMonth > 0 }

// Ask is a request that wants to enter. Its estimates hold a place until the true numbers are known.
type Ask struct {
	Tenant, User, Key, Route string
	Prompt, Answer           int // tokens, at most
}

func (a *Ask) dimension(name, tier string) string {
	switch name {
	case PerTenant:
		return a.Tenant
	case PerUser:
		return a.Tenant + "/" + a.User
	case PerKey:
		return a.Key
	case PerRoute:
		return a.Route
	}
	return tier
}

// bucket returns the name of the rule's counter for a request, and whether the rule counts it at all.
func (r *Rule) bucket(a *Ask, tier string) (string, bool) {
	for name, want := range r.Match {
		got := a.dimension(name, tier)
		if name == PerUser {
			got = a.User
		}
		if got != want {
			return "", false
		}
	}
	var b strings.Builder
	b.WriteString(r.Name)
	for _, d := range r.Per {
		fmt.Fprintf(&b, "\x00%s=%s", d, a.dimension(d, tier))
	}
	return b.String(), true
}

// Store keeps counters. Save returns when they will outlive the process, and with sync the machine.
type Store interface {
	Load(ctx context.Context) (map[string][]byte, error)
	Save(ctx context.Context, docs map[string][]byte, sync bool) error
}

// Limiter counts. It is safe for concurrent use.
type Limiter struct {
	rules []Rule
	store Store
	clock *Clock
	log   *slog.Logger

	mu      sync.Mutex
	buckets map[string]*bucket
	next    *commit

	wake chan struct{}
	stop context.CancelFunc
	task sync.WaitGroup
}

// New reads the counters that were kept and starts to keep them.
func New(ctx context.Context, rules []Rule, store Store, clock *Clock, log *slog.Logger) (*Limiter, error) {
	l := &Limiter{rules: rules, store: store, clock: clock, log: log, buckets: map[string]*bucket{}, next: newCommit(), wake: make(chan struct{}, 1)}
	if err := l.load(ctx); err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.task.Go(func() { l.keep(run) })
	return l, nil
}

// Close writes what is counted. No request may be in work any more.
func (l *Limiter) Close() error {
	l.stop()
	l.task.Wait()
	return l.save(context.Background(), true)
}

// Exceeded is the error of a request that a limit refuses.
type Exceeded struct {
	Rule  string
	What  string // requests per minute, tokens per day, ...
	Limit string
	// Quota: the limit is a budget, not a rate.
	Quota bool
	// Tokens, if above 0, is what the request may use, which is more than the limit by itself.
	Tokens int64
	// After is when another try may do, at the earliest.
	After time.Duration
	// State is that of the limits, for headers.
	State State
}

func (e *Exceeded) Error() string {
	if e.Tokens > 0 {
		return fmt.Sprintf("the prompt and max_tokens come to %d tokens, more than the limit of %s; ask for a shorter answer", e.Tokens, e.Limit)
	}
	return fmt.Sprintf("the limit of %s %s is reached; try again in %s", e.Limit, e.What, e.After.Round(time.Second))
}

// Lease is a request that entered. Leave ends it.
type Lease struct {
	l     *Limiter
	ask   Ask
	holds []*hold
	tier  string // of the model that it was let go to last
	price Price
	done  bool
}

// hold is what a lease takes of one bucket: a place and tokens, or money.
type hold struct {
	b          *bucket
	second     int64 // when it was taken
	day, month int64 // the ends of the periods it was taken in
	spends     bool
	late       bool   // it counts what models of its tier use
	tier       string // of the model that it was taken for
	tokens     int64
	money      Money
}

// Enter counts a request against every rule that does not depend on the model, or returns *Exceeded and counts nothing.
func (l *Limiter) Enter(ask Ask) (*Lease, error) {
	le := &Lease{l: l, ask: ask}
	return le, le.take(context.Background(), "", func(r *Rule) bool { return !r.late() }, false)
}

// Model counts the request against the rules that depend on the model, once it is known. Where the model costs money,
// what the request may cost at most is reserved on the disk first.
func (le *Lease) Model(ctx context.Context, tier string, price Price) error {
	le.tier, le.price = tier, price
	if err := le.take(ctx, tier, func(r *Rule) bool { return r.late() }, false); err != nil {
		return err
	}
	if price == (Price{}) {
		return nil
	}
	return le.take(ctx, tier, (*Rule).money, true)
}

// take charges every bucket of the rules that apply, or none of them.
func (le *Lease) take(ctx context.Context, tier string, applies func(*Rule) bool, money bool) error {
	l := le.l
	l.mu.Lock()
	now := l.clock.Now()
	var holds []*hold
	for i := range l.rules {
		r := &l.rules[i]
		if !applies(r) {
			continue
		}
		name, ok := r.bucket(&le.ask, tier)
		if !ok {
			continue
		}
		h := &hold{b: l.bucket(name, r), second: seconds(now), spends: money, late: r.late(), tier: tier, tokens: int64(le.ask.Prompt + le.ask.Answer)}
		h.b.advance(now, l.clock.Wall())
		h.day, h.month = h.b.day.Ends, h.b.month.Ends
		var err *Exceeded
		if money {
			h.tokens, h.money = 0, le.price.Cost(le.ask.Prompt, le.ask.Answer)
			err = h.b.fitsMoney(now, h.money)
		} else {
			err = h.b.fits(now, h.tokens)
		}
		if err != nil {
			err.State = le.state(now, append(holds, le.holds...), h)
			l.mu.Unlock()
			return err
		}
		holds = append(holds, h)
	}
	for _, h := range holds {
		if money {
			h.b.spend(h, h.money)
		} else {
			h.b.enter(h)
		}
	}
	le.holds = append(le.holds, holds...)
	var written *commit
	if money && len(holds) > 0 {
		written = l.next
		written.sync = true
	}
	l.mu.Unlock()
	if written == nil {
		return nil
	}
	l.kick()
	select {
	case <-written.done:
		return written.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settle says what the model that answered in the end costs, where it is not the one that was expected.
func (le *Lease) Settle(p Price) {
	if le != nil && !le.done {
		le.price = p
	}
}

// Used is what a request used of one model.
type Used struct {
	Tier           string
	Price          Price
	Prompt, Answer int // tokens
}

// Leave ends the request with what it used of the model that it was let go to. Tokens that were not used are given back.
func (le *Lease) Leave(prompt, answer int) {
	if le != nil {
		le.LeaveWith([]Used{{le.tier, le.price, prompt, answer}})
	}
}

// LeaveWith ends a request that several models worked on with what it used of each: limits of a tier count that tier's
// share, others all of it. A limit that was asked for several models counts once.
func (le *Lease) LeaveWith(used []Used) {
	if le == nil || le.done {
		return
	}
	le.done = true
	l := le.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	settled := map[settledHold]bool{}
	for _, h := range le.holds {
		h.b.advance(now, l.clock.Wall())
		var tokens int64
		var money Money
		if of := (settledHold{h.b, h.spends}); !settled[of] {
			settled[of] = true
			for _, u := range used {
				if !h.late || h.tier == u.Tier {
					tokens += int64(u.Prompt + u.Answer)
					money += u.Price.Cost(u.Prompt, u.Answer)
				}
			}
		}
		if h.spends {
			h.b.spend(h, money-h.money)
			continue
		}
		h.b.leave(h, tokens-h.tokens)
	}
}

// settledHold is a bucket's tokens, or its money.
type settledHold struct {
	b     *bucket
	money bool
}

// bucket returns the counter of a name, making it on first use; the caller holds mu.
func (l *Limiter) bucket(name string, r *Rule) *bucket {
	b := l.buckets[name]
	if b == nil {
		b = &bucket{rule: r}
		l.buckets[name] = b
	}
	b.rule = r
	return b
}
