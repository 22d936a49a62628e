package engine

import (
	"cmp"
	"slices"

	"github.com/ledge-run/ledge/runtime/slm/model"
)

// order is the scheduler's sense of who comes first.
func (s *scheduler) order(a, b *task) int {
	if c := cmp.Compare(b.priority, a.priority); c != 0 {
		return c
	}
	if a.tenant != b.tenant {
		if c := cmp.Compare(s.had[a.tenant], s.had[b.tenant]); c != 0 {
			return c
		}
	}
	if a.state != waiting { // among running ones, who has had least: a short prompt does not wait for a long one
		if c := cmp.Compare(a.served, b.served); c != 0 {
			return c
		}
	}
	if !a.deadline.Equal(b.deadline) && !a.deadline.IsZero() && !b.deadline.IsZero() {
		return a.deadline.Compare(b.deadline)
	}
	return cmp.Compare(a.arrived, b.arrived)
}

// admit lets in who waits and fits, in order. The first that does not fit holds up the rest, so that a large request is
// not passed by small ones for ever.
func (s *scheduler) admit() {
	for len(s.waiting) > 0 && len(s.running) < maxRunning {
		t := slices.MinFunc(s.waiting, s.order)
		found := s.prefix.find(t.space, t.tokens[:max(len(t.tokens)-1, 0)])
		for _, n := range found.full { // held, so that making room does not take them
			t.seq.Share(n.page)
		}
		if found.part != nil {
			found.part.page.Retain()
		}
		need := s.need(t)
		if !t.spare { // a sequence that may be cut loses what it shares
			need -= len(found.full)
		}
		ok := s.makeRoom(need)
		if ok && found.part != nil {
			t.seq.CopyFrom(found.part.page, found.common)
		}
		if found.part != nil {
			found.part.page.Release()
		}
		if !ok {
			t.seq.Release()
			return
		}
		s.prefix.touch(found)
		s.waiting = slices.DeleteFunc(s.waiting, func(o *task) bool { return o == t })
		s.running = append(s.running, t)
		t.reserved, t.cached, t.reused = need, len(found.full), t.seq.Len()
		s.reserved += need
		t.node = s.prefix.root(t.space)
		if n := len(found.full); n > 0 {
			t.node = found.full[n-1]
		}
		s.stats.Admitted++
		s.stats.PromptTokens += int64(len(t.tokens))
		s.stats.ReusedTokens += int64(t.reused)
		t.state = thinking
		t.wake <- nil
	}
}

// makeRoom sees to it that n more pages can be reserved, at the expense of the prefix cache.
func (s *scheduler) makeRoom(n int) bool {
	for s.reserved+s.prefix.count+n > s.total {
		if !s.prefix.evict() {
			return false
		}
		s.stats.Evicted++
	}
	return true
}

// remember puts the task's full pages, and at its end the last one too, into the prefix cache.
func (s *scheduler) remember(t *task, last bool) {
	if t.spare && (!last || t.node == nil) {
		return
	}
	if t.node.page == nil {
		t.node = s.prefix.root(t.space) // it goes when it is empty
	}
	n := min(t.seq.Len(), t.firm)
	for t.cached < n/model.PageTokens {
		at := t.cached * model.PageTokens
		next, added := s.prefix.add(t.node, t.tokens[at:at+model.PageTokens], t.seq.Page(t.cached))
		if !added { // another was faster
			t.seq.Replace(t.cached, next.page)
		}
		t.reserved-- // the page is the cache's from now on
		s.reserved--
		t.node = next
		t.cached++
	}
	if rest := n % model.PageTokens; last && rest > 0 {
		at := t.cached * model.PageTokens
		if _, added := s.prefix.add(t.node, t.tokens[at:at+rest], t.seq.Page(t.cached)); added {
			t.reserved--
			s.reserved--
		}
	}
}
