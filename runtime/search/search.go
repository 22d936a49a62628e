package search

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/search/vector"
)

// Modes of a search.
const (
	Hybrid  = "hybrid"
	Keyword = "bm25"
	Vector  = "vector"
)

// rrfK is the constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009).
const rrfK = 60

// Weights of the two ranks in the fusion. See RATIONALE.md, "Why are ranks weighted".
const (
	lexicalWeight = 0.1 // of vectors that compare words, against 1 for keywords
	keywordWeight = 0.5 // of keywords, against 1 for the vectors of a loaded model
)

// weights of keywords and of vectors.
func (l *Library) weights() (keywords, vectors float64) {
	if _, ok := l.o.Embedder.(embedding.Lexical); ok {
		return 1, lexicalWeight
	}
	return keywordWeight, 1
}

// Query asks for chunks. Zero values take the defaults.
type Query struct {
	Text   string
	Access Access
	K      int     // chunks wanted; 0: 5, at most MaxK
	Mode   string  // empty: hybrid
	Pool   int     // candidates of each kind that are fused; 0: 50, or four times K
	MMR    float64 // weight of relevance against novelty, above 0 to 1; 0: DefaultMMR; 1: no diversity
	// Floor is what a chunk must reach at least to be returned, 0 to 1: the share of the query's words that it has,
	// weighted by rarity, or its cosine. 0: DefaultFloor; negative: none.
	Floor float64
	Plain bool // leave the library's reranker out
}

// Defaults and bounds of a query.
const (
	DefaultK     = 5
	MaxK         = 200
	DefaultMMR   = 0.95
	DefaultFloor = 0.25
)

// Reranker scores texts by how well they answer a query, such as a cross-encoder. Implementations are safe for
// concurrent use.
type Reranker interface {
	Rerank(ctx context.Context, query string, texts []string) ([]float64, error)
}

// Hit is a chunk that was found.
type Hit struct {
	Document string   `json:"document"` // its name
	ID       string   `json:"id"`       // of the document
	Version  string   `json:"version"`
	Chunk    string   `json:"chunk"` // id, made of the document's id and the chunk's number
	Number   int      `json:"number"`
	Start    int      `json:"start"`
	End      int      `json:"end"`
	Heading  []string `json:"heading,omitempty"`
	Score    float64  `json:"score"`
	Coverage float64  `json:"coverage"` // share of the query's words, weighted by rarity
	Cosine   float64  `json:"cosine"`
	Text     string   `json:"text"`
	Parent   *Parent  `json:"parent,omitempty"` // what is read in its place

	Expires time.Time `json:"-"` // from then on nobody may read it; zero: never
}

// Result is what a search found, best first.
type Result struct {
	Hits    []Hit
	Allowed int    // chunks that the caller may read
	Version string // of the tenant's documents, see [Library.Version]
}

// candidate is a row on its way through a search.
type candidate struct {
	row      int
	score    float64
	coverage float64
	cosine   float64
}

// Search returns the chunks that answer a query best, of those that the caller may read. When that cannot be decided the
// error is ErrAccess.
func (l *Library) Search(ctx context.Context, q Query) (*Result, error) {
	if err := q.Access.check(); err != nil {
		return nil, err
	}
	if err := q.defaults(); err != nil {
		return nil, err
	}
	var embedded []float32
	_, weighted := l.o.Embedder.(embedding.Weighted)
	if q.Mode != Keyword && !weighted {
		var err error
		if embedded, err = embedding.Query(ctx, l.o.Embedder, q.Text); err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
	}
	t := l.tenant(q.Access.Tenant)
	x, unlock, err := l.reading(t)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// What was read at the start holds to the end: nothing changes while the tenant is held.
	mask, rows, length := x.allowed(&q.Access, l.o.Now())
	out := &Result{Allowed: rows, Version: fmt.Sprintf("%.12s-%d", l.o.Embedder.Digest(), t.gen)}
	if rows == 0 {
		return out, nil
	}
	list, err := l.candidates(t.name, x, &q, embedded, mask, rows, length)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c candidate) bool { return max(c.coverage, c.cosine) < q.Floor })
	if l.o.Reranker != nil && !q.Plain {
		if err := l.rerank(ctx, t.name, x, &q, list); err != nil {
			return nil, err
		}
	}
	out.Hits, err = l.hits(t.name, x, diverse(x, list, q.K, q.MMR))
	return out, err
}

