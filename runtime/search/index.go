package search

import (
	"encoding/json"
	"time"

	"github.com/ledge-run/ledge/runtime/search/vector"
)

// index is a tenant's documents in memory. Rows are chunks; a document's are consecutive. The rows of a document that
// was replaced or removed stay, and belong to none.
type index struct {
	set   *vector.Set
	words keywords
	spans []span
	owner []int32 // of a row, into docs

	docs  []*document // nil: gone
	byID  map[string]int
	rules []Rule
	rule  map[string]int // into rules, by key
	dead  int            // rows that belong to none
}

type span struct{ start, end uint32 }

// document is a document's place in the index.
type document struct {
	id, version, name string
	first, rows       int
	rule              int
	expires           int64 // nanoseconds of Unix time; 0: never
	length            int64 // of its rows, in terms
}

func newIndex(dims int) *index {
	return &index{set: vector.NewSet(dims), byID: map[string]int{}, rule: map[string]int{}}
}

func (x *index) ruleOf(r *Rule) int {
	k := r.key()
	i, ok := x.rule[k]
	if !ok {
		i = len(x.rules)
		x.rules = append(x.rules, Rule{Classification: r.Classification, Groups: r.Groups, Purposes: r.Purposes, Approved: r.Approved})
		x.rule[k] = i
	}
	return i
}

// begin makes room for a document whose rows follow.
func (x *index) begin(doc *Document) *document {
	x.remove(doc.ID)
	d := &document{id: doc.ID, version: doc.Version, name: doc.Name, first: x.set.Len(), rule: x.ruleOf(&doc.Rule), expires: expiry(&doc.Rule)}
	x.byID[doc.ID] = len(x.docs)
	x.docs = append(x.docs, d)
	return d
}

func expiry(r *Rule) int64 {
	if r.Expires.IsZero() {
		return 0
	}
	return r.Expires.UnixNano()
}

// wordIndex is where a row's words are entered: the keywords themselves, or a loader of many.
type wordIndex interface {
	add(counts []count, length int)
}

func (x *index) addRow(d *document, row *indexed, words wordIndex) error {
	if _, err := x.set.AppendCode(row.code); err != nil {
		return err
	}
	words.add(row.counts, row.length)
	x.spans = append(x.spans, span{uint32(row.start), uint32(row.end)})
	x.owner = append(x.owner, int32(len(x.docs)-1))
	d.rows++
	d.length += int64(row.length)
	return nil
}

func (x *index) put(doc *Document, rows []indexed) error {
	d := x.begin(doc)
	for i := range rows {
		if err := x.addRow(d, &rows[i], &x.words); err != nil {
			return err
		}
	}
	return nil
}

func (x *index) setRule(doc *Document) {
	if i, ok := x.byID[doc.ID]; ok { // a document without chunks has no place
		x.docs[i].rule, x.docs[i].expires = x.ruleOf(&doc.Rule), expiry(&doc.Rule)
	}
}

func (x *index) remove(id string) {
	i, ok := x.byID[id]
	if !ok {
		return
	}
	x.dead += x.docs[i].rows
	x.docs[i] = nil
	delete(x.byID, id)
}

// sparse says that so many rows belong to none that the index should be made again.
func (x *index) sparse() bool { return x.dead > 4096 && x.dead > x.set.Len()/2 }

// allowed returns the rows that the caller may read now, their number, and the number of terms in them.
func (x *index) allowed(a *Access, now time.Time) (mask []uint64, rows int, length int64) {
	may := make([]bool, len(x.rules))
	for i := range x.rules {
		may[i] = a.may(&x.rules[i])
	}
	mask = make([]uint64, (x.set.Len()+63)/64)
	at := now.UnixNano()
	for _, d := range x.docs {
		if d == nil || !may[d.rule] || d.expires != 0 && d.expires <= at {
			continue
		}
		rows += d.rows
		length += d.length
		for r := d.first; r < d.first+d.rows; {
			n := min(64-r%64, d.first+d.rows-r)
			mask[r/64] |= (^uint64(0) >> (64 - n)) << (r % 64)
			r += n
		}
	}
	return mask, rows, length
}

// load reads a tenant's index from the store.
func (l *Library) load(name string) (*index, error) {
	x := newIndex(l.o.Embedder.Dimensions())
	made, err := l.checkConfig(name)
	if err != nil || !made {
		return x, err
	}
	docs := map[string]*Document{}
	err = l.o.Store.Scan(name, []byte{recordDocument}, func(_, b []byte) error {
		d := &Document{}
		if err := json.Unmarshal(b, d); err != nil {
			return err
		}
		docs[d.ID] = d
		return nil
	}, func(record []byte) {
		l.o.Logger.Error("a document's record is damaged; it is not found until it is added again", "tenant", name, "document", string(record[1:]))
	})
	if err != nil {
		return nil, err
	}
	var d *document
	var doc *Document
	var row indexed
	words := newLoader(&x.words)
	whole := func() {
		if d != nil && d.rows != doc.Chunks {
			l.o.Logger.Error("a document's index is damaged; it is not found until it is added again", "tenant", name, "document", doc.Name)
			x.remove(doc.ID)
		}
	}
	err = l.o.Store.Scan(name, []byte{recordIndex}, func(record, b []byte) error {
		id, version, n, ok := cutPart(record)
		if !ok {
			return nil
		}
		if d == nil || doc.ID != id || doc.Version != version {
			found := docs[id]
			if found == nil || found.Version != version {
				return nil // of a version that is being written or dropped
			}
			whole()
			doc = found
			d = x.begin(doc)
		}
		if n*blockChunks != d.rows {
			return nil // a block before it is missing; whole says so
		}
		for len(b) > 0 {
			var err error
			if b, err = cutIndexed(b, x.set.Dimensions(), &row); err == nil {
				err = x.addRow(d, &row, words)
			}
			if err != nil {
				return nil
			}
		}
		return nil
	}, func([]byte) {})
	whole()
	words.finish()
	return x, err
}
