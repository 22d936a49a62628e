package sample

// truncate applies top-k, then top-p, to s.cand. (Min-p has been applied while weighing.)
func (s *Sampler) truncate() {
	k := len(s.cand)
	if s.p.TopK > 0 {
		k = min(k, s.p.TopK)
	}
	topP := s.p.TopP > 0 && s.p.TopP < 1
	if k == len(s.cand) && !topP {
		return
	}
	if !topP {
		heapify(s.cand)
		s.cand = takeTop(s.cand, k)
		return
	}
	// Top-p counts mass among the k kept.
	mass := 0.0
	heapify(s.cand)
	if k < len(s.cand) {
		s.cand = takeTop(s.cand, k)
		for _, c := range s.cand {
			mass += c.p
		}
		s.cand = s.cand[:prefix(s.cand, s.p.TopP*mass)]
		return
	}
	for _, c := range s.cand {
		mass += c.p
	}
	// Take the best from the heap until the mass is there: usually a few of 150 000, so no full sort.
	want, n := s.p.TopP*mass, 0
	for sum := 0.0; n < len(s.cand) && sum < want; n++ {
		sum += s.cand[0].p
		popToEnd(s.cand, n)
	}
	s.cand = reverseTail(s.cand, n)
}

// prefix is how many of the leading candidates it takes to reach want, at least one.
func prefix(c []candidate, want float64) int {
	sum := 0.0
	for i := range c {
		if sum += c[i].p; sum >= want {
			return i + 1
		}
	}
	return len(c)
}

// takeTop returns the k best of a heap, best first.
func takeTop(c []candidate, k int) []candidate {
	for n := range k {
		popToEnd(c, n)
	}
	return reverseTail(c, k)
}

// popToEnd moves the best of the heap c[:len(c)-popped] to its end, shrinking the heap by one.
func popToEnd(c []candidate, popped int) {
	last := len(c) - popped - 1
	c[0], c[last] = c[last], c[0]
	siftDown(c[:last], 0)
}

// reverseTail returns the last n of c, reversed in place: the best first.
func reverseTail(c []candidate, n int) []candidate {
	t := c[len(c)-n:]
	for i, j := 0, len(t)-1; i < j; i, j = i+1, j-1 {
		t[i], t[j] = t[j], t[i]
	}
	copy(c, t) // to the front, so that the scratch space keeps its capacity
	return c[:n]
}

// better orders candidates: more probable first, the lower id among equals.
func better(a, b candidate) bool {
	if a.p != b.p {
		return a.p > b.p
	}
	return a.id < b.id
}

func heapify(c []candidate) {
	for i := len(c)/2 - 1; i >= 0; i-- {
		siftDown(c, i)
	}
}

func siftDown(c []candidate, i int) {
	for {
		kid := 2*i + 1
		if kid >= len(c) {
			return
		}
		if kid+1 < len(c) && better(c[kid+1], c[kid]) {
			kid++
		}
		if !better(c[kid], c[i]) {
			return
		}
		c[i], c[kid] = c[kid], c[i]
		i = kid
	}
}
