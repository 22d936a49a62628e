package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
)

// Bounds of a scheduler.
const (
	maxRunning  = 64              // sequences in work at once
	lonelyChunk = 4 * model.Chunk // tokens of prompts a step while nobody decodes
	gatherTime  = 2 * time.Millisecond
	maxDraft    = 8 // tokens proposed at once
	crowd       = 3 // running requests from which on nobody proposes: their rows fill the steps as well
)

// BusyError is a request that was turned away because too many wait already.
type BusyError struct{ Waiting int }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%d requests wait for the model already; try again in a moment", e.Waiting)
}

// task is one sequence in work. Its owner's goroutine samples and hands in tokens; the scheduler's passes them through
// the model, together with those of the others. Fields below mu are the scheduler's.
type task struct {
	// Set before enter.
	tenant   string
	space    string // of the prefix cache: who may share what
	adapter  *Adapter
	priority int
	deadline time.Time
	capacity int  // tokens that it may come to hold
	spare    bool // may need one page more, to change one that is shared

	seq    *model.Sequence
	tokens []int32 // all that the sequence should hold; those past seq.Len() are to be passed
	rows   int     // of logits wanted, after the last tokens
	firm   int     // tokens that are certain to stay: not those that are proposed only
	logits []float32

	// The scheduler's, under its lock.
	state    state
	reserved int // pages that it may take and has not shared
	cached   int // full pages that are in the prefix cache
	served   int // tokens passed
	canceled bool
	late     bool // did not come back in time for a step
	arrived  int64
	reused   int // tokens found in the prefix cache
	wake     chan error
	node     *node // of the last cached page
}

type state int

const (
	waiting  state = iota // for admission
	thinking              // its owner samples
	ready                 // tokens are to be passed
	passing               // in the step that runs
	gone
)

// scheduler runs one step after the other for all tasks of an engine: the next token of everyone who decodes and a part
// of the prompts of those who begin. Who waits is admitted in the order of priority, then of what the tenants have
// had, then of deadlines.
type scheduler struct {
	m     *model.Model
	pool  *kernel.Pool
	kv    *model.KV
	total int // pages
	queue int

	mu       sync.Mutex
	work     *sync.Cond // for the loop
	waiting  []*task
	running  []*task
	reserved int // pages of all tasks
	prefix   *prefixCache
	disk     *disk // nil: none
	speed    *speeds
	had      map[string]float64 // tenant -> tokens passed for it, of those with tasks
	arrivals int64
	closed   bool
	stats    Stats
	timer    *time.Timer
	armed    bool // the timer runs
	gather   bool // the time to gather tasks for the next step is over
	done     chan struct{}

	scratch model.Scratch
	batch   []*task
	inputs  []model.Input
}

func newScheduler(m *model.Model, pool *kernel.Pool, kv *model.KV, pages, queue int, speed *speeds) *scheduler {
	s := &scheduler{m: m, speed: speed, pool: pool, kv: kv, total: pages, queue: queue, had: map[string]float64{}, prefix: newPrefixCache(), done: make(chan struct{})}
	s.work = sync.NewCond(&s.mu)
	s.timer = time.AfterFunc(time.Hour, func() {
		s.mu.Lock()
		s.gather, s.armed = true, false
		s.mu.Unlock()
		s.work.Broadcast()
	})
	s.timer.Stop()
	go s.loop()
	return s
}

// close ends the loop. No task may be in work.
func (s *scheduler) close() {
	if s.disk != nil {
		s.disk.close() // it writes what is in the prefix cache
	}
	s.mu.Lock()
	s.closed = true
	s.prefix.clear()
	s.mu.Unlock()
	s.work.Broadcast()
	<-s.done
	s.timer.Stop()
}

func pages(tokens int) int { return (tokens + model.PageTokens - 1) / model.PageTokens }

// enter waits until there is memory for the task. Its sequence then holds what the prefix cache had.
func (s *scheduler) enter(ctx context.Context, t *task) error {
	need := s.need(t)
	if need > s.total {
		return &MemoryError{Want: int64(need) * s.kv.PageBytes(), Have: int64(s.total) * s.kv.PageBytes(), Tokens: t.capacity}
	}
	s.fetch(t)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if len(s.waiting) >= s.queue {
		n := len(s.waiting)
		s.stats.Refused++
		s.mu.Unlock()
		return &BusyError{n}
	}
	t.seq = s.kv.NewSequence()
	if t.adapter != nil {
		t.seq.Adapter = t.adapter.weights
	}
	t.wake = make(chan error, 1)
	s.arrivals++
	t.arrived = s.arrivals
	if _, known := s.had[t.tenant]; !known { // a newcomer has had as much as the one who had least
		least := 0.0
		first := true
		for _, v := range s.had {
			if first || v < least {
				least, first = v, false
			}
		}
		s.had[t.tenant] = least
	}
	s.waiting = append(s.waiting, t)
	s.admit()
	s.mu.Unlock()
	if err := s.await(ctx, t); err != nil {
		s.leave(t, false)
		return err
	}
	return nil
}

func (s *scheduler) need(t *task) int {
	n := pages(t.capacity)
	if t.spare {
		n++
	}
	return n
}

// pass has t.tokens passed and waits for the logits after the last t.rows of them, in t.logits.
func (s *scheduler) pass(ctx context.Context, t *task) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	t.state, t.late = ready, false
	s.mu.Unlock()
	s.work.Signal()
	return s.await(ctx, t)
}

