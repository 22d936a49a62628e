package engine

import (
	"sync"
	"time"
)

// speeds measures what steps of few rows cost, to know whether proposing tokens pays: passing a token and k proposed
// ones takes longer than passing one, and only some are right. It is safe for concurrent use.
type speeds struct {
	mu   sync.Mutex
	took [maxDraft + 2]time.Duration // a step of so many rows of one sequence; 0: not known
	each time.Duration               // a row of a prompt's step; 0: not known
	free bool                        // tests: rows cost nothing
}

func (s *speeds) note(rows int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rows >= len(s.took) {
		each := took / time.Duration(rows)
		if s.each == 0 {
			s.each = each
		}
		s.each += (each - s.each) / 8
		return
	}
	if s.took[rows] == 0 {
		s.took[rows] = took
	}
	s.took[rows] += (took - s.took[rows]) / 8
}

// pays says whether a step of rows rows for gain tokens is cheaper than as many single ones, where proposing took its own
// time too. What is not known is worth a try.
func (s *speeds) pays(rows int, gain float64, proposing time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free || rows >= len(s.took) || s.took[1] == 0 || s.took[rows] == 0 {
		return true
	}
	return gain*float64(s.took[1]) > float64(s.took[rows]+proposing)*1.05
}

// cost is what a step of rows rows takes with what proposing took, in nanoseconds. Of what is not known the best is hoped.
func (s *speeds) cost(rows int, proposing time.Duration) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.took[1]
	if rows < len(s.took) && s.took[rows] > 0 {
		took = s.took[rows]
	}
	return float64(max(took+proposing, 1))
}

// row is what a row of a prompt takes; 0: not known.
func (s *speeds) row() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.each
}

// one is what a step of one row takes; 0: not known.
func (s *speeds) one() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.took[1]
}

// lookup proposes the tokens that followed the last time the text's end occurred in it (prompt lookup, Saxena 2023). The
// index of the ends of n-grams grows with the text.
type lookup struct {
	gauge
	seen    map[[ngram]int32]int // n-gram -> where the next token is
	indexed int
}

// gauge watches how well proposals fare, and pauses where they do not.
type gauge struct {
	speed *speeds
	rate  float64 // of proposals that are right
	pause int     // tokens before the next try, after failures
	wait  int
}

const ngram = 3

func newLookup(s *speeds) *lookup {
	return &lookup{gauge: gauge{speed: s, rate: 0.5}, seen: map[[ngram]int32]int{}}
}

// propose returns up to limit tokens that may follow the text; nil where there is no idea, or where it does not pay.
func (l *lookup) propose(text []int32, limit int) []int32 {
	for ; l.indexed+ngram < len(text); l.indexed++ {
		l.seen[[ngram]int32(text[l.indexed:l.indexed+ngram])] = l.indexed + ngram
	}
	if l.pausing() {
		return nil
	}
	if len(text) < ngram+1 || limit <= 0 {
		return nil
	}
	at, ok := l.seen[[ngram]int32(text[len(text)-ngram:])]
	if !ok {
		return nil
	}
	k := min(limit, maxDraft, len(text)-at)
	for ; k > 0; k-- {
		if l.speed.pays(k+1, l.gain(k), 0) {
			return text[at : at+k]
		}
	}
	l.fail()
	return nil
}

// gain is how many tokens a step with k proposed ones is expected to yield.
func (l *gauge) gain(k int) float64 {
	gain, p := 1.0, 1.0
	for range k {
		p *= l.rate
		gain += p
	}
	return gain
}

// pausing counts a token of a pause.
func (l *gauge) pausing() bool {
	if l.wait > 0 {
		l.wait--
		return true
	}
	return false
}

// result says how many of the proposed tokens were right.
func (l *gauge) result(proposed, right int) {
	if proposed == 0 {
		return
	}
	tried := min(right+1, proposed) // after the first wrong one nothing is known
	l.rate += (float64(right)/float64(tried) - l.rate) / 4
	if right > 0 {
		l.pause = 0
		return
	}
	l.fail()
}

// fail waits longer after each failure in a row.
func (l *gauge) fail() {
	l.pause = min(max(l.pause*2, 2), 64)
	l.wait = l.pause
	if l.pause == 64 {
		l.rate = max(l.rate, 0.3) // once in a while it is worth a try
	}
}
