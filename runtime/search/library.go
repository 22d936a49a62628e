// Package search keeps documents and finds their chunks by keywords and by vectors, for callers who may read them.
//
// What a caller may read is decided inside a search, before anything is scored: rows that are not allowed are neither
// read nor counted, so that they have no influence on the result, not even on the weight of words. When it cannot be
// decided, nothing is returned.
//
// A tenant's index is in memory from its first search on; its records, texts and float vectors lie in the store. It
// knows nothing of routes, of how text is taken out of files, and of how it is cut. Start reading at [Library.Search].
package search

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/search/vector"
	"github.com/ledge-run/ledge/runtime/state"
	"github.com/ledge-run/ledge/runtime/terms"
)

// Errors that callers tell apart.
var (
	// ErrEmbedder means that the index was made with another embedder. It must be made again.
	ErrEmbedder = errors.New("the index was made with another embedder")
	// ErrNotFound means that there is no such document.
	ErrNotFound = errors.New("there is no such document")
)

// Options configure a library.
type Options struct {
	Store    *state.Documents
	Embedder embedding.Embedder
	Reranker Reranker // orders what was found, unless a query says no; nil: none
	Logger   *slog.Logger
	Now      func() time.Time
}

// Library holds the documents of all tenants. It is safe for concurrent use.
type Library struct {
	o       Options
	mu      sync.Mutex
	tenants map[string]*tenant
}

// tenant is one tenant's documents. Writers hold write, and mu only while the index in memory changes.
type tenant struct {
	name  string
	write sync.Mutex
	mu    sync.RWMutex
	index *index // nil: not in memory
	gen   uint64
	known bool // whether gen was read
}

// Open returns the library over a store and finishes what an earlier process left half done.
func Open(o Options) (*Library, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Library{o: o, tenants: map[string]*tenant{}}
	tenants, err := o.Store.Tenants()
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if err := l.sweep(t); err != nil {
			return nil, fmt.Errorf("documents of %s: %w", t, err)
		}
	}
	return l, nil
}

func (l *Library) tenant(name string) *tenant {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		l.tenants[name] = t
	}
	return t
}