// await waits for the scheduler's word. A task that is canceled in the middle of a step waits for the step's end: its
// pages are in use.
func (s *scheduler) await(ctx context.Context, t *task) error {
	select {
	case err := <-t.wake:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	in := t.state == passing
	t.canceled = true
	if !in && t.state == ready {
		t.state = thinking
	}
	s.mu.Unlock()
	if in {
		<-t.wake
	}
	return ctx.Err()
}

// leave ends a task and gives its pages back; full ones stay in the prefix cache if keep is set.
func (s *scheduler) leave(t *task, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.state == waiting {
		s.waiting = slices.DeleteFunc(s.waiting, func(o *task) bool { return o == t })
	} else {
		if keep {
			s.remember(t, true)
			if t.node != nil {
				s.persist(t)
			}
		}
		s.running = slices.DeleteFunc(s.running, func(o *task) bool { return o == t })
	}
	t.state = gone
	t.seq.Release()
	s.reserved -= t.reserved
	t.reserved = 0
	if !slices.ContainsFunc(s.waiting, func(o *task) bool { return o.tenant == t.tenant }) &&
		!slices.ContainsFunc(s.running, func(o *task) bool { return o.tenant == t.tenant }) {
		delete(s.had, t.tenant)
	}
	s.admit()
	s.work.Signal()
}

// loop runs steps while there is work.
func (s *scheduler) loop() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for !s.closed && !s.collect() {
			s.work.Wait()
		}
		if s.closed {
			return
		}
		s.step()
	}
}

// collect chooses the tasks of the next step. It waits a little for those that had a part in the last one and are still
// sampling: a step of eight costs little more than a step of one.
func (s *scheduler) collect() bool {
	readies, thinkers := 0, 0
	for _, t := range s.running {
		switch t.state {
		case ready:
			readies++
		case thinking:
			if !t.late {
				thinkers++
			}
		}
	}
	if readies == 0 {
		s.gather = false
		return false
	}
	if s.gather { // a slow reader holds up nobody
		for _, t := range s.running {
			t.late = t.late || t.state == thinking
		}
	} else if thinkers > 0 {
		if !s.armed {
			s.armed = true
			s.timer.Reset(gatherTime)
		}
		return false
	}
	s.timer.Stop()
	s.gather, s.armed = false, false
	slices.SortFunc(s.running, s.order)
	s.batch, s.inputs = s.batch[:0], s.inputs[:0]
	rows, decoding := 0, 0
	add := func(t *task, n int) {
		in := model.Input{Seq: t.seq, Tokens: t.tokens[t.seq.Len() : t.seq.Len()+n]}
		if t.seq.Len()+n == len(t.tokens) {
			in.Logits = t.rows
		}
		t.state = passing
		rows += n
		s.batch, s.inputs = append(s.batch, t), append(s.inputs, in)
	}
	for _, t := range s.running {
		if t.state != ready { // what its owner works on is not ours to read
			continue
		}
		if n := len(t.tokens) - t.seq.Len(); n <= maxDraft+1 && rows+n <= model.MaxRows-model.Chunk {
			add(t, n)
			decoding++
		}
	}
	prompts := lonelyChunk
	if decoding > 0 {
		prompts = model.Chunk
	}
	// A prompt may take all that is left when it is alone; among several, the first takes at most half.
	for i, left := 0, prompts; i < len(s.running) && left > 0; i++ {
		t := s.running[i]
		if t.state != ready {
			continue
		}
		n := min(len(t.tokens)-t.seq.Len(), left)
		if n > left/2 && s.othersReady(i+1) {
			n = max(left/2, 1)
		}
		if rows+n > model.MaxRows {
			break
		}
		add(t, n)
		left -= n
	}
	return true
}

func (s *scheduler) othersReady(from int) bool {
	return slices.ContainsFunc(s.running[from:], func(t *task) bool { return t.state == ready })
}

// crowded says whether there is too much work for proposals.
func (s *scheduler) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)+len(s.waiting) >= crowd
}

// step runs the chosen tasks through the model, without the lock.
func (s *scheduler) step() {
	rows := 0
	for _, in := range s.inputs {
		rows += len(in.Tokens)
	}
	s.mu.Unlock()
	begin := time.Now()
	errs := s.forward(s.batch, s.inputs)
	took := time.Since(begin)
	s.mu.Lock()
	s.stats.step(len(s.batch), rows, took)
	if len(s.batch) == 1 {
		s.speed.note(rows, took)
	}
	for i, t := range s.batch {
		err := errs[i]
		if err == nil {
			n := len(s.inputs[i].Tokens)
			t.served += n
			s.had[t.tenant] += float64(n)
			s.remember(t, false)
			if t.seq.Len() < len(t.tokens) && !t.canceled {
				t.state = ready // the rest of its prompt
				continue
			}
		}
		t.state = thinking
		t.wake <- err
	}
}

// forward passes the inputs through the model and gives every task its logits. When the model fails with several, each
// is tried alone: one that cannot be computed takes no other down.
func (s *scheduler) forward(batch []*task, inputs []model.Input) []error {
	errs := make([]error, len(batch))
	logits, err := s.try(inputs)
	if err != nil && len(batch) > 1 {
		for i := range batch {
			errs[i] = s.forward(batch[i:i+1], inputs[i:i+1])[0]
		}
		return errs
	}
	if err != nil {
		errs[0] = err
		return errs
	}
	for i, t := range batch {
		n := inputs[i].Logits * s.m.Vocab
		t.logits = append(t.logits[:0], logits[:n]...)
		logits = logits[n:]
	}
	return errs
}

// try turns a panic into an error.
func (s *scheduler) try(inputs []model.Input) (logits []float32, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the model failed: %v", fault)
		}
	}()
	return s.m.ForwardBatch(context.Background(), s.pool, &s.scratch, inputs)
}
