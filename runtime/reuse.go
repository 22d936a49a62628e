package runtime

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/semantic"
	"github.com/ledge-run/ledge/runtime/state"
)

// openMeanings makes the index of questions, and fills it in the background with those whose answers are stored.
func (r *Runtime) openMeanings() {
	var by embedding.Embedder = embedding.Lexical{}
	if r.embedder != nil {
		by = r.embedder
	}
	r.meanings = semantic.New(by, cmp.Or(r.cfg.Cache.Questions, semantic.Most), time.Now)
}

// remember enters the questions of stored answers.
func (r *Runtime) remember(ctx context.Context) {
	err := r.store.Cache().Each(ctx, func(_ string, key [32]byte, e state.Entry) error {
		var answer struct {
			Question *pipeline.Question `json:"question"`
		}
		if json.Unmarshal(e.Value, &answer) != nil || answer.Question == nil {
			return nil
		}
		q := answer.Question
		if q.Embedder != r.meanings.Digest() || len(q.Scope) != 32 || len(q.Vector)%4 != 0 {
			return nil
		}
		v := make([]float32, len(q.Vector)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(q.Vector[4*i:]))
		}
		return r.meanings.Add([32]byte(q.Scope), q.Text, v, key, e.Expires)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Warn("not all stored questions were entered; their answers are found by the same request only", "error", err)
	}
}

// ErrNoAnswer means that no stored answer belongs to a request.
var ErrNoAnswer = errors.New("no stored answer belongs to this request")

// Evict drops the stored answer that a request was given or left behind, so that it is not given again: how someone says
// that an answer was wrong. tenant, if not empty, must be the request's.
func (r *Runtime) Evict(ctx context.Context, tenant, request string) error {
	doc, ok, err := r.store.Traces().Get(ctx, request)
	if err != nil {
		return err
	}
	var t pipeline.Trace
	if !ok || json.Unmarshal(doc, &t) != nil || tenant != "" && t.Tenant != tenant {
		return ErrNoAnswer
	}
	key, err := hex.DecodeString(t.CacheKey)
	if err != nil || len(key) != 32 {
		return ErrNoAnswer
	}
	if err := r.store.Cache().Delete(ctx, t.Tenant, [32]byte(key)); err != nil {
		return err
	}
	r.meanings.Remove([32]byte(key))
	r.log.Info("answer evicted", "request", request, "cache", t.Cache, "key", t.CacheKey[:16])
	if t.Cache == "hit" || t.Cache == "semantic" {
		r.reports.Add(1)
	}
	return nil
}

// ReuseStats are the figures of the cache beside those that traces tell.
type ReuseStats struct {
	Questions int   // that are compared by meaning
	Reports   int64 // answers that were reused and evicted as wrong
}

// Reuse returns the cache's figures.
func (r *Runtime) Reuse() ReuseStats { return ReuseStats{r.meanings.Len(), r.reports.Load()} }
