package runtime

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/limits"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/state"
)

// use is what a traced request used. An answer from the cache cost nothing; its tokens are those that were saved.
func (r *Runtime) use(t *pipeline.Trace) *state.UsageLine {
	l := &state.UsageLine{Route: t.Route, Model: t.Model, Key: t.Key}
	l.Requests = 1
	if t.Status >= http.StatusBadRequest {
		l.Failed = 1
	}
	prompt, answer := t.Usage.PromptTokens, t.Usage.CompletionTokens
	if t.Cache == "hit" || t.Cache == "semantic" {
		l.CacheHits, l.SavedTokens = 1, int64(prompt+answer)
		return l
	}
	l.PromptTokens, l.CompletionTokens = int64(prompt), int64(answer)
	if len(t.Spent) == 0 {
		l.Cost = int64(r.price(t.Model).Cost(prompt, answer))
	}
	for _, u := range r.used(t.Spent) {
		l.Cost += int64(u.Price.Cost(u.Prompt, u.Answer))
	}
	return l
}

// Usage returns what a tenant, or all for an empty one, used from one day to another, both included, in UTC. The counts are
// written with the traces that they are of. With recount they are made anew from the traces that are still kept, at the
// prices of now.
func (r *Runtime) Usage(ctx context.Context, tenant string, from, to time.Time, recount bool) ([]state.UsageLine, error) {
	if !recount {
		return r.store.Traces().Usage(ctx, tenant, from, to)
	}
	type place struct{ day, tenant, route, model, key string }
	at := map[place]int{}
	var out []state.UsageLine
	first, last := from.UTC().Format(state.DayFormat), to.UTC().Format(state.DayFormat)
	err := r.store.Traces().Each(ctx, tenant, func(kept time.Time, doc []byte) error {
		day := kept.UTC().Format(state.DayFormat)
		var t pipeline.Trace
		if day < first || day > last || json.Unmarshal(doc, &t) != nil {
			return nil
		}
		l := r.use(&t)
		l.Day, l.Tenant = day, t.Tenant
		p := place{l.Day, l.Tenant, l.Route, l.Model, l.Key}
		i, ok := at[p]
		if !ok {
			at[p] = len(out)
			out = append(out, *l)
			return nil
		}
		out[i].Add(l.Use)
		return nil
	})
	return out, err
}

// UsageColumns are what usage can be summed up by.
var UsageColumns = []string{"day", "tenant", "route", "model", "key"}

// SumUsage adds up the lines that agree in the columns; the others are empty in what it returns, which is ordered by the
// columns.
func SumUsage(lines []state.UsageLine, by []string) []state.UsageLine {
	sums := map[state.UsageLine]*state.UsageLine{}
	out := []*state.UsageLine{}
	for _, l := range lines {
		kept := state.UsageLine{}
		for _, c := range by {
			*usageColumn(&kept, c) = *usageColumn(&l, c)
		}
		sum := sums[kept]
		if sum == nil {
			copied := kept
			sum = &copied
			sums[kept] = sum
			out = append(out, sum)
		}
		sum.Add(l.Use)
	}
	slices.SortFunc(out, func(a, b *state.UsageLine) int {
		for _, c := range by {
			if d := strings.Compare(*usageColumn(a, c), *usageColumn(b, c)); d != 0 {
				return d
			}
		}
		return 0
	})
	list := make([]state.UsageLine, len(out))
	for i, l := range out {
		list[i] = *l
	}
	return list
}

// usageColumn is a line's value of one of UsageColumns.
func usageColumn(l *state.UsageLine, name string) *string {
	switch name {
	case "day":
		return &l.Day
	case "tenant":
		return &l.Tenant
	case "route":
		return &l.Route
	case "model":
		return &l.Model
	}
	return &l.Key
}

// WriteUsage writes lines as CSV, with a header; the cost is in the unit that prices are in.
func WriteUsage(w io.Writer, lines []state.UsageLine, by []string) error {
	out := csv.NewWriter(w)
	if err := out.Write(slices.Concat(by, []string{"requests", "failed", "cache_hits", "prompt_tokens", "completion_tokens", "saved_tokens", "cost"})); err != nil {
		return err
	}
	for i := range lines {
		l := &lines[i]
		var row []string
		for _, c := range by {
			row = append(row, *usageColumn(l, c))
		}
		for _, n := range []int64{l.Requests, l.Failed, l.CacheHits, l.PromptTokens, l.CompletionTokens, l.SavedTokens} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		if err := out.Write(append(row, Amount(l.Cost))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Amount writes a cost in the unit that prices are in.
func Amount(cost int64) string {
	return strconv.FormatFloat(float64(cost)/float64(limits.Unit), 'f', -1, 64)
}
