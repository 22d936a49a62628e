package sets

import (
	_ "embed"
	"strings"
)

// Each line is a class, a tab and a text with \n for line ends. Every other line of a class is held out.
//
//go:embed injection.txt
var injectionLines string

// Injection is the set of the injection guard: direct attacks on the input stage, indirect ones within documents on the
// retrieval stage, and harmless texts of both kinds (benign, document) that are full of the words of attacks.
func Injection(s Split) []Case { return classed(injectionLines, s) }

func classed(lines string, s Split) (out []Case) {
	count := map[string]int{}
	for line := range strings.Lines(lines) {
		class, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			continue
		}
		n := count[class]
		count[class]++
		if n%2 != int(s-1) {
			continue
		}
		c := Case{Text: strings.ReplaceAll(text, `\n`, "\n"), Class: class, Stage: "input"}
		switch class {
		case "indirect":
			c.Stage = "retrieval"
		case "document":
			c.Stage, c.Class = "retrieval", "benign"
		}
		out = append(out, c)
	}
	return out
}
