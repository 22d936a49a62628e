package search

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLoader_EntersAsRowByRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var one, many keywords
	l := newLoader(&many)
	postings := 0
	for postings < 2*stagedPostings+1000 { // full twice
		var counts []count
		for range rng.IntN(600) {
			counts = append(counts, count{termID(rng.Uint64N(3000)*0x9e3779b97f4a7c15) & termMask, uint8(1 + rng.IntN(255))})
		}
		slices.SortFunc(counts, func(a, b count) int { return int(a.term>>8) - int(b.term>>8) })
		counts = slices.CompactFunc(counts, func(a, b count) bool { return a.term == b.term })
		one.add(counts, len(counts))
		l.add(counts, len(counts))
		postings += len(counts)
	}
	l.finish()
	if !slices.Equal(one.lengths, many.lengths) || len(one.lists) != len(many.lists) {
		t.Fatalf("%d rows and %d terms, row by row %d and %d", len(many.lengths), len(many.lists), len(one.lengths), len(one.lists))
	}
	for i := range one.lists {
		p := &one.lists[i]
		if q := many.find(p.term); q == nil || q.last != p.last || !slices.Equal(q.buf, p.buf) {
			t.Fatalf("the rows of term %x differ", p.term)
		}
	}
}
