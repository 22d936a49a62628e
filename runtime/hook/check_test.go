package hook

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVerdict_Check(t *testing.T) {
	const text = "grüße an a@b.de"
	span := func(start, end int) []Span { return []Span{{Start: start, End: end}} }
	for name, c := range map[string]struct {
		v    Verdict
		want string // part of the error, empty: none
	}{
		"allow":              {Verdict{Verdict: Allow}, ""},
		"unknown verdict":    {Verdict{Verdict: "maybe"}, "none of allow"},
		"no verdict":         {Verdict{}, "none of allow"},
		"redact":             {Verdict{Verdict: Redact, Spans: span(11, 17)}, ""},
		"redact nothing":     {Verdict{Verdict: Redact}, "no spans"},
		"any order":          {Verdict{Verdict: Redact, Spans: append(span(11, 17), span(0, 2)...)}, ""},
		"inside a character": {Verdict{Verdict: Block, Spans: span(0, 3)}, "character boundary"},
		"start inside":       {Verdict{Verdict: Block, Spans: span(3, 4)}, "character boundary"},
		"beyond the end":     {Verdict{Verdict: Block, Spans: span(0, 18)}, "not within"},
		"negative":           {Verdict{Verdict: Block, Spans: span(-1, 2)}, "not within"},
		"backwards":          {Verdict{Verdict: Block, Spans: span(2, 1)}, "not within"},
		"empty":              {Verdict{Verdict: Block, Spans: span(2, 2)}, "is empty"},
		"confidence":         {Verdict{Verdict: Block, Spans: []Span{{End: 1, Confidence: 1.5}}}, "confidence"},
		"confidence NaN":     {Verdict{Verdict: Block, Spans: []Span{{End: 1, Confidence: math.NaN()}}}, "confidence"},
		"hold":               {Verdict{Verdict: Allow, Hold: 17}, ""},
		"hold too much":      {Verdict{Verdict: Allow, Hold: 18}, "hold 18"},
	} {
		expect(t, name, c.v.Check(text), c.want)
	}
}

