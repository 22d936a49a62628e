package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	tokEOF       kind = iota
	tokData           // text between tags
	tokOutput         // {{
	tokOutputEnd      // }}
	tokBlock          // {%
	tokBlockEnd       // %}
	tokName
	tokInt
	tokFloat
	tokString
	tokOp
)

type token struct {
	kind kind
	text string // a string literal is unquoted
	line int
}

// lexer cuts a source into tokens and applies white space control on the way: it is lexical in Jinja too.
type lexer struct {
	src       string
	at        int
	line      int
	tokens    []token
	lineStart bool // the text at hand begins a line of the source
}

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func lex(source string) []token {
	source = strings.TrimSuffix(newlines.Replace(source), "\n")
	l := &lexer{src: source, line: 1, lineStart: true}
	for l.at < len(l.src) {
		l.lexData()
	}
	l.emit(tokEOF, "")
	return l.tokens
}

func (l *lexer) emit(k kind, text string) { l.tokens = append(l.tokens, token{k, text, l.line}) }

func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.at:l.at+n], "\n")
	l.at += n
}

// lexData takes the text up to the next tag, and that tag.
func (l *lexer) lexData() {
	rest := l.src[l.at:]
	open := nextTag(rest)
	text := rest
	if open >= 0 {
		text = rest[:open]
	}
	data := text
	if open < 0 {
		l.data(data)
		l.advance(len(text))
		return
	}
	tag := rest[open+1]
	mark := byte(0)
	if open+2 < len(rest) {
		mark = rest[open+2]
	}
	switch {
	case mark == '-':
		data = strings.TrimRightFunc(data, unicode.IsSpace)
	case tag != '{' && mark != '+':
		// lstrip_blocks: the indentation of a tag that is first on its line goes.
		nl := strings.LastIndexByte(text, '\n') + 1
		if (nl > 0 || l.lineStart) && strings.TrimSpace(text[nl:]) == "" {
			data = text[:nl]
		}
	}
	l.data(data)
	l.advance(open)
	switch tag {
	case '#':
		l.comment()
	case '{':
		l.advance(2 + signLen(mark, "-"))
		l.emit(tokOutput, "")
		l.inside("}}", tokOutputEnd)
	default:
		if l.raw() {
			return
		}
		l.advance(2 + signLen(mark, "-+"))
		l.emit(tokBlock, "")
		l.inside("%}", tokBlockEnd)
	}
}

func signLen(mark byte, signs string) int {
	if mark != 0 && strings.IndexByte(signs, mark) >= 0 {
		return 1
	}
	return 0
}

func (l *lexer) data(s string) {
	if s != "" {
		l.emit(tokData, s)
	}
}

func nextTag(s string) int {
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], '{')
		if i < 0 || at+i+1 >= len(s) {
			return -1
		}
		at += i
		switch s[at+1] {
		case '{', '%', '#':
			return at
		}
	}
}

// closeTag consumes a tag's end, of which sign is the character before it, and what trim_blocks removes.
func (l *lexer) closeTag(n int, sign byte, trimBlocks bool) {
	l.advance(n)
	l.lineStart = false
	switch {
	case sign == '-':
		rest := l.src[l.at:]
		cut := len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
		l.lineStart = cut > 0 && rest[cut-1] == '\n'
		l.advance(cut)
	case sign != '+' && trimBlocks && strings.HasPrefix(l.src[l.at:], "\n"):
		l.advance(1)
		l.lineStart = true
	}
}

func (l *lexer) comment() {
	end := strings.Index(l.src[l.at+2:], "#}")
	if end < 0 {
		fail("template line %d: comment is not closed", l.line)
	}
	end += l.at + 2
	sign := byte(0)
	if end > l.at+2 {
		sign = l.src[end-1]
	}
	l.closeTag(end+2-l.at, sign, true)
}

// raw handles {% raw %}...{% endraw %} if that is what comes next.
func (l *lexer) raw() bool {
	n, _, sign := blockTag(l.src[l.at:], "raw")
	if n == 0 {
		return false
	}
	line := l.line
	l.closeTag(n, sign, false)
	for i := l.at; i < len(l.src); i++ {
		j := strings.Index(l.src[i:], "{%")
		if j < 0 {
			break
		}
		i += j
		n, open, sign := blockTag(l.src[i:], "endraw")
		if n == 0 {
			continue
		}
		text := l.src[l.at:i]
		switch open {
		case '-':
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		case '+':
		default:
			if nl := strings.LastIndexByte(text, '\n') + 1; (nl > 0 || l.lineStart) && strings.TrimSpace(text[nl:]) == "" {
				text = text[:nl]
			}
		}
		l.data(text)
		l.advance(i - l.at)
		l.closeTag(n, sign, true)
		return true
	}
	fail("template line %d: raw is not closed by endraw", line)
	return false
}

