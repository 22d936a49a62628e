package sample

import (
	"maps"
	"math"
)

// Draw is a distribution that a token was drawn from: the proposal of a smaller model, to be verified by a larger one.
// The zero value is one in which nothing has a probability.
type Draw struct {
	cand  []candidate
	total float64
}

// Follow sets the penalties' counts to those of another sampler, and with stream also the random stream, so that both
// then draw the same from the same logits.
func (s *Sampler) Follow(of *Sampler, stream bool) {
	if s.counts != nil {
		clear(s.counts)
		maps.Copy(s.counts, of.counts)
	}
	if stream {
		*s.pcg = *of.pcg
	}
}

// Propose is Sample, and keeps in d what it drew from. A greedy choice is certain.
func (s *Sampler) Propose(logits []float32, d *Draw) int32 {
	d.cand, d.total = d.cand[:0], 0
	id := s.Sample(logits)
	if id < 0 {
		return id
	}
	if s.p.Temperature == 0 || math.IsInf(float64(logits[id]), 1) {
		d.cand, d.total = append(d.cand, candidate{id, 1}), 1
		return id
	}
	d.cand = append(d.cand, s.cand...)
	for _, c := range d.cand {
		d.total += c.p
	}
	return id
}

// Verify chooses a token by the logits, given that id was drawn from q: it accepts id with the probability min(1, p/q),
// and otherwise draws from what p has more than q. Whatever q is, the choice follows the logits' own distribution, as
// Sample's does (Leviathan et al. 2023, Chen et al. 2023). It returns -1 where Sample does.
func (s *Sampler) Verify(logits []float32, id int32, q *Draw) (chosen int32, accepted bool) {
	s.adjust(logits)
	defer s.restore(logits)
	best := argmax(logits)
	if best < 0 || s.p.Temperature == 0 || math.IsInf(float64(logits[best]), 1) {
		return best, best == id
	}
	s.narrow(logits, best)
	total, own := 0.0, 0.0
	for _, c := range s.cand {
		total += c.p
		if c.id == id {
			own = c.p
		}
	}
	proposed := 0.0
	for _, c := range q.cand {
		if c.id == id {
			proposed = c.p / q.total
		}
	}
	if u := s.rng.Float64(); own > 0 && u*proposed < own/total {
		return id, true
	}
	// The rest: max(0, p-q), token by token.
	if len(s.rest) < len(logits) {
		s.rest = make([]float64, len(logits))
	}
	for _, c := range q.cand {
		if int(c.id) < len(logits) {
			s.rest[c.id] = c.p / q.total
		}
	}
	mass := 0.0
	for i := range s.cand {
		c := &s.cand[i]
		c.p = max(0, c.p/total-s.rest[c.id])
		mass += c.p
	}
	for _, c := range q.cand {
		if int(c.id) < len(logits) {
			s.rest[c.id] = 0
		}
	}
	if mass <= 0 { // p and q are the same but for rounding
		return best, best == id
	}
	return s.draw(mass, best), false
}
