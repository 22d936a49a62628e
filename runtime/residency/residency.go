// Package residency keeps models in memory under one budget. A model is loaded when a request first needs it and stays;
// when another needs its room, those that were not used for longest go first, pinned ones never. What a model takes is
// known before it is loaded, so that none is loaded that does not fit.
//
// It knows nothing of what a model is. Start reading at [Set.Acquire] and Set.turn.
package residency

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Need is what a model takes while it is loaded, in bytes.
type Need struct {
	Weights int64 `json:"weights"`
	KV      int64 `json:"kv"`
	Work    int64 `json:"work"` // buffers of the computation, and tables
}

// Total is the sum.
func (n Need) Total() int64 { return n.Weights + n.KV + n.Work }

func (n Need) String() string {
	return fmt.Sprintf("%s (weights %s + KV cache %s + work %s)", Bytes(n.Total()), Bytes(n.Weights), Bytes(n.KV), Bytes(n.Work))
}

// Bytes is a number of bytes for people.
func Bytes(n int64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// Spec declares a model.
type Spec[M any] struct {
	Name   string
	Need   Need
	Pin    bool // it never goes, and its room is never another's
	Load   func() (M, error)
	Unload func(M) error
}

// BudgetError is a model that can never be loaded beside the pinned ones.
type BudgetError struct {
	Name   string
	Need   Need
	Pinned []string // that are always loaded
	Taken  int64    // by them
	Budget int64
}

func (e *BudgetError) Error() string {
	beside := ""
	if len(e.Pinned) > 0 {
		beside = fmt.Sprintf(", the pinned %s take %s", strings.Join(e.Pinned, ", "), Bytes(e.Taken))
	}
	return fmt.Sprintf("the model %s does not fit: it needs %s%s, and all models together may use %s; choose a smaller one, lower its kv_memory, or raise model_memory",
		e.Name, e.Need, beside, Bytes(e.Budget))
}

// ErrClosed means that the set was closed.
var ErrClosed = errors.New("the models are closed")

// Status is what a model is doing.
type Status struct {
	Name    string `json:"name"`
	State   string `json:"state"` // unloaded, loading, loaded, unloading
	Pinned  bool   `json:"pinned"`
	Need    Need   `json:"need"`
	Users   int    `json:"users"`   // requests that use it
	Waiting int    `json:"waiting"` // requests that wait for it
	Loads   int64  `json:"loads"`
	Unloads int64  `json:"unloads"` // to make room
	// LoadSeconds is how long the last load took.
	LoadSeconds float64 `json:"load_seconds"`
}

type state int

const (
	unloaded state = iota
	loading
	loaded
	unloading
)

func (s state) String() string { return [...]string{"unloaded", "loading", "loaded", "unloading"}[s] }

// Set is a number of declared models. It is safe for concurrent use.
type Set[M any] struct {
	budget int64

	mu      sync.Mutex
	entries []*entry[M]
	waiting []*waiter[M] // in the order in which they came
	taken   int64        // by models that are not unloaded
	clock   int64
	closed  bool
	work    sync.WaitGroup // loads and unloads
	idle    *sync.Cond     // no model has users
}

type entry[M any] struct {
	Spec[M]
	state    state
	model    M
	users    int
	used     int64 // when, by the set's clock
	draining bool  // no new users: it is to make room for the first who waits
	loads    int64
	unloads  int64
	took     time.Duration
}

type waiter[M any] struct {
	e     *entry[M]
	ready chan error // nil: the waiter is a user now
}

// New declares models under a budget; 0: no limit. It fails with a BudgetError where one could never be loaded. Nothing
// is loaded yet.
func New[M any](budget int64, specs []Spec[M]) (*Set[M], error) {
	s := &Set[M]{budget: budget}
	s.idle = sync.NewCond(&s.mu)
	var pinned []string
	var fixed int64
	for _, spec := range specs {
		if slices.ContainsFunc(s.entries, func(e *entry[M]) bool { return e.Name == spec.Name }) {
			return nil, fmt.Errorf("two models are called %s", spec.Name)
		}
		s.entries = append(s.entries, &entry[M]{Spec: spec})
		if spec.Pin {
			pinned, fixed = append(pinned, spec.Name), fixed+spec.Need.Total()
		}
	}
	for _, e := range s.entries {
		others, taken := pinned, fixed
		if e.Pin {
			others = slices.DeleteFunc(slices.Clone(pinned), func(n string) bool { return n == e.Name })
			taken -= e.Need.Total()
		}
		if budget > 0 && e.Need.Total()+taken > budget {
			return nil, &BudgetError{Name: e.Name, Need: e.Need, Pinned: others, Taken: taken, Budget: budget}
		}
	}
	return s, nil
}

// Budget is what all models together may take; 0: no limit.
func (s *Set[M]) Budget() int64 { return s.budget }

// Acquire returns a model, loaded if need be, and a function that ends its use. It waits until there is room: until
// then the context may end it. Requests that wait are served in the order in which they came; those for the model that
// is loaded next, together.
func (s *Set[M]) Acquire(ctx context.Context, name string) (m M, release func(), err error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.entries, func(e *entry[M]) bool { return e.Name == name })
	if i < 0 || s.closed {
		s.mu.Unlock()
		if i >= 0 {
			return m, nil, ErrClosed
		}
		return m, nil, fmt.Errorf("there is no model %q", name)
	}
	e := s.entries[i]
	if e.state == loaded && !e.draining {
		s.enter(e)
		s.mu.Unlock()
		return e.model, s.release(e), nil
	}
	w := &waiter[M]{e: e, ready: make(chan error, 1)}
	s.waiting = append(s.waiting, w)
	s.turn()
	s.mu.Unlock()
	select {
	case err = <-w.ready:
	case <-ctx.Done():
		s.mu.Lock()
		s.waiting = slices.DeleteFunc(s.waiting, func(o *waiter[M]) bool { return o == w })
		select {
		case err = <-w.ready: // in the same moment
			if err == nil {
				s.leave(e)
			}
		default:
			s.turn() // it may have been what others waited behind
		}
		s.mu.Unlock()
		return m, nil, ctx.Err()
	}
	if err != nil {
		return m, nil, err
	}
	return e.model, s.release(e), nil
}

