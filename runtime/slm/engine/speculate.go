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
	free bool                        // tests: rows cost nothing
}

func (s *speeds) note(rows int, took time.Duration) {
	if rows < 1 || rows >= len(s.took) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took[rows] == 0 {
		s.took[rows] = took
	}
	s.took[rows] += (took - s.took[rows]) / 8
}

// pays says whether rows rows for gain tokens are cheaper than as many single ones. What is not known is worth a try.
func (s *speeds) pays(rows int, gain float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free || rows >= len(s.took) || s.took[1] == 0 || s.took[rows] == 0 {
		return true
	}
	return gain*float64(s.took[1]) > float64(s.took[rows])*1.05
}

// lookup proposes the tokens that followed the last time the text's end occurred in it (prompt lookup, Saxena 2023). The
// index of the ends of n-grams grows with the text.
type lookup struct {
	speed   *speeds
	seen    map[[ngram]int32]int // n-gram -> where the next token is
	indexed int
	rate    float64 // of proposals that are right
	pause   int     // tokens before the next try, after failures
	wait    int
}

const ngram = 3

func newLookup(s *speeds) *lookup {
	return &lookup{speed: s, seen: map[[ngram]int32]int{}, rate: 0.5}
}

// propose returns up to limit tokens that may follow the text; nil where there is no idea, or where it does not pay.
func (l *lookup) propose(text []int32, limit int) []int32 {
	for ; l.indexed+ngram < len(text); l.indexed++ {
		l.seen[[ngram]int32(text[l.indexed:l.indexed+ngram])] = l.indexed + ngram
	}
	if l.wait > 0 {
		l.wait--
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
		gain, p := 1.0, 1.0
		for range k {
			p *= l.rate
			gain += p
		}
		if l.speed.pays(k+1, gain) {
			return text[at : at+k]
		}
	}
	l.fail()
	return nil
}

// result says how many of the proposed tokens were right.
func (l *lookup) result(proposed, right int) {
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
func (l *lookup) fail() {
	l.pause = min(max(l.pause*2, 2), 64)
	l.wait = l.pause
	if l.pause == 64 {
		l.rate = max(l.rate, 0.3) // once in a while it is worth a try
	}
}
