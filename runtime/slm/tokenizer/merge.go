package tokenizer

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