func (s *Set[M]) enter(e *entry[M]) {
	s.clock++
	e.users, e.used = e.users+1, s.clock
}

func (s *Set[M]) leave(e *entry[M]) {
	s.clock++
	e.users, e.used = e.users-1, s.clock
	if e.users == 0 {
		s.idle.Broadcast()
		s.turn()
	}
}

func (s *Set[M]) release(e *entry[M]) func() {
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leave(e)
	})
}

// turn does what can be done for those who wait. Whoever waits for a loaded model gets it, unless that model is to make
// room. The first who waits for one that is not loaded has it loaded, or has others make room; those behind load what
// fits beside it.
func (s *Set[M]) turn() {
	for _, e := range s.entries {
		e.draining = false
	}
	blocked := false
	rest := s.waiting[:0:0]
	for _, w := range s.waiting {
		e := w.e
		if e.state == loaded && !e.draining {
			s.enter(e)
			w.ready <- nil
			continue
		}
		rest = append(rest, w)
		if e.state != unloaded || blocked || s.closed {
			continue
		}
		if s.budget > 0 && s.taken+e.Need.Total() > s.budget {
			s.makeRoom(e.Need.Total())
			blocked = true // nobody takes from the first the room that is made for it
			continue
		}
		s.load(e)
	}
	s.waiting = rest
}

// makeRoom unloads models without users, those not used for longest first, and if that is not enough lets others run out.
func (s *Set[M]) makeRoom(n int64) {
	missing := s.taken + n - s.budget
	for _, e := range s.entries {
		if e.state == unloading {
			missing -= e.Need.Total()
		}
	}
	var victims []*entry[M]
	for _, e := range s.entries {
		if e.state == loaded && !e.Pin {
			victims = append(victims, e)
		}
	}
	slices.SortFunc(victims, func(a, b *entry[M]) int {
		return cmp.Or(cmp.Compare(min(a.users, 1), min(b.users, 1)), cmp.Compare(a.used, b.used))
	})
	for _, e := range victims {
		if missing <= 0 {
			return
		}
		missing -= e.Need.Total()
		if e.draining = true; e.users == 0 {
			s.unload(e)
		}
	}
}

func (s *Set[M]) load(e *entry[M]) {
	e.state = loading
	s.taken += e.Need.Total()
	s.work.Go(func() {
		begin := time.Now()
		m, err := e.Load()
		s.mu.Lock()
		defer s.mu.Unlock()
		e.took = time.Since(begin)
		if err != nil {
			e.state = unloaded
			s.taken -= e.Need.Total()
			s.fail(e, err)
		} else {
			e.state, e.model = loaded, m
			e.loads++
			s.serve(e)
		}
		s.turn()
	})
}

// serve lets everyone who waits for a model that was just loaded have it, before it may have to go again.
func (s *Set[M]) serve(e *entry[M]) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter[M]) bool {
		if w.e != e {
			return false
		}
		s.enter(e)
		w.ready <- nil
		return true
	})
}

// fail tells everyone who waits for a model that it cannot be loaded. The next request tries again.
func (s *Set[M]) fail(e *entry[M], err error) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter[M]) bool {
		if w.e == e {
			w.ready <- err
		}
		return w.e == e
	})
}

func (s *Set[M]) unload(e *entry[M]) {
	e.state = unloading
	m := e.model
	var none M
	e.model = none
	s.work.Go(func() {
		err := e.Unload(m)
		s.mu.Lock()
		defer s.mu.Unlock()
		e.state = unloaded
		e.unloads++
		s.taken -= e.Need.Total()
		if err != nil { // what can fail is giving back; there is nothing to do about it for those who wait
			s.fail(e, err)
		}
		s.turn()
	})
}

// Loaded calls f with every model that is loaded; the models stay loaded meanwhile.
func (s *Set[M]) Loaded(f func(name string, m M)) {
	s.mu.Lock()
	var list []*entry[M]
	for _, e := range s.entries {
		if e.state == loaded {
			e.users++ // not a use that keeps it from being the oldest
			list = append(list, e)
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range list {
			if e.users--; e.users == 0 {
				s.idle.Broadcast()
			}
		}
		s.turn()
	}()
	for _, e := range list {
		f(e.Name, e.model)
	}
}

// Status lists the models in the order in which they were declared.
func (s *Set[M]) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, len(s.entries))
	for i, e := range s.entries {
		out[i] = Status{Name: e.Name, State: e.state.String(), Pinned: e.Pin, Need: e.Need, Users: e.users, Loads: e.loads, Unloads: e.unloads, LoadSeconds: e.took.Seconds()}
		for _, w := range s.waiting {
			if w.e == e {
				out[i].Waiting++
			}
		}
	}
	return out
}

// Close turns away who waits, waits for those who use models, and unloads all.
func (s *Set[M]) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, w := range s.waiting {
		w.ready <- ErrClosed
	}
	s.waiting = nil
	for slices.ContainsFunc(s.entries, func(e *entry[M]) bool { return e.users > 0 }) {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.work.Wait()
	var errs []error
	for _, e := range s.entries {
		if e.state == loaded {
			errs = append(errs, e.Unload(e.model))
			e.state = unloaded
		}
	}
	return errors.Join(errs...)
}
