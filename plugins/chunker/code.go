package chunker

import "strings"

// language is how a programming language is read, as far as cutting it by function needs.
type language uint8

const (
	golang language = iota
	python
	javascript
	java
)

// languageOf tells a document's language by its name, or by what its lines begin with; curly ones are read as JavaScript.
func languageOf(name, text string) language {
	dot := strings.LastIndexByte(name, '.')
	switch strings.ToLower(name[dot+1:]) {
	case "go":
		return golang
	case "py", "pyi", "pyw":
		return python
	case "js", "jsx", "ts", "tsx", "mjs", "cjs":
		return javascript
	case "java":
		return java
	}
	for line := range strings.SplitSeq(text[:min(len(text), 16<<10)], "\n") {
		switch {
		case strings.HasPrefix(line, "package ") && strings.HasSuffix(strings.TrimSpace(line), ";"), strings.HasPrefix(line, "import java"), strings.HasPrefix(line, "public class "):
			return java
		case strings.HasPrefix(line, "package "), strings.HasPrefix(line, "func "):
			return golang
		case strings.HasPrefix(line, "def ") && strings.HasSuffix(strings.TrimSpace(line), ":"), strings.HasPrefix(line, "from ") && strings.Contains(line, " import "):
			return python
		}
	}
	return javascript
}

// unit is a function, a method or a type that is open: its name and how deep it stands.
type unit struct {
	name  string
	depth int
	class bool // holds methods
}

// cutter finds the sections of a source file.
type cutter struct {
	p     *packer
	open  []unit
	begin int // of the section
}

