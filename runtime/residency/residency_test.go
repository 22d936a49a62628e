package residency

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house counts what is loaded.
type house struct {
	mu     sync.Mutex
	loaded map[string]bool
	log    []string
	bytes  atomic.Int64
	peak   int64
	wait   chan struct{} // loads wait for it; nil: they do not
}

type thing struct{ name string }

func (h *house) spec(name string, size int64, pin bool) Spec[*thing] {
	return Spec[*thing]{Name: name, Need: Need{Weights: size}, Pin: pin,
		Load: func() (*thing, error) {
			if h.wait != nil {
				<-h.wait
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.loaded[name] {
				return nil, errors.New("loaded twice")
			}
			h.loaded[name] = true
			h.log = append(h.log, "+"+name)
			h.peak = max(h.peak, h.bytes.Add(size))
			return &thing{name}, nil
		},
		Unload: func(t *thing) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if !h.loaded[name] {
				return errors.New("unloaded twice")
			}
			h.loaded[name] = false
			h.log = append(h.log, "-"+name)
			h.bytes.Add(-size)
			return nil
		}}
}

func newSet(t *testing.T, h *house, budget int64, specs ...Spec[*thing]) *Set[*thing] {
	t.Helper()
	h.loaded = map[string]bool{}
	s, err := New(budget, specs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for name, in := range h.loaded {
			if in {
				t.Errorf("%s stayed loaded", name)
			}
		}
	})
	return s
}

func use(t *testing.T, s *Set[*thing], name string) func() {
	t.Helper()
	m, release, err := s.Acquire(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if m.name != name {
		t.Errorf("got %s for %s", m.name, name)
	}
	return release
}

func (h *house) story() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.log, " ")
}

func TestSet_UnloadsWhatWasNotUsedForLongest(t *testing.T) {
	var h house
	s := newSet(t, &h, 20, h.spec("pinned", 5, true), h.spec("a", 6, false), h.spec("b", 6, false), h.spec("c", 6, false))
	for _, name := range []string{"pinned", "a", "b", "a", "c", "pinned", "a", "b"} {
		use(t, s, name)()
	}
	if got := h.story(); got != "+pinned +a +b -b +c -c +b" {
		t.Errorf("%s", got)
	}
}

func TestSet_RefusesWhatNeverFitsWithTheArithmetic(t *testing.T) {
	var h house
	big := h.spec("big", 0, false)
	big.Need = Need{Weights: 900 << 20, KV: 256 << 20, Work: 50 << 20}
	_, err := New(1<<30, []Spec[*thing]{h.spec("small", 100<<20, true), big})
	var over *BudgetError
	if !errors.As(err, &over) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"big", "1206.0 MiB", "weights 900.0 MiB", "KV cache 256.0 MiB", "work 50.0 MiB", "small", "100.0 MiB", "1024.0 MiB", "kv_memory"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if _, err := New(0, []Spec[*thing]{big}); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestSet_NobodyStarves keeps a model busy with requests that overlap; one for another model must get its turn.
func TestSet_NobodyStarves(t *testing.T) {
	var h house
	s := newSet(t, &h, 10, h.spec("a", 8, false), h.spec("b", 8, false))
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, release, err := s.Acquire(ctx, "a"); err == nil {
					time.Sleep(time.Millisecond)
					release()
				}
			}
		})
	}
	for range 5 {
		c, stop := context.WithTimeout(ctx, 5*time.Second)
		_, release, err := s.Acquire(c, "b")
		if err != nil {
			t.Errorf("b: %v", err)
		} else {
			release()
		}
		stop()
	}
	cancel()
	all.Wait()
}

func TestSet_WaitingHonoursTheDeadline(t *testing.T) {
	var h house
	h.wait = make(chan struct{})
	s := newSet(t, &h, 10, h.spec("a", 8, false), h.spec("b", 8, false))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := s.Acquire(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it loads: %v", err)
	}
	close(h.wait)
	hold := use(t, s, "a") // the load went on without the one who began it
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := s.Acquire(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while there is no room: %v", err)
	}
	use(t, s, "a")() // who gave up holds up nobody
	hold()
	use(t, s, "b")()
}

func TestSet_ALoadThatFailsIsTriedAgain(t *testing.T) {
	var h house
	fail := true
	bad := h.spec("bad", 5, false)
	load := bad.Load
	bad.Load = func() (*thing, error) {
		if fail {
			return nil, errors.New("no such file")
		}
		return load()
	}
	s := newSet(t, &h, 6, bad, h.spec("good", 6, false))
	if _, _, err := s.Acquire(context.Background(), "bad"); err == nil || err.Error() != "no such file" {
		t.Errorf("%v", err)
	}
	use(t, s, "good")() // the room was given back
	fail = false
	use(t, s, "bad")()
	if _, _, err := s.Acquire(context.Background(), "other"); err == nil {
		t.Error("a model that is not declared was found")
	}
}

// TestSet_StaysWithinItsBudget lets many use models of many sizes, with deadlines.
func TestSet_StaysWithinItsBudget(t *testing.T) {
	var h house
	specs := []Spec[*thing]{h.spec("p", 10, true)}
	for i := range 6 {
		specs = append(specs, h.spec(fmt.Sprint(i), int64(10+7*i), false))
	}
	s := newSet(t, &h, 60, specs...)
	var all sync.WaitGroup
	var served atomic.Int64
	for w := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for range 200 {
				name := fmt.Sprint(r.IntN(6))
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(20))*time.Millisecond)
				m, release, err := s.Acquire(ctx, name)
				if err == nil {
					h.mu.Lock()
					if !h.loaded[name] || m.name != name {
						t.Errorf("%s is used and not loaded", name)
					}
					h.mu.Unlock()
					served.Add(1)
					release()
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
				if r.IntN(50) == 0 {
					s.Loaded(func(string, *thing) {})
				}
			}
		})
	}
	all.Wait()
	if h.peak > 60 || served.Load() < 400 {
		t.Errorf("at most %d of 60, %d of 1600 served", h.peak, served.Load())
	}
	use(t, s, "p")()
	for _, st := range s.Status() {
		if st.Users != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	}
}
