// Package telemetry sends spans and metrics to an OpenTelemetry collector: OTLP 1.x over HTTP, in JSON, with the names of
// the GenAI semantic conventions (1.37). Spans are made from decision traces once their requests are answered, so that
// nothing of it is on a request's way but a place in a queue; what the queue or the collector does not take is counted and
// gone. Metrics are those of a Prometheus registry.
//
// It decides nothing and opens no connection but to the collector. Start reading at [Exporter.Observe].
package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// Config says where to and as whom. Zero numbers take the defaults.
type Config struct {
	Endpoint  string // of the collector, below which are /v1/traces and /v1/metrics
	Headers   map[string]string
	Service   string
	Version   string
	Sample    float64 // share of the traces that begin here whose spans are sent, from 0 to 1
	Interval  time.Duration
	Client    Client
	Metrics   prometheus.Gatherer // nil: none are sent
	Providers Providers           // nil: models are not described
	Log       *slog.Logger
}

// Client makes requests, as [http.Client] does.
type Client interface {
	Do(*http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// Provider is who answers for a model.
type Provider struct {
	Name   string // by the conventions: openai, azure.ai.openai, anthropic; ledge for models on this device
	Model  string // what the provider calls it
	Host   string // empty: this device
	Port   int
	Remote bool
}

// Providers finds the provider of a model by the id that traces have.
type Providers func(model string) (Provider, bool)

// Bounds.
const (
	queueSize   = 2048 // requests
	batchSize   = 256
	batchWait   = 2 * time.Second
	postTimeout = 10 * time.Second
	closeWait   = 5 * time.Second // that a collector may hold up the end of the process
	attempts    = 4
	maxReply    = 64 << 10

	DefaultInterval = time.Minute
)

// Exporter sends. It is safe for concurrent use.
type Exporter struct {
	cfg     Config
	traces  string
	metrics string
	begun   time.Time
	queue   chan *pipeline.Trace
	stop    context.CancelFunc
	posts   context.Context // of what is being sent; it goes on after stop, until abort
	abort   context.CancelFunc
	tasks   sync.WaitGroup

	sent, dropped atomic.Int64
	complained    atomic.Int64 // unix seconds
}

// New starts an exporter. Nothing is sent before something was observed or an interval has passed.
func New(c Config) (*Exporter, error) {
	base, err := url.Parse(c.Endpoint)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("telemetry: %q is not the http or https URL of a collector", c.Endpoint)
	}
	if c.Interval <= 0 {
		c.Interval = DefaultInterval
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Exporter{cfg: c, traces: base.JoinPath("v1/traces").String(), metrics: base.JoinPath("v1/metrics").String(), begun: time.Now(),
		queue: make(chan *pipeline.Trace, queueSize), stop: stop}
	e.posts, e.abort = context.WithCancel(context.Background())
	e.tasks.Go(func() { e.sendSpans(ctx) })
	if c.Metrics != nil {
		e.tasks.Go(func() { e.sendMetrics(ctx) })
	}
	return e, nil
}

// Begin begins a trace for a request that came without one.
func (e *Exporter) Begin() tracecontext.Context {
	return tracecontext.New(e.cfg.Sample >= 1 || rand.Float64() < e.cfg.Sample)
}

// Observe queues the spans of a finished trace. It never waits; the trace must not change any more.
func (e *Exporter) Observe(t *pipeline.Trace) {
	if !t.Sampled || t.TraceID == "" {
		return
	}
	select {
	case e.queue <- t:
	default:
		e.dropped.Add(1)
	}
}

// Stats are the requests whose spans were sent, and of those that were not.
func (e *Exporter) Stats() (sent, dropped int64) { return e.sent.Load(), e.dropped.Load() }

// Close sends what waits, as far as ctx and a few seconds let it, and ends.
func (e *Exporter) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	context.AfterFunc(ctx, e.abort)
	e.stop()
	e.tasks.Wait()
	e.flush(ctx)
	if e.cfg.Metrics != nil {
		e.postMetrics(ctx)
	}
	e.cfg.Client.CloseIdleConnections()
}

func (e *Exporter) sendSpans(ctx context.Context) {
	for {
		var batch []*pipeline.Trace
		select {
		case <-ctx.Done():
			return
		case t := <-e.queue:
			batch = append(batch, t)
		}
		full := time.NewTimer(batchWait)
		for waiting := true; waiting && len(batch) < batchSize; {
			select {
			case t := <-e.queue:
				batch = append(batch, t)
			case <-full.C:
				waiting = false
			case <-ctx.Done():
				waiting = false
			}
		}
		full.Stop()
		e.post(e.posts, batch, ctx.Done())
	}
}

// flush sends what is in the queue.
func (e *Exporter) flush(ctx context.Context) {
	for {
		var batch []*pipeline.Trace
		for len(batch) < batchSize && len(e.queue) > 0 {
			batch = append(batch, <-e.queue)
		}
		if len(batch) == 0 {
			return
		}
		e.post(ctx, batch, ctx.Done())
	}
}

func (e *Exporter) post(ctx context.Context, batch []*pipeline.Trace, hurry <-chan struct{}) {
	doc, err := json.Marshal(e.spans(batch))
	if err == nil {
		err = e.send(ctx, e.traces, doc, hurry)
	}
	if err != nil {
		e.dropped.Add(int64(len(batch)))
		e.complain(err)
		return
	}
	e.sent.Add(int64(len(batch)))
}

func (e *Exporter) sendMetrics(ctx context.Context) {
	tick := time.NewTicker(e.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.postMetrics(ctx)
		}
	}
}

func (e *Exporter) postMetrics(ctx context.Context) {
	families, err := e.cfg.Metrics.Gather()
	if err == nil {
		var doc []byte
		if doc, err = json.Marshal(e.points(families, time.Now())); err == nil {
			err = e.send(ctx, e.metrics, doc, ctx.Done())
		}
	}
	if err != nil && ctx.Err() == nil {
		e.complain(err)
	}
}

// complain logs at most once a minute.
func (e *Exporter) complain(err error) {
	now := time.Now().Unix()
	if last := e.complained.Load(); now-last >= 60 && e.complained.CompareAndSwap(last, now) {
		e.cfg.Log.Warn("telemetry not sent", "collector", e.cfg.Endpoint, "error", err, "requests_dropped", e.dropped.Load())
	}
}

// send posts a document, and again where the collector asks for it or cannot be reached; not when there is a hurry.
func (e *Exporter) send(ctx context.Context, to string, doc []byte, hurry <-chan struct{}) error {
	for i := 1; ; i++ {
		again, after, err := e.try(ctx, to, doc)
		if err == nil || !again || i == attempts {
			return err
		}
		if after <= 0 {
			after = rand.N(time.Second << i)
		}
		timer := time.NewTimer(min(after, time.Minute))
		select {
		case <-timer.C:
		case <-hurry:
			timer.Stop()
			return err
		}
	}
}

func (e *Exporter) try(ctx context.Context, to string, doc []byte) (again bool, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(doc))
	if err != nil {
		return false, 0, err
	}
	for name, value := range e.cfg.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.cfg.Client.Do(req)
	if err != nil {
		return true, 0, err
	}
	defer resp.Body.Close()
	reply, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode/100 == 2 {
		return false, 0, nil
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		after = time.Duration(s) * time.Second
	}
	switch resp.StatusCode { // those that the protocol calls retryable
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, after, fmt.Errorf("the collector answered %s: %.200s", resp.Status, reply)
}