// code packs section by section: a section is a function or a method with the comments and annotations before it, or what
// stands between them. The heading path is that of the names. Where a section does not fit it is cut at blank lines, else
// at lines.
func (p *packer) code(lang language) {
	c := cutter{p: p}
	l := lexer{lang: lang}
	lead := 0 // where comments and annotations began that stand directly before this line
	for at := 0; at < len(p.text); {
		end := len(p.text)
		if n := strings.IndexByte(p.text[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		line := p.text[at:end]
		quiet, comment := l.inside(), l.comment() // a comment or a string of more than one line goes on here
		depth := l.depth
		if lang == python {
			depth = indent(line)
		}
		trimmed := strings.TrimSpace(line)
		l.read(line)
		switch {
		case comment:
		case quiet:
			lead = end
		case trimmed == "":
			lead = end
		case isLead(trimmed, lang):
		default:
			ends := lang != python && trimmed[0] == '}'
			if ends {
				depth = max(depth-1, 0)
			}
			c.leave(depth, at, lead, ends)
			if name, class := declares(trimmed, lang, len(c.open) > 0 && c.open[len(c.open)-1].class, len(c.open) == 0); name != "" && c.level(depth, lang) {
				c.cut(lead)
				c.open = append(c.open, unit{name, depth, class})
			}
			lead = end
		}
		at = end
	}
	c.cut(len(p.text))
	p.flush()
}

// maxNesting bounds a heading path, which every chunk below it repeats.
const maxNesting = 8

// level says whether a declaration at this depth counts: at the top, or directly in a class.
func (c *cutter) level(depth int, lang language) bool {
	if len(c.open) >= maxNesting {
		return false
	}
	if len(c.open) == 0 {
		return lang == python || depth == 0
	}
	top := c.open[len(c.open)-1]
	return top.class && (lang == python && depth > top.depth || depth == top.depth+1)
}

// leave closes the units that a line at this depth is not in. A line that only closes one belongs to it.
func (c *cutter) leave(depth, at, lead int, ends bool) {
	for n := len(c.open); n > 0 && c.open[n-1].depth >= depth; n = len(c.open) {
		if ends && c.open[n-1].depth == depth {
			return
		}
		c.cut(min(at, lead))
		c.open = c.open[:n-1]
	}
}

// cut ends the section at an offset.
func (c *cutter) cut(at int) {
	if at <= c.begin {
		return
	}
	part := c.p.text[c.begin:at]
	if strings.ContainsFunc(part, func(r rune) bool {
		return r > '@' && r != '}' && r != '{' && r != ']' && r != '[' || r >= '0' && r <= '9'
	}) {
		c.p.section()
		c.p.heading = nil
		for _, u := range c.open {
			c.p.heading = append(c.p.heading, u.name)
		}
	} // what only closes goes with what it closes
	c.p.add(block{start: c.begin, end: at})
	c.begin = at
}

func indent(line string) (n int) {
	for _, c := range []byte(line) {
		switch c {
		case ' ':
			n++
		case '\t':
			n += 8 - n%8
		default:
			return n
		}
	}
	return n
}

// isLead says whether a line belongs to the declaration that follows it.
func isLead(l string, lang language) bool {
	if lang == python {
		return l[0] == '#' || l[0] == '@'
	}
	return strings.HasPrefix(l, "//") || strings.HasPrefix(l, "/*") || l[0] == '*' || l[0] == '@' && !strings.HasPrefix(l, "@interface")
}

// declares returns the name of what a line declares, if it is a function or a type; class: it may hold methods.
func declares(l string, lang language, member, top bool) (name string, class bool) {
	switch lang {
	case golang:
		if rest, ok := strings.CutPrefix(l, "func "); ok {
			if strings.HasPrefix(rest, "(") {
				n := strings.IndexByte(rest, ')')
				if n < 0 {
					return "", false
				}
				receiver := strings.Fields(rest[1:n])
				name = identifier(strings.TrimSpace(rest[n+1:]))
				if len(receiver) > 0 && name != "" {
					name = strings.TrimLeft(receiver[len(receiver)-1], "*") + "." + name
				}
				return clip(name), false
			}
			return identifier(rest), false
		}
		if rest, ok := strings.CutPrefix(l, "type "); ok {
			return identifier(rest), false
		}
		return "", false
	case python:
		l = strings.TrimPrefix(l, "async ")
		if rest, ok := strings.CutPrefix(l, "def "); ok {
			return identifier(rest), false
		}
		if rest, ok := strings.CutPrefix(l, "class "); ok {
			return identifier(rest), true
		}
		return "", false
	}
	for {
		word, rest, ok := strings.Cut(l, " ")
		if !ok {
			break
		}
		switch word {
		case "export", "default", "async", "public", "private", "protected", "static", "final", "abstract", "synchronized", "native", "strictfp", "sealed", "declare", "readonly", "override", "get", "set":
			l = strings.TrimLeft(rest, " ")
			continue
		case "class", "interface", "enum", "record", "@interface", "namespace", "trait":
			return identifier(rest), true
		case "function", "function*":
			return identifier(rest), false
		case "const", "let", "var":
			if lang == javascript && (strings.Contains(l, "=>") || strings.Contains(l, "function")) && top {
				return identifier(rest), false
			}
			return "", false
		case "if", "for", "while", "switch", "catch", "return", "else", "do", "try", "throw", "new", "case", "import", "package", "await", "typeof", "delete":
			return "", false
		}
		break
	}
	// A method: a name before a parenthesis, nothing assigned before it.
	paren := strings.IndexByte(l, '(')
	if !member || paren <= 0 || strings.ContainsAny(l[:paren], "=.;") || strings.HasSuffix(l, ";") && lang == javascript {
		return "", false
	}
	words := strings.Fields(l[:paren])
	if len(words) == 0 {
		return "", false
	}
	switch name = identifier(words[len(words)-1]); name {
	case "if", "for", "while", "switch", "catch", "return":
		return "", false
	}
	return name, false
}

// identifier is the name at the start of s.
func identifier(s string) string {
	s = strings.TrimLeft(s, " *#")
	n := 0
	for n < len(s) && n < maxTitle && (s[n] == '_' || s[n] == '$' || s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	return s[:n]
}
