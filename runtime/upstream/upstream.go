// Package upstream asks remote OpenAI-compatible endpoints. It sends a chat request, reads the stream of chunks
// strictly, and tells faults apart: what the peer did, whether another try may help, and what a client may know of it.
//
// It holds no policy: whether a remote model may be asked is decided before. Start reading at [Target.Chat].
package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
)

// Config describes an endpoint. Zero durations and sizes take the defaults.
type Config struct {
	Name     string // for errors
	BaseURL  string // up to and including /v1
	APIKey   string // sent as a bearer token; empty: none
	Timeouts Timeouts
	// MaxResponse bounds one answer, in bytes.
	MaxResponse int64
}

// Timeouts bound the silences of a peer.
type Timeouts struct {
	Connect   time.Duration
	FirstByte time.Duration // from the request sent to the first event
	Idle      time.Duration // between events
}

// Defaults of Config.
const (
	DefaultConnect     = 5 * time.Second
	DefaultFirstByte   = time.Minute
	DefaultIdle        = 30 * time.Second
	DefaultMaxResponse = 64 << 20
)

// maxErrorBody is how much of an error's body is read, for the log.
const maxErrorBody = 64 << 10

// Target is one endpoint with its connections. It is safe for concurrent use.
type Target struct {
	cfg    Config
	url    string
	client *http.Client
}

// New returns a target. It opens no connection.
func New(c Config) (*Target, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("upstream %s: base URL %q is not an http or https URL", c.Name, c.BaseURL)
	}
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Timeouts.Connect, DefaultConnect)
	def(&c.Timeouts.FirstByte, DefaultFirstByte)
	def(&c.Timeouts.Idle, DefaultIdle)
	if c.MaxResponse <= 0 {
		c.MaxResponse = DefaultMaxResponse
	}
	dialer := &net.Dialer{Timeout: c.Timeouts.Connect, KeepAlive: 30 * time.Second}
	return &Target{cfg: c, url: base.JoinPath("chat/completions").String(), client: &http.Client{
		// A redirect would carry the key and the prompt to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // the environment does not decide where prompts go
			DialContext: dialer.DialContext, TLSHandshakeTimeout: c.Timeouts.Connect,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		},
	}}, nil
}

// Close drops idle connections.
func (t *Target) Close() { t.client.CloseIdleConnections() }

// silence is the cause of a request that was given up because the peer said nothing.
type silence struct{ after time.Duration }

func (s silence) Error() string { return fmt.Sprintf("no data for %v", s.after) }

// Chat sends body, a complete chat request with stream set, and hands over the chunks as they come. It returns nil after
// the peer's [DONE]; anything else that ends the stream is a fault. Errors are *openai.Error, the context's, or emit's.
func (t *Target) Chat(ctx context.Context, body []byte, emit func(*openai.ChatChunk) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.cfg.Timeouts.FirstByte, func() { cancel(silence{t.cfg.Timeouts.FirstByte}) })
	defer watch.Stop()

	req, err := http.NewRequestWithContext(inner, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return t.fault(ctx, inner, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if t.cfg.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+t.cfg.APIKey)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return t.fault(ctx, inner, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t.refused(resp)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return t.broken(fmt.Errorf("answered with %q instead of a stream", kind))
	}
	events := newEventReader(io.LimitReader(resp.Body, t.cfg.MaxResponse+1))
	for {
		data, err := events.next()
		watch.Reset(t.cfg.Timeouts.Idle)
		switch {
		case events.read > t.cfg.MaxResponse:
			return t.broken(fmt.Errorf("answer larger than %d bytes", t.cfg.MaxResponse))
		case errors.Is(err, io.EOF):
			return t.broken(errors.New("the stream ended without [DONE]"))
		case err != nil:
			return t.fault(ctx, inner, err)
		case string(data) == "[DONE]":
			return nil
		}
		var chunk struct {
			openai.ChatChunk
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			return t.broken(fmt.Errorf("event is no chunk: %w", err))
		}
		if len(chunk.Error) > 0 && string(chunk.Error) != "null" {
			return t.broken(fmt.Errorf("error event: %.300s", chunk.Error))
		}
		if err := emit(&chunk.ChatChunk); err != nil {
			return err
		}
	}
}

// fault describes a request that broke, for the client in general words and for the log in the peer's.
func (t *Target) fault(ctx, inner context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var quiet silence
	if errors.As(context.Cause(inner), &quiet) {
		return &openai.Error{Status: http.StatusGatewayTimeout, Type: openai.TypeServer, Code: "upstream_timeout", Cause: quiet,
			Message: "the upstream " + t.cfg.Name + " did not answer in time"}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "upstream_unreachable", Cause: err,
			Message: "the upstream " + t.cfg.Name + " cannot be reached"}
	}
	return t.broken(err)
}

func (t *Target) broken(err error) error {
	return &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "upstream_error", Cause: err,
		Message: "the upstream " + t.cfg.Name + " failed"}
}

// passedCodes are error codes that tell a client what to change, and nothing about the upstream.
var passedCodes = map[string]bool{"context_length_exceeded": true, "model_not_found": true, "content_filter": true, "invalid_prompt": true}

// refused describes an answer with an error status.
func (t *Target) refused(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what could be read is enough for the log
	e := &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "upstream_error",
		Message: "the upstream " + t.cfg.Name + " failed", Cause: fmt.Errorf("%s: %.500s", resp.Status, body)}
	var said struct {
		Error struct {
			Code any `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &said)
	code, _ := said.Error.Code.(string)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Status, e.Type, e.Code = http.StatusTooManyRequests, openai.TypeRateLimit, "upstream_rate_limited"
		e.Message = "the upstream " + t.cfg.Name + " takes no more requests for now"
		e.RetryAfter = 1
		if n, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))); err == nil && n > 0 && n < 86400 {
			e.RetryAfter = n
		}
	case passedCodes[code]:
		e.Status, e.Type, e.Code = http.StatusBadRequest, openai.TypeInvalidRequest, code
		e.Message = "the upstream " + t.cfg.Name + " refused the request: " + code
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusUnprocessableEntity:
		e.Status, e.Type, e.Code = http.StatusBadRequest, openai.TypeInvalidRequest, "upstream_rejected"
		e.Message = "the upstream " + t.cfg.Name + " refused the request as invalid"
	}
	return e
}
