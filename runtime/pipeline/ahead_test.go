package pipeline

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ledge-run/ledge/runtime/hook"
)

// seen is a guard that allows everything and remembers the texts it was shown.
type seen struct {
	mu    sync.Mutex
	texts []string
}

func (s *seen) guard(name string) *plugin {
	return guardOf(name, func(r *hook.GuardRequest) hook.Verdict {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.texts = append(s.texts, strings.Clone(r.Text)) // what it points to is used again
		return hook.Verdict{Verdict: hook.Allow}
	})
}

func TestAhead_ResultCountsOnlyForTheSameInput(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string // what the second guard must have seen
	}{
		{"nothing was changed", "plain", "plain"},
		{"the first guard redacted", "a secret", "a [SECRET]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			second := &seen{}
			m := &model{id: "m", rounds: []round{says("ok")}}
			r := &Route{Name: "default", Models: []Model{m}, Input: []Stage{{Plugin: secretGuard()}, {Plugin: second.guard("second"), Pure: true}}}
			a := ask(t, newPipeline(), r, chat(c.text))
			if a.err != nil {
				t.Fatal(a.err)
			}
			second.mu.Lock()
			defer second.mu.Unlock()
			if !slices.Contains(second.texts, c.want) {
				t.Errorf("the second guard saw %q, not %q", second.texts, c.want)
			}
			if got := a.trace.Stages[1]; got.Plugin != "second" || got.Calls != 1 {
				t.Errorf("entry %+v", got)
			}
		})
	}
}

func TestAhead_LeavesPluginsWithCapabilitiesAlone(t *testing.T) {
	second := &seen{}
	block := guardOf("first", func(*hook.GuardRequest) hook.Verdict { return hook.Verdict{Verdict: hook.Block} })
	m := &model{id: "m", rounds: []round{says("ok")}}
	r := &Route{Name: "default", Models: []Model{m}, Input: []Stage{{Plugin: block}, {Plugin: second.guard("second")}}}
	if a := ask(t, newPipeline(), r, chat("hello")); a.err == nil {
		t.Fatal("the block was not carried out")
	}
	if len(second.texts) != 0 {
		t.Errorf("a guard that may have effects was called for a request that never came to it")
	}
}