func (q *Query) defaults() error {
	if q.K == 0 {
		q.K = DefaultK
	}
	if q.K < 0 || q.K > MaxK {
		return fmt.Errorf("search: k %d is not between 1 and %d", q.K, MaxK)
	}
	if q.Mode == "" {
		q.Mode = Hybrid
	}
	if !slices.Contains([]string{Hybrid, Keyword, Vector}, q.Mode) {
		return fmt.Errorf("search: the mode %q is not one of %s, %s, %s", q.Mode, Hybrid, Keyword, Vector)
	}
	if q.Pool == 0 {
		q.Pool = 50
	}
	q.Pool = max(q.Pool, 4*q.K)
	if q.MMR == 0 {
		q.MMR = DefaultMMR
	}
	if q.Floor == 0 {
		q.Floor = DefaultFloor
	}
	return nil
}

// reading returns the tenant's index, held for reading, and reads it into memory first if it is not there.
func (l *Library) reading(t *tenant) (*index, func(), error) {
	for {
		t.mu.RLock()
		if t.index != nil {
			return t.index, t.mu.RUnlock, nil
		}
		t.mu.RUnlock()
		if _, err := l.generation(t); err != nil {
			return nil, nil, err
		}
		if err := l.bring(t); err != nil {
			return nil, nil, err
		}
	}
}

// bring reads the index into memory. Writers wait meanwhile.
func (l *Library) bring(t *tenant) error {
	t.write.Lock()
	defer t.write.Unlock()
	t.mu.RLock()
	there := t.index != nil
	t.mu.RUnlock()
	if there {
		return nil
	}
	begun := time.Now()
	x, err := l.load(t.name)
	if err != nil {
		return err
	}
	l.o.Logger.Debug("index read", "tenant", t.name, "documents", len(x.byID), "chunks", x.set.Len(), "duration", time.Since(begun))
	t.mu.Lock()
	t.index = x
	t.mu.Unlock()
	return nil
}

// candidates ranks rows by keywords and by vectors, and fuses the ranks.
func (l *Library) candidates(tenant string, x *index, q *Query, embedded []float32, mask []uint64, rows int, length int64) ([]candidate, error) {
	var found []match
	asked := x.words.gather(q.Text, mask, rows)
	if e, ok := l.o.Embedder.(embedding.Weighted); ok && q.Mode != Keyword {
		embedded = e.EmbedWeighted(q.Text, rarity(asked))
	}
	if q.Mode != Vector {
		found = x.words.score(asked, rows, length)
	}
	keywords, vectors := l.weights()
	list := map[int]*candidate{}
	of := func(row int) *candidate {
		c := list[row]
		if c == nil {
			c = &candidate{row: row}
			list[row] = c
		}
		return c
	}
	for rank, m := range best(found, q.Pool) {
		c := of(int(m.row))
		c.score += keywords / float64(rrfK+rank+1)
	}
	if q.Mode != Keyword {
		near, err := x.set.Search(vector.Query{Vector: embedded, K: q.Pool, Allow: mask, Exact: l.exact(tenant, x)})
		if err != nil {
			return nil, err
		}
		for rank, h := range near {
			if h.Score <= 0 {
				break
			}
			c := of(h.Row)
			c.cosine = float64(h.Score)
			c.score += vectors / float64(rrfK+rank+1)
		}
	}
	for i := range found {
		if c := list[int(found[i].row)]; c != nil {
			c.coverage = float64(found[i].coverage)
		}
	}
	out := make([]candidate, 0, len(list))
	for _, c := range list {
		out = append(out, *c)
	}
	slices.SortFunc(out, byScore)
	return out, nil
}

// rarity is the weight of a term of a question: 1 for the rarest of them. Those that were left out of it count little.
func rarity(list []queryTerm) func(stem []byte) float64 {
	var most float32
	for i := range list {
		most = max(most, list[i].idf)
	}
	return func(stem []byte) float64 {
		id := idOf(stem)
		for i := range list {
			if list[i].id == id && most > 0 {
				return float64(list[i].idf / most)
			}
		}
		return 1
	}
}

func byScore(a, b candidate) int {
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	if c := cmp.Compare(b.coverage+b.cosine, a.coverage+a.cosine); c != 0 {
		return c
	}
	return a.row - b.row
}

