package main

import (
	"embed"
	"math/rand/v2"
	"strings"

	"github.com/ledge-run/ledge/plugins/internal/frames"
)

//go:embed grammar/*.txt
var grammars embed.FS

func lines(name string) (out []string) {
	doc, err := grammars.ReadFile("grammar/" + name + ".txt")
	if err != nil {
		panic(err) // it is built in
	}
	for line := range strings.Lines(string(doc)) {
		if line = strings.TrimRight(line, "\n"); line != "" && !strings.HasPrefix(line, "# ") {
			out = append(out, line)
		}
	}
	return out
}

// grammar returns the templates of a file. [a|b] is one of several, {name} one of a slot's.
func grammar(name string) []string { return lines(name) }

var slots = func() map[string]string {
	m := map[string]string{}
	for _, l := range lines("slots") {
		name, value, ok := strings.Cut(l, " = ")
		if !ok {
			panic("slots.txt: " + l)
		}
		m[name] = value
	}
	return m
}()

// expand makes a text of a template.
func expand(t string, rng *rand.Rand) string {
	var b strings.Builder
	for i := 0; i < len(t); {
		switch t[i] {
		case '[':
			options, after, ok := frames.Options(t, i)
			if !ok {
				panic("unbalanced: " + t)
			}
			b.WriteString(expand(options[rng.IntN(len(options))], rng))
			i = after
		case '{':
			j := strings.IndexByte(t[i:], '}')
			value, ok := slots[t[i+1:i+max(j, 1)]]
			if !ok {
				panic("unknown slot in: " + t)
			}
			b.WriteString(expand(value, rng))
			i += j + 1
		default:
			b.WriteByte(t[i])
			i++
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
