package chunker

import "strings"

// lexer follows a source file line by line: how deep in braces it is, and whether in a comment or a string of several
// lines. What it misreads costs a cut in a worse place, nothing else.
type lexer struct {
	lang  language
	depth int    // open { and ( and [, for languages with braces only {
	until string // what ends the comment or the string it is in; empty: none
}

func (l *lexer) inside() bool { return l.until != "" }

// comment says that it is in a comment.
func (l *lexer) comment() bool { return l.until == "*/" }

func (l *lexer) read(line string) {
	for i := 0; i < len(line); {
		if l.until != "" {
			n := strings.Index(line[i:], l.until)
			if n < 0 {
				return
			}
			i += n + len(l.until)
			l.until = ""
			continue
		}
		switch c := line[i]; c {
		case '#':
			if l.lang == python {
				return
			}
		case '/':
			if l.lang != python && strings.HasPrefix(line[i:], "//") {
				return
			}
			if l.lang != python && strings.HasPrefix(line[i:], "/*") {
				l.until = "*/"
				i += 2
				continue
			}
		case '`':
			if l.lang == golang || l.lang == javascript {
				l.until = "`"
			}
		case '"', '\'':
			if triple := strings.Repeat(string(rune(c)), 3); (l.lang == python || l.lang == java) && strings.HasPrefix(line[i:], triple) {
				l.until = triple
				i += 3
				continue
			}
			i = skipString(line, i)
			continue
		case '{':
			l.depth++
		case '}':
			l.depth = max(l.depth-1, 0)
		}
		i++
	}
}

// skipString returns where the string ends that begins at i; one that its line does not end is none.
func skipString(line string, i int) int {
	quote := line[i]
	for j := i + 1; j < len(line); j++ {
		switch line[j] {
		case '\\':
			j++
		case quote:
			return j + 1
		}
	}
	return i + 1
}