// blockTag matches {% word %} at the start of s: its length, and the signs - or + at its ends.
func blockTag(s, word string) (n int, open, end byte) {
	i := 2
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		open = s[i]
		i++
	}
	rest := strings.TrimLeft(s[i:], " \t\n")
	if !strings.HasPrefix(rest, word) {
		return 0, 0, 0
	}
	rest = strings.TrimLeft(rest[len(word):], " \t\n")
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		end = rest[0]
		rest = rest[1:]
	}
	if !strings.HasPrefix(rest, "%}") {
		return 0, 0, 0
	}
	return len(s) - len(rest) + 2, open, end
}

// The longest operators first.
var operators = []string{"==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|", ";"}

// inside takes the tokens of a tag up to its end, which inside of brackets is not the end.
func (l *lexer) inside(end string, endKind kind) {
	var brackets []byte
	start := l.line
	for {
		rest := strings.TrimLeftFunc(l.src[l.at:], unicode.IsSpace)
		l.advance(len(l.src) - l.at - len(rest))
		if rest == "" {
			fail("template line %d: tag is not closed by %s", start, end)
		}
		if len(brackets) == 0 {
			if strings.HasPrefix(rest, end) {
				l.emit(endKind, "")
				l.closeTag(2, 0, endKind == tokBlockEnd)
				return
			}
			if sign := rest[0]; (sign == '-' || sign == '+' && endKind == tokBlockEnd) && strings.HasPrefix(rest[1:], end) {
				l.emit(endKind, "")
				l.closeTag(3, sign, endKind == tokBlockEnd)
				return
			}
		}
		switch c := rest[0]; {
		case c == '\'' || c == '"':
			l.str(rest)
		case c >= '0' && c <= '9':
			l.number(rest)
		default:
			if n := nameLen(rest); n > 0 {
				l.emit(tokName, rest[:n])
				l.advance(n)
				continue
			}
			brackets = l.operator(rest, brackets)
		}
	}
}

func (l *lexer) operator(rest string, brackets []byte) []byte {
	for _, op := range operators {
		if !strings.HasPrefix(rest, op) {
			continue
		}
		switch op {
		case "(":
			brackets = append(brackets, ')')
		case "[":
			brackets = append(brackets, ']')
		case "{":
			brackets = append(brackets, '}')
		case ")", "]", "}":
			if len(brackets) == 0 || brackets[len(brackets)-1] != op[0] {
				fail("template line %d: unexpected %q", l.line, op)
			}
			brackets = brackets[:len(brackets)-1]
		}
		l.emit(tokOp, op)
		l.advance(len(op))
		return brackets
	}
	r, _ := utf8.DecodeRuneInString(rest)
	fail("template line %d: unexpected character %q", l.line, r)
	return nil
}

func nameLen(s string) int {
	for i, r := range s {
		if !(r == '_' || unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r))) {
			return i
		}
	}
	return len(s)
}

func (l *lexer) number(rest string) {
	n := digits(rest)
	k := tokInt
	if n+1 < len(rest) && rest[n] == '.' && rest[n+1] >= '0' && rest[n+1] <= '9' {
		n += 1 + digits(rest[n+1:])
		k = tokFloat
	}
	if n < len(rest) && (rest[n] == 'e' || rest[n] == 'E') {
		m := n + 1
		if m < len(rest) && (rest[m] == '-' || rest[m] == '+') {
			m++
		}
		if d := digits(rest[m:]); d > 0 {
			n, k = m+d, tokFloat
		}
	}
	l.emit(k, strings.ReplaceAll(rest[:n], "_", ""))
	l.advance(n)
}

func digits(s string) int {
	for i := range len(s) {
		if !(s[i] >= '0' && s[i] <= '9' || s[i] == '_' && i > 0) {
			return i
		}
	}
	return len(s)
}

func (l *lexer) str(rest string) {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == rest[0]:
			l.emit(tokString, b.String())
			l.advance(i + 1)
			return
		case c == '\\' && i+1 < len(rest):
			i += unescape(&b, rest[i+1:])
		default:
			b.WriteByte(c)
		}
	}
	fail("template line %d: string is not closed", l.line)
}

// unescape writes what the escape sequence after a backslash means in Python; it returns its length.
func unescape(b *strings.Builder, s string) int {
	const plain = "n\nt\tr\r\\\\'\"\"\"''a\ab\bf\fv\v"
	switch c := s[0]; c {
	case 'x', 'u', 'U':
		n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		if len(s) > n {
			if v, err := strconv.ParseUint(s[1:1+n], 16, 32); err == nil {
				b.WriteRune(rune(v))
				return 1 + n
			}
		}
		fail("template: truncated \\%c escape", c)
	case '\n':
		return 1
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[:n], 8, 32)
		b.WriteRune(rune(v))
		return n
	case '\\', '\'', '"':
		b.WriteByte(c)
		return 1
	default:
		for i := 0; i+1 < len(plain); i += 2 {
			if plain[i] == c {
				b.WriteByte(plain[i+1])
				return 1
			}
		}
	}
	b.WriteByte('\\') // not an escape sequence: both characters stand
	return 0
}
