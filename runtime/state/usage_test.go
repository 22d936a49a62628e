package state

import (
	"fmt"
	"testing"
	"time"
)

func TestUsage_CountsWhatIsTracedOnceAndAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put := func(tenant string, n int, l UsageLine) {
		t.Helper()
		for i := range n {
			if err := s.Traces().Put(ctx, tenant, fmt.Sprint(tenant, l.Model, i, time.Now().UnixNano()), document([]byte("{}")), &l); err != nil {
				t.Fatal(err)
			}
		}
	}
	small := UsageLine{Route: "r", Model: "small", Key: "k", Use: Use{Requests: 1, PromptTokens: 10, CompletionTokens: 5, Cost: 7}}
	put("a", flushBatch+50, small)
	put("b", 3, small)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	put("a", 1, small)
	put("a", 2, UsageLine{Route: "r", Model: "large", Use: Use{Requests: 1, Failed: 1}})
	now := time.Now()
	all, err := s.Traces().Usage(ctx, "", now, now)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v %+v", err, all)
	}
	for _, l := range all {
		n := map[string]int64{"a small": flushBatch + 51, "b small": 3, "a large": 2}[l.Tenant+" "+l.Model]
		if l.Requests != n || l.Day != now.UTC().Format(DayFormat) || l.Model == "small" && (l.PromptTokens != 10*n || l.CompletionTokens != 5*n || l.Cost != 7*n || l.Key != "k") {
			t.Errorf("%+v", l)
		}
	}
	if of, err := s.Traces().Usage(ctx, "b", now, now); err != nil || len(of) != 1 || of[0].Tenant != "b" {
		t.Errorf("of b: %v %+v", err, of)
	}
	if r, err := s.Check(ctx); err != nil || !r.OK() {
		t.Errorf("%v %v", r, err)
	}
}

func TestUsage_IsForgottenAfterAYear(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	real := s.now
	s.now = func() time.Time { return real().AddDate(-2, 0, 0) }
	if err := s.Traces().Put(ctx, "a", "old", document([]byte("{}")), &UsageLine{Route: "r", Use: Use{Requests: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Traces().flush(); err != nil {
		t.Fatal(err)
	}
	s.now = real
	if err := s.Traces().Put(ctx, "a", "new", document([]byte("{}")), &UsageLine{Route: "r", Use: Use{Requests: 1}}); err != nil {
		t.Fatal(err)
	}
	from := real().AddDate(-3, 0, 0)
	if l, err := s.Traces().Usage(ctx, "", from, real()); err != nil || len(l) != 2 {
		t.Fatalf("%v %+v", err, l)
	}
	if err := s.Traces().retain(); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Traces().Usage(ctx, "", from, real()); err != nil || len(l) != 1 {
		t.Errorf("%v %+v", err, l)
	}
}