// sweep drops versions that were being written or dropped when a process ended, unless a document names them.
func (l *Library) sweep(name string) error {
	pending, err := l.o.Store.Names(name, []byte{recordPending})
	if err != nil {
		return err
	}
	for _, p := range pending {
		id, version, ok := strings.Cut(string(p[1:]), "/")
		if !ok {
			continue
		}
		doc, err := l.document(name, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && doc.Version == version {
			if err := l.o.Store.Delete(name, [][]byte{p}); err != nil {
				return err
			}
			continue
		}
		if err := l.dropVersion(name, id, version); err != nil {
			return err
		}
	}
	return nil
}

// dropVersion drops the records of a version, and last the note that it is to be dropped.
func (l *Library) dropVersion(tenant, id, version string) error {
	var all [][]byte
	for _, kind := range []byte{recordText, recordIndex, recordVector} {
		names, err := l.o.Store.Names(tenant, append(versionName(kind, id, version), '/'))
		if err != nil {
			return err
		}
		all = append(all, names...)
	}
	if err := l.o.Store.Delete(tenant, all); err != nil {
		return err
	}
	return l.o.Store.Delete(tenant, [][]byte{versionName(recordPending, id, version)})
}

// config is what an index was made with.
type config struct {
	Format     int    `json:"format"`
	Terms      int    `json:"terms"`
	Embedder   string `json:"embedder"`
	Dimensions int    `json:"dimensions"`
	// Making says that not every document is indexed this way yet: see Reindex.
	Making bool `json:"making,omitempty"`
}

const format = 1

func (l *Library) config() config {
	return config{Format: format, Terms: terms.Version, Embedder: l.o.Embedder.Digest(), Dimensions: l.o.Embedder.Dimensions()}
}

// checkConfig refuses an index that was made otherwise. made says whether there is one.
func (l *Library) checkConfig(tenant string) (made bool, err error) {
	b, ok, err := l.o.Store.Get(tenant, []byte{recordConfig})
	if err != nil || !ok {
		return false, err
	}
	var c config
	if err := json.Unmarshal(b, &c); err != nil {
		return true, fmt.Errorf("%w: %w", errRecord, err)
	}
	if c.Making {
		return true, fmt.Errorf("%w, and is being made anew; if no `ledge docs reindex` runs, start it again: it goes on where it ended", ErrEmbedder)
	}
	if c != l.config() {
		return true, fmt.Errorf("%w: digest %.12s with %d values, the one in use has digest %.12s and %d values; run `ledge docs reindex` to make it anew with this one, or configure the embedder of then",
			ErrEmbedder, c.Embedder, c.Dimensions, l.o.Embedder.Digest(), l.o.Embedder.Dimensions())
	}
	return true, nil
}

func (l *Library) document(tenant, id string) (*Document, error) {
	b, ok, err := l.o.Store.Get(tenant, documentName(id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotFound
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("document %s: %w", id, err)
	}
	return &d, nil
}

// Get returns a document by its id or its name.
func (l *Library) Get(tenant, idOrName string) (*Document, error) {
	d, err := l.document(tenant, idOrName)
	if errors.Is(err, ErrNotFound) {
		d, err = l.document(tenant, DocumentID(idOrName))
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", idOrName, err)
	}
	return d, nil
}

// List returns the tenant's documents by name.
func (l *Library) List(tenant string) ([]Document, error) {
	var out []Document
	err := l.o.Store.Scan(tenant, []byte{recordDocument}, func(_, b []byte) error {
		var d Document
		if err := json.Unmarshal(b, &d); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	}, func(name []byte) {
		l.o.Logger.Error("a document's record is damaged", "tenant", tenant, "document", string(name[1:]))
	})
	slices.SortFunc(out, func(a, b Document) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// embedBatch is how many chunks are embedded at once.
const embedBatch = 64

// Put indexes a document in place of the one of the same name. It is found with the old text until Put returns, and then
// with the new one. doc's id, version, counts and time of indexing are filled in.
func (l *Library) Put(ctx context.Context, tenantName string, doc *Document, text string, chunks []Chunk) error {
	if tenantName == "" || doc.Name == "" {
		return errors.New("a document needs a tenant and a name")
	}
	if err := doc.Rule.Check(); err != nil {
		return err
	}
	end := 0
	for _, c := range chunks {
		if c.Start < 0 || c.Start >= c.End || c.End > len(text) || c.End < end {
			return fmt.Errorf("document %s: the chunk [%d, %d) does not lie in its text", doc.Name, c.Start, c.End)
		}
		if p := c.Parent; p != nil && (p.ID < 0 || p.Start < 0 || p.Start > c.Start || p.End < c.End || p.End > len(text)) {
			return fmt.Errorf("document %s: the parent [%d, %d) does not hold its chunk [%d, %d)", doc.Name, p.Start, p.End, c.Start, c.End)
		}
		end = c.End
	}
	made, err := l.checkConfig(tenantName)
	if err != nil {
		return err
	}
	return l.replace(ctx, tenantName, doc, text, chunks, made)
}

// replace writes a new version of a document and drops the one before; made says whether the index's own record is there.
func (l *Library) replace(ctx context.Context, tenantName string, doc *Document, text string, chunks []Chunk, made bool) error {
	var random [8]byte
	rand.Read(random[:])
	doc.ID, doc.Version = DocumentID(doc.Name), hex.EncodeToString(random[:])
	doc.TextBytes, doc.Chunks, doc.Embedder = len(text), len(chunks), l.o.Embedder.Digest()
	doc.Indexed = l.o.Now().UTC()

	// The note comes first: what is written under it goes if this does not come to its end.
	note := versionName(recordPending, doc.ID, doc.Version)
	if err := l.o.Store.Commit(tenantName, []state.Pair{{Name: note}}, nil); err != nil {
		return err
	}
	rows, err := l.writeVersion(ctx, tenantName, doc, text, chunks)
	if err != nil {
		return errors.Join(err, l.dropVersion(tenantName, doc.ID, doc.Version))
	}
	t := l.tenant(tenantName)
	t.write.Lock()
	defer t.write.Unlock()
	old, err := l.document(tenantName, doc.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return errors.Join(err, l.dropVersion(tenantName, doc.ID, doc.Version))
	}
	record, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	puts := []state.Pair{{Name: documentName(doc.ID), Value: record}}
	if old != nil {
		puts = append(puts, state.Pair{Name: versionName(recordPending, doc.ID, old.Version)})
	}
	if !made {
		c, err := json.Marshal(l.config())
		if err != nil {
			return err
		}
		puts = append(puts, state.Pair{Name: []byte{recordConfig}, Value: c})
	}
	if err := l.commit(t, puts, [][]byte{note}, func(x *index) error { return x.put(doc, rows) }); err != nil {
		return err
	}
	if old != nil {
		return l.dropVersion(tenantName, doc.ID, old.Version)
	}
	return nil
}

// commit writes a change with the next generation, and makes it in memory. The caller holds t.write.
func (l *Library) commit(t *tenant, puts []state.Pair, drop [][]byte, change func(*index) error) error {
	gen, err := l.generation(t)
	if err != nil {
		return err
	}
	puts = append(puts, state.Pair{Name: []byte{recordGeneration}, Value: binary.AppendUvarint(nil, gen+1)})
	if err := l.o.Store.Commit(t.name, puts, drop); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen = gen + 1
	if t.index == nil {
		return nil
	}
	if err := change(t.index); err != nil {
		t.index = nil // the next search reads it from the store
		return err
	}
	if t.index.sparse() {
		t.index = nil
	}
	return nil
}

// generation reads the number of the tenant's last change.
func (l *Library) generation(t *tenant) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known {
		return t.gen, nil
	}
	b, ok, err := l.o.Store.Get(t.name, []byte{recordGeneration})
	if err != nil {
		return 0, err
	}
	if ok {
		gen, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errRecord
		}
		t.gen = gen
	}
	t.known = true
	return t.gen, nil
}

// Version identifies the state of a tenant's documents and their rules: what was answered from another may not be
// answered again.
func (l *Library) Version(tenant string) (string, error) {
	gen, err := l.generation(l.tenant(tenant))
	return fmt.Sprintf("%.12s-%d", l.o.Embedder.Digest(), gen), err
}

// writeVersion writes text and index of a version and returns its rows.
func (l *Library) writeVersion(ctx context.Context, tenant string, doc *Document, text string, chunks []Chunk) ([]indexed, error) {
	var pairs []state.Pair
	for i := 0; i*textBlock < len(text); i++ {
		pairs = append(pairs, state.Pair{Name: partName(recordText, doc.ID, doc.Version, i), Value: []byte(text[i*textBlock : min(len(text), (i+1)*textBlock)])})
	}
	if err := l.o.Store.Put(tenant, pairs); err != nil {
		return nil, err
	}
	rows := make([]indexed, len(chunks))
	for at := 0; at < len(chunks); at += embedBatch {
		part := chunks[at:min(len(chunks), at+embedBatch)]
		texts := make([]string, len(part))
		for i, c := range part {
			texts[i] = searchable(doc, &c, text[c.Start:c.End])
		}
		vectors, err := l.o.Embedder.Embed(ctx, texts)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", doc.Name, err)
		}
		var block []byte
		pairs = pairs[:0]
		for i, c := range part {
			row := &rows[at+i]
			row.start, row.end = c.Start, c.End
			row.counts, row.length = countTerms(texts[i], nil)
			if row.code, err = vector.Quantize(vectors[i], nil); err != nil {
				return nil, fmt.Errorf("document %s: %w", doc.Name, err)
			}
			block = appendIndexed(block, row)
			pairs = append(pairs, state.Pair{Name: partName(recordVector, doc.ID, doc.Version, at+i), Value: appendVector(nil, &c, vectors[i])})
		}
		pairs = append(pairs, state.Pair{Name: partName(recordIndex, doc.ID, doc.Version, at/blockChunks), Value: block})
		if err := l.o.Store.Put(tenant, pairs); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// searchable is what a chunk is found by: its text under its headings.
func searchable(_ *Document, c *Chunk, text string) string {
	if len(c.Heading) == 0 {
		return text
	}
	return strings.Join(c.Heading, "\n") + "\n" + text
}

// SetRule changes who may read a document; the next search goes by it.
func (l *Library) SetRule(tenantName, idOrName string, rule Rule) (*Document, error) {
	if err := rule.Check(); err != nil {
		return nil, err
	}
	t := l.tenant(tenantName)
	t.write.Lock()
	defer t.write.Unlock()
	doc, err := l.Get(tenantName, idOrName)
	if err != nil {
		return nil, err
	}
	doc.Rule = rule
	record, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	puts := []state.Pair{{Name: documentName(doc.ID), Value: record}}
	return doc, l.commit(t, puts, nil, func(x *index) error { x.setRule(doc); return nil })
}

// Delete drops a document; the next search does not find it.
func (l *Library) Delete(tenantName, idOrName string) (*Document, error) {
	t := l.tenant(tenantName)
	t.write.Lock()
	defer t.write.Unlock()
	doc, err := l.Get(tenantName, idOrName)
	if err != nil {
		return nil, err
	}
	puts := []state.Pair{{Name: versionName(recordPending, doc.ID, doc.Version)}}
	if err := l.commit(t, puts, [][]byte{documentName(doc.ID)}, func(x *index) error { x.remove(doc.ID); return nil }); err != nil {
		return nil, err
	}
	return doc, l.dropVersion(tenantName, doc.ID, doc.Version)
}

// Unload takes a tenant's index out of memory; the next search reads it again.
func (l *Library) Unload(tenantName string) {
	t := l.tenant(tenantName)
	t.mu.Lock()
	t.index = nil
	t.mu.Unlock()
}

// Text returns the bytes [start, end) of a document's text; end below 0 means all.
func (l *Library) Text(tenant string, doc *Document, start, end int) (string, error) {
	if end < 0 || end > doc.TextBytes {
		end = doc.TextBytes
	}
	return l.text(tenant, doc.ID, doc.Version, start, end)
}

func (l *Library) text(tenant, id, version string, start, end int) (string, error) {
	if start < 0 || start > end {
		return "", fmt.Errorf("document %s: no bytes [%d, %d)", id, start, end)
	}
	var names [][]byte
	first := start / textBlock
	for i := first; i*textBlock < end; i++ {
		names = append(names, partName(recordText, id, version, i))
	}
	var b strings.Builder
	err := l.o.Store.GetMany(tenant, names, func(i int, v []byte) error {
		base := (first + i) * textBlock
		from, to := max(start-base, 0), min(end-base, len(v))
		if from > to {
			return errRecord
		}
		b.Write(v[from:to])
		return nil
	})
	if err == nil && b.Len() != end-start {
		err = fmt.Errorf("document %s: %w: its text has gaps", id, errRecord)
	}
	return b.String(), err
}
