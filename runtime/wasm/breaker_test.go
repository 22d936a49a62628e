package wasm

import (
	"context"
	"testing"
	"time"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

func TestBreaker_OpensProbesAndCloses(t *testing.T) {
	m := Build()
	m.Export("bad", m.Func(none, none, 0, Op(0x00)))
	m.Export("good", m.Func(none, none, 0))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Breaker: Breaker{Failures: 3, Window: time.Minute, OpenFor: 30 * time.Millisecond}})
	call := func(export string) Code {
		_, err := p.Call(context.Background(), Call{Export: export})
		return codeOf(err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for range 10 { // the caller's doing
		if _, err := p.Call(canceled, Call{Export: "good"}); codeOf(err) != CodeCanceled {
			t.Fatal(err)
		}
	}
	for range 3 {
		if c := call("bad"); c != CodeTrap {
			t.Fatal(c)
		}
	}
	if c := call("good"); c != CodeBreakerOpen || p.Stats().Breaker != "open" {
		t.Fatalf("after three failures: %s, %+v", c, p.Stats())
	}
	time.Sleep(40 * time.Millisecond)
	if c := call("bad"); c != CodeTrap {
		t.Fatalf("the probe was not let through: %s", c)
	}
	if c := call("good"); c != CodeBreakerOpen {
		t.Fatalf("after a failed probe: %s", c)
	}
	time.Sleep(40 * time.Millisecond)
	for range 2 {
		if c := call("good"); c != "none" {
			t.Fatalf("after a good probe: %s", c)
		}
	}
	if s := p.Stats(); s.Breaker != "closed" || s.Opened != 2 || s.Errors[CodeBreakerOpen] != 2 {
		t.Errorf("%+v", s)
	}
}

func TestHostFunction_ThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	release, over := make(chan struct{}), make(chan error, 1)
	m := Build()
	m.Export("run", m.Func(none, none, 0, Invoke(m.Import("extism:host/user", "hang", none, none))))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{Timeout: 30 * time.Millisecond},
		Functions: []HostFunction{{Name: "hang", Func: func(_ context.Context, c *HostCall, _ []uint64) error {
			<-release
			_, err := c.Write([]byte("too late"))
			over <- err
			return nil
		}}}})
	start := time.Now()
	if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeDeadline {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	close(release)
	if err := <-over; err == nil {
		t.Error("a call that is over could be written to")
	}
}

func TestLimits_EachHasItsCode(t *testing.T) {
	h := newHost(t, Options{})
	m := Build()
	m.Export("run", m.Func(none, none, 0, Invoke(0)))
	p := load(t, h, m.Bytes(), PluginOptions{Limits: Limits{StackBytes: 64 << 10}})
	if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeStackOverflow {
		t.Error(err)
	}
	k := Build()
	k.Export("run", k.Func(none, none, 0, Loop(Invoke(k.Import("extism:host/user", "put", none, none)))))
	p = load(t, h, k.Bytes(), PluginOptions{Limits: Limits{KVBytes: 1000}, Functions: []HostFunction{
		{Name: "put", Quick: true, Func: func(_ context.Context, c *HostCall, _ []uint64) error { return c.SpendKV(100) }}}})
	if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeKVLimit || p.Stats().Errors[CodeKVLimit] != 1 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
	seen := map[Code]bool{}
	for _, c := range Codes {
		if seen[c.Code] || c.Meaning == "" {
			t.Errorf("code %q twice or without a meaning", c.Code)
		}
		seen[c.Code] = true
	}
}

func TestRandom_SeedMakesCallsEqual(t *testing.T) {
	m := Build()
	m.Memory(1, 1)
	f := m.Import("wasi_snapshot_preview1", "random_get", []byte{0x7f, 0x7f}, i32)
	alloc, store, set := env(m, "alloc"), env(m, "store_u64"), env(m, "output_set")
	m.Export("run", m.Func(none, none, 1, Const32(0), Const32(8), Invoke(f), Drop(),
		Const64(8), Invoke(alloc), Op(0x22, 0), Const32(0), Op(0x29, 3, 0), Invoke(store), Get(0), Const64(8), Invoke(set)))
	seed := uint64(7)
	h := newHost(t, Options{})
	fixed, free := load(t, h, m.Bytes(), PluginOptions{Seed: &seed}), load(t, h, m.Bytes(), PluginOptions{})
	out := func(p *Plugin) string {
		res, err := p.Call(context.Background(), Call{Export: "run"})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Output)
	}
	if a, b := out(fixed), out(fixed); a != b {
		t.Errorf("%x, %x", a, b)
	}
	if a, b := out(free), out(free); a == b {
		t.Errorf("%x twice", a)
	}
}
