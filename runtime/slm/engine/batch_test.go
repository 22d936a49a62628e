package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func writeModel(t testing.TB, shape slmtest.Shape) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(shape.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o Options) *Engine {
	t.Helper()
	e, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// randomPrompt has n ids of the small vocabulary's pieces.
func randomPrompt(seed uint64, n int) []int32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := []int32{1}
	for len(out) < n {
		out = append(out, int32(259+r.IntN(100)))
	}
	return out
}

func answerOf(t testing.TB, e *Engine, r Request) ([]int32, Result) {
	t.Helper()
	var ids []int32
	res, err := e.Generate(context.Background(), r, func(tok Token) error {
		if tok.ID >= 0 {
			ids = append(ids, tok.ID)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return ids, res
}

// TestGenerate_IsTheSameInAnyCompany runs requests alone on one thread, and then together on engines with other numbers
// of threads: every answer and every log probability must be the same to the last bit.
func TestGenerate_IsTheSameInAnyCompany(t *testing.T) {
	path := writeModel(t, slmtest.Tiny)
	for _, kv := range []kernel.Type{kernel.F32, kernel.F16} {
		var want [8][]Token
		collect := func(e *Engine, i int) []Token {
			var out []Token
			r := Request{Prompt: randomPrompt(uint64(i), 5+i*29), MaxTokens: 24, Logprobs: true, NoCache: true}
			if _, err := e.Generate(context.Background(), r, func(tok Token) error { out = append(out, tok); return nil }); err != nil {
				t.Error(err)
			}
			return out
		}
		solo := open(t, path, Options{Threads: 1, KVType: kv, ExactKV: kv == kernel.F32, NoSpeculation: true})
		for i := range want {
			want[i] = collect(solo, i)
		}
		for threads := 1; threads <= 4; threads++ {
			e := open(t, path, Options{Threads: threads, KVType: kv, ExactKV: kv == kernel.F32})
			for size := 1; size <= 8; size++ {
				var all sync.WaitGroup
				for i := range size {
					all.Go(func() {
						if got := collect(e, i); !slices.EqualFunc(got, want[i], func(a, b Token) bool { return a.ID == b.ID && a.Logprob == b.Logprob && a.Text == b.Text }) {
							t.Errorf("%s, %d threads, %d at once: answer %d differs", kv, threads, size, i)
						}
					})
				}
				all.Wait()
			}
			if s := e.Stats(); threads == 1 && s.Sequences == s.Steps {
				t.Error("no step had more than one sequence")
			}
		}
	}
}

func TestGenerate_SharesPrefixesWithinATenantOnly(t *testing.T) {
	e := open(t, writeModel(t, slmtest.Tiny), Options{Threads: 2})
	prompt := randomPrompt(1, 300)
	ask := func(tenant string, prompt []int32) ([]int32, Result) {
		return answerOf(t, e, Request{Prompt: prompt, MaxTokens: 8, Tenant: tenant})
	}
	first, res := ask("a", prompt)
	if res.ReusedTokens != 0 {
		t.Errorf("%d tokens came from an empty cache", res.ReusedTokens)
	}
	again, res := ask("a", prompt)
	if res.ReusedTokens != 299 || !slices.Equal(first, again) {
		t.Errorf("%d tokens of 300 reused; answers %v and %v", res.ReusedTokens, first, again)
	}
	other, res := ask("b", prompt)
	if res.ReusedTokens != 0 || !slices.Equal(first, other) {
		t.Errorf("another tenant reused %d tokens", res.ReusedTokens)
	}
	// One that parts in the middle of a page gets a copy of that page, and the first stays what it is.
	fork := append(slices.Clone(prompt[:170]), randomPrompt(2, 50)...)
	forked, res := ask("a", fork)
	if res.ReusedTokens < 170 {
		t.Errorf("%d tokens of 170 reused", res.ReusedTokens)
	}
	if alone, _ := ask("c", fork); !slices.Equal(alone, forked) {
		t.Errorf("after a shared beginning %v, alone %v", forked, alone)
	}
	if again, _ := ask("a", prompt); !slices.Equal(first, again) {
		t.Error("the shared page was written to")
	}
}

func TestGenerate_GoesOnPastTheContext(t *testing.T) {
	shape := slmtest.Tiny
	shape.Context = 96
	e := open(t, writeModel(t, shape), Options{Threads: 2, MaxKVBytes: 1 << 20})
	prompt := randomPrompt(3, 40)
	ids, res := answerOf(t, e, Request{Prompt: prompt, MaxTokens: 200, ContextShift: true, Keep: 10, Sampling: sample.Params{LogitBias: map[int32]float32{2: -100}}})
	if len(ids) != 200 || res.Shifts == 0 {
		t.Fatalf("%d tokens, %d shifts", len(ids), res.Shifts)
	}
	// After the first shift the answer is what the shortened text gets.
	text := append(slices.Clone(prompt), ids[:56]...)
	text = slices.Delete(text, 10, 10+43)
	next, _ := answerOf(t, e, Request{Prompt: text, MaxTokens: 20, NoCache: true, Sampling: sample.Params{LogitBias: map[int32]float32{2: -100}}})
	if !slices.Equal(next, ids[56:76]) {
		t.Errorf("after the shift %v, want %v", ids[56:76], next)
	}
	ids, res = answerOf(t, e, Request{Prompt: prompt, MaxTokens: 200, Sampling: sample.Params{LogitBias: map[int32]float32{2: -100}}})
	if len(ids) != 56 || res.FinishReason != FinishLength {
		t.Errorf("without a shift %d tokens, %s", len(ids), res.FinishReason)
	}
	var full *ContextError
	if _, err := e.Generate(context.Background(), Request{Prompt: randomPrompt(4, 96)}, nil); !errors.As(err, &full) {
		t.Errorf("a prompt as long as the context: %v", err)
	}
}

// TestScheduler_StaysWithinItsMemory runs more than fits at once, with cancels, and looks at the pages.
func TestScheduler_StaysWithinItsMemory(t *testing.T) {
	e := open(t, writeModel(t, slmtest.Tiny), Options{Threads: 2, MaxKVBytes: 1 << 20})
	if n := e.Stats().PagesTotal; n < 10 || n > 200 {
		t.Fatalf("%d pages", n)
	}
	var want [4][]int32
	for i := range want {
		want[i], _ = answerOf(t, e, Request{Prompt: randomPrompt(uint64(i), 200), MaxTokens: 30, NoCache: true})
	}
	var all sync.WaitGroup
	for w := range 12 {
		all.Go(func() {
			for k := range 6 {
				i := (w + k) % 4
				if k%3 == 2 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w)*time.Millisecond)
					_, err := e.Generate(ctx, Request{Prompt: randomPrompt(uint64(i), 200), MaxTokens: 300, Tenant: "x"}, func(Token) error { return nil })
					cancel()
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					continue
				}
				if got, _ := answerOf(t, e, Request{Prompt: randomPrompt(uint64(i), 200), MaxTokens: 30, Tenant: fmt.Sprint(w % 3)}); !slices.Equal(got, want[i]) {
					t.Errorf("answer %d differs", i)
				}
			}
		})
	}
	peak := 0
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for {
		select {
		case <-done:
			s := e.Stats()
			if s.PagesReserved != 0 || s.Running != 0 || s.Waiting != 0 || e.kv.Pages() != s.PagesCached {
				t.Errorf("after all is done: %+v, %d pages held", s, e.kv.Pages())
			}
			if peak > s.PagesTotal {
				t.Errorf("%d pages were held, of %d", peak, s.PagesTotal)
			}
			return
		case <-time.After(time.Millisecond):
			peak = max(peak, e.kv.Pages())
		}
	}
}

