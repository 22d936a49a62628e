package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ledge-run/ledge/runtime/openai"
)

const chunk = `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}`

func events(w http.ResponseWriter, lines ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, l := range lines {
		fmt.Fprintf(w, "data: %s\n\n", l)
		w.(http.Flusher).Flush()
	}
}

func ask(t *testing.T, h http.HandlerFunc, change func(*Config)) (string, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := Config{Name: "peer", BaseURL: srv.URL + "/v1", APIKey: "key", Timeouts: Timeouts{FirstByte: 2 * time.Second, Idle: 200 * time.Millisecond}}
	if change != nil {
		change(&c)
	}
	target, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var text strings.Builder
	_, err = target.Chat(context.Background(), []byte(`{"stream":true}`), func(c *openai.ChatChunk) error {
		for _, choice := range c.Choices {
			if choice.Delta.Content != nil {
				text.WriteString(*choice.Delta.Content)
			}
		}
		return nil
	})
	return text.String(), err
}

func TestChat_ReadsTheStream(t *testing.T) {
	text, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer key" || string(b) != `{"stream":true}` {
			t.Errorf("the peer got %s %v %s", r.URL, r.Header, b)
		}
		events(w, fmt.Sprintf(chunk, "a"), fmt.Sprintf(chunk, "b"), "[DONE]")
	}, nil)
	if text != "ab" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestChat_FaultsOfThePeer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	hang := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(3 * time.Second):
		}
	}
	for name, tc := range map[string]struct {
		peer   http.HandlerFunc
		change func(*Config)
		status int
		code   string
	}{
		"hangs before headers": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); hang(r) },
			func(c *Config) { c.Timeouts.FirstByte = 100 * time.Millisecond }, 504, "upstream_timeout"},
		"hangs in the stream": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			events(w, fmt.Sprintf(chunk, "a"))
			hang(r)
		}, nil, 504, "upstream_timeout"},
		"ends without done": {func(w http.ResponseWriter, r *http.Request) { events(w, fmt.Sprintf(chunk, "a")) }, nil, 502, "upstream_error"},
		"resets": {func(w http.ResponseWriter, r *http.Request) {
			events(w, fmt.Sprintf(chunk, "a"))
			panic(http.ErrAbortHandler)
		}, nil, 502, "upstream_error"},
		"half a document": {func(w http.ResponseWriter, r *http.Request) { events(w, `{"choices":[`) }, nil, 502, "upstream_error"},
		"an error event":  {func(w http.ResponseWriter, r *http.Request) { events(w, `{"error":{"message":"secret detail"}}`) }, nil, 502, "upstream_error"},
		"a web page":      {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") }, nil, 502, "upstream_error"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, nil, 502, "upstream_error"},
		"500": {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "secret detail", 500) }, nil, 502, "upstream_error"},
		"401": {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "bad key", http.StatusUnauthorized) }, nil, 502, "upstream_error"},
		"400": {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "secret detail", 400) }, nil, 400, "upstream_rejected"},
		"too long a prompt": {func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, `{"error":{"message":"secret detail","code":"context_length_exceeded"}}`, 400)
		}, nil, 400, "context_length_exceeded"},
		"429": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "", http.StatusTooManyRequests)
		}, nil, 429, "upstream_rate_limited"},
		"a huge answer": {func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				events(w, fmt.Sprintf(chunk, strings.Repeat("x", 1000)))
			}
		}, func(c *Config) { c.MaxResponse = 20 << 10 }, 502, "upstream_error"},
		"nobody there": {func(w http.ResponseWriter, r *http.Request) {}, func(c *Config) { c.BaseURL = "http://127.0.0.1:1/v1" }, 502, "upstream_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(t, tc.peer, tc.change)
			var e *openai.Error
			if !errors.As(err, &e) || e.Status != tc.status || e.Code != tc.code {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(e.Message, "secret") {
				t.Errorf("the client would read %q", e.Message)
			}
			if tc.code == "upstream_rate_limited" && e.RetryAfter != 7 {
				t.Errorf("retry after %d", e.RetryAfter)
			}
		})
	}
}

func TestChat_EndsWithItsCaller(t *testing.T) {
	left := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		events(w, fmt.Sprintf(chunk, "a"))
		<-r.Context().Done()
		close(left)
	}))
	defer srv.Close()
	target, err := New(Config{Name: "peer", BaseURL: srv.URL + "/v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = target.Chat(ctx, nil, func(*openai.ChatChunk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-left:
	case <-time.After(2 * time.Second):
		t.Error("the peer was not told")
	}
}

func TestEventReader_Lines(t *testing.T) {
	r := newEventReader(strings.NewReader(": comment\r\nevent: x\r\ndata: a\r\ndata:b\r\n\r\n\n\ndata: c\rdata\r\rdata: unfinished\n"))
	for _, want := range []string{"a\nb", "c\n"} {
		if got, err := r.next(); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("an unfinished event came out: %q, %v", got, err)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n"))
	f.Add([]byte(":\r\rdata\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newEventReader(strings.NewReader(string(b)))
		total := 0
		for {
			d, err := r.next()
			if err != nil {
				break
			}
			total += len(d)
		}
		if total > len(b) {
			t.Errorf("%d bytes of data from %d", total, len(b))
		}
	})
}
