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

	"github.com/ledge-run/ledge/runtime/airgap"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// Config describes an endpoint. Zero durations and sizes take the defaults.
type Config struct {
	Name     string // for errors
	BaseURL  string // up to and including /v1
	APIKey   string // sent as a bearer token; empty: none
	Timeouts Timeouts
	// MaxResponse bounds one answer, in bytes.
	MaxResponse int64
	Kind        string // of the API: KindOpenAI (default), KindAzure, KindAnthropic
	APIVersion  string // of KindAzure, sent as api-version; of KindAnthropic, sent as anthropic-version
	Retry       Retry
	Breaker     Breaker
	Now         func() time.Time // nil: time.Now
	Gap         *airgap.Gap      // what may be dialled; nil: everything
}

// Kinds of APIs.
const (
	KindOpenAI    = "openai"
	KindAzure     = "azure"
	KindAnthropic = "anthropic"
)

// wire is how a kind of API is spoken.
type wire struct {
	path   string
	encode func([]byte) ([]byte, error)                              // from OpenAI's request; nil: as it is
	decode func() func(data []byte) (*openai.ChatChunk, bool, error) // of one stream: events to chunks, and whether it is the last
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
	cfg     Config
	url     string
	client  *http.Client
	wire    wire
	breaker *breaker
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
	if c.Retry.Attempts <= 0 {
		c.Retry.Attempts = DefaultAttempts
	}
	def(&c.Retry.Base, DefaultBase)
	def(&c.Retry.Max, DefaultMax)
	if c.Now == nil {
		c.Now = time.Now
	}
	speak := wire{path: "chat/completions", decode: decodeOpenAI}
	switch c.Kind {
	case "", KindOpenAI:
	case KindAzure:
		if c.APIVersion != "" {
			base.RawQuery = url.Values{"api-version": {c.APIVersion}}.Encode()
		}
	case KindAnthropic:
		speak = wire{path: "messages", encode: encodeAnthropic, decode: decodeAnthropic}
	default:
		return nil, fmt.Errorf("upstream %s: the kind %q is not one of %s, %s, %s", c.Name, c.Kind, KindOpenAI, KindAzure, KindAnthropic)
	}
	return &Target{cfg: c, url: base.JoinPath(speak.path).String(), wire: speak, breaker: newBreaker(c.Breaker, c.Now), client: NewClient(c.Gap, c.Timeouts.Connect)}, nil
}

// NewClient returns the HTTP client that everything here which opens connections by configuration does so with.
func NewClient(gap *airgap.Gap, connect time.Duration) *http.Client {
	return &http.Client{
		// A redirect would carry the key and the prompt to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // the environment does not decide where prompts go
			DialContext: gap.Dialer(connect).DialContext, TLSHandshakeTimeout: connect,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
		},
	}
}

// Close drops idle connections.
func (t *Target) Close() { t.client.CloseIdleConnections() }

// ErrExcess, returned by emit, ends an answer that is longer than was asked for, and blames the target.
var ErrExcess = errors.New("the answer is far longer than was asked for")

// silence is the cause of a request that was given up because the peer said nothing.
type silence struct{ after time.Duration }

func (s silence) Error() string { return fmt.Sprintf("no data for %v", s.after) }

