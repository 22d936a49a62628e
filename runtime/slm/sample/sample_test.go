package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
)

var inf = float32(math.Inf(1))
var nan = float32(math.NaN())

func sampler(t testing.TB, p Params) *Sampler {
	t.Helper()
	s, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNew_RefusesParametersOutOfRange(t *testing.T) {
	for want, p := range map[string]Params{
		"temperature":       {Temperature: -0.1},
		"temperature is Na": {Temperature: math.NaN()},
		"temperature is +I": {Temperature: math.Inf(1)},
		"top_p":             {TopP: 1.1},
		"min_p":             {MinP: -1},
		"top_k":             {TopK: -1},
		"repeat_penalty":    {RepeatPenalty: -1},
		"frequency_penalty": {FrequencyPenalty: 2.1},
		"presence_penalty":  {PresencePenalty: math.NaN()},
		"logit_bias of tok": {LogitBias: map[int32]float32{-1: 1}},
		"token 7 is 101":    {LogitBias: map[int32]float32{7: 101}},
		"token 8 is NaN":    {LogitBias: map[int32]float32{8: nan}},
	} {
		if _, err := New(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

func TestSample_GreedyTakesTheLowestOfTheHighest(t *testing.T) {
	for name, c := range map[string]struct {
		logits []float32
		want   int32
	}{
		"plain":       {[]float32{1, 3, 2}, 1},
		"tie":         {[]float32{1, 3, 3}, 1},
		"negative":    {[]float32{-3, -1}, 1},
		"NaN":         {[]float32{nan, 1, nan}, 1},
		"infinite":    {[]float32{1, inf, inf}, 1},
		"forbidden":   {[]float32{-inf, -5}, 1},
		"empty":       {nil, -1},
		"nothing":     {[]float32{nan, -inf}, -1},
		"only choice": {[]float32{0}, 0},
	} {
		for temp, s := range map[string]*Sampler{"greedy": sampler(t, Params{}), "top-k 1": sampler(t, Params{Temperature: 1, TopK: 1})} {
			if got := s.Sample(c.logits); got != c.want {
				t.Errorf("%s, %s: got %d, want %d", name, temp, got, c.want)
			}
		}
	}
}

func TestSample_IsReproducible(t *testing.T) {
	logits := randomLogits(1, 500)
	draw := func(seed uint64) (ids []int32) {
		s := sampler(t, Params{Temperature: 1, TopP: 0.95, Seed: seed})
		for range 50 {
			ids = append(ids, s.Sample(logits))
		}
		return ids
	}
	if a, b := draw(7), draw(7); !slices.Equal(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("two seeds gave the same tokens")
	}
	// The stream is documented, so it may not change.
	if got, want := draw(7)[:8], []int32{438, 445, 331, 149, 215, 244, 7, 331}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSample_LeavesTheLogitsAsTheyWere(t *testing.T) {
	logits := randomLogits(2, 100)
	before := slices.Clone(logits)
	s := sampler(t, Params{Temperature: 1, TopK: 5, TopP: 0.5, MinP: 0.1, RepeatPenalty: 1.3, FrequencyPenalty: 1, LogitBias: map[int32]float32{3: 5, 200: 1}})
	for range 20 {
		s.Accept(s.Sample(logits))
		s.Accept(3)
		s.Accept(1000)
		s.Accept(-1)
	}
	if !slices.Equal(logits, before) {
		t.Error("the logits changed")
	}
}

// counts draws n tokens.
func counts(s *Sampler, logits []float32, n int) []float64 {
	c := make([]float64, len(logits))
	for range n {
		c[s.Sample(logits)]++
	}
	return c
}

func softmax(logits []float32, temperature float64) []float64 {
	p := make([]float64, len(logits))
	sum := 0.0
	for i, l := range logits {
		p[i] = math.Exp(float64(l) / temperature)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// Pearson's chi-squared against the distribution that the definition gives; the seed is fixed, so is the result.
func TestSample_FollowsTheDistribution(t *testing.T) {
	logits := []float32{2, 1, 0.5, 0, -1, 1, -2, 0.2}
	keep := func(p []float64, ok func(rank int, before, p float64) bool) []float64 {
		order := make([]int, len(p))
		for i := range order {
			order[i] = i
		}
		sort.SliceStable(order, func(i, j int) bool { return p[order[i]] > p[order[j]] })
		out, sum, before := make([]float64, len(p)), 0.0, 0.0
		for rank, i := range order {
			if ok(rank, before, p[i]) {
				out[i] = p[i]
				sum += p[i]
			}
			before += p[i]
		}
		for i := range out {
			out[i] /= sum
		}
		return out
	}
	all := softmax(logits, 1)
	best := slices.Max(all)
	for name, c := range map[string]struct {
		p    Params
		want []float64
	}{
		"temperature 1":   {Params{Temperature: 1}, all},
		"temperature 0.5": {Params{Temperature: 0.5}, softmax(logits, 0.5)},
		"temperature 3":   {Params{Temperature: 3}, softmax(logits, 3)},
		"top-k":           {Params{Temperature: 1, TopK: 3}, keep(all, func(rank int, _, _ float64) bool { return rank < 3 })},
		"top-k of all":    {Params{Temperature: 1, TopK: 99}, all},
		"top-p":           {Params{Temperature: 1, TopP: 0.8}, keep(all, func(_ int, before, _ float64) bool { return before < 0.8 })},
		"tiny top-p":      {Params{Temperature: 1, TopP: 1e-9}, keep(all, func(rank int, _, _ float64) bool { return rank == 0 })},
		"min-p":           {Params{Temperature: 1, MinP: 0.2}, keep(all, func(_ int, _, p float64) bool { return p >= 0.2*best })},
		"top-k and top-p": {Params{Temperature: 1, TopK: 4, TopP: 0.7}, func() []float64 {
			k := keep(all, func(rank int, _, _ float64) bool { return rank < 4 })
			return keep(k, func(_ int, before, _ float64) bool { return before < 0.7 })
		}()},
		"bias": {Params{Temperature: 1, LogitBias: map[int32]float32{6: 4, 0: -100}}, softmax([]float32{-98, 1, 0.5, 0, -1, 1, 2, 0.2}, 1)},
	} {
		const n = 40000
		c.p.Seed = 42
		got := counts(sampler(t, c.p), logits, n)
		chi, df := 0.0, -1
		for i, w := range c.want {
			if w*n < 1e-3 {
				if got[i] > 0 {
					t.Errorf("%s: drew token %d, which has no probability", name, i)
				}
				continue
			}
			df++
			chi += (got[i] - w*n) * (got[i] - w*n) / (w * n)
		}
		if limit := float64(df) + 4*math.Sqrt(2*float64(df)) + 4; chi > limit { // about four sigma
			t.Errorf("%s: chi-squared is %.1f with %d degrees of freedom: got %v, want %v", name, chi, df, got, c.want)
		}
	}
}

// Whatever the logits: the kept tokens reach the mass, and without the least of them they would not.
func TestTruncate_TopPKeepsTheSmallestSetThatReachesTheMass(t *testing.T) {
	for seed := range uint64(200) {
		logits := randomLogits(seed, 1+int(seed)*7)
		topP := 0.05 + 0.9*float64(seed%10)/10
		s := sampler(t, Params{Temperature: 1, TopP: topP})
		s.weigh(logits, float64(logits[argmax(logits)]))
		total := 0.0
		for _, c := range s.cand {
			total += c.p
		}
		s.truncate()
		kept := 0.0
		for i, c := range s.cand {
			kept += c.p
			if i > 0 && better(c, s.cand[i-1]) {
				t.Fatal("candidates are not in order")
			}
		}
		if kept < topP*total*(1-1e-12) || kept-s.cand[len(s.cand)-1].p >= topP*total {
			t.Fatalf("seed %d: kept %v of %v with top-p %v", seed, kept, total, topP)
		}
	}
}

func TestAccept_PenalisesWhatWasSaid(t *testing.T) {
	logits := []float32{2, 1.5, -1, -1.1}
	for name, c := range map[string]struct {
		p      Params
		accept []int32
		want   int32
	}{
		"nothing accepted":     {Params{PresencePenalty: 2}, nil, 0},
		"presence":             {Params{PresencePenalty: 1}, []int32{0}, 1},
		"frequency once":       {Params{FrequencyPenalty: 0.3}, []int32{0}, 0},
		"frequency twice":      {Params{FrequencyPenalty: 0.3}, []int32{0, 0}, 1},
		"repeat":               {Params{RepeatPenalty: 2}, []int32{0}, 1},
		"repeat on negatives":  {Params{RepeatPenalty: 10}, []int32{0, 1}, 0},
		"bias against penalty": {Params{PresencePenalty: 1, LogitBias: map[int32]float32{0: 1}}, []int32{0}, 0},
		"encouraged":           {Params{PresencePenalty: -2}, []int32{1}, 1},
	} {
		s := sampler(t, c.p)
		for _, id := range c.accept {
			s.Accept(id)
		}
		if got := s.Sample(logits); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestSample_SurvivesAnyLogits(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	odd := []float32{nan, inf, -inf, 0, math.MaxFloat32, -math.MaxFloat32, 1e-45, 1, -1}
	for range 5000 {
		logits := make([]float32, rng.IntN(6))
		possible := false
		for i := range logits {
			logits[i] = odd[rng.IntN(len(odd))]
			possible = possible || logits[i] > -inf
		}
		s := sampler(t, Params{Temperature: rng.Float64() * 2, TopP: rng.Float64(), TopK: rng.IntN(4), MinP: rng.Float64(), Seed: rng.Uint64()})
		id := s.Sample(logits)
		if possible != (id >= 0) || int(id) >= len(logits) {
			t.Fatalf("%v: got %d", logits, id)
		}
		if id >= 0 && !(logits[id] > -inf) {
			t.Fatalf("%v: chose %v", logits, logits[id])
		}
	}
}

func TestSample_AllocatesNothingAfterTheFirst(t *testing.T) {
	logits := randomLogits(3, 10000)
	for name, p := range map[string]Params{
		"greedy":    {},
		"all":       {Temperature: 1},
		"top-p":     {Temperature: 1, TopP: 0.9},
		"top-k":     {Temperature: 1, TopK: 40, TopP: 0.9, MinP: 0.01},
		"penalties": {Temperature: 1, RepeatPenalty: 1.1, LogitBias: map[int32]float32{1: 1}},
	} {
		s := sampler(t, p)
		for id := range int32(50) {
			s.Accept(id)
		}
		s.Sample(logits)
		if n := testing.AllocsPerRun(20, func() { s.Sample(logits) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLogProbs_EqualTheDefinition(t *testing.T) {
	logits := randomLogits(4, 300)
	p := softmax(logits, 1)
	lp, top := LogProbs(logits, 17, 5)
	if math.Abs(lp-math.Log(p[17])) > 1e-9 {
		t.Errorf("got %v, want %v", lp, math.Log(p[17]))
	}
	if len(top) != 5 {
		t.Fatalf("got %d tokens", len(top))
	}
	order := make([]int32, len(p))
	for i := range order {
		order[i] = int32(i)
	}
	sort.SliceStable(order, func(i, j int) bool { return logits[order[i]] > logits[order[j]] })
	for i, tl := range top {
		if tl.ID != order[i] || math.Abs(tl.Logprob-math.Log(p[tl.ID])) > 1e-9 {
			t.Errorf("place %d: got %+v, want token %d", i, tl, order[i])
		}
	}
}

func TestLogProbs_AreStable(t *testing.T) {
	for name, c := range map[string]struct {
		logits []float32
		id     int32
		want   float64
		top    int
	}{
		"huge":         {[]float32{1e38, 1e38, -1e38}, 0, -math.Log(2), 2},
		"far apart":    {[]float32{1000, 0}, 1, -1000, 2},
		"forbidden":    {[]float32{0, -inf}, 1, NoLogprob, 1},
		"NaN":          {[]float32{0, nan}, 1, NoLogprob, 1},
		"infinite":     {[]float32{inf, 5}, 0, 0, 1},
		"nothing":      {[]float32{nan}, 0, NoLogprob, 0},
		"out of range": {[]float32{1}, 5, NoLogprob, 1},
	} {
		lp, top := LogProbs(c.logits, c.id, 20)
		if math.Abs(lp-c.want) > 1e-6 || len(top) != c.top {
			t.Errorf("%s: got %v and %v, want %v and %d tokens", name, lp, top, c.want, c.top)
		}
	}
	if _, top := LogProbs([]float32{1, 1, 1}, 0, 2); top[0].ID != 0 || top[1].ID != 1 {
		t.Errorf("ties: got %v", top)
	}
}

func TestExp_IsExactEnough(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 100000 {
		x := -rng.Float64() * 700 * rng.Float64()
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("exp(%v): got %v, want %v", x, got, want)
		}
	}
	if exp(0) != 1 || exp(math.Inf(-1)) != 0 || exp(math.NaN()) != 0 {
		t.Error("wrong at the ends")
	}
}

func randomLogits(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 99))
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(rng.NormFloat64() * 3)
	}
	return l
}

func BenchmarkSample(b *testing.B) {
	logits := randomLogits(1, 151936) // Qwen2.5's vocabulary
	for _, c := range []struct {
		name string
		p    Params
	}{
		{"greedy", Params{}},
		{"temperature", Params{Temperature: 0.8}},
		{"top-p", Params{Temperature: 0.8, TopP: 0.95}},
		{"top-k", Params{Temperature: 0.8, TopK: 40, TopP: 0.95}},
		{"min-p", Params{Temperature: 0.8, MinP: 0.05}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := sampler(b, c.p)
			b.ReportAllocs()
			for b.Loop() {
				s.Sample(logits)
			}
		})
	}
}

func BenchmarkLogProbs(b *testing.B) {
	logits := randomLogits(1, 151936)
	b.ReportAllocs()
	for b.Loop() {
		LogProbs(logits, 5, 20)
	}
}

func TestSample_TypicalKeepsWhatSurprisesAsExpected(t *testing.T) {
	// p = 0.5, 0.3, 0.1, 0.1: the entropy is 1.168, the surprises are 0.69, 1.20, 2.30, 2.30. The nearest is the second
	// token, then the first; both together reach 0.8.
	logits := []float32{float32(math.Log(0.5)), float32(math.Log(0.3)), float32(math.Log(0.1)), float32(math.Log(0.1))}
	for _, tc := range []struct {
		p    float64
		want []int32
	}{{0.2, []int32{1}}, {0.7, []int32{0, 1}}, {0.85, []int32{0, 1, 2}}, {1, []int32{0, 1, 2, 3}}} {
		seen := map[int32]int{}
		s, err := New(Params{Temperature: 1, TypicalP: tc.p, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		for range 20000 {
			seen[s.Sample(logits)]++
		}
		if len(seen) != len(tc.want) {
			t.Errorf("typical_p %g: %v, want only %v", tc.p, seen, tc.want)
		}
		total := 0.0
		for _, id := range tc.want {
			total += math.Exp(float64(logits[id]))
		}
		for _, id := range tc.want {
			if got, want := float64(seen[id])/20000, math.Exp(float64(logits[id]))/total; math.Abs(got-want) > 0.02 {
				t.Errorf("typical_p %g: token %d has a share of %.3f, want %.3f", tc.p, id, got, want)
			}
		}
	}
}
