package search

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/ledge-run/ledge/runtime/terms"
)

// Parameters of BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009).
const (
	bm25K1 = 1.2
	bm25B  = 0.75
)

// maxQueryTerms bounds the distinct terms of a query; the rarest are kept.
const maxQueryTerms = 64

// termID is the hash of a stem, 40 bits: among a million terms half a pair collides.
type termID uint64

const termMask = 1<<40 - 1

func idOf(stem []byte) termID {
	h := uint64(14695981039346656037)
	for _, c := range stem {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return termID(h & termMask)
}

// count is how often a term is in a chunk, at most 255.
type count struct {
	term termID
	n    uint8
}

// countTerms returns the distinct terms of a text, sorted, and its length in terms. Common words are counted too: they
// are all that some queries have.
func countTerms(text string, into []count) (counts []count, length int) {
	counts = into[:0]
	terms.Scan(text, func(t *terms.Term) bool {
		counts = append(counts, count{idOf(t.Stem), 1})
		return true
	})
	length = len(counts)
	slices.SortFunc(counts, func(a, b count) int {
		if a.term < b.term {
			return -1
		}
		return int(min(a.term-b.term, 1))
	})
	out := counts[:0]
	for _, c := range counts {
		if n := len(out); n > 0 && out[n-1].term == c.term {
			if out[n-1].n < math.MaxUint8 {
				out[n-1].n++
			}
			continue
		}
		out = append(out, c)
	}
	return out, length
}

// keywords is an inverted index over rows that are added in ascending order. Rows are never taken out: a row that is
// gone is one that no caller may see.
type keywords struct {
	slots   []uint32 // open addressing into lists, +1; 0: empty
	lists   []postings
	lengths []uint16 // of rows, in terms
}

// postings are the rows of a term: the distance to the row before and the count, as varint and byte.
type postings struct {
	term termID
	last uint32
	buf  []byte
}

func (k *keywords) find(t termID) *postings {
	if len(k.slots) == 0 {
		return nil
	}
	mask := uint64(len(k.slots) - 1)
	for i := uint64(t) & mask; ; i = (i + 1) & mask {
		at := k.slots[i]
		if at == 0 {
			return nil
		}
		if p := &k.lists[at-1]; p.term == t {
			return p
		}
	}
}

func (k *keywords) list(t termID) *postings {
	if p := k.find(t); p != nil {
		return p
	}
	if 2*len(k.lists) >= len(k.slots) {
		k.slots = make([]uint32, max(1024, 2*len(k.slots)))
		for n := range k.lists {
			k.place(k.lists[n].term, uint32(n+1))
		}
	}
	k.lists = append(k.lists, postings{term: t})
	k.place(t, uint32(len(k.lists)))
	return &k.lists[len(k.lists)-1]
}

func (k *keywords) place(t termID, at uint32) {
	mask := uint64(len(k.slots) - 1)
	i := uint64(t) & mask
	for k.slots[i] != 0 {
		i = (i + 1) & mask
	}
	k.slots[i] = at
}

// add enters the next row.
func (k *keywords) add(counts []count, length int) {
	row := uint32(len(k.lengths))
	k.lengths = append(k.lengths, uint16(min(length, math.MaxUint16)))
	for _, c := range counts {
		k.list(c.term).add(row, c.n)
	}
}

func (p *postings) add(row uint32, n uint8) {
	if delta := row - p.last; delta < 0x80 { // by far the most
		p.buf = append(p.buf, byte(delta), n)
	} else {
		p.buf = append(binary.AppendUvarint(p.buf, uint64(delta)), n)
	}
	p.last = row
}

// staged is a posting on its way into the index; its term's first eight bits are its bucket's.
type staged struct {
	term, row uint32
	n         uint8
}

// stagedPostings is how many are held at once, nearly: 12 MB.
const stagedPostings = 1 << 20

// loader enters many rows. Postings are held back and entered by their terms: those of 1/256 of all terms fit the
// processor's cache, where entered row by row every one waits for memory. While some are entered the next ones come in;
// nothing else may use the keywords until finish returns.
type loader struct {
	k       *keywords
	buckets *buckets
	held    int
	full    chan *buckets
	free    chan *buckets
	done    chan struct{}
}

type buckets [256][]staged

func newLoader(k *keywords) *loader {
	l := &loader{k: k, buckets: &buckets{}, full: make(chan *buckets), free: make(chan *buckets, 2), done: make(chan struct{})}
	l.free <- &buckets{}
	go func() {
		defer close(l.done)
		for b := range l.full {
			k.enter(b)
			l.free <- b
		}
	}()
	return l
}

// add is [keywords.add]; the row is found after finish.
func (l *loader) add(counts []count, length int) {
	row := uint32(len(l.k.lengths))
	l.k.lengths = append(l.k.lengths, uint16(min(length, math.MaxUint16)))
	for _, c := range counts {
		b := &l.buckets[c.term>>32&0xff]
		*b = append(*b, staged{uint32(c.term), row, c.n})
	}
	if l.held += len(counts); l.held >= stagedPostings {
		l.full <- l.buckets
		l.buckets, l.held = <-l.free, 0
	}
}

// finish enters what is held. It must be called once.
func (l *loader) finish() {
	l.full <- l.buckets
	close(l.full)
	<-l.done
}

func (k *keywords) enter(all *buckets) {
	for i, b := range all {
		for _, s := range b {
			k.list(termID(i)<<32|termID(s.term)).add(s.row, s.n)
		}
		all[i] = b[:0]
	}
}

func (k *keywords) bytes() (n int64) {
	for i := range k.lists {
		n += int64(cap(k.lists[i].buf))
	}
	return n + int64(cap(k.lists))*40 + int64(cap(k.slots))*4 + int64(cap(k.lengths))*2
}

// queryTerm is a term of a query with its rows that the caller may see.
type queryTerm struct {
	id     termID
	common bool
	rows   []uint32
	counts []uint8
	idf    float32
}

// match is a row that has at least one term of the query.
type match struct {
	row      uint32
	score    float32 // BM25
	coverage float32 // share of the query's terms, weighted by rarity, that the row has: 0 to 1
}

// queryTerms returns the distinct terms of a query, without common words where others are there.
func queryTerms(query string) []queryTerm {
	var out []queryTerm
	content := 0
	terms.Scan(query, func(t *terms.Term) bool {
		id := idOf(t.Stem)
		if !slices.ContainsFunc(out, func(q queryTerm) bool { return q.id == id }) {
			out = append(out, queryTerm{id: id, common: t.Common})
			if !t.Common {
				content++
			}
		}
		return len(out) < 16*maxQueryTerms
	})
	if content > 0 {
		out = slices.DeleteFunc(out, func(q queryTerm) bool { return q.common })
	}
	return out
}

// gather finds the terms of a query with their allowed rows and their weights. rows is the number of allowed rows: what a
// caller may not see has no influence on weights and scores.
func (k *keywords) gather(query string, allow []uint64, rows int) []queryTerm {
	list := queryTerms(query)
	for i := range list {
		q := &list[i]
		if p := k.find(q.id); p != nil {
			q.gather(p, allow)
		}
		df := float64(len(q.rows))
		q.idf = float32(math.Log1p((float64(rows) - df + 0.5) / (df + 0.5)))
	}
	return list
}

// score scores every row of the terms; length is the number of terms in the allowed rows.
func (k *keywords) score(list []queryTerm, rows int, length int64) []match {
	if len(list) > maxQueryTerms {
		slices.SortStableFunc(list, func(a, b queryTerm) int {
			switch {
			case a.idf > b.idf:
				return -1
			case a.idf < b.idf:
				return 1
			}
			return 0
		})
		list = list[:maxQueryTerms]
	}
	var mass float32
	for i := range list {
		mass += list[i].idf
	}
	if mass == 0 {
		return nil
	}
	average := max(float32(length)/float32(rows), 1)
	at := make([]uint32, len(k.lengths)) // of a row in out, +1
	var out []match
	for i := range list {
		q := &list[i]
		for j, row := range q.rows {
			if at[row] == 0 {
				out = append(out, match{row: row})
				at[row] = uint32(len(out))
			}
			m := &out[at[row]-1]
			tf := float32(q.counts[j])
			norm := bm25K1 * (1 - bm25B + bm25B*float32(k.lengths[row])/average)
			m.score += q.idf * tf * (bm25K1 + 1) / (tf + norm)
			m.coverage += q.idf / mass
		}
	}
	return out
}

// gather takes the allowed rows of a term.
func (q *queryTerm) gather(p *postings, allow []uint64) {
	row := uint32(0)
	for b := p.buf; len(b) > 0; {
		delta, n := uint64(b[0]), 1
		if delta >= 0x80 {
			delta, n = binary.Uvarint(b)
		}
		row += uint32(delta)
		if w := int(row / 64); w < len(allow) && allow[w]>>(row%64)&1 == 1 {
			q.rows = append(q.rows, row)
			q.counts = append(q.counts, b[n])
		}
		b = b[n+1:]
	}
}

// Covers is the share of the distinct words of a statement that a text has, common words left out; 1 for a statement
// without any. A number that the text does not have halves it.
func Covers(text, statement string) float64 {
	has := map[termID]bool{}
	terms.Scan(text, func(t *terms.Term) bool {
		has[idOf(t.Stem)] = true
		return true
	})
	seen := map[termID]bool{}
	var found, all float64
	share := 1.0
	terms.Scan(statement, func(t *terms.Term) bool {
		id := idOf(t.Stem)
		if t.Common || seen[id] {
			return true
		}
		seen[id] = true
		if has[id] {
			found++
		} else if t.Word[0] >= '0' && t.Word[0] <= '9' {
			share = 0.5
		}
		all++
		return true
	})
	if all == 0 {
		return 1
	}
	return share * found / all
}
