package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var ctx = context.Background()

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore_KeepsEverythingAcrossARestart(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		s.Cache().Put(ctx, "t", [32]byte{1}, []byte("answer"), time.Hour),
		s.Traces().Put(ctx, "t", "req_1", document([]byte(`{"id":"req_1"}`)), nil),
		s.KV().Set(ctx, "p", "t", "k", []byte("v"), 0),
		s.Meta().Put(ctx, "m", []byte("meta")),
		s.Close(),
	); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, ok, err := s.Cache().Get(ctx, "t", [32]byte{1})
	if !ok || err != nil || string(e.Value) != "answer" {
		t.Errorf("cache: %q %v %v", e.Value, ok, err)
	}
	if doc, ok, err := s.Traces().Get(ctx, "req_1"); !ok || err != nil || string(doc) != `{"id":"req_1"}` {
		t.Errorf("trace: %q %v %v", doc, ok, err)
	}
	if v, ok, err := s.KV().Get(ctx, "p", "t", "k"); !ok || err != nil || string(v) != "v" {
		t.Errorf("kv: %q %v %v", v, ok, err)
	}
	if v, ok, err := s.Meta().Get(ctx, "m"); !ok || err != nil || string(v) != "meta" {
		t.Errorf("meta: %q %v %v", v, ok, err)
	}
	if r, err := s.Check(ctx); err != nil || !r.OK() || r.Traces != 1 {
		t.Errorf("check: %v %v", r, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen_SecondProcessIsToldWhy(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
}

func TestTraces_NewestFirstAndRetention(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), Options{TraceRetention: time.Hour, Now: func() time.Time { return now }})
	for i := range 10 {
		if i == 5 {
			now = now.Add(50 * time.Minute)
		}
		if err := s.Traces().Put(ctx, "t", fmt.Sprint(i), document(fmt.Append(nil, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Traces().Recent(ctx, "t", 3)
	if err != nil || fmt.Sprintf("%s", got) != "[9 8 7]" {
		t.Errorf("recent: %s, %v", got, err)
	}
	now = now.Add(20 * time.Minute)
	if err := s.Traces().retain(); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.Traces().Get(ctx, "4"); ok {
		t.Error("an expired trace is still there")
	}
	if _, ok, _ := s.Traces().Get(ctx, "5"); !ok {
		t.Error("a trace within its retention is gone")
	}
	if r, err := s.Check(ctx); err != nil || !r.OK() || r.Traces != 5 {
		t.Errorf("check after retention: %v %v", r, err)
	}
}

func TestCheck_FindsTracesThatAnOlderStateLost(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	_ = s.Traces().Put(ctx, "t", "1", document([]byte("one")), nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(filepath.Join(dir, "db"))); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	_ = s.Traces().Put(ctx, "t", "2", document([]byte("two")), nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "db")), os.Rename(old, filepath.Join(dir, "db"))); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	_ = s.Traces().Put(ctx, "t", "3", document([]byte("three")), nil)
	if r, err := s.Check(ctx); err != nil || r.OK() || r.Missing != 1 {
		t.Errorf("a lost trace was not found: %+v %v", r, err)
	}
}

func TestKV_CompareAndSetIsAtomic(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	var wg sync.WaitGroup
	for range 8 { // each adds one, 50 times
		wg.Go(func() {
			for done := 0; done < 50; {
				now, _, err := s.KV().Get(ctx, "p", "t", "n")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(now))
				ok, err := s.KV().CompareAndSet(ctx, "p", "t", "n", now, []byte(strconv.Itoa(n+1)), 0)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					done++
				}
			}
		})
	}
	wg.Wait()
	if v, _, err := s.KV().Get(ctx, "p", "t", "n"); string(v) != "400" || err != nil {
		t.Errorf("%s, %v; want 400", v, err)
	}
}

func TestKV_QuotaIsExact(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	big := make([]byte, 500<<10)
	for i, want := range []error{nil, nil, ErrQuota} {
		if err := s.KV().Set(ctx, "p", "t", fmt.Sprint(i), big, 0); !errors.Is(err, want) {
			t.Errorf("set %d: %v", i, err)
		}
	}
	if err := errors.Join(s.KV().Set(ctx, "p", "t", "0", big, 0), s.KV().Set(ctx, "p", "u", "0", big, 0)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.KV().Delete(ctx, "p", "t", "0"), s.KV().Set(ctx, "p", "t", "2", big, 0)); err != nil {
		t.Error(err)
	}
	if _, ok, _ := s.KV().Get(ctx, "p", "u", "2"); ok {
		t.Error("another tenant's pair was read")
	}
}

// document is a trace's document that is there already.
func document(b []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return b, nil }
}

func TestTraces_OneThatCannotBeMadeStopsNoOther(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	bad := func() ([]byte, error) { return nil, errors.New("no document") }
	large := func() ([]byte, error) { return make([]byte, MaxValue+1), nil }
	for id, doc := range map[string]func() ([]byte, error){"bad": bad, "large": large, "good": document([]byte("{}"))} {
		if err := s.Traces().Put(ctx, "t", id, doc, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := s.Traces().Get(ctx, "bad"); ok || err == nil {
		t.Errorf("the trace that cannot be made: %v, %v", ok, err)
	}
	if list, err := s.Traces().Recent(ctx, "t", 10); err != nil || len(list) != 1 {
		t.Errorf("kept %d traces, %v; want 1", len(list), err)
	}
	if _, ok, err := s.Traces().Get(ctx, "large"); ok || err != nil {
		t.Errorf("a trace that is too large: %v, %v", ok, err)
	}
}
