package limits

import (
	"fmt"
	"time"
)

// bucket is the counter of a rule for one combination of what the rule tells apart.
type bucket struct {
	rule     *Rule
	requests window
	tokens   window
	streams  int64
	day      period
	month    period
	dirty    bool
}

// windowSeconds are the seconds that a window sums up: a minute, and the second that has begun.
const windowSeconds = 61

// window counts by the second.
type window struct {
	last  int64 // the second of the newest count
	slots [windowSeconds]int64
	total int64
}

func (w *window) advance(second int64) {
	if w.total == 0 || second-w.last >= windowSeconds {
		if w.total != 0 {
			*w = window{}
		}
		w.last = max(w.last, second)
		return
	}
	for w.last < second {
		w.last++
		slot := &w.slots[w.last%windowSeconds]
		w.total -= *slot
		*slot = 0
	}
}

// add counts n at a second, which may be in the past; counts that have left the window are gone.
func (w *window) add(second, n int64) {
	w.advance(second)
	if w.last-second >= windowSeconds {
		return
	}
	slot := &w.slots[second%windowSeconds]
	n = max(n, -*slot)
	*slot += n
	w.total += n
}

// until is how many seconds pass before the total is at most most.
func (w *window) until(most int64) int64 {
	total := w.total
	for age := int64(windowSeconds - 1); age >= 0; age-- {
		if total <= most {
			return max(windowSeconds-1-age, 0)
		}
		if second := w.last - age; second >= 0 {
			total -= w.slots[second%windowSeconds]
		}
	}
	return windowSeconds
}

// period is a budget's day or month. It ends at a time of the steady clock, so that a wrong wall clock neither cuts it
// short nor makes it last.
type period struct {
	Ends   int64 `json:"ends"` // steady second
	Tokens int64 `json:"tokens,omitempty"`
	Money  Money `json:"money,omitempty"`
}

// roll begins a new period when this one is over. Where the calendar's next boundary is nearer than half a period, the
// one after it ends the new period: a clock that jumped must not grant two budgets at once. Only the first period may
// be short.
func (p *period) roll(now time.Duration, wall time.Time, next func(time.Time) time.Time, length time.Duration) bool {
	second := seconds(now)
	if second < p.Ends {
		return false
	}
	first := p.Ends == 0
	end := next(wall)
	if !first && end.Sub(wall) < length/2 {
		end = next(end)
	}
	*p = period{Ends: second + int64((end.Sub(wall)+time.Second-1)/time.Second)}
	return true
}

func nextDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func nextMonth(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

const (
	day   = 24 * time.Hour
	month = 30 * day
)

func (b *bucket) advance(now time.Duration, wall time.Time) {
	second := seconds(now)
	b.requests.advance(second)
	b.tokens.advance(second)
	day, month := b.day.roll(now, wall, nextDay, day), b.month.roll(now, wall, nextMonth, month)
	b.dirty = b.dirty || day || month
}

// fits says whether a request may enter.
func (b *bucket) fits(now time.Duration, tokens int64) *Exceeded {
	r := b.rule
	over := func(what string, limit int64, after int64, quota bool) *Exceeded {
		return &Exceeded{Rule: r.Name, What: what, Limit: fmt.Sprint(limit), Quota: quota, After: time.Duration(max(after, 1)) * time.Second}
	}
	second := seconds(now)
	if most := r.smallest(); most > 0 && tokens > most {
		return &Exceeded{Rule: r.Name, What: "tokens", Limit: fmt.Sprint(most), Tokens: tokens, After: time.Minute}
	}
	switch {
	case r.Streams > 0 && b.streams >= r.Streams:
		return over("requests at once", r.Streams, 1, false)
	case r.RequestsPerMinute > 0 && b.requests.total >= r.RequestsPerMinute:
		return over("requests per minute", r.RequestsPerMinute, b.requests.until(r.RequestsPerMinute-1), false)
	case r.TokensPerMinute > 0 && b.tokens.total+tokens > r.TokensPerMinute:
		return over("tokens per minute", r.TokensPerMinute, b.tokens.until(max(r.TokensPerMinute-tokens, 0)), false)
	case r.TokensPerDay > 0 && b.day.Tokens+tokens > r.TokensPerDay:
		return over("tokens per day", r.TokensPerDay, b.day.Ends-second, true)
	case r.TokensPerMonth > 0 && b.month.Tokens+tokens > r.TokensPerMonth:
		return over("tokens per month", r.TokensPerMonth, b.month.Ends-second, true)
	}
	return nil
}

// smallest is the limit that one request's tokens must be below to be answered ever; 0: none.
func (r *Rule) smallest() (n int64) {
	for _, limit := range []int64{r.TokensPerMinute, r.TokensPerDay, r.TokensPerMonth} {
		if limit > 0 && (n == 0 || limit < n) {
			n = limit
		}
	}
	return n
}

func (b *bucket) fitsMoney(now time.Duration, m Money) *Exceeded {
	r := b.rule
	over := func(what string, limit Money, p *period) *Exceeded {
		return &Exceeded{Rule: r.Name, What: what, Limit: limit.String(), Quota: true, After: time.Duration(p.Ends-seconds(now)) * time.Second}
	}
	switch {
	case r.MoneyPerDay > 0 && b.day.Money+m > r.MoneyPerDay:
		return over("per day", r.MoneyPerDay, &b.day)
	case r.MoneyPerMonth > 0 && b.month.Money+m > r.MoneyPerMonth:
		return over("per month", r.MoneyPerMonth, &b.month)
	}
	return nil
}

// enter counts a request.
func (b *bucket) enter(h *hold) {
	b.streams++
	b.requests.add(h.second, 1)
	b.use(h, h.tokens)
}

// leave ends a request and corrects its tokens.
func (b *bucket) leave(h *hold, tokens int64) {
	b.streams--
	b.use(h, tokens)
}

// use counts tokens where they were first counted; a period that is over takes no correction.
func (b *bucket) use(h *hold, tokens int64) {
	b.dirty = true
	b.tokens.add(h.second, tokens)
	if h.day == b.day.Ends {
		b.day.Tokens += tokens
	}
	if h.month == b.month.Ends {
		b.month.Tokens += tokens
	}
}

// spend counts money; less than nothing gives back what was reserved.
func (b *bucket) spend(h *hold, m Money) {
	b.dirty = true
	if h.day == b.day.Ends {
		b.day.Money += m
	}
	if h.month == b.month.Ends {
		b.month.Money += m
	}
}

// idle says that the bucket counts nothing.
func (b *bucket) idle() bool {
	return b.streams == 0 && b.requests.total == 0 && b.tokens.total == 0 && b.day.Tokens == 0 && b.day.Money == 0 && b.month.Tokens == 0 && b.month.Money == 0
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (m Money) String() string { return fmt.Sprintf("%.4f", float64(m)/float64(Unit)) }
