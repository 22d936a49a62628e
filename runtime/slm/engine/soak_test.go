package engine

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/quantize"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

var soak = flag.Duration("soak", 0, "how long the soak test of the engine goes on; 0 leaves it out")

var soakRest = flag.Duration("soak-rest", 0, "how long, on average, each of the soak test's clients rests after a request, so that other work on the machine goes on")

var soakType = flag.String("soak-type", "Q4_K_M", "what the soak test's model is quantized to")

// quantized writes a model's file anew by a recipe.
func quantized(t testing.TB, path, recipe string) string {
	t.Helper()
	r, err := quantize.RecipeOf(recipe)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := os.Create(path + "." + recipe)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(quantize.File(context.Background(), f, out, quantize.Options{Recipe: r}), out.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// Seconds without an end of a request, or without a step of the model, that count as a stall. They are counted, not read
// from the clock: a process that is stopped for a while has not stalled.
const (
	soakStall      = 120
	soakStandstill = 30
)

// soaked is one kind of request with its answer when it runs alone.
type soaked struct {
	name string
	r    Request
	want []Token
}

// errEnough ends an answer from the reader's side.
var errEnough = errors.New("the reader has enough")

// TestSoak_EveryAnswerIsItsSoloRun mixes chats, long prompts, cancels, deadlines, slow readers, adapters that come and go,
// context shifts, draft models and embeddings in little memory. Every answer, or what there is of one that was cut
// off, is to the last bit what the request gets alone, on one thread and without a cache; nothing stalls, and in the end
// nothing is held.
func TestSoak_EveryAnswerIsItsSoloRun(t *testing.T) {
	if *soak == 0 {
		t.Skip("make soak-engine runs it; it takes minutes")
	}
	shape := slmtest.Varied
	shape.Context, shape.Dim, shape.FFN = 1024, 256, 512
	path := quantized(t, writeModel(t, shape), *soakType)
	draft := shape
	draft.Layers = 1
	adapters := map[string]string{}
	for i, name := range []string{"one", "two", "guest"} {
		p := filepath.Join(t.TempDir(), name+".gguf")
		f, err := os.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(shape.WriteAdapter(f, uint64(i+1)), f.Close()); err != nil {
			t.Fatal(err)
		}
		adapters[name] = p
	}
	solo := open(t, path, Options{Threads: 1, NoSpeculation: true, Adapters: adapters})
	kinds := soakKinds(t, solo)
	texts := []string{"once upon a time", "the the the", "a", "in the time of an other"}
	vectors, err := solo.Embed(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(path, Options{Threads: 2, MaxKVBytes: 2 << 20, PrefixDir: t.TempDir(), PrefixBytes: 4 << 20, Draft: quantized(t, writeModel(t, draft), "Q8_0"),
		Adapters: map[string]string{"one": adapters["one"], "two": adapters["two"]}})
	if err != nil {
		t.Fatal(err)
	}
	e.speed.free = true // proposals must be tested, whether they pay here or not
	s := &soakRun{t: t, e: e, kinds: kinds, guest: adapters["guest"]}
	ctx, cancel := context.WithTimeout(context.Background(), *soak)
	defer cancel()
	var all sync.WaitGroup
	for w := range 12 {
		all.Go(func() { s.ask(ctx, w, rand.New(rand.NewPCG(uint64(w), 5))) })
	}
	all.Go(func() { s.visit(ctx) })
	all.Go(func() {
		for ctx.Err() == nil {
			got, err := e.Embed(context.Background(), texts)
			for i := range got {
				if !slices.Equal(got[i], vectors[i]) {
					t.Errorf("the vector of %q differs", texts[i])
				}
			}
			if err != nil {
				t.Error(err)
			}
			s.count("embeddings")
			time.Sleep(50*time.Millisecond + *soakRest)
		}
	})
	early := s.watch(ctx)
	all.Wait()
	late := heap()
	s.report(early, late)
	for _, e := range []*Engine{e, e.draft} {
		if st := e.Stats(); st.PagesReserved != 0 || st.Running != 0 || st.Waiting != 0 || e.kv.Pages() != st.PagesCached {
			t.Errorf("after all is done: %+v, %d pages held", st, e.kv.Pages())
		}
	}
	if late > early+early/4+8<<20 {
		t.Errorf("the heap grew from %d to %d KiB", early>>10, late>>10)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// soakKinds are requests of all sorts with their answers alone.
func soakKinds(t *testing.T, solo *Engine) []soaked {
	var out []soaked
	no := map[int32]float32{2: -100} // no early end
	add := func(name string, r Request) {
		k := soaked{name: name, r: r}
		r.NoCache = true
		if _, err := solo.Generate(context.Background(), r, func(tok Token) error { k.want = append(k.want, tok); return nil }); err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	for i := range uint64(8) {
		adapter := []string{"", "", "one", "two"}[i%4]
		add("chat", Request{Prompt: randomPrompt(i, 12+int(i)*9), MaxTokens: 30, Adapter: adapter, Sampling: sample.Params{LogitBias: no}, Logprobs: true})
		shared := append(slices.Clone(randomPrompt(100+i%2, 300)), randomPrompt(i, 20)...)
		add("shared prefix", Request{Prompt: shared, MaxTokens: 15, Adapter: adapter, Logprobs: true})
		add("long prompt", Request{Prompt: randomPrompt(200+i, 500+int(i)*50), MaxTokens: 10, Adapter: adapter, Logprobs: true})
		add("repeats itself", Request{Prompt: append(randomPrompt(i, 30), randomPrompt(i, 30)...), MaxTokens: 60, Sampling: sample.Params{LogitBias: no}, Logprobs: true})
		add("seeded", Request{Prompt: randomPrompt(300+i, 40), MaxTokens: 40, Reproducible: true, Sampling: sample.Params{Temperature: 0.8, Seed: i, TopP: 0.9, LogitBias: no}})
	}
	add("past the context", Request{Prompt: randomPrompt(400, 900), MaxTokens: 300, ContextShift: true, Keep: 20, Sampling: sample.Params{LogitBias: no}})
	return out
}

// soakRun counts what happens.
type soakRun struct {
	t       *testing.T
	e       *Engine
	kinds   []soaked
	guest   string
	ticks   atomic.Int64 // seconds
	mu      sync.Mutex
	counts  map[string]int
	longest time.Duration
}

func (s *soakRun) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.counts[what]++
}

// ask sends requests one after the other. Every other few seconds only two go on, as proposals are made only then.
func (s *soakRun) ask(ctx context.Context, worker int, r *rand.Rand) {
	for ctx.Err() == nil && !s.t.Failed() {
		if worker >= 2 && time.Now().Unix()/4%2 == 1 {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		k := &s.kinds[r.IntN(len(s.kinds))]
		req := k.r
		req.Tenant, req.Priority, req.NoCache = fmt.Sprint(r.IntN(3)), r.IntN(3)-1, r.IntN(10) == 0
		c, cancel := context.WithCancel(context.Background())
		end := len(k.want) + 1 // after how many tokens the reader ends it
		var slow time.Duration
		switch r.IntN(8) {
		case 0: // the reader goes
			end = r.IntN(len(k.want) + 1)
		case 1: // canceled from outside, at any time
			time.AfterFunc(time.Duration(r.IntN(30))*time.Millisecond, cancel)
		case 2:
			c, cancel = context.WithTimeout(c, time.Duration(r.IntN(60))*time.Millisecond)
		case 3:
			slow = 2 * time.Millisecond
		}
		begin, tick := time.Now(), s.ticks.Load()
		n := 0
		_, err := s.e.Generate(c, req, func(tok Token) error {
			if n == end {
				return errEnough
			}
			if n >= len(k.want) || tok.ID != k.want[n].ID || tok.Text != k.want[n].Text || tok.Logprob != k.want[n].Logprob {
				s.t.Errorf("%s (adapter %q): token %d differs from the solo run", k.name, req.Adapter, n)
				return errEnough
			}
			n++
			time.Sleep(slow)
			return nil
		})
		took := time.Since(begin)
		cancel()
		var memory *MemoryError
		switch {
		case err == nil:
			if n != len(k.want) {
				s.t.Errorf("%s: %d tokens of %d", k.name, n, len(k.want))
			}
			s.count(k.name)
		case errors.Is(err, errEnough), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			s.count("cut off")
		case errors.As(err, &memory):
			s.t.Errorf("%s: %v", k.name, err)
		default:
			s.t.Errorf("%s: %v", k.name, err)
		}
		s.mu.Lock()
		s.longest = max(s.longest, took)
		s.mu.Unlock()
		if s.ticks.Load()-tick > soakStall {
			s.t.Errorf("%s took %v", k.name, took)
		}
		time.Sleep(time.Duration(r.Float64() * 2 * float64(*soakRest)))
	}
}

// visit loads an adapter, has it answer, and unloads it in the middle of an answer.
func (s *soakRun) visit(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.e.LoadAdapter("guest", s.guest); err != nil {
			s.t.Error(err)
			return
		}
		n := 0
		_, err := s.e.Generate(context.Background(), Request{Prompt: randomPrompt(7, 30), MaxTokens: 10, Adapter: "guest"}, func(Token) error {
			if n++; n == 3 {
				return s.e.UnloadAdapter("guest")
			}
			return nil
		})
		if err != nil {
			s.t.Error(err)
			return
		}
		s.count("visits of an adapter")
		time.Sleep(20*time.Millisecond + *soakRest)
	}
}

// watch returns the size of the heap after a quarter of the time, and sees to it that something happens all the time.
func (s *soakRun) watch(ctx context.Context) (early uint64) {
	begin, last, since := time.Now(), int64(-1), int64(0)
	for ctx.Err() == nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		tick := s.ticks.Add(1)
		if steps := s.e.Stats().Steps; steps != last {
			last, since = steps, tick
		} else if tick-since > soakStandstill {
			s.t.Errorf("nothing has happened for %d seconds: %+v", tick-since, s.e.Stats())
			buf := make([]byte, 1<<20)
			s.t.Logf("%s", buf[:runtime.Stack(buf, true)])
			return early
		}
		if early == 0 && time.Since(begin) > *soak/4 {
			early = heap()
		}
	}
	return cmp.Or(early, heap())
}

func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *soakRun) report(early, late uint64) {
	st, draft := s.e.Stats(), s.e.draft.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, n := range s.counts {
		total += n
	}
	s.t.Logf("%v: %d requests %v, longest %v", *soak, total, s.counts, s.longest)
	s.t.Logf("%d steps, %.1f sequences and %.1f tokens a step; %d tokens of answers; %d of %d prompt tokens reused; %d of %d proposals right, %d steps of the draft model; %d shifts; %d pages evicted",
		st.Steps, float64(st.Sequences)/float64(max(st.Steps, 1)), float64(st.Rows)/float64(max(st.Steps, 1)), st.Generated, st.ReusedTokens, st.PromptTokens,
		st.Accepted, st.Proposed, draft.Steps, st.Shifts, st.Evicted)
	s.t.Logf("heap %d KiB after a quarter, %d KiB at the end", early>>10, late>>10)
}
