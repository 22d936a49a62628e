// Package semantic finds earlier questions that ask the same as a new one. Questions lie in scopes, and are compared within
// their scope only: what makes an answer belong to someone or something (tenant, model, system prompt, tools, access) is in
// the scope, so that no likeness reaches across it.
//
// It knows nothing of answers but their keys. Start reading at [Index.Find].
package semantic

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/likeness"
	"github.com/ledge-run/ledge/runtime/search/vector"
)

// Index holds questions in memory, at most a number of them; those that were not asked for longest go first. It is safe
// for concurrent use.
type Index struct {
	by    embedding.Embedder
	scale *likeness.Scale
	most  int
	now   func() time.Time

	mu     sync.RWMutex
	set    *vector.Set
	rows   []*entry // of the set
	scopes map[[32]byte][]int
	byKey  map[[32]byte]*entry
}

type entry struct {
	scope, key [32]byte
	text       string
	vector     []float32
	expires    time.Time
	gone       bool

	used     sync.Mutex // guards the two below
	at       time.Time
	question *likeness.Question // made when first needed
}

// Most is how many questions an index holds by default.
const Most = 4096

// New returns an empty index for at most most questions.
func New(by embedding.Embedder, most int, now func() time.Time) *Index {
	x := &Index{by: by, scale: likeness.NewScale(by), most: most, now: now}
	x.reset()
	return x
}

func (x *Index) reset() {
	x.set, x.rows, x.scopes, x.byKey = vector.NewSet(x.by.Dimensions()), nil, map[[32]byte][]int{}, map[[32]byte]*entry{}
}

// Digest identifies the embedder: vectors of another do not belong here.
func (x *Index) Digest() string { return x.by.Digest() }

// Found is what Find found.
type Found struct {
	OK     bool
	Key    [32]byte
	Score  float64
	Why    string    // the nearest question was refused because of this; empty: it was too far away, or there is none
	Vector []float32 // of the text, for Add
}

// nearest is how many questions are looked at closely.
const nearest = 8

// Find looks for a question of the scope that asks the same as text, with a similarity of at least threshold.
func (x *Index) Find(ctx context.Context, scope [32]byte, text string, threshold float64) (Found, error) {
	v, err := x.by.Embed(ctx, []string{text})
	if err != nil {
		return Found{}, err
	}
	out := Found{Vector: v[0]}
	near, err := x.near(scope, v[0])
	if err != nil || len(near) == 0 {
		return out, err
	}
	asked := likeness.Read(text)
	for _, n := range near {
		s, err := x.scale.Judge(ctx, asked, n.read(), float64(n.score))
		if err != nil {
			return out, err
		}
		if s.Differs != "" || s.Score < threshold {
			if out.Why == "" {
				out.Why = s.Differs
			}
			continue
		}
		if s.Score > out.Score {
			out.OK, out.Key, out.Score = true, n.key, s.Score
		}
	}
	if out.OK {
		x.touch(out.Key)
	}
	return out, nil
}

type scored struct {
	*entry
	score float32
}

// near returns the questions of a scope that lie nearest.
func (x *Index) near(scope [32]byte, v []float32) ([]scored, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	rows := x.scopes[scope]
	if len(rows) == 0 {
		return nil, nil
	}
	allow := make([]uint64, (len(x.rows)+63)/64)
	now := x.now()
	for _, r := range rows {
		if e := x.rows[r]; !e.gone && e.expires.After(now) {
			allow[r/64] |= 1 << (r % 64)
		}
	}
	hits, err := x.set.Search(vector.Query{Vector: v, K: nearest, Allow: allow, Exact: func(rows []int, each func(int, []float32)) error {
		for _, r := range rows {
			each(r, x.rows[r].vector)
		}
		return nil
	}})
	out := make([]scored, len(hits))
	for i, h := range hits {
		out[i] = scored{x.rows[h.Row], h.Score}
	}
	return out, err
}

func (e *entry) read() *likeness.Question {
	e.used.Lock()
	defer e.used.Unlock()
	if e.question == nil {
		e.question = likeness.Read(e.text)
	}
	return e.question
}

func (x *Index) touch(key [32]byte) {
	x.mu.RLock()
	e := x.byKey[key]
	x.mu.RUnlock()
	if e != nil {
		e.used.Lock()
		e.at = x.now()
		e.used.Unlock()
	}
}

// Add enters a question with the key of its answer, in place of an earlier one of the same key.
func (x *Index) Add(scope [32]byte, text string, v []float32, key [32]byte, expires time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byKey[key]; e != nil {
		e.gone = true
	}
	if len(x.rows) >= x.most {
		if err := x.shrink(); err != nil {
			return err
		}
	}
	return x.add(&entry{scope: scope, key: key, text: text, vector: v, expires: expires, at: x.now()})
}

func (x *Index) add(e *entry) error {
	row, err := x.set.Append(e.vector)
	if err != nil {
		return fmt.Errorf("semantic: %w", err)
	}
	x.rows = append(x.rows, e)
	x.scopes[e.scope] = append(x.scopes[e.scope], row)
	x.byKey[e.key] = e
	return nil
}

// shrink keeps the questions that were asked last, seven eighths of what there is room for.
func (x *Index) shrink() error {
	now := x.now()
	kept := slices.DeleteFunc(x.rows, func(e *entry) bool { return e.gone || !e.expires.After(now) })
	slices.SortFunc(kept, func(a, b *entry) int { return b.at.Compare(a.at) })
	kept = kept[:min(len(kept), x.most/8*7)]
	x.reset()
	for _, e := range kept {
		if err := x.add(e); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes the question of an answer out.
func (x *Index) Remove(key [32]byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byKey[key]; e != nil {
		e.gone = true
		delete(x.byKey, key)
	}
}

// Len is the number of questions.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.byKey)
}
