package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// Draft models for slmtest.Varied: itself, one with less of the same weights, and one that has nothing to do with it.
var sameDraft, nearDraft, farDraft = slmtest.Varied, func() slmtest.Shape { s := slmtest.Varied; s.Layers = 1; return s }(),
	func() slmtest.Shape { s := slmtest.Varied; s.Layers, s.Seed = 1, 2; return s }()

// drafted opens a model with a draft model, for which time is no matter.
func drafted(t testing.TB, path string, draft slmtest.Shape, o Options) *Engine {
	t.Helper()
	o.Draft = writeModel(t, draft)
	e := open(t, path, o)
	e.speed.free, e.draft.speed.free = true, true
	return e
}

// TestDraft_ChangesNoToken answers greedily, and from a seed, with draft models that are right always, sometimes and
// seldom: every answer is the one without.
func TestDraft_ChangesNoToken(t *testing.T) {
	path := writeModel(t, slmtest.Varied)
	plain := open(t, path, Options{Threads: 1, NoSpeculation: true})
	for name, draft := range map[string]slmtest.Shape{"same": sameDraft, "near": nearDraft, "far": farDraft} {
		quick := drafted(t, path, draft, Options{Threads: 2})
		proposed, accepted := 0, 0
		for i := range uint64(3) {
			prompt := randomPrompt(i, 20)
			for _, p := range []sample.Params{{}, {RepeatPenalty: 1.3}, {Temperature: 0.9, Seed: i}, {Temperature: 2, Seed: i, TopP: 0.9, FrequencyPenalty: 0.2}} {
				p.LogitBias = map[int32]float32{2: -100}
				want, _ := answerOf(t, plain, Request{Prompt: prompt, MaxTokens: 100, Sampling: p})
				got, res := answerOf(t, quick, Request{Prompt: prompt, MaxTokens: 100, Sampling: p, Reproducible: true})
				if !slices.Equal(got, want) {
					t.Errorf("draft %s, prompt %d, %+v: %v, want %v", name, i, p, got, want)
				}
				proposed, accepted = proposed+res.Proposed, accepted+res.Accepted
			}
		}
		if quick.draft.Stats().Steps == 0 || name != "far" && accepted == 0 {
			t.Errorf("draft %s: %d proposed, %d accepted, %d steps of the draft model", name, proposed, accepted, quick.draft.Stats().Steps)
		}
		if name == "same" && accepted < proposed*9/10 {
			t.Errorf("the same model was right %d times of %d", accepted, proposed)
		}
		for _, e := range []*Engine{quick, quick.draft} {
			if s := e.Stats(); s.PagesReserved != 0 || e.kv.Pages() != s.PagesCached {
				t.Errorf("pages leak: %+v, %d held", s, e.kv.Pages())
			}
		}
	}
}

// begun leaves no choice until drafting begins, so that all answers come to it in the same place.
type begun struct{ n int }

func (b *begun) Mask(mask []uint32) error {
	if b.n >= draftAfter {
		for i := range mask {
			mask[i] = ^uint32(0)
		}
		return nil
	}
	clear(mask)
	id := 300 + 7*b.n
	mask[id/32] = 1 << (id % 32)
	return nil
}

func (b *begun) Accept(int32) error { b.n++; return nil }
func (b *begun) Complete() bool     { return false }

// TestDraft_KeepsTheDistribution counts many short answers with a draft model that is sometimes right, and without, and
// compares by chi-squared of two samples. The seeds are fixed.
func TestDraft_KeepsTheDistribution(t *testing.T) {
	path := writeModel(t, slmtest.Varied)
	const n = 3000
	count := func(e *Engine) (map[string]float64, int) {
		cells, proposed := map[string]float64{}, 0
		for i := range uint64(n) {
			ids, res := answerOf(t, e, Request{Prompt: []int32{1, 300, 310}, MaxTokens: draftAfter + 3, Constraint: &begun{},
				Sampling: sample.Params{Temperature: 1.5, TopK: 3, Seed: i, LogitBias: map[int32]float32{300: 50, 305: 50, 320: 50}}, Tenant: "t"})
			cells[fmt.Sprint(ids[draftAfter:])]++
			proposed += res.Proposed
		}
		return cells, proposed
	}
	want, _ := count(open(t, path, Options{Threads: 1, NoSpeculation: true}))
	e := drafted(t, path, nearDraft, Options{Threads: 1})
	got, proposed := count(e)
	if s := e.Stats(); s.Accepted == 0 || proposed < n/2 || s.Accepted > s.Proposed*95/100 {
		t.Errorf("%d accepted of %d: nothing was tested", s.Accepted, s.Proposed)
	}
	t.Logf("%d proposed, %d accepted, %d kinds of answers", e.Stats().Proposed, e.Stats().Accepted, len(want))
	x, freedom := 0.0, -1
	rareGot, rareWant := 0.0, 0.0
	for cell := range want {
		if _, ok := got[cell]; !ok {
			got[cell] = 0
		}
	}
	for cell, a := range got {
		b := want[cell]
		if a+b < 10 {
			rareGot, rareWant = rareGot+a, rareWant+b
			continue
		}
		x += (a - b) * (a - b) / (a + b)
		freedom++
	}
	if rareGot+rareWant >= 10 {
		x += (rareGot - rareWant) * (rareGot - rareWant) / (rareGot + rareWant)
		freedom++
	}
	t.Log("chi-squared", x, "of", freedom)
	k := 2 / (9 * float64(freedom))
	if limit := float64(freedom) * math.Pow(1-k+3.719*math.Sqrt(k), 3); freedom < 5 || x > limit { // once in 10,000 times
		t.Errorf("chi-squared is %.1f with %d degrees of freedom, more than %.1f", x, freedom, limit)
	}
}

