package wasm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// secretKeeper exports "write", which puts a secret into the memory at several places, a global and grown pages, and
// "search", which returns 1 when it finds any of it.
func secretKeeper(pages int) []byte {
	m := Build()
	m.Memory(pages, -1)
	m.Data(8, []byte("initial"))
	g := m.Global64(7)
	const secret = 0x5ec4e75ec4e7
	store := func(at int) []byte { return join(Const32(at), Const64(secret), Op(0x37, 3, 0)) }
	m.Export("write", m.Func(none, none, 0,
		store(1024), store(pages<<16-8), Const64(secret), GlobalSet(g),
		Const32(3), Op(0x40, 0), Drop(), store((pages+3)<<16-8)))
	// i from 0 while i < memory size: if load64(i) == secret return 1
	m.Export("search", m.Func(none, i32, 1,
		GlobalGet(g), Const64(secret), Op(0x51, 0x04, 0x40), Const32(1), Op(0x0f, 0x0b),
		Op(0x3f, 0), Const32(pages), Op(0x47, 0x04, 0x40), Const32(2), Op(0x0f, 0x0b), // memory is larger than at first
		Const32(8), Op(0x29, 3, 0), Const64(0x6c616974696e69), Op(0x52, 0x04, 0x40), Const32(3), Op(0x0f, 0x0b),
		Op(0x03, 0x40), Get(0), Op(0xa7), Op(0x29, 3, 0), Const64(secret), Op(0x51, 0x04, 0x40), Const32(4), Op(0x0f, 0x0b),
		Get(0), Const64(8), Op(0x7c), Op(0x22, 0), Const64(int64(pages)<<16), Op(0x53, 0x0d, 0, 0x0b),
		Const32(0)))
	return m.Bytes()
}

func TestCall_SeesNothingOfEarlierCalls(t *testing.T) {
	for _, pages := range []int{1, 2, 20} { // restored before the call returns, copied afterwards, mapped
		t.Run(fmt.Sprint(pages, " pages"), func(t *testing.T) {
			p := load(t, newHost(t, Options{}), secretKeeper(pages), PluginOptions{Limits: Limits{Instances: 2, Timeout: time.Second}})
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					for i := range 50 {
						export := []string{"write", "search"}[i%2]
						if _, err := p.Call(context.Background(), Call{Export: export, Tenant: fmt.Sprint(worker)}); err != nil {
							t.Errorf("%s: %v", export, err)
							return
						}
					}
				})
			}
			wg.Wait()
			if s := p.Stats(); s.Discards != 0 || s.Restores < 50 {
				t.Errorf("instances should be restored, not thrown away: %+v", s)
			}
		})
	}
}

func TestCall_FreshStateWithoutSnapshot(t *testing.T) {
	m := Build() // changes a table, which cannot be restored
	m.Table(2, 2)
	f := m.Func(none, i32, 0, Const32(0))
	m.Elem(0, f)
	m.Export("run", m.Func(none, i32, 0, Const32(0), Op(0x25, 0), Op(0xd1), Const32(0), Op(0xd0, 0x70), Op(0x26, 0)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{})
	for range 5 {
		if _, err := p.Call(context.Background(), Call{Export: "run"}); err != nil {
			t.Fatal(err) // returns 1 when the entry is null already
		}
	}
}

func TestPool_WaitsAndGivesUp(t *testing.T) {
	release := make(chan struct{})
	block := HostFunction{Name: "block", Quick: true, Func: func(context.Context, *HostCall, []uint64) error { <-release; return nil }}
	m := Build()
	f := m.Import("extism:host/user", "block", none, none)
	m.Export("run", m.Func(none, none, 0, Invoke(f)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{
		Functions: []HostFunction{block}, Limits: Limits{Instances: 1, Timeout: 50 * time.Millisecond, Wait: 50 * time.Millisecond}})
	first := make(chan error, 1)
	go func() {
		_, err := p.Call(context.Background(), Call{Export: "run"})
		first <- err
	}()
	for p.Stats().Live == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := p.Call(ctx, Call{Export: "run"}); codeOf(err) != CodeDeadline {
		t.Errorf("a caller with a deadline got %v", err)
	}
	if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodePoolExhausted {
		t.Errorf("a caller without one got %v", err)
	}
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := p.Close(closing); err == nil {
		t.Error("closed with a call in flight")
	}
	close(release)
	if err := <-first; codeOf(err) != CodeDeadline {
		t.Errorf("the blocked call got %v", err)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestPool_ShrinksWhenIdle(t *testing.T) {
	h := newHost(t, Options{CacheDir: t.TempDir(), CacheKey: make([]byte, 32)})
	h.idleInstance, h.idleCode = 5*time.Millisecond, 10*time.Millisecond
	p := load(t, h, secretKeeper(20), PluginOptions{})
	for range 2 {
		if _, err := p.Call(context.Background(), Call{Export: "search"}); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			if s := p.Stats(); s.Live == 0 && !s.Resident {
				break
			} else if i == 200 {
				t.Fatalf("still there: %+v", s)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestCache_IgnoresWhatIsNotAuthentic(t *testing.T) {
	dir, key := t.TempDir(), bytes.Repeat([]byte{7}, 32)
	module := echo()
	run := func(key []byte) (warm bool) {
		t.Helper()
		h, err := New(context.Background(), Options{CacheDir: dir, CacheKey: key})
		if err != nil {
			t.Fatal(err)
		}
		p := load(t, h, module, PluginOptions{})
		before := entry(t, dir)
		res, err := p.Call(context.Background(), Call{Export: "run", Input: []byte("in")})
		if err != nil || string(res.Output) != "in" {
			t.Fatalf("%q, %v", res.Output, err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".run-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return bytes.Equal(before, entry(t, dir))
	}
	run(key)
	good := entry(t, dir)
	if !run(key) {
		t.Error("a good entry was made again")
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"flipped code bit": func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"flipped name":     func(b []byte) []byte { b[60] ^= 1; return b },
		"truncated":        func(b []byte) []byte { return b[:len(b)/2] },
		"garbage":          func(b []byte) []byte { return bytes.Repeat([]byte("x"), 500) },
	} {
		bad := spoil(bytes.Clone(good))
		if err := os.WriteFile(entryPath(t, dir), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		run(key)
		if now := entry(t, dir); bytes.Equal(now, bad) || !bytes.Equal(now, good) {
			t.Errorf("%s: the entry was not replaced", name)
		}
	}
	run(bytes.Repeat([]byte{8}, 32)) // another key
	if bytes.Equal(entry(t, dir), good) {
		t.Error("an entry under another key was used")
	}
}

func entryPath(t *testing.T, dir string) string {
	t.Helper()
	m, _ := filepath.Glob(filepath.Join(dir, "*.aot"))
	if len(m) != 1 {
		t.Fatalf("entries: %v", m)
	}
	return m[0]
}

func entry(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(entryPath(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
