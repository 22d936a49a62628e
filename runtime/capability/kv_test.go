package capability

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// guest exports "set", which stores its input under itself, "get", which answers with what is stored under its input,
// and "delete".
func guest() []byte {
	i64, none := []byte{0x7e}, []byte(nil)
	m := Build()
	in := m.Import("extism:host/env", "input_offset", none, i64)
	length := m.Import("extism:host/env", "length", i64, i64)
	out := m.Import("extism:host/env", "output_set", []byte{0x7e, 0x7e}, none)
	get := m.Import("extism:host/user", "ledge_kv_get", i64, i64)
	set := m.Import("extism:host/user", "ledge_kv_set", []byte{0x7e, 0x7e, 0x7e}, i64)
	cas := m.Import("extism:host/user", "ledge_kv_cas", []byte{0x7e, 0x7e, 0x7e, 0x7e}, i64)
	del := m.Import("extism:host/user", "ledge_kv_delete", i64, i64)
	m.Export("set", m.Func(none, i64, 0, Invoke(in), Invoke(in), Const64(0), Invoke(set)))
	m.Export("get", m.Func(none, none, 1, Invoke(in), Invoke(get), Op(0x22, 0), Get(0), Invoke(length), Invoke(out)))
	m.Export("cas", m.Func(none, i64, 0, Invoke(in), Invoke(in), Const64(0), Const64(0), Invoke(cas))) // its input becomes nothing
	m.Export("claim", m.Func(none, i64, 0, Invoke(in), Const64(0), Invoke(in), Const64(0), Invoke(cas)))
	m.Export("delete", m.Func(none, i64, 0, Invoke(in), Invoke(del)))
	return m.Bytes()
}

func TestKV_KeepsTenantsApart(t *testing.T) {
	h, err := wasm.New(context.Background(), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	p, err := h.Load(context.Background(), guest(), wasm.PluginOptions{Name: "p", Functions: KV(&MemoryStore{MaxBytes: 10})})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ export, tenant, in, out string }{
		{"get", "a", "key", ""},
		{"set", "a", "key", ""},
		{"get", "a", "key", "key"},
		{"get", "b", "key", ""},
		{"delete", "b", "key", ""},
		{"get", "a", "key", "key"},
		{"delete", "a", "key", ""},
		{"get", "a", "key", ""},
	} {
		res, err := p.Call(context.Background(), wasm.Call{Export: step.export, Tenant: step.tenant, Input: []byte(step.in)})
		if err != nil || string(res.Output) != step.out {
			t.Fatalf("%+v: %q, %v", step, res.Output, err)
		}
	}
	_, err = p.Call(context.Background(), wasm.Call{Export: "set", Input: []byte("longer than ten")})
	var e *wasm.Error
	if !errors.As(err, &e) || e.Code != wasm.CodeGuestError || e.Message != "returned 1" {
		t.Errorf("over the quota: %v", err)
	}
}

func TestKV_ComparesAndSets(t *testing.T) {
	h, err := wasm.New(context.Background(), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	p, err := h.Load(context.Background(), guest(), wasm.PluginOptions{Name: "p", Functions: KV(&MemoryStore{})})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		export string
		status string
	}{{"cas", "returned 4"}, {"claim", ""}, {"claim", "returned 4"}, {"cas", ""}, {"cas", "returned 4"}, {"claim", ""}} {
		_, err := p.Call(context.Background(), wasm.Call{Export: step.export, Tenant: "t", Input: []byte("key")})
		var e *wasm.Error
		if errors.As(err, &e); (err == nil) != (step.status == "") || err != nil && e.Message != step.status {
			t.Errorf("step %d, %s: %v, want %q", i, step.export, err, step.status)
		}
	}
}

func TestMemoryStore_ForgetsAfterTTL(t *testing.T) {
	s, ctx := &MemoryStore{}, context.Background()
	if err := s.Set(ctx, "p", "t", "k", []byte("v"), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	if _, ok, _ := s.Get(ctx, "p", "t", "k"); ok || s.bytes != 0 {
		t.Errorf("still there: %v, %d bytes", ok, s.bytes)
	}
}
