package engine

import (
	"context"
	"slices"
	"time"

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
