package limits

import (
	"fmt"
	"strings"
	"time"
)

// State is how much of the limits a request sees used, for headers. A limit of 0 is none.
type State struct {
	Requests, Tokens Room
	// Warnings name the budgets that are used beyond their soft limit.
	Warnings []string
}

// Room is what a limit leaves.
type Room struct {
	Limit, Remaining int64
	Reset            time.Duration // until all of it is free
}

// State tells how the limits of the request stand.
func (le *Lease) State() State {
	if le == nil {
		return State{}
	}
	le.l.mu.Lock()
	defer le.l.mu.Unlock()
	return le.state(le.l.clock.Now(), le.holds, nil)
}

// state is the tightest of the rules that apply; the caller holds mu.
func (le *Lease) state(now time.Duration, holds []*hold, refused *hold) State {
	var s State
	if refused != nil {
		holds = append(holds[:len(holds):len(holds)], refused)
	}
	tightest := func(r *Room, limit int64, w *window) {
		if limit == 0 {
			return
		}
		left := max(limit-w.total, 0)
		if r.Limit == 0 || left*r.Limit < r.Remaining*limit {
			*r = Room{limit, left, time.Duration(w.until(0)) * time.Second}
		}
	}
	for _, h := range holds {
		b := h.b
		tightest(&s.Requests, b.rule.RequestsPerMinute, &b.requests)
		tightest(&s.Tokens, b.rule.TokensPerMinute, &b.tokens)
		s.Warnings = append(s.Warnings, b.warnings()...)
	}
	return s
}

// warnings name the budgets that are used beyond the soft limit.
func (b *bucket) warnings() (out []string) {
	check := func(what string, used, limit int64) {
		if limit > 0 && b.rule.Soft > 0 && float64(used) >= b.rule.Soft*float64(limit) {
			out = append(out, fmt.Sprintf("%s: %d%% of %s used", b.rule.Name, used*100/limit, what))
		}
	}
	check("tokens per day", b.day.Tokens, b.rule.TokensPerDay)
	check("tokens per month", b.month.Tokens, b.rule.TokensPerMonth)
	check("money per day", int64(b.day.Money), int64(b.rule.MoneyPerDay))
	check("money per month", int64(b.month.Money), int64(b.rule.MoneyPerMonth))
	return out
}

// Count is a counter as an operator sees it.
type Count struct {
	Rule          string `json:"rule"`
	For           string `json:"for"` // what the rule tells apart, as dimension=value
	Requests      int64  `json:"requests_last_minute"`
	Tokens        int64  `json:"tokens_last_minute"`
	Streams       int64  `json:"streams"`
	TokensDay     int64  `json:"tokens_today"`
	TokensMonth   int64  `json:"tokens_this_month"`
	MoneyDay      string `json:"money_today"`
	MoneyMonth    string `json:"money_this_month"`
	SoftExceeded  bool   `json:"soft_exceeded"`
	DayEndsIn     int64  `json:"day_ends_in_s"`
	MonthEndsIn   int64  `json:"month_ends_in_s"`
	LimitRequests int64  `json:"limit_requests_per_minute,omitempty"`
	LimitTokens   int64  `json:"limit_tokens_per_minute,omitempty"`
}

// Counts lists the counters that count anything.
func (l *Limiter) Counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wall := l.clock.Now(), l.clock.Wall()
	out := []Count{}
	for name, b := range l.buckets {
		b.advance(now, wall)
		if b.idle() {
			continue
		}
		_, who, _ := strings.Cut(name, "\x00")
		out = append(out, Count{Rule: b.rule.Name, For: strings.ReplaceAll(who, "\x00", " "), Requests: b.requests.total, Tokens: b.tokens.total,
			Streams: b.streams, TokensDay: b.day.Tokens, TokensMonth: b.month.Tokens, MoneyDay: b.day.Money.String(), MoneyMonth: b.month.Money.String(),
			SoftExceeded: len(b.warnings()) > 0, DayEndsIn: b.day.Ends - seconds(now), MonthEndsIn: b.month.Ends - seconds(now),
			LimitRequests: b.rule.RequestsPerMinute, LimitTokens: b.rule.TokensPerMinute})
	}
	return out
}
