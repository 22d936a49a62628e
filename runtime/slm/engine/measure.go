package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// EncodePrompt turns a prompt into ids. A template that writes the first token itself gets no second one.
func (e *Engine) EncodePrompt(text string, o tokenizer.Options) []int32 {
	ids := e.tok.Encode(text, o)
	if bos, ok := e.tok.BOS(); ok && o.ParseSpecial && len(ids) > 1 && ids[0] == bos && ids[1] == bos {
		ids = ids[1:]
	}
	return ids
}

// Measure passes a prompt and then decodes n tokens, whatever they are, and returns how long each took.
func (e *Engine) Measure(ctx context.Context, prompt []int32, n int) (prefill, decode time.Duration, err error) {
	if len(prompt)+n > e.model.Context {
		return 0, 0, &ContextError{len(prompt), e.model.Context}
	}
	leave, err := e.enter()
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	t := &task{space: uniqueSpace(), tokens: slices.Clone(prompt), firm: len(prompt), rows: 1, capacity: len(prompt) + n}
	if err := e.sched.enter(ctx, t); err != nil {
		return 0, 0, err
	}
	defer e.sched.leave(t, false)
	begin := time.Now()
	err = e.sched.pass(ctx, t)
	prefill = time.Since(begin)
	begin = time.Now()
	for i := 0; i < n && err == nil; i++ {
		t.tokens = append(t.tokens, prompt[i%len(prompt)])
		t.firm++
		err = e.sched.pass(ctx, t)
	}
	return prefill, time.Since(begin), err
}

// ReadSpeed measures how fast the engine's threads together read memory, in bytes a second. Decoding reads WeightBytes a
// token, so that it cannot be faster than the one divided by the other.
func (e *Engine) ReadSpeed() (float64, error) {
	leave, err := e.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	return kernel.ReadSpeed(e.pool), nil
}

// WeightBytes is how many bytes of weights the decoding of one token reads.
func (e *Engine) WeightBytes() int64 { return e.model.BytesPerToken() }

// MeasureParallel decodes n tokens in each of several sequences at once, after prompts of the given length, and returns
// the tokens a second of all together. The prompts are passed before the clock starts.
func (e *Engine) MeasureParallel(ctx context.Context, sequences, prompt, n int) (float64, error) {
	if sequences < 1 || sequences > maxRunning || prompt < 1 || n < 1 || prompt+n > e.context {
		return 0, fmt.Errorf("%d sequences of %d + %d tokens: at most %d of %d", sequences, prompt, n, maxRunning, e.context)
	}
	leave, err := e.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	var begun, all sync.WaitGroup
	begun.Add(sequences)
	start := make(chan struct{})
	errs := make([]error, sequences)
	for i := range sequences {
		all.Go(func() {
			t := &task{space: uniqueSpace(), rows: 1, capacity: prompt + n}
			for k := range prompt {
				t.tokens = append(t.tokens, int32((i*7919+k*104729)%e.model.Vocab))
			}
			t.firm = prompt
			err := e.sched.enter(ctx, t)
			if err == nil {
				defer e.sched.leave(t, false)
				err = e.sched.pass(ctx, t)
			}
			begun.Done()
			<-start
			for k := 0; k < n && err == nil; k++ {
				t.tokens = append(t.tokens, t.tokens[k%prompt])
				t.firm++
				err = e.sched.pass(ctx, t)
			}
			errs[i] = err
		})
	}
	begun.Wait()
	begin := time.Now()
	close(start)
	all.Wait()
	return float64(sequences*n) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// MeasurePrefix asks twice with the same first tokens and another last one, and returns the times to the first token.
func (e *Engine) MeasurePrefix(ctx context.Context, prefix int) (first, second time.Duration, err error) {
	ids := make([]int32, prefix+8)
	for k := range ids {
		ids[k] = int32(k * 104729 % e.model.Vocab)
	}
	tenant := uniqueSpace()
	for i, took := range []*time.Duration{&first, &second} {
		for k := prefix; k < len(ids); k++ {
			ids[k] = int32((k + 31*i) % e.model.Vocab)
		}
		begin := time.Now()
		if _, err := e.Generate(ctx, Request{Prompt: ids, MaxTokens: 1, Tenant: tenant}, func(Token) error { return nil }); err != nil {
			return 0, 0, err
		}
		*took = time.Since(begin)
	}
	return first, second, nil
}
