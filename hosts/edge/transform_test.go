package edge

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/http-wasm/http-wasm-host-go/tck"

	"github.com/ledge-run/ledge/runtime/config"
)

// filterModule builds the filter of testdata.
func filterModule(t *testing.T) string {
	out := filepath.Join(t.TempDir(), "filter.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/filter")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the filter: %v\n%s", err, msg)
	}
	return out
}

// withFilter puts a module before the default route, and leaves it out of the route open when it fails.
func withFilter(file string, settings map[string]string) options {
	return func(c *config.Config) {
		c.Plugins["filter"] = config.Plugin{File: file, Config: settings, Timeout: config.Duration(200 * time.Millisecond)}
		for route, onError := range map[string]string{"default": "closed", "open": "open"} {
			r := c.Routes["default"]
			r.Transform = []config.Stage{{Plugin: "filter", OnError: onError}}
			c.Routes[route] = r
		}
	}
}

func (a *appliance) postWith(header map[string]string, body any) reply {
	a.t.Helper()
	doc, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", a.api.URL+"/v1/chat/completions", bytes.NewReader(doc))
	if err != nil {
		a.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.read(resp)
}

func TestTransform_ChangesRequestAndResponse(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withFilter(filterModule(t), map[string]string{"greeting": "hi"}))
	want := a.post("/v1/chat/completions", ask("Once upon a time")) // the filter marks this one, too
	for range 3 {
		r := a.postWith(map[string]string{"Authorization": "Bearer secret"}, ask("PLACE"))
		if r.status != 200 || r.text() != want.text() || !strings.Contains(string(r.body), `"chat.completion.filtered"`) {
			t.Fatalf("%d %s, want the text %q", r.status, r.body, want.text())
		}
		if got := r.header.Get("X-Seen"); got != `request 1, config {"greeting":"hi"}, authorization "", context 7, error 0` {
			t.Errorf("the filter saw %s", got)
		}
		trace := a.trace(r)
		if s := trace.Stages[0]; s.Stage != "transform" || s.Plugin != "filter" || s.Verdict != "next" || s.Fuel == 0 {
			t.Errorf("trace %+v", s)
		}
	}
	r := a.postWith(map[string]string{"X-Block": "1"}, ask("hello"))
	if r.status != 403 || string(r.body) != "blocked by the filter" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("blocked: %d %v %s", r.status, r.header, r.body)
	}
	if trace := a.trace(r); trace.Status != 403 || trace.Route != "default" || trace.Stages[0].Verdict != "answered" {
		t.Errorf("trace of the blocked request %+v", trace)
	}
	if r := a.postWith(nil, ask("hello", "stream", true)); r.status != 200 || !strings.Contains(string(r.body), "data: [DONE]") || r.header.Get("X-Seen") == "" {
		t.Errorf("stream: %d %v %s", r.status, r.header, r.body)
	}
	if r := a.postWith(nil, ask("hello", "model", "nowhere")); r.status != 404 || r.header.Get("X-Seen") != "" {
		t.Errorf("no route: %d %v", r.status, r.header)
	}
	if r := a.postWith(map[string]string{"X-Do": "reroute"}, ask("hello")); r.status != 502 || r.code() != "transform_failed" {
		t.Errorf("to another route: %d %s", r.status, r.body)
	}

	for do, code := range map[string]string{"spin": "deadline", "flood": "output_limit", "panic": "trap", "panic later": ""} {
		r := a.postWith(map[string]string{"X-Do": do}, ask("hello"))
		if r.status != 503 || r.code() != "transform_failed" {
			t.Errorf("%s: %d %s", do, r.status, r.body)
			continue
		}
		if s := a.trace(r).Stages[0]; code != "" && (s.Verdict != "closed" || s.Error == nil || s.Error.Code != code) {
			t.Errorf("%s: trace %+v %+v", do, s, s.Error)
		}
		r = a.postWith(map[string]string{"X-Do": do}, ask("hello", "model", "open"))
		if r.status != 200 || r.text() == "" || strings.Contains(string(r.body), "filtered") {
			t.Errorf("%s, left out: %d %s", do, r.status, r.body)
		}
	}
	if r := a.postWith(nil, ask("hello")); r.status != 200 {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

// TestTransform_PassesTheConformanceKit runs the kit of the ABI's authors, whose guest is built with TinyGo.
func TestTransform_PassesTheConformanceKit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tck.wasm")
	if err := os.WriteFile(file, tck.GuestWASM, 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, dataDir(t), withFilter(file, nil))
	_, filters := a.rt.Transforms("default")
	s := &Server{Runtime: a.rt, Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 20}
	h := s.through(filters, "default", tck.BackendHandler())
	buffered := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2], func(t *testing.T) {
			server := httptest.NewUnstartedServer(buffered)
			if server.EnableHTTP2 = http2; http2 {
				server.StartTLS()
			} else {
				server.Start()
			}
			t.Cleanup(server.Close)
			t.Run("kit", func(t *testing.T) { tck.Run(t, server.Client(), server.URL) })
		})
	}
}
