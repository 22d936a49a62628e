package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/pipeline"
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