func TestScheduler_RefusesWhatCannotFit(t *testing.T) {
	e := open(t, writeModel(t, slmtest.Tiny), Options{Threads: 1, MaxKVBytes: 100 << 10, MaxQueue: 1})
	var memory *MemoryError
	if _, err := e.Generate(context.Background(), Request{Prompt: randomPrompt(1, 1000)}, nil); !errors.As(err, &memory) {
		t.Errorf("a request larger than all memory: %v", err)
	}
	// One that holds everything, one that waits, and one too many.
	hold, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	capacity := e.Stats().PagesTotal*32 - 20
	big := Request{Prompt: randomPrompt(1, 20), MaxTokens: capacity, NoCache: true}
	all.Go(func() {
		e.Generate(context.Background(), big, func(Token) error { once.Do(func() { close(hold) }); <-release; return nil })
	})
	<-hold
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() { e.Generate(ctx, big, func(Token) error { return nil }) })
	for e.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	var busy *BusyError
	if _, err := e.Generate(context.Background(), big, nil); !errors.As(err, &busy) {
		t.Errorf("one more than may wait: %v", err)
	}
	cancel()
	close(release)
	all.Wait()
}

// TestScheduler_ShortPromptPassesALongOne begins a long prompt and asks a short question meanwhile.
func TestScheduler_ShortPromptPassesALongOne(t *testing.T) {
	e := open(t, writeModel(t, slmtest.Tiny), Options{Threads: 1})
	long := make(chan struct{})
	go func() {
		answerOf(t, e, Request{Prompt: randomPrompt(1, 2000), MaxTokens: 1})
		close(long)
	}()
	for e.Stats().Steps == 0 {
		time.Sleep(100 * time.Microsecond)
	}
	answerOf(t, e, Request{Prompt: randomPrompt(2, 10), MaxTokens: 3})
	select {
	case <-long:
		t.Error("a short request waited for a whole long prompt")
	default:
	}
	<-long
}
