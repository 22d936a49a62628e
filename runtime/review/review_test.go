package review

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/state"
)

func queue(t *testing.T) Queue {
	t.Helper()
	s, err := state.Open(t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return Queue{s.Reviews()}
}

func item(tenant, text string, at int) Item {
	return Item{Time: time.Unix(int64(at), 0).UTC(), Request: "req_0123456789ab", Tenant: tenant, Plugin: "injection-guard", Stage: "input", Verdict: "block",
		Hash: Hash(text), Bytes: len(text), Text: text}
}

func TestQueue_ListsNewestFirstAndByStatus(t *testing.T) {
	q := queue(t)
	for n, text := range []string{"one", "two", "three"} {
		if err := q.Add(item("a", text, n+1), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Add(item("b", "four", 9), 0); err != nil {
		t.Fatal(err)
	}
	items, err := q.List("a", "", 2)
	if err != nil || len(items) != 2 || items[0].Text != "three" || items[1].Text != "two" {
		t.Fatalf("%+v %v", items, err)
	}
	all, err := q.List("", Open, 0)
	if err != nil || len(all) != 4 || all[0].Text != "four" {
		t.Fatalf("%+v %v", all, err)
	}
	if _, err := q.Decide("b", items[0].ID, Approved, "", Decision{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant's item was settled: %v", err)
	}
	if _, err := q.Decide("a", items[0].ID, Approved, "", Decision{By: "x"}); err != nil {
		t.Error(err)
	}
	if open, _ := q.List("a", Open, 0); len(open) != 2 {
		t.Errorf("%+v", open)
	}
	n, err := q.Forget("", func(i *Item) bool { return i.Time.Before(time.Unix(2, 0)) })
	if left, _ := q.List("", "", 0); err != nil || n != 1 || len(left) != 3 {
		t.Errorf("%d %v %+v", n, err, left)
	}
}

func TestQueue_KeepsNoLongTextAndIsBounded(t *testing.T) {
	q := queue(t)
	for _, text := range []string{strings.Repeat("x", MaxText+1), strings.Repeat("\x01", MaxText)} {
		if err := q.Add(item("a", text, 1), len(text)); err != nil {
			t.Fatal(err)
		}
	}
	items, err := q.List("a", "", 0)
	if err != nil || len(items) != 2 || items[0].Text+items[1].Text != "" || items[0].Bytes < MaxText {
		t.Fatalf("%+v %v", items, err)
	}
	for n := range state.MaxReviews + 10 {
		if err := q.Add(item("b", "", n+1), n); err != nil {
			t.Fatal(err)
		}
	}
	items, err = q.List("b", "", 0)
	if err != nil || len(items) != state.MaxReviews || items[len(items)-1].Time.Unix() != 11 {
		t.Errorf("%d %v", len(items), err)
	}
}
