package edge

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

func TestNamed_IsOnlyAName(t *testing.T) {
	for host, want := range map[string]bool{"": false, "localhost": false, "LocalHost:1": false, "127.0.0.1:8080": false, "[::1]:8080": false,
		"::1": false, "box.local": true, "evil.example:8080": true, "localhost.evil.example": true, "127.0.0.1.evil.example:80": true} {
		if got := named(host); got != want {
			t.Errorf("named(%q) = %t", host, got)
		}
	}
}

func TestPages_OnlyThoseOfAllowedOriginsGetThrough(t *testing.T) {
	a := open(t, dataDir(t))
	s := &Server{Runtime: a.rt, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(), MaxBody: 1 << 20, Origins: []string{"https://desk.example"}}
	api := httptest.NewServer(s.API())
	defer api.Close()
	do := func(method, path, host string, header ...string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest(method, api.URL+path, strings.NewReader("{}"))
		if host != "" {
			req.Host = host
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	for _, c := range []struct {
		name, method, path, host string
		header                   []string
		status                   int
	}{
		{"no page", "GET", "/v1/models", "", nil, 200},
		{"localhost", "GET", "/v1/models", "localhost:8080", nil, 200},
		{"IPv6", "GET", "/v1/models", "[::1]:8080", nil, 200},
		{"a foreign page", "POST", "/v1/chat/completions", "", []string{"Origin", "https://evil.example", "Content-Type", "text/plain"}, 403},
		{"a page without origin", "POST", "/v1/chat/completions", "", []string{"Origin", "null"}, 403},
		{"a rebound name", "GET", "/v1/models", "evil.example:8080", nil, 403},
		{"a rebound name with its origin", "POST", "/v1/chat/completions", "evil.example", []string{"Origin", "http://evil.example"}, 403},
		{"a foreign preflight", "OPTIONS", "/v1/chat/completions", "", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403},
		{"an allowed page", "GET", "/v1/models", "", []string{"Origin", "https://desk.example"}, 200},
		{"an allowed name", "GET", "/v1/models", "desk.example", nil, 200},
		{"an allowed preflight", "OPTIONS", "/v1/chat/completions", "", []string{"Origin", "https://desk.example", "Access-Control-Request-Method", "POST"}, 204},
		{"health by any name", "GET", "/livez", "box.local", nil, 200},
	} {
		resp := do(c.method, c.path, c.host, c.header...)
		allowed := resp.Header.Get("Access-Control-Allow-Origin")
		if resp.StatusCode != c.status || (allowed != "") != (c.status < 300 && len(c.header) > 0) {
			t.Errorf("%s: %d, allowed for %q", c.name, resp.StatusCode, allowed)
		}
	}
}

func TestPages_AnyOriginWhereTheSiteSaysSo(t *testing.T) {
	a := open(t, dataDir(t))
	s := &Server{Runtime: a.rt, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(), MaxBody: 1 << 20, Origins: []string{"*"}}
	api := httptest.NewServer(s.API())
	defer api.Close()
	req, _ := http.NewRequest("GET", api.URL+"/v1/models", nil)
	req.Host = "box.local"
	req.Header.Set("Origin", "http://anything.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 200 || got != "http://anything.example" {
		t.Errorf("%d, %q", resp.StatusCode, got)
	}
}

func TestCompletion_EchoesThePromptOfEachChoice(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), func(c *config.Config) {
		r := c.Routes["default"]
		r.Cache = config.CacheUse{}
		c.Routes["default"] = r
	})
	r := a.post("/v1/completions", map[string]any{"model": "default", "prompt": []string{"Once", "Twice"}, "n": 2, "echo": true, "max_tokens": 3, "temperature": 1})
	var got struct{ Choices []struct{ Text string } }
	if r.status != 200 || json.Unmarshal(r.body, &got) != nil || len(got.Choices) != 4 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for i, want := range []string{"Once", "Once", "Twice", "Twice"} {
		if !strings.HasPrefix(got.Choices[i].Text, want) || len(got.Choices[i].Text) <= len(want) {
			t.Errorf("choice %d: %q", i, got.Choices[i].Text)
		}
	}
}

func TestChat_RefusesAChoiceOfNoTool(t *testing.T) {
	a := open(t, dataDir(t))
	tool := []map[string]any{{"type": "function", "function": map[string]any{"name": "f"}}}
	for _, body := range []map[string]any{
		ask("hi", "tool_choice", "required"),
		ask("hi", "tools", tool, "tool_choice", map[string]any{"type": "function", "function": map[string]string{"name": "g"}}),
	} {
		if r := a.post("/v1/chat/completions", body); r.status != 400 || !strings.Contains(string(r.body), `"param":"tool_choice"`) {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

func TestBody_RefusesEncodings(t *testing.T) {
	a := open(t, dataDir(t))
	req, _ := http.NewRequest("POST", a.api.URL+"/v1/chat/completions", strings.NewReader("\x1f\x8b"))
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if r := a.read(resp); r.status != 415 || r.code() != "unsupported_encoding" {
		t.Errorf("%d %s", r.status, r.body)
	}
}
