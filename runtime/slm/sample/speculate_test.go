package sample

import (
	"math"
	"testing"
)

// chiSquared compares counts with expected ones and returns the statistic and the degrees of freedom. Cells that are
// expected less than five times are put together.
func chiSquared(counts, want []float64) (x float64, freedom int) {
	rareCount, rareWant := 0.0, 0.0
	for i, w := range want {
		if w < 5 {
			rareCount, rareWant = rareCount+counts[i], rareWant+w
			continue
		}
		x += (counts[i] - w) * (counts[i] - w) / w
		freedom++
	}
	if rareWant >= 5 {
		x += (rareCount - rareWant) * (rareCount - rareWant) / rareWant
		freedom++
	} else if rareCount > 30 {
		return math.Inf(1), freedom
	}
	return x, freedom - 1
}

// limit is about the value that chi-squared of so many degrees of freedom exceeds once in 10,000 times (Wilson-Hilferty).
func limit(freedom int) float64 {
	k := 2 / (9 * float64(freedom))
	return float64(freedom) * math.Pow(1-k+3.719*math.Sqrt(k), 3)
}

// TestVerify_FollowsTheLargeModelsDistribution draws proposals from distributions near and far, and compares what comes
// out with the definition. The seeds are fixed, so is the result.
func TestVerify_FollowsTheLargeModelsDistribution(t *testing.T) {
	const n = 200_000
	p := []float32{2, 1, 0.5, 0, -1, 1, -2, 0.2}
	near := []float32{1.8, 1.2, 0.3, 0.1, -1.5, 0.8, -2, 0}
	far := []float32{-3, 0, 2, 2, 1, -4, 3, 0}
	for name, tc := range map[string]struct {
		q             []float32
		large, small  Params
		rarely, often float64 // bounds of the part that is accepted
	}{
		"the same":      {p, Params{Temperature: 1}, Params{Temperature: 1}, 0.999, 1},
		"near":          {near, Params{Temperature: 1}, Params{Temperature: 1}, 0.85, 0.99},
		"far":           {far, Params{Temperature: 1}, Params{Temperature: 1}, 0.05, 0.5},
		"fewer":         {near, Params{Temperature: 1}, Params{Temperature: 1, TopK: 2}, 0.5, 0.9},
		"more":          {near, Params{Temperature: 0.7, TopK: 3}, Params{Temperature: 0.7}, 0.5, 0.99},
		"top-p, near":   {near, Params{Temperature: 0.8, TopP: 0.8}, Params{Temperature: 0.8, TopP: 0.8}, 0.7, 1},
		"certain":       {near, Params{Temperature: 1}, Params{}, 0.3, 0.6},
		"all are wrong": {far, Params{Temperature: 1, TopK: 1}, Params{Temperature: 1, TopK: 1}, 0, 0},
	} {
		tc.large.Seed, tc.small.Seed = 11, 12
		large, small := sampler(t, tc.large), sampler(t, tc.small)
		counts, accepted := make([]float64, len(p)), 0.0
		var d Draw
		for range n {
			id := small.Propose(tc.q, &d)
			got, ok := large.Verify(p, id, &d)
			if ok && got != id {
				t.Fatalf("%s: %d was accepted and %d chosen", name, id, got)
			}
			if ok {
				accepted++
			}
			counts[got]++
		}
		want := make([]float64, len(p))
		plain := sampler(t, tc.large)
		plain.adjust(p)
		plain.narrow(p, argmax(p))
		total := 0.0
		for _, c := range plain.cand {
			total += c.p
		}
		for _, c := range plain.cand {
			want[c.id] = n * c.p / total
		}
		x, freedom := chiSquared(counts, want)
		if freedom > 0 && x > limit(freedom) || freedom == 0 && counts[0] != n {
			t.Errorf("%s: chi-squared %.1f with %d degrees of freedom; %v, want %v", name, x, freedom, counts, want)
		}
		if accepted /= n; accepted < tc.rarely || accepted > tc.often {
			t.Errorf("%s: %.3f accepted, not %g to %g", name, accepted, tc.rarely, tc.often)
		}
		for _, v := range large.rest {
			if v != 0 {
				t.Fatalf("%s: scratch space is not empty", name)
			}
		}
	}
}

func TestFollow_DrawsTheSame(t *testing.T) {
	a := sampler(t, Params{Temperature: 1, Seed: 3, FrequencyPenalty: 0.5})
	b := sampler(t, Params{Temperature: 1, Seed: 4, FrequencyPenalty: 0.5})
	logits := randomLogits(3, 50)
	for range 100 {
		b.Follow(a, true)
		want := a.Sample(logits)
		if got := b.Sample(logits); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
		a.Accept(want)
		b.Accept(7) // not to last
	}
}

func TestVerify_GreedyIsTheBest(t *testing.T) {
	s := sampler(t, Params{})
	var d Draw
	logits := []float32{1, 3, 2}
	if id := s.Propose([]float32{0, 0, 1}, &d); id != 2 {
		t.Fatal(id)
	}
	if id, ok := s.Verify(logits, 2, &d); id != 1 || ok {
		t.Errorf("%d %t", id, ok)
	}
	if id, ok := s.Verify(logits, 1, &d); id != 1 || !ok {
		t.Errorf("%d %t", id, ok)
	}
	if id, _ := sampler(t, Params{Temperature: 1}).Verify([]float32{nan}, 0, &d); id != -1 {
		t.Errorf("%d", id)
	}
}
