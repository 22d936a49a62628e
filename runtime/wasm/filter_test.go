package wasm

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm/abi/httpwasm"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// exampleFilter reads a filter that ships with the reference's Go module.
func exampleFilter(t *testing.T, name string) []byte {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/http-wasm/http-wasm-host-go").Output()
	if err != nil {
		t.Skipf("the reference's module is not there: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "examples", name+".wasm"))
	if err != nil {
		t.Skip(err)
	}
	return b
}

// through passes a request with a body through a filter, before a handler that answers with the URI and the body.
func through(t *testing.T, p *Plugin, uri, body string, header http.Header) (*HTTPExchange, FilterResult, error) {
	t.Helper()
	x := &HTTPExchange{Method: "POST", URI: uri, Protocol: "HTTP/1.1", Source: "127.0.0.1:1", Host: "example.com", Header: header, Body: []byte(body),
		Response: HTTPAnswer{Header: http.Header{}}, Limit: 1 << 20}
	if header == nil {
		x.Header = http.Header{}
	}
	res, err := p.Filter(context.Background(), Filter{Exchange: x, Next: func(_ Result, buffered bool) error {
		x.Response.Header.Set("Content-Type", "text/plain")
		x.Response.Body = []byte(x.URI + " " + string(x.Body))
		return nil
	}})
	return x, res, err
}

func TestFilter_RunsTheReferencesExamples(t *testing.T) {
	h := newHost(t, Options{})
	loaded := func(name string, config map[string]string) *Plugin {
		return load(t, h, exampleFilter(t, name), PluginOptions{Name: name, Config: config})
	}
	if p := loaded("router", nil); p.ABI() != "http-wasm" {
		t.Errorf("router is of ABI %s", p.ABI())
	} else {
		for uri, want := range map[string]string{"/": "hello world", "/nothosst": "hello world", "/host/a": "/a "} {
			if x, _, err := through(t, p, uri, "", nil); err != nil || string(x.Response.Body) != want {
				t.Errorf("router %s: %q, %v", uri, x.Response.Body, err)
			}
		}
	}
	redact := loaded("redact", map[string]string{"config": "open sesame"})
	for body, want := range map[string]string{"open sesame": "/ ###########", "hello world": "/ hello world", "hello open sesame world": "/ hello ########### world"} {
		if x, _, err := through(t, redact, "/", body, nil); err != nil || string(x.Response.Body) != want {
			t.Errorf("redact %q: %q, %v", body, x.Response.Body, err)
		}
	}
	auth := loaded("auth", nil)
	for _, c := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"Notauthorization": {"1"}}, 401},
		{http.Header{"Authorization": {""}}, 401},
		{http.Header{"Authorization": {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}}, 0},
		{http.Header{"Authorization": {"0"}}, 401},
	} {
		if x, res, err := through(t, auth, "/", "", c.header); err != nil || x.Response.Status != c.status || res.Answered != (c.status == 401) {
			t.Errorf("auth %v: %+v, %v", c.header, x.Response, err)
		}
	}
	if _, res, err := through(t, loaded("log", nil), "/", "", nil); err != nil || len(res.Request.Logs) != 1 || res.Request.Logs[0].Text != "hello world" {
		t.Errorf("log: %+v, %v", res, err)
	}
	_, res, err := through(t, loaded("wasi", nil), "/", `{"hello": "panda"}`, http.Header{"Content-Type": {"application/json"}})
	var printed strings.Builder
	for _, l := range append(res.Request.Logs, res.Response.Logs...) {
		printed.WriteString(l.Text + "\n")
	}
	if want := "POST / HTTP/1.1\ncontent-type: application/json\nhost: example.com\n\n{\"hello\": \"panda\"}\n\nHTTP/1.1 200\ncontent-type: text/plain\n\n/ {\"hello\": \"panda\"}\n"; err != nil || printed.String() != want {
		t.Errorf("wasi printed %q, want %q, %v", printed.String(), want, err)
	}
}

// filter returns a filter that does something in handle_request and something in handle_response.
func filter(build func(m *Module) (request, response [][]byte)) []byte {
	m := Build()
	m.Memory(1, 4)
	request, response := build(m)
	m.Export(httpwasm.HandleRequest, m.Func(none, i64, 0, append(request, Const64(1))...))
	m.Export(httpwasm.HandleResponse, m.Func([]byte{0x7f, 0x7f}, none, 0, response...))
	m.ExportMemory("memory")
	return m.Bytes()
}

