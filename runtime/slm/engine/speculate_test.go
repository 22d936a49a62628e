package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// TestSpeculation_ChangesNoToken answers prompts that repeat themselves, with proposals and without.
func TestSpeculation_ChangesNoToken(t *testing.T) {
	path := writeModel(t, slmtest.Tiny)
	plain := open(t, path, Options{Threads: 1, NoSpeculation: true})
	quick := open(t, path, Options{Threads: 2})
	quick.speed.free = true
	accepted := 0
	for seed := range uint64(6) {
		prompt := randomPrompt(seed, 20)
		prompt = append(prompt, prompt[1:]...)
		for _, p := range []sample.Params{{}, {RepeatPenalty: 1.1}, {Temperature: 0.7, Seed: seed}, {Temperature: 1.5, Seed: seed, TopP: 0.9, FrequencyPenalty: 0.2}} {
			p.LogitBias = map[int32]float32{2: -100}
			want, _ := answerOf(t, plain, Request{Prompt: prompt, MaxTokens: 120, Sampling: p})
			got, res := answerOf(t, quick, Request{Prompt: prompt, MaxTokens: 120, Sampling: p})
			if !slices.Equal(got, want) {
				t.Errorf("seed %d, %+v: %v, want %v", seed, p, got, want)
			}
			accepted += res.Accepted
		}
	}
	if accepted == 0 {
		t.Error("no proposal was ever right: nothing was tested")
	}
	if s := quick.Stats(); s.PagesReserved != 0 || quick.kv.Pages() != s.PagesCached {
		t.Errorf("pages leak: %+v, %d held", s, quick.kv.Pages())
	}
}

// TestSpeculation_StopsWhereItDoesNotPay lets the rows of a step cost as much as steps of their own.
func TestSpeculation_StopsWhereItDoesNotPay(t *testing.T) {
	var s speeds
	for rows := range s.took {
		s.took[rows] = time.Duration(rows) * time.Millisecond
	}
	l := newLookup(&s)
	text := []int32{1, 2, 3, 4, 5, 1, 2, 3}
	if got := l.propose(text, 8); got != nil {
		t.Errorf("proposed %v", got)
	}
	s.free = true
	l = newLookup(&s)
	if got := l.propose(text, 8); !slices.Equal(got, []int32{4, 5, 1, 2, 3}) {
		t.Errorf("proposed %v", got)
	}
	tried := 0
	for range 1000 {
		if p := l.propose(text, 8); p != nil {
			tried++
			l.result(len(p), 0)
		}
	}
	if tried > 30 {
		t.Errorf("%d tries of 1000 although none is ever right", tried)
	}
}
