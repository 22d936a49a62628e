package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/plugins/internal/frames"
	"github.com/ledge-run/ledge/plugins/router/requests"
)

// expandAll makes n requests of each frame of a file. A line is a frame under the heading of its tier; [a|b] is one of several,
// {name} one of a slot's, which a line "name = [a|b]" before defines.
func expandAll(file string, n int, rng *rand.Rand) (out []sample, err error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	slots := map[string]string{}
	tier := -1
	for line := range strings.SplitSeq(string(doc), "\n") {
		name, value, isSlot := strings.Cut(line, " = ")
		switch {
		case line == "" || strings.HasPrefix(line, "// "):
		case strings.HasPrefix(line, "# "):
			if tier = slices.Index(requests.Tiers, line[2:]); tier < 0 {
				return nil, fmt.Errorf("%s: no tier %q", file, line)
			}
		case isSlot && tier < 0:
			slots[name] = value
		default:
			for range n {
				text, err := expand(line, slots, rng)
				if err != nil {
					return nil, fmt.Errorf("%s: %q: %w", file, line, err)
				}
				out = append(out, sampleOf(styled(text, rng), tier, 8/float64(n)))
			}
		}
	}
	return out, nil
}

// expand makes a text of a frame.
func expand(t string, slots map[string]string, rng *rand.Rand) (string, error) {
	var b strings.Builder
	for i := 0; i < len(t); {
		var inner string
		switch t[i] {
		case '[':
			options, after, ok := frames.Options(t, i)
			if !ok {
				return "", fmt.Errorf("a bracket is not closed")
			}
			inner, i = options[rng.IntN(len(options))], after
		case '{':
			name, _, _ := strings.Cut(t[i+1:], "}")
			value, ok := slots[name]
			if !ok { // of a program
				b.WriteByte('{')
				i++
				continue
			}
			inner, i = value, i+len(name)+2
		default:
			b.WriteByte(t[i])
			i++
			continue
		}
		s, err := expand(inner, slots, rng)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	return strings.ReplaceAll(b.String(), `\n`, "\n"), nil
}

// styled changes what must not matter: capitals, the mark at the end, a courtesy.
func styled(s string, rng *rand.Rand) string {
	switch rng.IntN(8) {
	case 0:
		s = strings.ToLower(s)
	case 1:
		s = strings.TrimRight(s, ".?!")
	case 2:
		s = "Please " + strings.ToLower(s[:1]) + s[1:]
	case 3:
		s = []string{"Hi, ", "Hello! ", "Hey ", "Quick one: ", "Could you help me with this: "}[rng.IntN(5)] + s
	case 4:
		s += []string{" Thanks!", " thx", " Thank you.", " please", " Kind regards, M."}[rng.IntN(5)]
	}
	return s
}
