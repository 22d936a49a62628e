package prompt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
)

// Bounds of a summary of older turns, in tokens.
const (
	leastSummary = 48
	mostSummary  = 400
)

// history picks the turns that stay within left tokens. note is what is said of those that do not.
func (b *Builder) history(turns [][]openai.Message, question string, left int, out *Output) (kept []openai.Message, note string) {
	sizes := make([]int, len(turns))
	for i, t := range turns {
		sizes[i] = b.tokens(t)
	}
	first := 0
	if b.Turns > 0 {
		first = max(len(turns)-b.Turns, 0)
	}
	stays := make([]bool, len(turns))
	whole := sum(sizes) <= left && first == 0
	how := "left out"
	switch {
	case whole:
		for i := range stays {
			stays[i] = true
		}
	case b.History == Summary && b.Summarise != nil:
		note, how = b.summary(turns, sizes, first, left, stays)
	case b.History == Retrieval && b.Rank != nil:
		b.like(turns, sizes, question, left, stays)
	default:
		b.window(sizes, first, left, stays)
	}
	gone, tokens := 0, 0
	for i, t := range turns {
		if stays[i] {
			kept = append(kept, t...)
		} else {
			gone, tokens = gone+1, tokens+sizes[i]
		}
	}
	if gone > 0 {
		out.Cuts = append(out.Cuts, Cut{History, tokens - b.count(note), fmt.Sprintf("%d of %d turns %s", gone, len(turns), how)})
	}
	return kept, note
}

// window lets the newest turn stay, then the first, which says what it is all about, then the others from the newest on.
func (b *Builder) window(sizes []int, first, left int, stays []bool) {
	order := make([]int, 0, len(sizes))
	for i := len(sizes) - 1; i >= first; i-- {
		order = append(order, i)
	}
	if n := len(order); n > 2 {
		order = slices.Insert(order[:n-1], 1, order[n-1])
	}
	for k, i := range order {
		if sizes[i] > left {
			if k == 1 {
				continue // the first turn is long; the newer ones may fit
			}
			return // no turn before one that is missing, so that none answers what is not there
		}
		left -= sizes[i]
		stays[i] = true
	}
}

// like lets the newest turn stay, and of the others those that have most to do with the question.
func (b *Builder) like(turns [][]openai.Message, sizes []int, question string, left int, stays []bool) {
	texts := make([]string, len(turns))
	for i, t := range turns {
		texts[i] = said(t, maxCompared)
	}
	scores, err := b.Rank(question, texts)
	if err != nil || len(scores) != len(turns) {
		b.window(sizes, 0, left, stays)
		return
	}
	order := make([]int, 0, len(turns))
	for i := range turns {
		order = append(order, i)
	}
	newest := len(turns) - 1
	slices.SortStableFunc(order, func(x, y int) int {
		switch {
		case x == newest || y != newest && scores[x] > scores[y]:
			return -1
		case y == newest || scores[y] > scores[x]:
			return 1
		}
		return y - x
	})
	for _, i := range order {
		if i != newest && scores[i] <= 0 || sizes[i] > left {
			continue
		}
		left -= sizes[i]
		stays[i] = true
	}
}

// maxCompared is how much of a turn is compared with the question, in bytes.
const maxCompared = 2000

// summary lets the newest turns stay, and says in short what the older ones said.
func (b *Builder) summary(turns [][]openai.Message, sizes []int, first, left int, stays []bool) (note, how string) {
	room := min(max(left/4, leastSummary), mostSummary)
	rest := left - room
	at := len(turns)
	for at > first && sizes[at-1] <= rest {
		at--
		rest -= sizes[at]
		stays[at] = true
	}
	if at == 0 || left < leastSummary {
		return "", "left out"
	}
	var older strings.Builder
	for _, t := range turns[:at] {
		older.WriteString(said(t, 1<<20) + "\n")
	}
	text, err := b.Summarise(older.String(), room*3/4)
	if err != nil || text == "" {
		return "", "left out, for they could not be summarised"
	}
	note = "[What was said before, in short: " + strings.TrimSpace(text) + "]\n\n"
	if b.count(note) > room {
		head, _, _ := b.cut(note, b.count(note), room*2/3)
		note = head + "]\n\n"
	}
	return note, "summarised"
}

// said is a turn as text, at most most bytes of each message.
func said(turn []openai.Message, most int) string {
	var s strings.Builder
	for i := range turn {
		text := textOf(&turn[i])
		fmt.Fprintf(&s, "%s: %s\n", turn[i].Role, text[:boundary(text, min(len(text), most))])
	}
	return s.String()
}
