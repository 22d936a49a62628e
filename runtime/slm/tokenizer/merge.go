package tokenizer

import "slices"

// symbol is a stretch of text in a doubly linked list; merging joins it with its right neighbour.
type symbol struct {
	prev, next int32 // -1 at the ends
	at, n      int32 // text[at:at+n]; n is 0 once merged into the left neighbour
	id         int32 // of the symbol, where the algorithm has one
}

// candidate is a pair of neighbours that may be merged. size and id tell whether it still stands.
type candidate struct {
	priority float32 // higher first; BPE has -rank, exact up to 2^24 merges
	left     int32   // lower first among equals
	right    int32
	size     int32
	id       int32
}

func (a candidate) before(b candidate) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.left < b.left
}

// candidates is a binary heap. container/heap would box every element.
type candidates []candidate

func (h *candidates) push(c candidate) {
	s := append(*h, c)
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = c
	*h = s
}

func (h *candidates) pop() candidate {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= len(s) {
			break
		}
		if c+1 < len(s) && s[c+1].before(s[c]) {
			c++
		}
		if !s[c].before(last) {
			break
		}
		s[i] = s[c]
		i = c
	}
	s[i] = last
	return top
}

// queue hands out candidates in order. It is a sorted run with a heap beside it for what arrives later; when
// the run is used up, the heap is sorted into the next. On long words most candidates arrive in order, where
// sorting is linear and taking from the run is one step, against a walk through all of a large heap.
type queue struct {
	run  []candidate
	at   int // run[:at] has been handed out
	heap candidates
}

func (q *queue) reset() { q.run, q.at, q.heap = q.run[:0], 0, q.heap[:0] }

func (q *queue) push(c candidate) { q.heap.push(c) }

func (q *queue) pop() (candidate, bool) {
	const enough = 64 // a small heap is quick as it is
	if q.at == len(q.run) && len(q.heap) > enough {
		q.run, q.heap, q.at = []candidate(q.heap), candidates(q.run[:0]), 0
		slices.SortFunc(q.run, func(a, b candidate) int {
			switch {
			case a.before(b):
				return -1
			case b.before(a):
				return 1
			}
			return 0
		})
	}
	switch {
	case q.at < len(q.run) && (len(q.heap) == 0 || !q.heap[0].before(q.run[q.at])):
		q.at++
		return q.run[q.at-1], true
	case len(q.heap) > 0:
		return q.heap.pop(), true
	}
	return candidate{}, false
}

// join merges the right neighbour of symbols[left] into it.
func join(symbols []symbol, left int32) {
	l := &symbols[left]
	r := &symbols[l.next]
	l.n += r.n
	r.n = 0
	l.next = r.next
	if r.next >= 0 {
		symbols[r.next].prev = left
	}
}
