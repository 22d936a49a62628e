package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/sample"
)

// ErrDraft means that a draft model does not go with the model.
var ErrDraft = errors.New("the draft model has another vocabulary")

// paddedTokens is by how much the sizes of two vocabularies may differ: files pad them.
const paddedTokens = 256

// openDraft opens the draft model, to run on the engine's workers, with a cache of as many tokens.
func (e *Engine) openDraft(o *Options) (*Engine, error) {
	d, err := Open(o.Draft, Options{MaxContext: o.MaxContext, MaxKVBytes: 1 << 62, KVType: o.KVType, ExactKV: o.ExactKV, MaxQueue: maxRunning,
		NoSpeculation: true, Logger: o.Logger, pool: e.pool})
	if err != nil {
		return nil, err
	}
	d.sched.mu.Lock()
	d.sched.total = int(min(o.MaxKVBytes/e.kv.PageBytes(), 1<<30))
	d.sched.mu.Unlock()
	if err := sameVocabulary(e, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func sameVocabulary(a, b *Engine) error {
	n, m := a.tok.Size(), b.tok.Size()
	if n-m > paddedTokens || m-n > paddedTokens {
		return fmt.Errorf("%w: %d tokens and %d", ErrDraft, n, m)
	}
	for id := range int32(min(n, m)) {
		if x, y := a.tok.Piece(id), b.tok.Piece(id); x != y || a.tok.IsEOG(id) != b.tok.IsEOG(id) {
			return fmt.Errorf("%w: token %d is %.40q and %.40q", ErrDraft, id, x, y)
		}
	}
	return nil
}

// drafter proposes tokens of the draft model for one answer. Its methods do nothing on a nil one.
type drafter struct {
	gauge
	e, d    *Engine // the model and the draft model
	r       *Request
	sampler *sample.Sampler
	stream  bool // draw what the answer's sampler would draw from the same logits
	task    *task
	broken  bool // it failed; the answer goes on without it
	tokens  int  // of the answer, proposed for or not
	draws   [maxDraft]sample.Draw
}

// Bounds of drafting.
const (
	draftAfter  = 4   // tokens of an answer: a shorter one is not worth the draft model's prefill
	draftTop    = 64  // tokens that a draw looks at: it costs less, and the rest would be refused anyway
	draftAhead  = 256 // tokens that an answer is taken to go on for, at most
	draftOffset = 0x5851F42D4C957F2D
)

func (e *Engine) newDrafter(r *Request) *drafter {
	if e.draft == nil {
		return nil
	}
	p := r.Sampling
	if !r.Reproducible && p.Temperature > 0 {
		p.Seed ^= draftOffset // a stream of its own: the verification must not depend on the draw
		if p.TopK == 0 || p.TopK > draftTop {
			p.TopK = draftTop
		}
	}
	s, err := sample.New(p)
	if err != nil { // the answer's own sampler has said so
		return nil
	}
	return &drafter{gauge: gauge{speed: &e.speed, rate: 0.7}, e: e, d: e.draft, r: r, sampler: s, stream: r.Reproducible || p.Temperature == 0}
}

// propose returns up to limit tokens and, where they are to be verified and not only compared, what they were drawn from.
func (d *drafter) propose(ctx context.Context, text []int32, limit int, of *sample.Sampler) ([]int32, []sample.Draw) {
	d.tokens++
	if d.broken || d.tokens < draftAfter || d.pausing() {
		return nil, nil
	}
	limit = min(limit, d.d.context-len(text))
	k := d.length(limit)
	if k == 0 || !d.worthPrefill(len(text), k) {
		if limit > 0 {
			d.fail()
		}
		return nil, nil
	}
	d.sampler.Follow(of, d.stream)
	draft, err := d.draw(ctx, text, k)
	d.broken = err != nil
	if d.stream {
		return draft, nil
	}
	return draft, d.draws[:len(draft)]
}

// draw draws k tokens, or as many as come before an end or an error.
func (d *drafter) draw(ctx context.Context, text []int32, k int) (draft []int32, err error) {
	if err := d.follow(ctx, text); err != nil {
		return nil, err
	}
	for i := range k {
		id, err := d.next(ctx, &d.draws[i])
		if err != nil || id < 0 {
			return draft, err
		}
		draft = append(draft, id)
		if d.e.tok.IsEOG(id) {
			break
		}
		d.sampler.Accept(id)
		d.task.tokens = append(d.task.tokens, id)
	}
	return draft, nil
}

// length is how many proposed tokens pay best: 0 where none do.
func (d *drafter) length(limit int) int {
	one := d.d.speed.one()
	best, at := 0.0, 0
	for k := 1; k <= limit; k++ {
		gain := d.gain(k)
		if !d.speed.pays(k+1, gain, time.Duration(k)*one) {
			continue
		}
		if value := gain / d.speed.cost(k+1, time.Duration(k)*one); value > best {
			best, at = value, k
		}
	}
	return at
}

// worthPrefill says whether passing the text through the draft model is soon made up for. It is once it has been done.
func (d *drafter) worthPrefill(text, k int) bool {
	missing := text
	if d.task != nil {
		missing -= d.task.seq.Len()
	}
	one, row := d.speed.one(), d.d.speed.row()
	if d.speed.free || missing <= 4*maxDraft || one == 0 || row == 0 {
		return true
	}
	ahead := draftAhead
	if d.r.MaxTokens > 0 {
		ahead = min(ahead, d.r.MaxTokens-d.tokens)
	}
	gain := d.gain(k)
	saved := float64(one) - d.speed.cost(k+1, time.Duration(k)*d.d.speed.one())/gain
	return saved*float64(ahead) > float64(row)*float64(missing)
}

// follow brings the draft model's sequence to the text: what it knows of another continuation is forgotten. The last token
// is passed anew in any case, for the logits after it.
func (d *drafter) follow(ctx context.Context, text []int32) error {
	if d.task == nil {
		return d.begin(ctx, text)
	}
	t := d.task
	t.seq.Truncate(min(common(t.tokens[:t.seq.Len()], text), len(text)-1))
	t.tokens, t.firm = append(t.tokens[:0], text...), len(text)
	return nil
}

// next passes what the draft model does not know yet and draws the token after it.
func (d *drafter) next(ctx context.Context, draw *sample.Draw) (int32, error) {
	if err := d.d.sched.pass(ctx, d.task); err != nil {
		return -1, err
	}
	logits := d.task.logits[:min(len(d.task.logits), d.e.model.Vocab)]
	if d.stream {
		return d.sampler.Sample(logits), nil
	}
	return d.sampler.Propose(logits, draw), nil
}

// begin has the answer admitted to the draft model, which has memory for as many tokens as the model.
func (d *drafter) begin(ctx context.Context, text []int32) error {
	r := d.r
	t := &task{tenant: r.Tenant, space: space(r.Tenant, nil), priority: r.Priority, tokens: slices.Clone(text), firm: len(text), rows: 1,
		capacity: min(d.e.context, d.d.context), spare: r.ContextShift}
	if !r.ContextShift {
		t.capacity = min(t.capacity, len(r.Prompt)+r.MaxTokens)
	}
	if r.NoCache {
		t.space = uniqueSpace()
	}
	if err := d.d.sched.enter(ctx, t); err != nil {
		return err
	}
	d.task = t
	return nil
}

// forget keeps the first tokens only.
func (d *drafter) forget(keep int) {
	if d != nil && d.task != nil {
		d.task.seq.Truncate(keep)
		d.task.node = nil
	}
}

func (d *drafter) close() {
	if d != nil && d.task != nil {
		d.d.sched.leave(d.task, !d.r.NoCache && !d.broken)
	}
}

// draftPlan is what a draft model takes beside the model.
func draftPlan(path string, o Options, tokens int64) (weights, kv, work int64, err error) {
	o.Draft, o.Adapters, o.Template, o.MaxKVBytes = "", nil, "", 1<<62
	p, err := Inspect(path, o)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("draft model: %w", err)
	}
	return p.Weights, p.Info.CacheBytes * tokens, p.Work, nil
}