func TestFilter_IsBounded(t *testing.T) {
	h := newHost(t, Options{})
	loop := func(m *Module, name string, params int, args ...int) [][]byte {
		f := m.Import(httpwasm.Module, name, []byte(strings.Repeat("\x7f", params)), none)
		body := [][]byte{Op(0x03, 0x40)}
		for _, a := range args {
			body = append(body, Const32(a))
		}
		return append(body, Invoke(f), Op(0x0c, 0, 0x0b))
	}
	for name, c := range map[string]struct {
		build func(m *Module) (request, response [][]byte)
		code  Code
		limit Limits
	}{
		"spins":                   {func(*Module) (a, b [][]byte) { return [][]byte{Loop()}, nil }, CodeDeadline, Limits{}},
		"spins on the response":   {func(*Module) (a, b [][]byte) { return nil, [][]byte{Loop()} }, CodeDeadline, Limits{}},
		"burns fuel":              {func(*Module) (a, b [][]byte) { return [][]byte{Loop()}, nil }, CodeFuelExhausted, Limits{Fuel: 1000}},
		"writes a body for ever":  {func(m *Module) (a, b [][]byte) { return loop(m, "write_body", 3, 0, 0, 4096), nil }, CodeOutputLimit, Limits{}},
		"logs for ever":           {func(m *Module) (a, b [][]byte) { return loop(m, "log", 3, 1, 0, 100), nil }, CodeLogLimit, Limits{}},
		"writes outside":          {func(m *Module) (a, b [][]byte) { return loop(m, "write_body", 3, 0, 65530, 100), nil }, CodeTrap, Limits{}},
		"a status of 99":          {func(m *Module) (a, b [][]byte) { return loop(m, "set_status_code", 1, 99), nil }, CodeTrap, Limits{}},
		"an empty method":         {func(m *Module) (a, b [][]byte) { return loop(m, "set_method", 2, 0, 0), nil }, CodeTrap, Limits{}},
		"a request header late":   {func(m *Module) (a, b [][]byte) { return nil, loop(m, "set_uri", 2, 0, 0) }, CodeTrap, Limits{}},
		"a response without":      {func(m *Module) (a, b [][]byte) { return nil, loop(m, "write_body", 3, 1, 0, 1) }, CodeTrap, Limits{}},
		"kind of headers unknown": {func(m *Module) (a, b [][]byte) { return loop(m, "remove_header", 3, 9, 0, 1), nil }, CodeTrap, Limits{}},
		"calls for ever":          {func(m *Module) (a, b [][]byte) { return loop(m, "write_body", 3, 0, 0, 0), nil }, CodeHostCallLimit, Limits{HostCalls: 1000}},
	} {
		c.limit.Timeout = 50 * time.Millisecond
		p := load(t, h, filter(c.build), PluginOptions{Name: "test", Limits: c.limit})
		for range 2 {
			start := time.Now()
			if _, _, err := through(t, p, "/", "body", nil); codeOf(err) != c.code {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		}
	}
}

func TestFilter_WithWrongExportsIsRefused(t *testing.T) {
	h := newHost(t, Options{})
	for name, build := range map[string]func(m *Module){
		"no exports": func(m *Module) {},
		"one export": func(m *Module) { m.Export(httpwasm.HandleRequest, m.Func(none, i64, 0, Const64(0))) },
		"signatures": func(m *Module) {
			m.Export(httpwasm.HandleRequest, m.Func(none, i32, 0, Const32(0)))
			m.Export(httpwasm.HandleResponse, m.Func([]byte{0x7f, 0x7f}, none, 0))
		},
	} {
		m := Build()
		m.Import(httpwasm.Module, "get_uri", []byte{0x7f, 0x7f}, i32)
		m.Memory(1, 1)
		build(m)
		_, err := h.Load(context.Background(), m.Bytes(), PluginOptions{Name: "test"})
		if codeOf(err) != CodeBadModule || !strings.Contains(err.Error(), "handle_re") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