// once makes one attempt. What is the target's fault comes back as a *fault.
func (t *Target) once(ctx context.Context, body []byte, emit func(*openai.ChatChunk) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.cfg.Timeouts.FirstByte, func() { cancel(silence{t.cfg.Timeouts.FirstByte}) })
	defer watch.Stop()

	req, err := http.NewRequestWithContext(inner, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return t.fault(ctx, inner, err)
	}
	t.headers(req.Header)
	if c := tracecontext.From(ctx); c != nil {
		req.Header.Set("Traceparent", c.Traceparent())
		if c.State != "" {
			req.Header.Set("Tracestate", c.State)
		}
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
		return t.broken(fmt.Errorf("answered with %q instead of a stream", kind), false)
	}
	events := newEventReader(io.LimitReader(resp.Body, t.cfg.MaxResponse+1))
	defer events.close()
	decode := t.wire.decode()
	for {
		data, err := events.next()
		watch.Reset(t.cfg.Timeouts.Idle)
		switch {
		case events.read > t.cfg.MaxResponse:
			return t.broken(fmt.Errorf("answer larger than %d bytes", t.cfg.MaxResponse), false)
		case errors.Is(err, io.EOF):
			return t.broken(errors.New("the stream ended before the answer did"), true)
		case err != nil:
			return t.fault(ctx, inner, err)
		}
		chunk, last, err := decode(data)
		if err != nil {
			return t.broken(err, false)
		}
		if chunk != nil {
			if err := emit(chunk); errors.Is(err, ErrExcess) {
				return t.broken(err, false)
			} else if err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

func (t *Target) headers(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "text/event-stream")
	switch {
	case t.cfg.Kind == KindAnthropic:
		version := t.cfg.APIVersion
		if version == "" {
			version = anthropicVersion
		}
		h.Set("Anthropic-Version", version)
		if t.cfg.APIKey != "" {
			h.Set("X-Api-Key", t.cfg.APIKey)
		}
	case t.cfg.APIKey == "":
	case t.cfg.Kind == KindAzure:
		h.Set("Api-Key", t.cfg.APIKey)
	default:
		h.Set("Authorization", "Bearer "+t.cfg.APIKey)
	}
}

// decodeOpenAI reads the events of one stream.
func decodeOpenAI() func([]byte) (*openai.ChatChunk, bool, error) {
	return func(data []byte) (*openai.ChatChunk, bool, error) {
		if string(data) == "[DONE]" {
			return nil, true, nil
		}
		var plain openai.ChatChunk
		if plain.Plain(data) {
			return &plain, false, nil
		}
		var chunk struct {
			openai.ChatChunk
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			return nil, false, fmt.Errorf("event is no chunk: %w", err)
		}
		if len(chunk.Error) > 0 && string(chunk.Error) != "null" {
			return nil, false, fmt.Errorf("error event: %.300s", chunk.Error)
		}
		return &chunk.ChatChunk, false, nil
	}
}

// fault describes a request that broke, for the client in general words and for the log in the peer's.
func (t *Target) fault(ctx, inner context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var quiet silence
	if errors.As(context.Cause(inner), &quiet) {
		// Another attempt would wait as long again, for work that the peer may still be doing.
		return &fault{blame: true, error: &openai.Error{Status: http.StatusGatewayTimeout, Type: openai.TypeServer, Code: "upstream_timeout", Cause: quiet,
			Message: "the upstream " + t.cfg.Name + " did not answer in time"}}
	}
	if airgap.Refused(err) { // no attempt will fare better, and the target is not to blame
		return &fault{error: &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "offline", Cause: err,
			Message: "the upstream " + t.cfg.Name + " is remote, and this appliance is offline"}}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &fault{blame: true, again: true, error: &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "upstream_unreachable", Cause: err,
			Message: "the upstream " + t.cfg.Name + " cannot be reached"}}
	}
	return t.broken(err, true)
}

// broken describes an answer that is none; again says that it may be one the next time.
func (t *Target) broken(err error, again bool) error {
	return &fault{blame: true, again: again, error: &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "upstream_error", Cause: err,
		Message: "the upstream " + t.cfg.Name + " failed"}}
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
	f := &fault{error: e}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Status, e.Type, e.Code = http.StatusTooManyRequests, openai.TypeRateLimit, "upstream_rate_limited"
		e.Message = "the upstream " + t.cfg.Name + " takes no more requests for now"
		e.RetryAfter = 1
		f.again = true
		if after := retryAfter(resp.Header, t.cfg.Now()); after > 0 {
			e.RetryAfter, f.after = int((after+time.Second-1)/time.Second), after
		}
	case passedCodes[code]:
		e.Status, e.Type, e.Code = http.StatusBadRequest, openai.TypeInvalidRequest, code
		e.Message = "the upstream " + t.cfg.Name + " refused the request: " + code
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusUnprocessableEntity:
		e.Status, e.Type, e.Code = http.StatusBadRequest, openai.TypeInvalidRequest, "upstream_rejected"
		e.Message = "the upstream " + t.cfg.Name + " refused the request as invalid"
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		f.blame = true
		switch resp.StatusCode {
		case 408, 500, 502, 503, 504, 529:
			f.again, f.after = true, retryAfter(resp.Header, t.cfg.Now())
		}
	}
	return f
}

// retryAfter is how long the peer asks to be left alone: seconds or a date (RFC 9110, section 10.2.3); 0: it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	after := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		after = time.Duration(min(n, 86400)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	if after < 0 || after > 24*time.Hour {
		return 0
	}
	return after
}
