package grammar

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// GBNF compiles a grammar in llama.cpp's notation. The text must match the rule root.
func GBNF(source string) (*Grammar, error) { return Compile(Form{Content: &Source{KindGBNF, source}}) }

func gbnfSource(b *builder, source string) (expr, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("grammar: %w: %d bytes, more than %d", ErrLimit, len(source), MaxSource)
	}
	p := &gbnfParser{b: b, src: source, rules: map[string]int{}, line: 1}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("grammar: line %d: %w", p.line, err)
	}
	root, ok := p.rules["root"]
	if !ok {
		return nil, fmt.Errorf("grammar: it has no rule root")
	}
	return exprCall(root), nil
}

type gbnfParser struct {
	b     *builder
	src   string
	at    int
	line  int
	depth int
	rules map[string]int
}

func (p *gbnfParser) peek() byte {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

// space skips blanks and comments, and line ends where they end nothing.
func (p *gbnfParser) space(lines bool) {
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == ' ' || c == '\t':
		case c == '#':
			for p.at < len(p.src) && p.src[p.at] != '\n' {
				p.at++
			}
			continue
		case (c == '\n' || c == '\r') && lines:
			if c == '\n' {
				p.line++
			}
		default:
			return
		}
		p.at++
	}
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func (p *gbnfParser) name() (string, error) {
	from := p.at
	for isName(p.peek()) {
		p.at++
	}
	if from == p.at {
		return "", fmt.Errorf("a rule's name is expected, not %s", p.here())
	}
	return p.src[from:p.at], nil
}

// here is what stands at the current place, for errors.
func (p *gbnfParser) here() string {
	if p.at >= len(p.src) {
		return "the end"
	}
	rest := p.src[p.at:]
	return strconv.Quote(rest[:min(len(rest), 12)])
}

func (p *gbnfParser) ruleOf(name string) int {
	r, ok := p.rules[name]
	if !ok {
		r = p.b.declare(name)
		p.rules[name] = r
	}
	return r
}

func (p *gbnfParser) parse() error {
	for p.space(true); p.at < len(p.src); p.space(true) {
		name, err := p.name()
		if err != nil {
			return err
		}
		p.space(false)
		if !strings.HasPrefix(p.src[p.at:], "::=") {
			return fmt.Errorf("::= is expected after the name %s, not %s", name, p.here())
		}
		p.at += 3
		p.space(true)
		e, err := p.alternatives(false)
		if err != nil {
			return err
		}
		if c := p.peek(); c != 0 && c != '\n' && c != '\r' {
			return fmt.Errorf("the rule %s ends with %s", name, p.here())
		}
		r := p.ruleOf(name)
		if p.b.err == nil && p.b.rules[r].entry >= 0 {
			return fmt.Errorf("the rule %s is defined twice", name)
		}
		p.b.define(r, e)
		if p.b.err != nil {
			return p.b.err
		}
	}
	return nil
}

