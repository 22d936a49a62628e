// Package sample chooses the next token from a model's logits: penalties, bias, temperature and the usual
// truncations, seeded so that a run can be repeated. It knows nothing of models, text or grammars: a caller
// that wants to forbid tokens sets their logits to -Inf before Sample.
//
// Start with New and (*Sampler).Sample; logprobs.go has what the OpenAI surface reports about a choice.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Params say how to choose. The zero value is greedy decoding.
type Params struct {
	// Temperature in [0, 100]; 0 is greedy: the highest logit, the lowest id among equals.
	Temperature float64
	// TopP in [0, 1] keeps the most probable tokens until their sum reaches it; 0 and 1 keep all.
	TopP float64
	// MinP in [0, 1] drops tokens less probable than MinP times the most probable one; 0 keeps all.
	MinP float64
	// TypicalP in [0, 1] keeps the tokens whose surprise is nearest to the expected one until their sum reaches it; 0 and 1
	// keep all (Meister et al. 2022). It comes after top-k and min-p and before top-p.
	TypicalP float64
	// TopK keeps the K most probable tokens; 0 keeps all.
	TopK int
	// Seed of the random stream. Equal seeds, parameters and logits give equal tokens.
	Seed uint64
	// RepeatPenalty in (0, 10] divides positive and multiplies negative logits of accepted tokens; 0 and 1 do
	// nothing (Keskar et al. 2019).
	RepeatPenalty float64
	// FrequencyPenalty in [-2, 2] is subtracted once per occurrence of an accepted token (OpenAI's).
	FrequencyPenalty float64
	// PresencePenalty in [-2, 2] is subtracted once from any accepted token (OpenAI's).
	PresencePenalty float64
	// LogitBias is added to the logits of single ids, each in [-100, 100] (OpenAI's).
	LogitBias map[int32]float32
}

// Sampler holds the random stream, the counts of accepted tokens and scratch space. It is not safe for
// concurrent use: one per sequence.
type Sampler struct {
	p      Params
	pcg    *rand.PCG
	rng    *rand.Rand // over pcg
	counts map[int32]int32
	bias   []biased
	saved  []biased // logits that penalties changed, to put back
	cand   []candidate
	odd    []candidate // scratch space of typical
	rest   []float64   // scratch space of Verify, all zero between calls
}

type biased struct {
	id    int32
	value float32
}

// candidate is a token still in the running; p is its unnormalised probability.
type candidate struct {
	id int32
	p  float64
}

// New checks the parameters. The random stream is math/rand/v2's PCG seeded with (Seed, 0x9E3779B97F4A7C15),
// one Float64 per token that is not greedy.
func New(p Params) (*Sampler, error) {
	var errs []error
	for _, c := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{
		{"temperature", p.Temperature, 0, 100},
		{"top_p", p.TopP, 0, 1},
		{"min_p", p.MinP, 0, 1},
		{"typical_p", p.TypicalP, 0, 1},
		{"repeat_penalty", p.RepeatPenalty, 0, 10},
		{"frequency_penalty", p.FrequencyPenalty, -2, 2},
		{"presence_penalty", p.PresencePenalty, -2, 2},
	} {
		if !(c.v >= c.lo && c.v <= c.hi) { // NaN fails too
			errs = append(errs, fmt.Errorf("%s is %v; it must be from %v to %v", c.name, c.v, c.lo, c.hi))
		}
	}
	if p.TopK < 0 {
		errs = append(errs, fmt.Errorf("top_k is %d; it must not be negative", p.TopK))
	}
	s := &Sampler{p: p, pcg: rand.NewPCG(p.Seed, 0x9E3779B97F4A7C15)}
	s.rng = rand.New(s.pcg)
	for id, b := range p.LogitBias {
		if id < 0 || !(b >= -100 && b <= 100) {
			errs = append(errs, fmt.Errorf("logit_bias of token %d is %v; ids must not be negative and biases must be from -100 to 100", id, b))
		}
		s.bias = append(s.bias, biased{id, b})
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("sampling parameters: %w", errors.Join(errs...))
	}
	s.p.LogitBias = nil
	if s.penalizes() {
		s.counts = make(map[int32]int32)
	}
	return s, nil
}

func (s *Sampler) penalizes() bool {
	return s.p.FrequencyPenalty != 0 || s.p.PresencePenalty != 0 || s.p.RepeatPenalty != 0 && s.p.RepeatPenalty != 1
}

