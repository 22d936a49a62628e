package engine

import (
	"errors"

	"github.com/ledge-run/ledge/runtime/slm/sample"
)

// ErrConstraint is the class of errors of a request's constraint: no token can follow, or it ran over its limits.
var ErrConstraint = errors.New("the answer cannot go on within its constraint")

// guide applies a request's constraint. The mask for a step is computed while the model runs. Without a constraint it
// does nothing.
type guide struct {
	c       sample.Constraint
	mask    []uint32
	masked  []float32
	pending chan error // of the mask in work; nil: none
}

func newGuide(c sample.Constraint, vocabulary int) *guide {
	g := &guide{c: c}
	if c != nil {
		g.mask = make([]uint32, sample.MaskWords(vocabulary))
	}
	return g
}

// prepare begins the mask of the next token.
func (g *guide) prepare() {
	if g.c == nil {
		return
	}
	done := make(chan error, 1)
	g.pending = done
	go func() { done <- g.c.Mask(g.mask) }()
}

// stop waits for a mask in work: the constraint belongs to the caller again.
func (g *guide) stop() {
	if g.pending != nil {
		<-g.pending
		g.pending = nil
	}
}

// sample chooses among the tokens that the mask allows. The logits stay as they are.
func (g *guide) sample(s *sample.Sampler, logits []float32) (int32, error) {
	logits, err := g.allowed(logits)
	if err != nil {
		return -1, err
	}
	return g.some(s.Sample(logits))
}

// verify is sample, given a token that was drawn from q.
func (g *guide) verify(s *sample.Sampler, logits []float32, id int32, q *sample.Draw) (int32, bool, error) {
	logits, err := g.allowed(logits)
	if err != nil {
		return -1, false, err
	}
	id, accepted := s.Verify(logits, id, q)
	id, err = g.some(id)
	return id, accepted, err
}

// allowed are the logits with those of other tokens at minus infinity.
func (g *guide) allowed(logits []float32) ([]float32, error) {
	if g.c == nil {
		return logits, nil
	}
	err := <-g.pending
	g.pending = nil
	if err != nil {
		return nil, errors.Join(ErrConstraint, err)
	}
	g.masked = append(g.masked[:0], logits...)
	sample.Apply(g.mask, g.masked)
	return g.masked, nil
}

// some makes an error of no token where there is a constraint to blame.
func (g *guide) some(id int32) (int32, error) {
	if id < 0 && g.c != nil {
		return -1, ErrConstraint
	}
	return id, nil
}

func (g *guide) accept(id int32) error {
	if g.c == nil {
		return nil
	}
	if err := g.c.Accept(id); err != nil {
		return errors.Join(ErrConstraint, err)
	}
	return nil
}

func (g *guide) complete() bool { return g.c != nil && g.c.Complete() }
