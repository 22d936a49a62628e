package hook

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The Check methods tell whether an answer keeps the contract. The host calls them on everything a plugin returns;
// an answer that fails is treated like a plugin that failed.

// Check says whether d is a possible answer to req.
func (d *RouteDecision) Check(req *RouteRequest) error {
	if d.Model != "" && !slices.ContainsFunc(req.Models, func(m Model) bool { return m.ID == d.Model }) {
		return errors.New("route decision: model " + strconv.Quote(shorten(d.Model)) + " is not among the choices")
	}
	if d.MaxTokens < 0 || d.RetrievalDepth < 0 {
		return errors.New("route decision: max_tokens or retrieval_depth is negative")
	}
	if !unit(d.Confidence) {
		return errors.New("route decision: confidence is not between 0 and 1")
	}
	for i := range d.ToolCalls {
		c := &d.ToolCalls[i]
		if !slices.Contains(req.Tools, c.Name) {
			return errors.New("route decision: tool " + strconv.Quote(shorten(c.Name)) + " is not on offer")
		}
		if c.Arguments != "" && !Raw(c.Arguments).IsObject() {
			return errors.New("route decision: the arguments of " + c.Name + " are not a JSON object")
		}
	}
	return nil
}

// Check says whether v is a possible judgement of text. Spans may come in any order and may overlap.
func (v *Verdict) Check(text string) error {
	switch v.Verdict {
	case Allow, Review, Block:
	case Redact:
		if len(v.Spans) == 0 {
			return errors.New("verdict: redact names no spans")
		}
	default:
		return errors.New("verdict: " + strconv.Quote(shorten(v.Verdict)) + " is none of allow, redact, review, block")
	}
	for i := range v.Spans {
		s := &v.Spans[i]
		if err := checkRange(text, s.Start, s.End); err != nil {
			return errors.New("verdict: span " + strconv.Itoa(i) + " " + err.Error())
		}
		if !unit(s.Confidence) {
			return errors.New("verdict: span " + strconv.Itoa(i) + " has a confidence that is not between 0 and 1")
		}
	}
	if v.Hold < 0 || v.Hold > len(text) {
		return errors.New("verdict: hold " + strconv.Itoa(v.Hold) + " is not within the text of " + strconv.Itoa(len(text)) + " bytes")
	}
	return nil
}

// Check says whether the chunks are ranges of text, ordered by start and by end. They need not cover it.
func (c *ChunkList) Check(text string) error {
	for i := range c.Chunks {
		k := &c.Chunks[i]
		if err := checkRange(text, k.Start, k.End); err != nil {
			return errors.New("chunk " + strconv.Itoa(i) + " " + err.Error())
		}
		if i > 0 && (k.Start < c.Chunks[i-1].Start || k.End < c.Chunks[i-1].End) {
			return errors.New("chunk " + strconv.Itoa(i) + " stands before the one it follows")
		}
		if p := k.Parent; p != nil {
			if err := checkRange(text, p.Start, p.End); err != nil {
				return errors.New("the parent of chunk " + strconv.Itoa(i) + " " + err.Error())
			}
			if p.Start > k.Start || p.End < k.End {
				return errors.New("chunk " + strconv.Itoa(i) + " is not within its parent")
			}
		}
	}
	return nil
}

// Check says whether p is a plan that the host can carry out.
func (p *CachePlan) Check() error {
	switch {
	case !unit(p.Threshold):
		return errors.New("cache plan: threshold is not between 0 and 1")
	case p.TTLSeconds < 0:
		return errors.New("cache plan: ttl_seconds is negative")
	case (p.Lookup || p.Admit) && len(p.KeyParts) == 0:
		return errors.New("cache plan: lookup or admit without key parts")
	case p.Threshold > 0 && p.Text == "":
		return errors.New("cache plan: a threshold without a text to compare")
	}
	return nil
}

// Check says whether every tool has a name of its own and a schema that is a JSON object.
func (l *ToolList) Check() error {
	for i := range l.Tools {
		t := &l.Tools[i]
		if t.Name == "" {
			return errors.New("tool " + strconv.Itoa(i) + " has no name")
		}
		if !t.InputSchema.IsObject() {
			return errors.New("tool " + strconv.Quote(shorten(t.Name)) + " has an inputSchema that is not a JSON object")
		}
		if slices.ContainsFunc(l.Tools[:i], func(o Tool) bool { return o.Name == t.Name }) {
			return errors.New("tool " + strconv.Quote(shorten(t.Name)) + " is listed twice")
		}
	}
	return nil
}

// checkRange says whether [start, end) is a range of text that is not empty and splits no character.
func checkRange(text string, start, end int) error {
	what := "[" + strconv.Itoa(start) + ", " + strconv.Itoa(end) + ")"
	switch {
	case start < 0 || end > len(text) || start > end:
		return errors.New(what + " is not within the text of " + strconv.Itoa(len(text)) + " bytes")
	case start == end:
		return errors.New(what + " is empty")
	case !boundary(text, start) || !boundary(text, end):
		return errors.New(what + " does not fall on a character boundary")
	}
	return nil
}

// boundary says whether offset i of text is not inside a character. Offsets among bytes that are not UTF-8 are
// boundaries, since each such byte counts as a character.
func boundary(text string, i int) bool {
	if i <= 0 || i >= len(text) || utf8.RuneStart(text[i]) {
		return true
	}
	for j := i - 1; j >= 0 && i-j < utf8.UTFMax; j-- {
		if utf8.RuneStart(text[j]) {
			_, n := utf8.DecodeRuneInString(text[j:])
			return j+n <= i
		}
	}
	return true
}

func unit(v float64) bool { return v >= 0 && v <= 1 } // false for NaN

// ApplyRedactions returns text with each span replaced, and overlapping spans replaced as one: by the replacement of
// the one that starts first, of the longest among those. Spans must have passed [Verdict.Check]; parts outside text
// are ignored.
func ApplyRedactions(text string, spans []Span) string {
	if len(spans) == 0 {
		return text
	}
	sorted := slices.Clone(spans)
	slices.SortStableFunc(sorted, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	var out strings.Builder
	out.Grow(len(text))
	done := 0
	for i := 0; i < len(sorted); {
		s := &sorted[i]
		start, end := max(s.Start, 0), s.End
		for i++; i < len(sorted) && sorted[i].Start < end; i++ {
			end = max(end, sorted[i].End)
		}
		end = min(end, len(text))
		if start >= end {
			continue
		}
		out.WriteString(text[done:start])
		out.WriteString(s.replacement())
		done = end
	}
	out.WriteString(text[done:])
	return out.String()
}

func (p *Span) replacement() string {
	switch {
	case p.Replacement != "":
		return p.Replacement
	case p.Entity != "":
		return "[" + p.Entity + "]"
	}
	return "[REDACTED]"
}