// Accept counts id as part of the text, for the penalties. What to accept is the caller's choice: OpenAI's
// penalties mean generated tokens, the repeat penalty usually the prompt's too.
func (s *Sampler) Accept(id int32) {
	if s.counts != nil && id >= 0 {
		s.counts[id]++
	}
}

// Sample returns the chosen id, in [0, len(logits)), or -1 if there is none to choose: no logits, or all of
// them NaN or -Inf. NaN counts as -Inf. A +Inf wins over everything finite. The logits are unchanged after it.
func (s *Sampler) Sample(logits []float32) int32 {
	s.adjust(logits)
	id := s.choose(logits)
	s.restore(logits)
	return id
}

// restore undoes adjust.
func (s *Sampler) restore(logits []float32) {
	for i := len(s.saved) - 1; i >= 0; i-- {
		logits[s.saved[i].id] = s.saved[i].value
	}
}

// adjust applies bias and penalties in place, keeping the old values in s.saved.
func (s *Sampler) adjust(logits []float32) {
	s.saved = s.saved[:0]
	for id, n := range s.counts {
		if int(id) >= len(logits) {
			continue
		}
		l := logits[id]
		s.saved = append(s.saved, biased{id, l})
		if r := float32(s.p.RepeatPenalty); r != 0 {
			if l > 0 {
				l /= r
			} else {
				l *= r
			}
		}
		logits[id] = l - float32(s.p.FrequencyPenalty)*float32(n) - float32(s.p.PresencePenalty)
	}
	for _, b := range s.bias {
		if int(b.id) < len(logits) {
			s.saved = append(s.saved, biased{b.id, logits[b.id]})
			logits[b.id] += b.value
		}
	}
}

func (s *Sampler) choose(logits []float32) int32 {
	best := argmax(logits)
	if best < 0 || s.p.Temperature == 0 || math.IsInf(float64(logits[best]), 1) {
		return best
	}
	s.narrow(logits, best)
	total := 0.0
	for _, c := range s.cand {
		total += c.p
	}
	return s.draw(total, best)
}

// narrow fills s.cand with the tokens that remain in the running.
func (s *Sampler) narrow(logits []float32, best int32) {
	s.weigh(logits, float64(logits[best]))
	s.typical()
	s.truncate()
}

// draw takes a token of s.cand, whose sum is total.
func (s *Sampler) draw(total float64, best int32) int32 {
	// The candidates' order is a function of the logits alone, so the draw is reproducible.
	x := s.rng.Float64() * total
	for _, c := range s.cand {
		if x -= c.p; x < 0 {
			return c.id
		}
	}
	return best // rounding at the very end of the interval
}

// argmax is the lowest id with the highest logit, -1 if all are NaN or -Inf.
func argmax(logits []float32) int32 {
	best, at := float32(math.Inf(-1)), int32(-1)
	for i, l := range logits {
		if l > best {
			best, at = l, int32(i)
		}
	}
	return at
}

// weigh fills s.cand with exp((logit-max)/T): with top-k the k best, best first, else all in the order of their
// ids. Tokens below e^-60 of the best one cannot matter and are left out, as are those that min-p drops.
func (s *Sampler) weigh(logits []float32, top float64) {
	floor := max(exp(-60), s.p.MinP)
	k := len(logits)
	if s.p.TopK > 0 {
		k = min(k, s.p.TopK)
	}
	if cap(s.cand) < k {
		s.cand = make([]candidate, 0, k)
	}
	s.cand = s.cand[:0]
	if k < len(logits) {
		s.cand = selectTop(s.cand, logits, k)
		n := 0
		for _, c := range s.cand {
			if c.p = exp((c.p - top) / s.p.Temperature); c.p >= floor {
				s.cand[n] = c
				n++
			}
		}
		s.cand = s.cand[:n]
		return
	}
	// The comparison on logits first: exp is dear and few tokens may pass. The margin keeps it on the safe side.
	cut := top + s.p.Temperature*math.Log(floor) - 1e-4
	for i, l := range logits {
		if !(float64(l) >= cut) {
			continue
		}
		if p := exp((float64(l) - top) / s.p.Temperature); p >= floor {
			s.cand = append(s.cand, candidate{int32(i), p})
		}
	}
}
