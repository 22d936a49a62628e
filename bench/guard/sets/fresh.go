package sets

import (
	_ "embed"
	"strings"
)

// The fresh sets were written after the rules, in the manner of well-known public sets, and measured before anything was
// changed for them. Every other line is held out, as in the others.
//
//go:embed fresh_injection.txt
var freshInjectionLines string

//go:embed fresh_pii.txt
var freshPIILines string

// unseenInjectionLines were written last, and nothing was changed for them.
//
//go:embed unseen_injection.txt
var unseenInjectionLines string

// UnseenInjection has the classes of [Injection]; both halves are held out.
func UnseenInjection(s Split) []Case { return classed(unseenInjectionLines, s) }

// FreshInjection has the classes of [Injection]. It came in three rounds, each of which was measured when it was new, and then
// given to the training of the weights: what it says now is no measure of what is unseen.
func FreshInjection(s Split) []Case { return classed(freshInjectionLines, s) }

// FreshPII has texts in which what is to be found stands as [[ENTITY|text]].
func FreshPII(s Split) (out []Case) {
	n := 0
	for line := range strings.Lines(freshPIILines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if n++; n%2 != int(s-1) {
			out = append(out, marked(strings.ReplaceAll(line, `\n`, "\n")))
		}
	}
	return out
}

// marked reads a text with marks.
func marked(t string) (c Case) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(t, "[[")
		b.WriteString(before)
		if !ok {
			break
		}
		inside, rest, _ := strings.Cut(after, "]]")
		entity, text, _ := strings.Cut(inside, "|")
		c.Labels = append(c.Labels, Label{b.Len(), b.Len() + len(text), entity})
		b.WriteString(text)
		t = rest
	}
	c.Text = b.String()
	return c
}
