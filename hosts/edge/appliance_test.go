package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// appliance is a whole appliance on real parts: the built-in modules in the sandbox, a model file, a store on disk.
type appliance struct {
	t     testing.TB
	cfg   *config.Config
	rt    *runtime.Runtime
	api   *httptest.Server
	admin *httptest.Server
}

// options change the default configuration before the appliance starts.
type options func(c *config.Config)

func withModel(path string) options { return func(c *config.Config) { c.Model.File = path } }

// open starts an appliance in dir.
func open(t testing.TB, dir string, opts ...options) *appliance {
	t.Helper()
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = dir
	for _, o := range opts {
		o(cfg)
	}
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv("LEDGE_TEST_LOG"))); err == nil { // debug, info, warn
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	metrics := NewMetrics()
	rt, err := runtime.New(context.Background(), cfg, runtime.Options{Logger: log, OnTrace: metrics.Observe})
	if err != nil {
		t.Fatal(err)
	}
	metrics.Watch(rt)
	s := &Server{Runtime: rt, Log: log, Metrics: metrics, MaxBody: int64(cfg.Limits.Body), Places: cfg.Limits.Concurrency + cfg.Limits.Queue, Version: "test"}
	a := &appliance{t: t, cfg: cfg, rt: rt, api: httptest.NewServer(s.API()), admin: httptest.NewServer(s.Admin())}
	t.Cleanup(a.stop)
	return a
}

func (a *appliance) stop() {
	if a.rt == nil {
		return
	}
	a.api.Close()
	a.admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := a.rt.Close(ctx); err != nil {
		a.t.Errorf("close: %v", err)
	}
	a.rt = nil
}

// template is a state directory in which the built-in modules are compiled; tests begin with a copy of it.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ledge-edge-test")
	if err != nil {
		return "", err
	}
	cfg, err := config.Load("")
	if err != nil {
		return dir, err
	}
	cfg.Data = dir
	rt, err := runtime.New(context.Background(), cfg, runtime.Options{})
	if err != nil {
		return dir, err
	}
	return dir, rt.Close(context.Background())
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := template(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// dataDir returns a state directory of the test's own, with the built-in modules compiled.
func dataDir(t testing.TB) string {
	t.Helper()
	if _, _, err := plugins.Builtin("router"); err != nil {
		t.Skipf("the built-in modules are not built: %v", err)
	}
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// The cache holds native code and is not used unless it belongs to its owner alone.
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (a *appliance) post(path string, body any) reply {
	a.t.Helper()
	doc, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		doc = string(b)
	}
	resp, err := http.Post(a.api.URL+path, "application/json", strings.NewReader(doc))
	if err != nil {
		a.t.Fatal(err)
	}
	return a.read(resp)
}

func (a *appliance) get(url string) reply {
	a.t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.read(resp)
}

func (a *appliance) read(resp *http.Response) reply {
	a.t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, b}
}

// trace fetches the decision trace of a reply.
func (a *appliance) trace(r reply) *pipeline.Trace {
	a.t.Helper()
	id := r.header.Get("X-Ledge-Request-Id")
	got := a.get(a.admin.URL + "/admin/v1/requests/" + id)
	t := &pipeline.Trace{}
	if got.status != 200 || json.Unmarshal(got.body, t) != nil {
		a.t.Fatalf("trace of %q: %d %s", id, got.status, got.body)
	}
	return t
}

func (r reply) code() string {
	var e struct {
		Error struct{ Code, Type, Message, Param string }
	}
	_ = json.Unmarshal(r.body, &e)
	return e.Error.Code
}

func (r reply) text() string {
	var c struct {
		Choices []struct {
			Message struct{ Content string }
			Text    string
		}
	}
	_ = json.Unmarshal(r.body, &c)
	if len(c.Choices) == 0 {
		return ""
	}
	return c.Choices[0].Message.Content + c.Choices[0].Text
}

// events returns the data of a stream's events.
func (r reply) events() []string {
	var out []string
	for event := range bytes.SplitSeq(r.body, []byte("\n\n")) {
		if data, ok := bytes.CutPrefix(event, []byte("data: ")); ok {
			out = append(out, string(data))
		}
	}
	return out
}

func ask(content string, more ...any) map[string]any {
	m := map[string]any{"model": "default", "temperature": 0, "max_tokens": 12,
		"messages": []map[string]string{{"role": "user", "content": content}}}
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

// loopModule is a module whose every hook runs forever: (loop (br 0)).
func loopModule(t *testing.T) string {
	t.Helper()
	wasm := []byte("\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00")
	var exports []byte
	names := []string{"route", "guard", "cache", "chunk", "describe", "call"}
	exports = append(exports, byte(len(names)))
	for _, n := range names {
		exports = append(append(append(exports, byte(len(n))), n...), 0, 0)
	}
	wasm = append(append(wasm, 7, byte(len(exports))), exports...)
	wasm = append(wasm, 0x0a, 0x0b, 0x01, 0x09, 0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x41, 0x00, 0x0b)
	path := filepath.Join(t.TempDir(), "loop.wasm")
	if err := os.WriteFile(path, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tinyModel writes a small random model.
func tinyModel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(slmtest.Tiny.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