// best returns the n matches with the largest scores, largest first.
func best(list []match, n int) []match {
	less := func(a, b match) int {
		if c := cmp.Compare(b.score, a.score); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	}
	// list keeps its order for others; the few best are found in one pass.
	var out []match
	for _, m := range list {
		if len(out) == n && less(m, out[n-1]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(out, m, less)
		if len(out) < n {
			out = append(out, match{})
		}
		copy(out[at+1:], out[at:])
		out[at] = m
	}
	return out
}

// exact reads float values of rows from the store.
func (l *Library) exact(tenant string, x *index) func([]int, func(int, []float32)) error {
	return func(rows []int, each func(int, []float32)) error {
		names := make([][]byte, len(rows))
		for i, r := range rows {
			d := x.docs[x.owner[r]]
			names[i] = partName(recordVector, d.id, d.version, r-d.first)
		}
		v := make([]float32, x.set.Dimensions())
		return l.o.Store.GetMany(tenant, names, func(i int, b []byte) error {
			if err := floats(b, v); err != nil {
				return err
			}
			each(rows[i], v)
			return nil
		})
	}
}

// rerankPool is how many candidates a reranker sees.
const rerankPool = 20

// rerank orders the first candidates by the reranker's scores.
func (l *Library) rerank(ctx context.Context, tenant string, x *index, q *Query, list []candidate) error {
	head := list[:min(len(list), max(rerankPool, q.K))]
	texts := make([]string, len(head))
	for i := range head {
		d := x.docs[x.owner[head[i].row]]
		s := x.spans[head[i].row]
		var err error
		if texts[i], err = l.text(tenant, d.id, d.version, int(s.start), int(s.end)); err != nil {
			return err
		}
	}
	scores, err := l.o.Reranker.Rerank(ctx, q.Text, texts)
	if err == nil && len(scores) != len(head) {
		err = fmt.Errorf("%d scores for %d texts", len(scores), len(head))
	}
	if err != nil {
		return fmt.Errorf("rerank: %w", err)
	}
	for i := range head {
		head[i].score = 1 + 1/(1+math.Exp(-scores[i])) // above those that it did not see
	}
	slices.SortStableFunc(head, byScore)
	return nil
}

// alike is the cosine from which on two chunks say the same rather than being about the same: what is relevant is often
// alike, and only repetition is to be avoided.
const alike = 0.8

// diverse picks k candidates by maximal marginal relevance (Carbonell and Goldstein, 1998): each is the one that is
// relevant and does not repeat those picked before it. Relevance is the score relative to the best, likeness how far a
// cosine lies above alike.
func diverse(x *index, list []candidate, k int, lambda float64) []candidate {
	if lambda >= 1 || len(list) < 2 {
		return list[:min(len(list), k)]
	}
	rest := list[:min(len(list), max(4*k, 20))]
	top := rest[0].score
	if top <= 0 {
		return list[:min(len(list), k)]
	}
	picked := make([]candidate, 0, k)
	likest := make([]float64, len(rest)) // to what was picked
	used := make([]bool, len(rest))
	for len(picked) < min(k, len(rest)) {
		at, value := -1, 0.0
		for i, c := range rest {
			if used[i] {
				continue
			}
			if v := lambda*c.score/top - (1-lambda)*likest[i]; at < 0 || v > value {
				at, value = i, v
			}
		}
		used[at] = true
		picked = append(picked, rest[at])
		for i, c := range rest {
			if !used[i] {
				likest[i] = max(likest[i], (float64(x.set.Cosine(c.row, rest[at].row))-alike)/(1-alike))
			}
		}
	}
	return picked
}

// hits reads the chunks of candidates.
func (l *Library) hits(tenant string, x *index, list []candidate) ([]Hit, error) {
	out := make([]Hit, len(list))
	names := make([][]byte, len(list))
	for i, c := range list {
		d := x.docs[x.owner[c.row]]
		s := x.spans[c.row]
		number := c.row - d.first
		text, err := l.text(tenant, d.id, d.version, int(s.start), int(s.end))
		if err != nil {
			return nil, err
		}
		out[i] = Hit{Document: d.name, ID: d.id, Version: d.version, Chunk: fmt.Sprintf("%s-%d", d.id, number), Number: number,
			Start: int(s.start), End: int(s.end), Score: c.score, Coverage: c.coverage, Cosine: c.cosine, Text: text}
		if d.expires != 0 {
			out[i].Expires = time.Unix(0, d.expires)
		}
		names[i] = partName(recordVector, d.id, d.version, number)
	}
	err := l.o.Store.GetMany(tenant, names, func(i int, b []byte) (err error) {
		out[i].Heading, out[i].Parent, _, err = cutPlace(b)
		return err
	})
	for i := range out {
		h := &out[i]
		if h.Parent != nil && err == nil {
			h.Parent.Text, err = l.text(tenant, h.ID, h.Version, h.Parent.Start, h.Parent.End)
		}
	}
	return out, err
}
