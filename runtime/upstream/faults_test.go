package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/upstream/upstreamtest"
)

var requests = flag.Int("fault-requests", 300, "requests against the hostile upstream")

// TestHostileUpstream_EveryFaultHasItsStatusAndNothingLeaks asks from 32 clients at once, with faults at random; one
// client in twenty leaves in the middle. -fault-requests says how often.
func TestHostileUpstream_EveryFaultHasItsStatusAndNothingLeaks(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	stop := make(chan struct{})
	srv := httptest.NewServer(upstreamtest.Hostile{Stop: stop})
	defer srv.Close()
	defer close(stop)
	timeouts := Timeouts{FirstByte: 2 * time.Second, Idle: time.Second}
	target, err := New(Config{Name: "peer", BaseURL: srv.URL + "/v1", MaxResponse: 4 << 20, Timeouts: timeouts,
		Retry: Retry{Attempts: 2, Base: time.Millisecond, Max: 5 * time.Millisecond}, Breaker: Breaker{Failures: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var next, slow atomic.Int64
	var all sync.WaitGroup
	for c := range 32 {
		rnd := rand.New(rand.NewPCG(uint64(c), 7))
		all.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(*requests) {
					return
				}
				want := upstreamtest.Faults[rnd.IntN(len(upstreamtest.Faults))]
				if want.Rare && rnd.IntN(10) > 0 {
					want = upstreamtest.Faults[0]
				}
				marker := fmt.Sprintf("marker-%d.", n)
				ctx, cancel := context.WithCancel(context.Background())
				leaves := rnd.IntN(20) == 0
				if leaves {
					time.AfterFunc(time.Duration(rnd.IntN(50))*time.Millisecond, cancel)
				}
				body, _ := json.Marshal(upstreamtest.Ask(want.Name, marker))
				var text strings.Builder
				begin := time.Now()
				_, err := target.Chat(ctx, body, func(c *openai.ChatChunk) error {
					for _, choice := range c.Choices {
						if choice.Delta.Content != nil {
							text.WriteString(*choice.Delta.Content)
						}
					}
					return nil
				})
				took := time.Since(begin)
				cancel()
				if got := text.String(); strings.Contains(strings.Trim(got, "x"), "marker") && strings.TrimRight(got, "x") != marker {
					t.Errorf("%s: got %.60q, another's answer", want.Name, got)
				}
				if leaves && errors.Is(err, context.Canceled) {
					continue
				}
				var e *openai.Error
				switch {
				case want.Status == 0 && (err != nil || text.String() != marker):
					t.Errorf("a good answer came as %q, %v", text.String(), err)
				case want.Status != 0 && (!errors.As(err, &e) || e.Status != want.Status || e.Code != want.Code):
					t.Errorf("%s: %v", want.Name, err)
				case want.Status != 0 && (strings.Contains(e.Message, upstreamtest.Secret) || want.Text != (text.Len() > 0)):
					t.Errorf("%s: text %.20q, message %q", want.Name, text.String(), e.Message)
				case want.After > 0 && e.RetryAfter != want.After:
					t.Errorf("Retry-After %d", e.RetryAfter)
				}
				most := want.Most
				if want.Waits {
					most += timeouts.FirstByte
				}
				if took > most {
					slow.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := slow.Load(); n > int64(*requests)/20+2 { // a loaded machine holds a few up
		t.Errorf("%d of %d requests took longer than they may", n, *requests)
	}
	target.Close()
	srv.CloseClientConnections()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("%d MiB of heap are left", m.HeapAlloc>>20)
	}
}

func TestRetry_OnlyBeforeTheFirstChunkAndOnlyWhatMayPass(t *testing.T) {
	for name, tc := range map[string]struct {
		first http.HandlerFunc
		asked int64
		good  bool
	}{
		"503":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 2, true},
		"reset": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, true},
		"429":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, 2, true},
		"429 for an hour": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, 1, false},
		"400":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, 1, false},
		"401":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 1, false},
		"501":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(501) }, 1, false},
		"after first text": {func(w http.ResponseWriter, _ *http.Request) { events(w, fmt.Sprintf(chunk, "a")) }, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				if asked.Add(1) == 1 {
					tc.first(w, r)
					return
				}
				events(w, fmt.Sprintf(chunk, "b"), "[DONE]")
			}, func(c *Config) { c.Retry = Retry{Base: time.Millisecond, Max: 2 * time.Second} })
			if asked.Load() != tc.asked || (err == nil) != tc.good {
				t.Errorf("asked %d times, %v", asked.Load(), err)
			}
		})
	}
}