func expect(t *testing.T, name string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

func TestRouteDecision_Check(t *testing.T) {
	req := &RouteRequest{Models: []Model{{ID: "small"}, {ID: "large"}}, Tools: []string{"calculator"}}
	for name, c := range map[string]struct {
		d    RouteDecision
		want string
	}{
		"default":            {RouteDecision{}, ""},
		"a choice":           {RouteDecision{Model: "large", Confidence: 1, MaxTokens: 20}, ""},
		"no choice":          {RouteDecision{Model: "huge"}, "not among"},
		"negative budget":    {RouteDecision{MaxTokens: -1}, "negative"},
		"confidence":         {RouteDecision{Confidence: -0.1}, "confidence"},
		"tool on offer":      {RouteDecision{ToolCalls: []ToolCall{{Name: "calculator", Arguments: `{"expression":"1"}`}}}, ""},
		"tool not on offer":  {RouteDecision{ToolCalls: []ToolCall{{Name: "shell"}}}, "not on offer"},
		"arguments not JSON": {RouteDecision{ToolCalls: []ToolCall{{Name: "calculator", Arguments: `{`}}}, "not a JSON object"},
	} {
		expect(t, name, c.d.Check(req), c.want)
	}
}

func TestChunkList_Check(t *testing.T) {
	for name, c := range map[string]struct {
		l    []Chunk
		want string
	}{
		"none":          {nil, ""},
		"overlapping":   {[]Chunk{{Start: 0, End: 4}, {Start: 2, End: 6}}, ""},
		"out of order":  {[]Chunk{{Start: 2, End: 6}, {Start: 0, End: 7}}, "stands before"},
		"inside":        {[]Chunk{{Start: 0, End: 6}, {Start: 2, End: 4}}, "stands before"},
		"splits é":      {[]Chunk{{Start: 0, End: 1}}, "character boundary"},
		"a parent":      {[]Chunk{{Start: 2, End: 4, Parent: &Parent{Start: 2, End: 6}}}, ""},
		"no parent":     {[]Chunk{{Start: 2, End: 4, Parent: &Parent{Start: 3, End: 6}}}, "not within its parent"},
		"parent splits": {[]Chunk{{Start: 2, End: 4, Parent: &Parent{Start: 1, End: 6}}}, "character boundary"},
		"empty":         {[]Chunk{{Start: 2, End: 2}}, "is empty"},
	} {
		expect(t, name, (&ChunkList{Chunks: c.l}).Check("éabcdef"), c.want)
	}
}

func TestCachePlanAndToolList_Check(t *testing.T) {
	expect(t, "bypass", (&CachePlan{Reason: "x"}).Check(), "")
	expect(t, "no parts", (&CachePlan{Lookup: true}).Check(), "without key parts")
	expect(t, "threshold", (&CachePlan{Threshold: 2}).Check(), "threshold")
	expect(t, "no text", (&CachePlan{Threshold: 0.5}).Check(), "without a text")
	expect(t, "ttl", (&CachePlan{TTLSeconds: -1}).Check(), "ttl_seconds")
	schema := Raw(`{"type":"object"}`)
	expect(t, "tools", (&ToolList{Tools: []Tool{{Name: "a", InputSchema: schema}}}).Check(), "")
	expect(t, "twice", (&ToolList{Tools: []Tool{{Name: "a", InputSchema: schema}, {Name: "a", InputSchema: schema}}}).Check(), "twice")
	expect(t, "no name", (&ToolList{Tools: []Tool{{InputSchema: schema}}}).Check(), "no name")
	expect(t, "no schema", (&ToolList{Tools: []Tool{{Name: "a"}}}).Check(), "not a JSON object")
}

func TestApplyRedactions(t *testing.T) {
	const text = "mail a@b.de or c@d.de now"
	for name, c := range map[string]struct {
		spans []Span
		want  string
	}{
		"none":        {nil, text},
		"two":         {[]Span{{Start: 15, End: 21, Entity: "EMAIL"}, {Start: 5, End: 11, Entity: "EMAIL"}}, "mail [EMAIL] or [EMAIL] now"},
		"replacement": {[]Span{{Start: 5, End: 11, Entity: "EMAIL", Replacement: "***"}}, "mail *** or c@d.de now"},
		"overlapping": {[]Span{{Start: 7, End: 13, Entity: "B"}, {Start: 5, End: 9, Entity: "A"}}, "mail [A]r c@d.de now"},
		"same start":  {[]Span{{Start: 5, End: 6, Entity: "A"}, {Start: 5, End: 11, Entity: "B"}}, "mail [B] or c@d.de now"},
		"touching":    {[]Span{{Start: 5, End: 7, Entity: "A"}, {Start: 7, End: 11, Entity: "B"}}, "mail [A][B] or c@d.de now"},
		"whole":       {[]Span{{Start: 0, End: 25}}, "[REDACTED]"},
		"outside":     {[]Span{{Start: 21, End: 99, Entity: "X"}, {Start: 50, End: 60, Entity: "Y"}, {Start: 9, End: 3}}, "mail a@b.de or c@d.de[X]"},
	} {
		if got := ApplyRedactions(text, c.spans); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Whatever a plugin says: what passes Check never splits a character and never leaves a byte of a span behind.
func FuzzApplyRedactions(f *testing.F) {
	f.Add("grüße 日本", 0, 2, 1, 5)
	f.Add("abc", 0, 3, 3, 3)
	f.Add("\xff\xc3", -1, 99, 1, 2)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d int) {
		spans := []Span{{Start: a, End: b, Replacement: "#"}, {Start: c, End: d, Replacement: "#"}}
		out := ApplyRedactions(text, spans)
		if (&Verdict{Verdict: Redact, Spans: spans}).Check(text) != nil {
			return
		}
		if utf8.ValidString(text) && !utf8.ValidString(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		kept := 0
		for i := range len(text) {
			if !(i >= a && i < b) && !(i >= c && i < d) {
				kept++
			}
		}
		marks := 2
		if a < d && c < b {
			marks = 1
		}
		if len(out) != kept+marks {
			t.Fatalf("%q with %v: %q", text, spans, out)
		}
	})
}
