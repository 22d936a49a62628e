package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/review"
	"github.com/ledge-run/ledge/runtime/state"
)

// record keeps a finished trace and tells the log of it.
func (r *Runtime) record(t *pipeline.Trace, observe func(*pipeline.Trace)) {
	if observe != nil {
		observe(t)
	}
	attrs := []any{"request", t.ID, "endpoint", t.Endpoint, "route", t.Route, "model", t.Model, "cache", t.Cache, "status", t.Status,
		"duration", time.Duration(t.DurationUS) * time.Microsecond, "prompt_tokens", t.Usage.PromptTokens, "completion_tokens", t.Usage.CompletionTokens}
	if t.Code != "" {
		attrs = append(attrs, "code", t.Code)
	}
	if t.Status >= 500 {
		r.log.Warn("request", attrs...)
	} else {
		r.log.Info("request", attrs...)
	}
	// The request is over; its trace is kept even if its client is gone.
	err := r.store.Traces().Put(context.Background(), t.Tenant, t.ID, func() ([]byte, error) { return json.Marshal(t) }, r.use(t))
	if err != nil {
		r.log.Error("trace not kept", "request", t.ID, "error", err)
	}
	for n := range t.Held {
		if err := r.Reviews().Add(reviewItem(t, &t.Held[n]), n); err != nil {
			r.log.Error("not kept for review", "request", t.ID, "plugin", t.Held[n].Plugin, "error", err)
		}
	}
}

func reviewItem(t *pipeline.Trace, h *pipeline.Held) review.Item {
	return review.Item{Time: t.Time, Request: t.ID, Tenant: t.Tenant, Subject: t.Subject, Key: t.Key, Route: t.Route, Stage: h.Stage,
		Plugin: h.Plugin, Digest: h.Digest, Verdict: h.Verdict, Reason: h.Reason, Spans: review.SpansOf(h.Spans), Hash: h.Hash, Bytes: h.Bytes, Text: h.Text}
}

// Reviews is the queue of what guards stopped.
func (r *Runtime) Reviews() review.Queue { return review.Queue{Store: r.store.Reviews()} }

// reviewInterval is how often what is too old for a review is looked for.
const reviewInterval = time.Hour

// forgetReviews removes what was kept for review longer than the configuration says.
func (r *Runtime) forgetReviews(ctx context.Context) {
	tick := time.NewTicker(reviewInterval)
	defer tick.Stop()
	for {
		oldest := time.Now().Add(-r.cfg.Review.Retention.D())
		if _, err := r.Reviews().Forget("", func(i *review.Item) bool { return i.Time.Before(oldest) }); err != nil {
			r.log.Error("old reviews not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// cacheStore is the store's cache as the pipeline sees it.
type cacheStore struct{ cache *state.Cache }

func (c cacheStore) Get(ctx context.Context, tenant string, key [32]byte) ([]byte, bool, error) {
	e, ok, err := c.cache.Get(ctx, tenant, key)
	return e.Value, ok, err
}

func (c cacheStore) Put(ctx context.Context, tenant string, key [32]byte, value []byte, ttl time.Duration) error {
	return c.cache.Put(ctx, tenant, key, value, ttl)
}

// kvStore is the store's pairs as the capability sees them.
type kvStore struct{ *state.KV }

func (s kvStore) Set(ctx context.Context, plugin, tenant, key string, value []byte, ttl time.Duration) error {
	return refusal(s.KV.Set(ctx, plugin, tenant, key, value, ttl))
}

func (s kvStore) CompareAndSet(ctx context.Context, plugin, tenant, key string, old, value []byte, ttl time.Duration) (bool, error) {
	done, err := s.KV.CompareAndSet(ctx, plugin, tenant, key, old, value, ttl)
	return done, refusal(err)
}

// refusal is a store's error as a plugin is told it.
func refusal(err error) error {
	switch {
	case errors.Is(err, state.ErrQuota):
		return capability.ErrQuota
	case errors.Is(err, state.ErrTooLarge):
		return capability.ErrTooLarge
	}
	return err
}
