package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/wasm"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// caller is a plugin that makes the request its input describes and answers with the response's body.
func caller() []byte {
	i64 := []byte{0x7e}
	m := Build()
	in := m.Import("extism:host/env", "input_offset", nil, i64)
	length := m.Import("extism:host/env", "length", i64, i64)
	out := m.Import("extism:host/env", "output_set", []byte{0x7e, 0x7e}, nil)
	request := m.Import("extism:host/env", "http_request", []byte{0x7e, 0x7e}, i64)
	m.Export("describe", m.Func(nil, nil, 0))
	m.Export("call", m.Func(nil, nil, 1, Invoke(in), Const64(0), Invoke(request), Op(0x22, 0), Get(0), Invoke(length), Invoke(out)))
	return m.Bytes()
}

// counted is a server that counts its connections.
func counted(t *testing.T, address string, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = l
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			n.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, &n
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this host has no address beside loopback")
	return ""
}

// What a plugin may ask for is granted without bounds here; being offline is all that keeps it.
func TestOffline_PluginsReachNothingButTheSite(t *testing.T) {
	far, farConns := counted(t, net.JoinHostPort(ownAddress(t), "0"), func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "far") })
	near, nearConns := counted(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, far.URL+"/", http.StatusFound)
			return
		}
		fmt.Fprint(w, "near")
	})
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "p.wasm"), caller(), 0o600),
		os.WriteFile(filepath.Join(dir, "p.yaml"), []byte("name: p\nhooks: [tools]\ncapabilities: [http]\nlimits: {timeout: 20s}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, offline bool, site []string, ceiling ...string) func(url string) (string, error) {
		cfg, err := config.Load("")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Data, cfg.Offline, cfg.Site, cfg.Sandbox.Ceiling = filepath.Join(t.TempDir(), "data"), offline, site, ceiling
		cfg.Plugins = map[string]config.Plugin{"p": {File: filepath.Join(dir, "p.wasm"),
			Grant: []string{"http=" + far.URL + " any", "http=" + near.URL + " any", "http=http://name.example any", "http=http://localhost any"}}}
		cfg.Routes = map[string]config.Route{"default": {Models: []string{config.Local}}}
		if err := cfg.Check(); err != nil {
			t.Fatal(err)
		}
		r, err := New(t.Context(), cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(context.Background()) })
		return func(url string) (string, error) {
			res, err := r.plugins["p"].Call(t.Context(), wasm.Call{Export: "call", Input: []byte(fmt.Sprintf(`{"url":%q,"method":"GET"}`, url)), Tenant: "default"})
			return string(res.Output), err
		}
	}
	named := []string{"http=" + far.URL + " any", "http=" + near.URL + " any", "http=http://name.example any"}

	online := start(t, false, nil, "http")
	if out, err := online(far.URL + "/"); err != nil || out != "far" {
		t.Fatalf("online: %q, %v", out, err)
	}
	farConns.Store(0)

	call := start(t, true, nil, named...)
	if out, err := call(near.URL + "/"); err != nil || out != "near" {
		t.Errorf("this host, named by the ceiling: %q, %v", out, err)
	}
	for what, url := range map[string]string{"an address beyond": far.URL + "/", "a redirect to it": near.URL + "/away", "a name": "http://name.example/"} {
		out, err := call(url)
		if err == nil || !strings.Contains(err.Error(), "offline") {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	if n := farConns.Load(); n != 0 {
		t.Errorf("%d connections were made beyond the gap", n)
	}

	nearConns.Store(0)
	unnamed := start(t, true, nil, "http") // a ceiling that names nothing allows nothing
	if out, err := unnamed(near.URL + "/"); err == nil || !strings.Contains(err.Error(), "sandbox.ceiling") || nearConns.Load() != 0 {
		t.Errorf("this host, not named by the ceiling: %q, %v", out, err)
	}
	inSite := start(t, true, []string{ownAddress(t)}, named...)
	if out, err := inSite(far.URL + "/"); err != nil || out != "far" {
		t.Errorf("an address of the site: %q, %v", out, err)
	}
}
