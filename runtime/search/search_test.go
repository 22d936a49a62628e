package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/state"
)

// library opens a library in dir, and closes it with the test.
func library(t testing.TB, dir string, o Options) (*Library, func()) {
	t.Helper()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	done := func() {
		if !closed {
			closed = true
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(done)
	o.Store = store.Documents()
	if o.Embedder == nil {
		o.Embedder = embedding.Lexical{}
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, done
}

// put indexes a text with one chunk for each of its lines.
func put(t testing.TB, l *Library, tenant, name string, rule Rule, text string) {
	t.Helper()
	if err := tryPut(t.Context(), l, tenant, name, rule, text); err != nil {
		t.Fatal(err)
	}
}

func tryPut(ctx context.Context, l *Library, tenant, name string, rule Rule, text string) error {
	var chunks []Chunk
	at := 0
	for line := range strings.Lines(text) {
		chunks = append(chunks, Chunk{Start: at, End: at + len(line), Heading: []string{"Manual", name}})
		at += len(line)
	}
	return l.Put(ctx, tenant, &Document{Name: name, Rule: rule, Bytes: int64(len(text))}, text, chunks)
}

var open = Rule{Classification: Public, Approved: true}

func find(t testing.TB, l *Library, q Query) []Hit {
	t.Helper()
	if q.Access.Tenant == "" {
		q.Access = Access{Tenant: "acme", Clearance: Secret}
	}
	r, err := l.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r.Hits
}

func TestSearch_FindsChunksWithTheirPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l, done := library(t, dir, Options{})
	const manual = "The pump is greased every 400 hours.\nReplace the batteries of the remote control every year.\nError E4711 means low pressure.\n"
	put(t, l, "acme", "pump.txt", open, manual)
	put(t, l, "acme", "leave.txt", open, "Staff may take 25 days of leave.\nRequests go to the line manager.\n")
	check := func(l *Library) {
		t.Helper()
		for query, want := range map[string]string{
			"how often must I grease the pump": "The pump is greased", "E4711": "Error E4711", "replacing battery": "Replace the batteries",
			"how many days of leave": "Staff may take",
		} {
			for _, mode := range []string{Hybrid, Keyword, Vector} {
				hits := find(t, l, Query{Text: query, Mode: mode})
				if len(hits) == 0 || !strings.HasPrefix(hits[0].Text, want) {
					t.Errorf("%s by %s: %+v", query, mode, hits)
					continue
				}
				h := hits[0]
				if h.Document == "pump.txt" && manual[h.Start:h.End] != h.Text || !slices.Equal(h.Heading, []string{"Manual", h.Document}) {
					t.Errorf("%+v", h)
				}
			}
		}
		if hits := find(t, l, Query{Text: "What is the capital of Mongolia?"}); len(hits) != 0 {
			t.Errorf("the documents do not say, and yet: %+v", hits)
		}
	}
	check(l)
	put(t, l, "acme", "pump.txt", open, manual) // again: the index is the same
	check(l)
	done()
	l, done = library(t, dir, Options{})
	check(l)
	if _, err := l.Delete("acme", "pump.txt"); err != nil {
		t.Fatal(err)
	}
	if hits := find(t, l, Query{Text: "grease the pump", Floor: -1}); slices.ContainsFunc(hits, func(h Hit) bool { return h.Document == "pump.txt" }) {
		t.Errorf("deleted, and found: %+v", hits)
	}
	if _, err := l.Delete("acme", "pump.txt"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	done()
	l, _ = library(t, dir, Options{})
	if docs, err := l.List("acme"); err != nil || len(docs) != 1 || docs[0].Name != "leave.txt" || docs[0].Chunks != 2 {
		t.Errorf("%+v, %v", docs, err)
	}
	names, err := l.o.Store.Names("acme", nil)
	if err != nil || len(names) != 1+1+1+1+1+2 { // config, document, generation, text, index, two vectors
		t.Errorf("%q, %v", names, err)
	}
}

func TestSearch_RulesHoldFromTheNextSearchOn(t *testing.T) {
	now := time.Unix(1e9, 0)
	l, _ := library(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	const text = "The merger with Bluebird is planned for May.\n"
	put(t, l, "acme", "merger", Rule{Classification: Confidential, Approved: true, Groups: []string{"board", "legal"}, Purposes: []string{"deal"}, Expires: now.Add(time.Hour)}, text)
	full := Access{Tenant: "acme", Clearance: Secret, Groups: []string{"legal"}, Purpose: "deal"}
	sees := func(a Access) bool { return len(find(t, l, Query{Text: "merger Bluebird", Access: a})) == 1 }
	if !sees(full) {
		t.Fatal("the caller with every right sees nothing")
	}
	for name, change := range map[string]func(*Access){
		"tenant": func(a *Access) { a.Tenant = "other" }, "clearance": func(a *Access) { a.Clearance = Internal }, "no clearance": func(a *Access) { a.Clearance = "" },
		"group": func(a *Access) { a.Groups = []string{"sales"} }, "no group": func(a *Access) { a.Groups = nil },
		"purpose": func(a *Access) { a.Purpose = "marketing" }, "no purpose": func(a *Access) { a.Purpose = "" },
	} {
		a := full
		change(&a)
		if sees(a) {
			t.Errorf("another %s sees it", name)
		}
	}
	set := func(change func(*Rule)) {
		t.Helper()
		doc, err := l.Get("acme", "merger")
		if err != nil {
			t.Fatal(err)
		}
		change(&doc.Rule)
		if _, err := l.SetRule("acme", "merger", doc.Rule); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := l.Version("acme")
	set(func(r *Rule) { r.Approved = false })
	if sees(full) {
		t.Error("seen without approval")
	}
	if after, _ := l.Version("acme"); after == before {
		t.Error("the version did not change with a rule")
	}
	set(func(r *Rule) { r.Approved = true })
	if !sees(full) {
		t.Error("not seen with approval")
	}
	now = now.Add(time.Hour)
	if sees(full) {
		t.Error("seen after it expired")
	}
	if _, err := l.SetRule("acme", "merger", Rule{Classification: "top"}); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
}

func TestSearch_ReturnsNothingWhenRightsCannotBeDecided(t *testing.T) {
	l, _ := library(t, t.TempDir(), Options{})
	put(t, l, "acme", "a", open, "Open to everyone.\n")
	for name, a := range map[string]Access{"no tenant": {}, "clearance": {Tenant: "acme", Clearance: "cosmic"}, "group": {Tenant: "acme", Groups: []string{""}}} {
		r, err := l.Search(t.Context(), Query{Text: "open to everyone", Access: a})
		if !errors.Is(err, ErrAccess) || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// What a caller may not see has no influence on what it sees.
func TestSearch_ScoresDoNotTellOfOtherDocuments(t *testing.T) {
	score := func(hidden int) []Hit {
		l, _ := library(t, t.TempDir(), Options{})
		put(t, l, "acme", "a", open, "The bluebird project.\nAnother project.\n")
		for i := range hidden {
			put(t, l, "acme", fmt.Sprint("h", i), Rule{Classification: Secret, Approved: true}, "Bluebird bluebird is secret.\n")
		}
		return find(t, l, Query{Text: "bluebird project", Access: Access{Tenant: "acme"}})
	}
	alone, among := score(0), score(20)
	for _, h := range [][]Hit{alone, among} {
		for i := range h {
			h[i].Version = ""
		}
	}
	if fmt.Sprint(alone) != fmt.Sprint(among) {
		t.Errorf("%+v\n%+v", alone, among)
	}
}

func TestLibrary_RefusesAnotherEmbedder(t *testing.T) {
	dir := t.TempDir()
	l, done := library(t, dir, Options{})
	put(t, l, "acme", "a", open, "Some text.\n")
	done()
	l, _ = library(t, dir, Options{Embedder: other{}})
	if _, err := l.Search(t.Context(), Query{Text: "text", Access: Access{Tenant: "acme"}}); !errors.Is(err, ErrEmbedder) {
		t.Error(err)
	}
	if err := tryPut(t.Context(), l, "acme", "b", open, "More.\n"); !errors.Is(err, ErrEmbedder) {
		t.Error(err)
	}
}

func TestLibrary_MakesTheIndexAnewForAnotherEmbedder(t *testing.T) {
	dir := t.TempDir()
	l, done := library(t, dir, Options{})
	for i := range 5 {
		put(t, l, "acme", fmt.Sprint("d", i), open, fmt.Sprintf("The pump number%d is greased.\nThe valve number%d is not.\n", i, i))
	}
	done()
	l, done = library(t, dir, Options{Embedder: short{}})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := l.Reindex(ctx, "acme", func(r Reindexed) {
		if r.Documents == 2 {
			cancel() // in the middle of it
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := l.Search(t.Context(), Query{Text: "pump", Access: Access{Tenant: "acme"}}); !errors.Is(err, ErrEmbedder) {
		t.Error(err)
	}
	done()
	l, done = library(t, dir, Options{Embedder: short{}})
	if r, err := l.Reindex(t.Context(), "acme", nil); err != nil || r != (Reindexed{Documents: 3, Unchanged: 2, Chunks: 6}) {
		t.Fatalf("%+v, %v", r, err)
	}
	check := func() {
		t.Helper()
		for i := range 5 {
			hits := find(t, l, Query{Text: fmt.Sprintf("valve number%d", i), Mode: Keyword, Floor: -1})
			if len(hits) == 0 || hits[0].Text != fmt.Sprintf("The valve number%d is not.\n", i) || len(hits[0].Heading) != 2 {
				t.Errorf("%+v", hits)
			}
		}
		if n := l.tenant("acme").index.set.Dimensions(); n != 100 {
			t.Errorf("%d dimensions", n)
		}
	}
	check()
	done()
	l, _ = library(t, dir, Options{Embedder: short{}})
	check()
}

// short is the lexical embedder with fewer values.
type short struct{}

func (short) Digest() string  { return "short" }
func (short) Dimensions() int { return 100 }
func (short) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	all, err := embedding.Lexical{}.Embed(ctx, texts)
	for i := range all {
		all[i] = all[i][:100]
	}
	return all, err
}

// backwards is a reranker that likes the shortest text best.
type backwards struct{}

func (backwards) Rerank(_ context.Context, _ string, texts []string) ([]float64, error) {
	out := make([]float64, len(texts))
	for i := range texts {
		out[i] = -float64(len(texts[i]))
	}
	return out, nil
}

func TestSearch_OrdersByTheRerankerWhereThereIsOne(t *testing.T) {
	l, _ := library(t, t.TempDir(), Options{Reranker: backwards{}})
	put(t, l, "acme", "a", open, "The pump and the pump and the pump is greased often.\nA pump is greased.\n")
	if hits := find(t, l, Query{Text: "pump greased pump often"}); len(hits) != 2 || hits[0].Text != "A pump is greased.\n" {
		t.Errorf("%+v", hits)
	}
	if hits := find(t, l, Query{Text: "pump greased pump often", Plain: true}); len(hits) != 2 || hits[1].Text != "A pump is greased.\n" {
		t.Errorf("%+v", hits)
	}
}

type other struct{ embedding.Lexical }

func (other) Digest() string { return "another" }

func TestLibrary_LeavesNothingOfAVersionThatFailed(t *testing.T) {
	l, _ := library(t, t.TempDir(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tryPut(ctx, l, "acme", "a", open, "Some text.\n"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if names, err := l.o.Store.Names("acme", nil); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
}

// TestSearch_NeverLeaks asks ten thousand times as users of five tenants, four groups and three classifications, while
// rules change and documents are indexed again, and holds every hit against what its text says of who may read it.
func TestSearch_NeverLeaks(t *testing.T) {
	l, _ := library(t, t.TempDir(), Options{})
	tenants := []string{"t0", "t1", "t2", "t3", "t4"}
	groups := []string{"g0", "g1", "g2", "g3"}
	levels := []string{Public, Internal, Confidential}
	const docs = 30
	words := strings.Fields("pump valve motor leave contract battery invoice holiday server backup")
	// A text names its rule. Those marked with "moving" change: what is checked of them is what never changes.
	write := func(rng *rand.Rand, tenant string, i int) error {
		r := Rule{Classification: levels[i%3], Approved: i%7 != 0}
		if i%4 != 0 {
			r.Groups = []string{groups[i%4], groups[(i/4)%4]}
		}
		if i%5 == 0 {
			r.Purposes = []string{"audit"}
		}
		var text strings.Builder
		for range 3 {
			fmt.Fprintf(&text, "tenant=%s level=%d groups=%s approved=%t purpose=%t %s %s %s\n", tenant, i%3, strings.Join(r.Groups, "+"), r.Approved, i%5 == 0,
				words[rng.IntN(len(words))], words[rng.IntN(len(words))], words[rng.IntN(len(words))])
		}
		return tryPut(t.Context(), l, tenant, fmt.Sprintf("%s/%d", tenant, i), r, text.String())
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tenant := range tenants {
		for i := range docs {
			if err := write(rng, tenant, i); err != nil {
				t.Fatal(err)
			}
		}
		put(t, l, tenant, "moving", Rule{Classification: Public, Approved: true, Groups: []string{"g0"}}, "moving pump valve motor\n")
	}
	// moved[tenant] is odd while the document is on its way, and tells apart what it was before and after.
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	var mu sync.RWMutex // held by a reader from before its search to its check of the moving document
	now := map[string]string{}
	for _, tenant := range tenants {
		now[tenant] = "g0"
	}
	writers.Go(func() {
		rng := rand.New(rand.NewPCG(2, 2))
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			tenant := tenants[rng.IntN(len(tenants))]
			var err error
			if n%2 == 0 {
				err = write(rng, tenant, rng.IntN(docs))
			} else {
				mu.Lock()
				g := groups[rng.IntN(4)]
				if _, err = l.SetRule(tenant, "moving", Rule{Classification: Public, Approved: true, Groups: []string{g}}); err == nil {
					now[tenant] = g
				}
				mu.Unlock()
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	const askers, queries = 4, 2500
	hits := make([]int, askers)
	for n := range askers {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(n)))
			for range queries {
				a := Access{Tenant: tenants[rng.IntN(5)], Clearance: levels[rng.IntN(3)]}
				for _, g := range groups {
					if rng.IntN(3) == 0 {
						a.Groups = append(a.Groups, g)
					}
				}
				if rng.IntN(2) == 0 {
					a.Purpose = "audit"
				}
				mu.RLock()
				moving := now[a.Tenant]
				r, err := l.Search(t.Context(), Query{Text: words[rng.IntN(10)] + " " + words[rng.IntN(10)], Access: a, K: 20, Floor: -1,
					Mode: []string{Hybrid, Keyword, Vector}[rng.IntN(3)]})
				mu.RUnlock()
				if err != nil {
					t.Error(err)
					return
				}
				for _, h := range r.Hits {
					hits[n]++
					if h.Document == "moving" {
						if !slices.Contains(a.Groups, moving) {
							t.Errorf("%+v sees what only %s may", a, moving)
						}
						continue
					}
					if bad := leaks(h.Text, &a, levels); bad != "" {
						t.Errorf("%s: %+v sees %q", bad, a, h.Text)
						return
					}
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
	if total := hits[0] + hits[1] + hits[2] + hits[3]; total < 10000 {
		t.Errorf("only %d hits in %d queries: the test saw too little", total, askers*queries)
	}
}

// leaks says which right the caller lacks for a text that names its rule.
func leaks(text string, a *Access, levels []string) string {
	var tenant, groups string
	var lvl int
	var approved, purpose bool
	fields := strings.Fields(text)
	for _, f := range fields[:5] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "tenant":
			tenant = value
		case "level":
			lvl = int(value[0] - '0')
		case "groups":
			groups = value
		case "approved":
			approved = value == "true"
		case "purpose":
			purpose = value == "true"
		}
	}
	switch {
	case tenant != a.Tenant:
		return "tenant"
	case lvl > slices.Index(levels, a.Clearance):
		return "classification"
	case !approved:
		return "approval"
	case purpose && a.Purpose != "audit":
		return "purpose"
	case groups != "" && !slices.ContainsFunc(strings.Split(groups, "+"), func(g string) bool { return slices.Contains(a.Groups, g) }):
		return "groups"
	}
	return ""
}

func FuzzCutIndexed(f *testing.F) {
	row := indexed{start: 1, end: 20, length: 3, counts: []count{{5, 1}, {1 << 39, 2}}}
	row.code.Values = make([]int8, 8)
	f.Add(appendIndexed(nil, &row))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c indexed
		rest, err := cutIndexed(b, 8, &c)
		if err == nil && len(rest) >= len(b) {
			t.Fatal("nothing was read")
		}
		_, _, _, _ = cutPlace(b)
		_ = floats(b, make([]float32, 3))
	})
}

// BenchmarkSearch asks 100,000 chunks of 384 dimensions, half of which the caller may read.
func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	l, done := library(b, dir, Options{})
	rng := rand.New(rand.NewPCG(1, 1))
	vocabulary := make([]string, 50000)
	for i := range vocabulary {
		vocabulary[i] = fmt.Sprintf("w%x", rng.Uint32N(1<<28))
	}
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(len(vocabulary)-1))
	const docs, perDoc = 2000, 50
	begun := time.Now()
	for i := range docs {
		var text strings.Builder
		for range perDoc {
			for range 80 {
				text.WriteString(vocabulary[zipf.Uint64()])
				text.WriteByte(' ')
			}
			text.WriteByte('\n')
		}
		r := Rule{Classification: Public, Approved: true, Groups: []string{fmt.Sprint("g", i%4)}}
		put(b, l, "acme", fmt.Sprint("doc", i), r, text.String())
	}
	b.Logf("ingest: %.0f chunks/s", docs*perDoc/time.Since(begun).Seconds())
	done()
	begun = time.Now()
	l, done = library(b, dir, Options{})
	opened := time.Since(begun)
	a := Access{Tenant: "acme", Groups: []string{"g0", "g2"}}
	if _, err := l.Search(b.Context(), Query{Text: "x", Access: a}); err != nil {
		b.Fatal(err)
	}
	x := l.tenant("acme").index
	b.Logf("restart: open %v, ready %v; in memory %d bytes a chunk: %d of vectors, %d of keywords", opened, time.Since(begun),
		(x.set.Bytes()+x.words.bytes()+12*docs*perDoc)/(docs*perDoc), x.set.Bytes()/(docs*perDoc), x.words.bytes()/(docs*perDoc))
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		q := vocabulary[zipf.Uint64()] + " " + vocabulary[zipf.Uint64()] + " " + vocabulary[rng.IntN(50000)] + " " + vocabulary[rng.IntN(50000)]
		if _, err := l.Search(b.Context(), Query{Text: q, Access: a, K: 10, Floor: -1}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	done()
}