// TestDraft_InCompany runs more at once than proposals are made for, in little memory.
func TestDraft_InCompany(t *testing.T) {
	path := writeModel(t, slmtest.Varied)
	plain := open(t, path, Options{Threads: 1, NoSpeculation: true})
	e := drafted(t, path, nearDraft, Options{Threads: 2, MaxKVBytes: 1 << 20})
	var want [4][]int32
	for i := range want {
		want[i], _ = answerOf(t, plain, Request{Prompt: randomPrompt(uint64(i), 50+i*40), MaxTokens: 40})
	}
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for k := range 6 {
				i := (w + k) % 4
				if got, _ := answerOf(t, e, Request{Prompt: randomPrompt(uint64(i), 50+i*40), MaxTokens: 40, Tenant: fmt.Sprint(k % 2)}); !slices.Equal(got, want[i]) {
					t.Errorf("answer %d differs", i)
				}
			}
		})
	}
	all.Wait()
	if s := e.draft.Stats(); s.PagesReserved != 0 || s.Running != 0 || e.draft.kv.Pages() != s.PagesCached {
		t.Errorf("the draft model holds %d pages: %+v", e.draft.kv.Pages(), s)
	}
}

func TestDraft_GoesOnPastTheContext(t *testing.T) {
	shape := slmtest.Varied
	shape.Context = 96
	path := writeModel(t, shape)
	r := Request{Prompt: randomPrompt(3, 40), MaxTokens: 200, ContextShift: true, Keep: 10, Sampling: sample.Params{LogitBias: map[int32]float32{2: -100}}}
	want, _ := answerOf(t, open(t, path, Options{Threads: 1, NoSpeculation: true}), r)
	e := drafted(t, path, nearDraft, Options{Threads: 1})
	if got, res := answerOf(t, e, r); !slices.Equal(got, want) || res.Shifts == 0 {
		t.Errorf("%d shifts: %v, want %v", res.Shifts, got, want)
	}
}

func TestDraft_StopsWhereItDoesNotPay(t *testing.T) {
	e := drafted(t, writeModel(t, slmtest.Varied), nearDraft, Options{Threads: 1})
	e.speed.free = false
	for rows := range e.speed.took {
		e.speed.took[rows] = 10 * time.Millisecond // rows are free
	}
	d := e.newDrafter(&Request{})
	for _, tc := range []struct {
		one  time.Duration // of the draft model
		rate float64
		want func(k int) bool
	}{
		{100 * time.Microsecond, 0.9, func(k int) bool { return k == maxDraft }},
		{3 * time.Millisecond, 0.8, func(k int) bool { return k > 0 && k < maxDraft }},
		{3 * time.Millisecond, 0.1, func(k int) bool { return k == 0 }},
		{10 * time.Millisecond, 0.99, func(k int) bool { return k == 0 }},
	} {
		d.rate, e.draft.speed.took[1] = tc.rate, tc.one
		if k := d.length(maxDraft); !tc.want(k) {
			t.Errorf("a draft of %v, right at %g: %d tokens are proposed", tc.one, tc.rate, k)
		}
	}
	// A long text that the draft model has not seen is not worth passing for a few tokens.
	d.rate, e.draft.speed.took[1], e.draft.speed.each = 0.9, 100*time.Microsecond, time.Millisecond
	d.r.MaxTokens = 20
	if d.worthPrefill(2000, 8) {
		t.Error("2 s of prefill are to save 0.2 s")
	}
	d.r.MaxTokens = 0
	if !d.worthPrefill(200, 8) {
		t.Error("0.2 s of prefill are not worth 2 s of decoding")
	}
}

func TestDraft_OfAnotherVocabularyIsRefused(t *testing.T) {
	path := writeModel(t, slmtest.Varied)
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := &gguf.Builder{}
	b.Copy(f, func(key string) bool { return key == "tokenizer.ggml.tokens" })
	tokens, _, _ := slmtest.Vocabulary()
	tokens[300], tokens[301] = tokens[301], tokens[300]
	b.Set("tokenizer.ggml.tokens", tokens)
	for _, tensor := range f.Tensors() {
		b.Add(tensor.Name, tensor.Type, tensor.Dims, tensor.Data)
	}
	other := filepath.Join(t.TempDir(), "other.gguf")
	out, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.WriteTo(out)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Draft: other}); !errors.Is(err, ErrDraft) || !strings.Contains(err.Error(), "token 300") {
		t.Errorf("%v", err)
	}
	if _, err := Open(path, Options{Draft: other + "x"}); err == nil {
		t.Error("a draft model that is not there was opened")
	}
	with, err := Inspect(path, Options{Draft: path})
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := Inspect(path, Options{}); err != nil || with.Weights != 2*alone.Weights || with.KV != 2*alone.KV {
		t.Errorf("with a draft model %+v, alone %+v, %v", with, alone, err)
	}
}