func TestBreaker_OpensProbesAndCloses(t *testing.T) {
	var broken atomic.Bool
	var asked atomic.Int64
	broken.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if broken.Load() {
			w.WriteHeader(500)
			return
		}
		events(w, fmt.Sprintf(chunk, "a"), "[DONE]")
	}))
	defer srv.Close()
	var mu sync.Mutex
	now := time.Now()
	target, err := New(Config{Name: "peer", BaseURL: srv.URL, Retry: Retry{Attempts: 1}, Breaker: Breaker{Failures: 3, OpenFor: time.Minute, Probes: 2},
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	var seen []string
	chat := func() string {
		r, err := target.Chat(context.Background(), []byte(`{}`), func(*openai.ChatChunk) error { return nil })
		seen = append(seen, r.Changes...)
		var e *openai.Error
		if errors.As(err, &e) {
			return e.Code
		}
		return "ok"
	}
	for range 3 {
		chat()
	}
	if code := chat(); code != "upstream_unavailable" || asked.Load() != 3 || target.Stats().Breaker != Open {
		t.Errorf("%s after %d, %+v", code, asked.Load(), target.Stats())
	}
	pass(time.Minute)
	if code := chat(); code != "upstream_error" || target.Stats().Breaker != Open {
		t.Errorf("a probe that fails: %s, %+v", code, target.Stats())
	}
	broken.Store(false)
	pass(time.Minute)
	if first, second := chat(), chat(); first != "ok" || second != "ok" || target.Stats().Breaker != Closed {
		t.Errorf("%+v", target.Stats())
	}
	if want := []string{"closed to open", "open to half_open", "half_open to open", "open to half_open", "half_open to closed"}; !slices.Equal(seen, want) {
		t.Errorf("transitions %q", seen)
	}
}

func TestBreaker_LetsFewProbesThroughAtOnce(t *testing.T) {
	now := time.Now()
	b := newBreaker(Breaker{Failures: 1, Probes: 2}, func() time.Time { return now })
	p, _, _, _ := b.allow()
	b.done(p, failed)
	now = now.Add(DefaultOpenFor)
	through := 0
	for range 10 {
		if _, ok, _, _ := b.allow(); ok {
			through++
		}
	}
	if through != 2 {
		t.Errorf("%d probes at once", through)
	}
}

func TestAnthropic_SpeaksTheMessagesAPI(t *testing.T) {
	in := `{"model":"claude","stream":true,"max_tokens":99,"temperature":1.5,"stop":["END"],"messages":[{"role":"system","content":"be brief"},
	 {"role":"user","content":"add"},{"role":"assistant","content":"","tool_calls":[{"id":"t1","type":"function","function":{"name":"sum","arguments":"{\"a\":1}"}}]},
	 {"role":"tool","tool_call_id":"t1","content":"3"},{"role":"user","content":"and now?"}],
	 "tools":[{"type":"function","function":{"name":"sum","parameters":{"type":"object"}}}],"tool_choice":"required"}`
	var sent anthropicRequest
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/messages" || r.Header.Get("X-Api-Key") != "key" || r.Header.Get("Anthropic-Version") == "" || r.Header.Get("Authorization") != "" {
			t.Errorf("got %s %v", r.URL, r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		events(w, `{"type":"message_start","message":{"usage":{"input_tokens":12}}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"ping"}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me "}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"see."}}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t2","name":"sum","input":{}}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":2}"}}`,
			`{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}`, `{"type":"message_stop"}`)
	}))
	defer srv.Close()
	target, err := New(Config{Name: "far", BaseURL: srv.URL + "/v1", APIKey: "key", Kind: KindAnthropic})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var text, args, finish string
	var usage openai.Usage
	_, err = target.Chat(context.Background(), []byte(in), func(c *openai.ChatChunk) error {
		for _, choice := range c.Choices {
			if choice.Delta.Content != nil {
				text += *choice.Delta.Content
			}
			for _, call := range choice.Delta.ToolCalls {
				args += call.Function.Name + call.Function.Arguments
			}
			if choice.FinishReason != nil {
				finish = *choice.FinishReason
			}
		}
		if c.Usage != nil {
			usage = *c.Usage
		}
		return nil
	})
	if err != nil || text != "Let me see." || args != `sum{"a":2}` || finish != "tool_calls" || usage.TotalTokens != 19 {
		t.Errorf("got %q %q %q %+v, %v", text, args, finish, usage, err)
	}
	if sent.System != "be brief" || sent.MaxTokens != 99 || *sent.Temperature != 1 || len(sent.Messages) != 3 || len(sent.Messages[2].Content) != 2 ||
		sent.Messages[2].Content[0].ToolUseID != "t1" || sent.Messages[1].Content[0].Name != "sum" || sent.ToolChoice["type"] != "any" || sent.StopSequences[0] != "END" {
		t.Errorf("sent %+v", sent)
	}
}

func FuzzAnthropicStream(f *testing.F) {
	f.Add([]byte(`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use"}}`), []byte(`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta"}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		decode := decodeAnthropic()
		for _, data := range [][]byte{a, b, a} {
			if c, _, err := decode(data); err != nil && c != nil {
				t.Error("a chunk and an error")
			}
		}
	})
}
