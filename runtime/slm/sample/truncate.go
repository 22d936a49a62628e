package sample

import (
	"cmp"
	"math"
	"slices"
)

// truncate applies top-p to s.cand, of which top-k and min-p have been applied while weighing.
func (s *Sampler) truncate() {
	if s.p.TopP <= 0 || s.p.TopP >= 1 {
		return
	}
	mass := 0.0
	var byExponent [128]float64 // mass of the candidates in [2^-i-1, 2^-i); p is in [e^-60, 1]
	for _, c := range s.cand {
		mass += c.p
		byExponent[exponent(c.p)] += c.p
	}
	want := s.p.TopP * mass
	if s.p.TopK > 0 && sortedBest(s.cand) {
		s.cand = s.cand[:prefix(s.cand, want)]
		return
	}
	// Only the magnitudes that it takes to reach the mass are looked at closer: usually a few of 150 000
	// tokens, so there is no full sort.
	last := 0
	for sum := byExponent[0]; sum < want && last < len(byExponent)-1; {
		last++
		sum += byExponent[last]
	}
	n := 0
	for _, c := range s.cand {
		if exponent(c.p) <= last {
			s.cand[n] = c
			n++
		}
	}
	s.cand = s.cand[:n]
	heapify(s.cand)
	taken := 0
	for sum := 0.0; taken < n && (sum < want || taken == 0); taken++ {
		sum += s.cand[0].p
		popToEnd(s.cand, taken)
	}
	s.cand = reverseTail(s.cand, taken)
}

// typical applies locally typical sampling to s.cand, whose order stays.
func (s *Sampler) typical() {
	if s.p.TypicalP <= 0 || s.p.TypicalP >= 1 || len(s.cand) < 2 {
		return
	}
	mass := 0.0
	for _, c := range s.cand {
		mass += c.p
	}
	entropy := 0.0
	for _, c := range s.cand {
		entropy -= c.p / mass * math.Log(c.p/mass)
	}
	// In s.odd p is how far a token's surprise is from the entropy, and id its place in s.cand.
	s.odd = s.odd[:0]
	for i, c := range s.cand {
		s.odd = append(s.odd, candidate{int32(i), math.Abs(-math.Log(c.p/mass) - entropy)})
	}
	slices.SortFunc(s.odd, func(a, b candidate) int {
		if c := cmp.Compare(a.p, b.p); c != 0 {
			return c
		}
		return cmp.Compare(a.id, b.id)
	})
	n, sum := 0, 0.0
	for n < len(s.odd) && (n == 0 || sum < s.p.TypicalP*mass) {
		sum += s.cand[s.odd[n].id].p
		n++
	}
	kept := s.odd[:n]
	slices.SortFunc(kept, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	for i, k := range kept {
		s.cand[i] = s.cand[k.id]
	}
	s.cand = s.cand[:n]
}

func exponent(p float64) int { return min(max(1023-int(math.Float64bits(p)>>52), 0), 127) }

func sortedBest(c []candidate) bool {
	for i := 1; i < len(c); i++ {
		if better(c[i], c[i-1]) {
			return false
		}
	}
	return true
}

// selectTop appends the k candidates with the highest logits to dst, best first, with the logit for p. NaN and
// -Inf are no candidates.
func selectTop(dst []candidate, logits []float32, k int) []candidate {
	// A heap of the kept with the worst on top. Values are negated, so that better() means worse.
	least := float32(math.Inf(-1))
	for i, l := range logits {
		if !(l > least) {
			continue
		}
		c := candidate{-int32(i), -float64(l)}
		if len(dst) < k {
			if dst = append(dst, c); len(dst) < k {
				continue
			}
			heapify(dst)
		} else {
			dst[0] = c
			siftDown(dst, 0)
		}
		least = float32(-dst[0].p) // a later token with the same logit has a higher id and loses
	}
	if len(dst) < k {
		heapify(dst)
	}
	dst = takeTop(dst, len(dst))
	for i, j := 0, len(dst)-1; i <= j; i, j = i+1, j-1 {
		dst[i], dst[j] = candidate{-dst[j].id, -dst[j].p}, candidate{-dst[i].id, -dst[i].p}
	}
	return dst
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