func (p *gbnfParser) alternatives(nested bool) (expr, error) {
	var out exprAlt
	for {
		e, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		at, line := p.at, p.line
		p.space(true) // an alternative may stand on a line of its own
		if p.peek() != '|' {
			if !nested {
				p.at, p.line = at, line
			}
			break
		}
		p.at++
		p.space(true)
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func (p *gbnfParser) sequence(nested bool) (expr, error) {
	var out exprSeq
	for {
		p.space(nested)
		var e expr
		var err error
		switch c := p.peek(); {
		case c == '"':
			e, err = p.literal()
		case c == '[':
			e, err = p.class()
		case c == '.':
			p.at++
			e = runes([]runeRange{{0, unicode.MaxRune}})
		case c == '(':
			if p.depth++; p.depth > maxNesting {
				return nil, fmt.Errorf("%w: nested deeper than %d", ErrLimit, maxNesting)
			}
			p.at++
			p.space(true)
			e, err = p.alternatives(true)
			p.space(true)
			if err == nil && p.peek() != ')' {
				err = fmt.Errorf(") is expected, not %s", p.here())
			}
			p.at++
			p.depth--
		case isName(c):
			var name string
			if name, err = p.name(); err == nil {
				e = exprCall(p.ruleOf(name))
			}
		default:
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if e, err = p.repeated(e); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
}

// repeated reads what may follow an element: *, +, ?, {n}, {n,}, {n,m}.
func (p *gbnfParser) repeated(e expr) (expr, error) {
	for {
		p.space(false)
		lo, hi := 0, -1
		switch p.peek() {
		case '*':
		case '+':
			lo = 1
		case '?':
			hi = 1
		case '{':
			end := strings.IndexByte(p.src[p.at:], '}')
			if end < 0 {
				return nil, fmt.Errorf("a { is not closed")
			}
			from, to, comma := strings.Cut(p.src[p.at+1:p.at+end], ",")
			var err error
			if from = strings.TrimSpace(from); from != "" {
				if lo, err = strconv.Atoi(from); err != nil || lo < 0 || lo > maxNodes {
					return nil, fmt.Errorf("{%s}: %q is no number of repetitions", clip(p.src[p.at+1:p.at+end]), clip(from))
				}
			} else if !comma {
				return nil, fmt.Errorf("{} holds no number")
			}
			if hi = lo; comma {
				hi = -1
				if to = strings.TrimSpace(to); to != "" {
					if hi, err = strconv.Atoi(to); err != nil || hi < lo || hi > maxNodes {
						return nil, fmt.Errorf("{%s}: %q is no number of repetitions", clip(p.src[p.at+1:p.at+end]), clip(to))
					}
				}
			}
			p.at += end
		default:
			return e, nil
		}
		p.at++
		if p.depth++; p.depth > maxNesting {
			return nil, fmt.Errorf("%w: nested deeper than %d", ErrLimit, maxNesting)
		}
		defer func() { p.depth-- }()
		e = exprRepeat{e, lo, hi}
	}
}

func clip(s string) string { return s[:min(len(s), 40)] }

// char reads one character of a literal or class, with its escapes.
func (p *gbnfParser) char() (rune, error) {
	if p.at >= len(p.src) {
		return 0, fmt.Errorf("a literal or class is not closed")
	}
	r, n := utf8.DecodeRuneInString(p.src[p.at:])
	if r == utf8.RuneError && n == 1 {
		return 0, fmt.Errorf("it is no valid UTF-8")
	}
	p.at += n
	if r == '\n' {
		p.line++
	}
	if r != '\\' {
		return r, nil
	}
	c := p.peek()
	p.at++
	digits := 0
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '\\', '"', '[', ']', '-', '^':
		return rune(c), nil
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		return 0, fmt.Errorf(`\%c is no escape`, c)
	}
	if p.at+digits > len(p.src) {
		return 0, fmt.Errorf(`\%c wants %d hexadecimal digits`, c, digits)
	}
	v, err := strconv.ParseUint(p.src[p.at:p.at+digits], 16, 32)
	if err != nil || v > unicode.MaxRune {
		return 0, fmt.Errorf(`\%c%s is no character`, c, p.src[p.at:p.at+digits])
	}
	p.at += digits
	return rune(v), nil
}

func (p *gbnfParser) literal() (expr, error) {
	p.at++
	var out exprSeq
	for p.peek() != '"' {
		r, err := p.char()
		if err != nil {
			return nil, err
		}
		out = append(out, runes([]runeRange{{r, r}}))
	}
	p.at++
	return out, nil
}

func (p *gbnfParser) class() (expr, error) {
	p.at++
	not := p.peek() == '^'
	if not {
		p.at++
	}
	var set []runeRange
	for p.peek() != ']' {
		lo, err := p.char()
		if err != nil {
			return nil, err
		}
		hi := lo
		if p.peek() == '-' && p.at+1 < len(p.src) && p.src[p.at+1] != ']' {
			p.at++
			if hi, err = p.char(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, fmt.Errorf("the range %q-%q of a class is empty", lo, hi)
		}
		set = append(set, runeRange{lo, hi})
	}
	p.at++
	if not {
		set = complement(set)
	}
	return runes(set), nil
}

func complement(set []runeRange) []runeRange {
	slices.SortFunc(set, func(a, b runeRange) int { return cmp.Compare(a.lo, b.lo) })
	var out []runeRange
	from := rune(0)
	for _, r := range set {
		if r.lo > from {
			out = append(out, runeRange{from, r.lo - 1})
		}
		from = max(from, r.hi+1)
	}
	return append(out, runeRange{from, unicode.MaxRune})
}
