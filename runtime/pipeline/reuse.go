package pipeline

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// degradedStale marks an answer that is older than its TTL; a new one is being made.
const degradedStale = "stale"

// meaning is how a request's answer is found by its question. Without a text it is not.
type meaning struct {
	scope     [32]byte
	text      string
	threshold float64
	vector    []float32 // nil until it was looked for
	digest    string
}

// Question is what is stored of a question beside its answer, so that it is found again after a restart.
type Question struct {
	Scope    []byte `json:"scope"`
	Text     string `json:"text"`
	Embedder string `json:"embedder"`
	Vector   []byte `json:"vector"` // float32, little-endian
}

func (m *meaning) question() *Question {
	if m.vector == nil {
		return nil
	}
	q := &Question{Scope: m.scope[:], Text: m.text, Embedder: m.digest}
	for _, x := range m.vector {
		q.Vector = binary.LittleEndian.AppendUint32(q.Vector, math.Float32bits(x))
	}
	return q
}

// meaningOf says how the answer may be found by its question: where the plan asks for it, and the question is the last
// message of a chat. Everything else of the request is in the scope, so that an answer never serves another tenant, model,
// system prompt, conversation or set of tools, whatever a plugin says.
func (x *exchange) meaningOf(plan *hook.CachePlan, hard []string) meaning {
	n := len(x.req.Messages)
	if x.Meanings == nil || plan.Text == "" || plan.Threshold <= 0 || n == 0 || x.req.Messages[n-1].Role != "user" {
		return meaning{}
	}
	digest := x.Meanings.Digest()
	doc, err := json.Marshal(x.req.Messages[:n-1])
	if err != nil {
		return meaning{}
	}
	parts := slices.Concat([]string{"semantic", digest, string(doc)}, hard)
	return meaning{scope: x.cacheKey(parts), text: plan.Text, threshold: plan.Threshold, digest: digest}
}

// reuse answers with an answer that is there: to the same request, made before or being made, or to one that asks the same.
func (x *exchange) reuse() (bool, error) {
	if !x.cache.lookup {
		return false, nil
	}
	if hit, err := x.replay(x.cache.key, cacheHit, ""); hit || err != nil {
		return hit, err
	}
	if x.cache.admit {
		waited, err := x.board()
		if err != nil {
			return false, err
		}
		if waited {
			if hit, err := x.replay(x.cache.key, cacheHit, "after the same request in work"); hit || err != nil {
				return hit, err
			}
		}
	}
	return x.recall()
}

// recall looks for an answer to a question that asks the same.
func (x *exchange) recall() (bool, error) {
	m := &x.cache.meaning
	if m.text == "" {
		return false, nil
	}
	start := x.Now()
	found, err := x.Meanings.Find(x.ctx, m.scope, m.text, m.threshold)
	if err != nil {
		if x.ctx.Err() != nil {
			return false, x.ctx.Err()
		}
		x.Log.Warn("the question could not be compared; answering without the semantic cache", "request", x.req.ID, "error", err)
		return false, nil
	}
	m.vector = found.Vector
	if !found.OK {
		reason := "no question is like it"
		if found.Why != "" {
			reason = "the nearest question differs in " + found.Why
		}
		x.trace.add(Entry{Stage: "cache.semantic", Verdict: cacheMiss, Reason: reason, duration: x.Now().Sub(start)})
		return false, nil
	}
	return x.replay(found.Key, cacheSemantic, fmt.Sprintf("similarity %.3f", found.Score))
}

// refresh makes a new answer in place of a stale one, once, while the client already has the old one.
func (x *exchange) refresh() {
	if !x.cache.admit || !x.flights.enter(x.cache.key) {
		return
	}
	req := *x.req
	req.ID, req.Refresh, req.OnEnd, req.OnModel = x.req.ID+"-refresh", true, nil, nil
	req.Messages = ownMessages(x.req.Messages)
	req.Prompts = slices.Clone(x.req.Prompts)
	ctx := context.WithoutCancel(x.ctx)
	go func() {
		defer x.flights.leave(x.cache.key)
		ctx, cancel := context.WithTimeout(ctx, refreshTime)
		defer cancel()
		_ = x.Pipeline.Run(ctx, x.route, &req, func(Event) error { return nil }) // its trace tells how it went
	}()
}

// ownMessages are copies that guards may rewrite while the trace of the request they came with is being written.
func ownMessages(messages []openai.Message) []openai.Message {
	out := slices.Clone(messages)
	for i := range out {
		out[i].ToolCalls = slices.Clone(out[i].ToolCalls)
	}
	return out
}

// refreshTime bounds the making of a new answer that nobody waits for.
const refreshTime = 5 * time.Minute

// boardTime is how long a request waits for the same one in work before it is answered by itself: that one's client may be
// slow to read.
const boardTime = 10 * time.Second

// board takes the request's place among those in work, or waits until the same one that is there has ended.
func (x *exchange) board() (waited bool, err error) {
	done := x.flights.take(x.cache.key)
	if done == nil {
		x.cache.flying = true
		return false, nil
	}
	timer := time.NewTimer(boardTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-x.ctx.Done():
		return true, x.ctx.Err()
	}
	return true, nil
}

// land lets those go on that wait for this request's answer.
func (x *exchange) land() {
	if x.cache.flying {
		x.cache.flying = false
		x.flights.leave(x.cache.key)
	}
}

// flights are the requests in work whose answers others may wait for, by cache key.
type flights struct {
	mu    sync.Mutex
	inAir map[[32]byte]chan struct{}
}

// take enters a key, or returns what is closed when the one that did leaves.
func (f *flights) take(key [32]byte) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if done := f.inAir[key]; done != nil {
		return done
	}
	if f.inAir == nil {
		f.inAir = map[[32]byte]chan struct{}{}
	}
	f.inAir[key] = make(chan struct{})
	return nil
}

func (f *flights) enter(key [32]byte) bool { return f.take(key) == nil }

func (f *flights) leave(key [32]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if done := f.inAir[key]; done != nil {
		close(done)
		delete(f.inAir, key)
	}
}
