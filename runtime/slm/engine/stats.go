package engine

import "time"

// Stats tell what an engine does. Counters only grow.
type Stats struct {
	Waiting, Running           int // requests
	PagesTotal, PagesReserved  int
	PagesCached                int   // in the prefix cache
	PageBytes                  int64 // of one page
	Admitted, Refused          int64 // requests
	PromptTokens, ReusedTokens int64 // of prompts; found in the prefix cache
	Evicted                    int64 // pages that left the prefix cache for others
	Steps, Rows, Sequences     int64 // forward passes; tokens and sequences in them
	Busy                       time.Duration
	Generated                  int64 // tokens of answers
	Proposed, Accepted         int64 // tokens of speculation
	Shifts                     int64 // answers that went on with a shortened context
}

func (s *Stats) step(sequences, rows int, took time.Duration) {
	s.Steps++
	s.Sequences += int64(sequences)
	s.Rows += int64(rows)
	s.Busy += took
}

// count adds a request that ends.
func (s *scheduler) count(r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Generated += int64(r.CompletionTokens)
	s.stats.Proposed += int64(r.Proposed)
	s.stats.Accepted += int64(r.Accepted)
	s.stats.Shifts += int64(r.Shifts)
}

// Stats is a snapshot.
func (e *Engine) Stats() Stats {
	s := e.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Waiting, out.Running = len(s.waiting), len(s.running)
	out.PagesTotal, out.PagesReserved, out.PagesCached, out.PageBytes = s.total, s.reserved, s.prefix.count, s.kv.PageBytes()
	return out
}
