package grammar

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"unicode"
)

// Regex compiles a regular expression in RE2's syntax. The whole text must match it; ^ and $ may stand at its ends.
func Regex(pattern string) (*Grammar, error) {
	return Compile(Form{Content: &Source{KindRegex, pattern}})
}

func regexSource(b *builder, pattern string) (expr, error) {
	re, err := parseRegex(pattern)
	if err != nil {
		return nil, err
	}
	e, err := regexExpr(trimAnchors(re), runes)
	if err != nil {
		return nil, fmt.Errorf("regex: %w", err)
	}
	return b.rule("regex", e), b.err
}

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 1 << 14

func parseRegex(pattern string) (*syntax.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("regex: %w: %d bytes, more than %d", ErrLimit, len(pattern), maxPattern)
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regex: %w", err)
	}
	return re, nil
}

// trimAnchors takes ^ and $ off the ends of every alternative: the whole text is matched in any case.
func trimAnchors(re *syntax.Regexp) *syntax.Regexp {
	out := *re
	switch re.Op {
	case syntax.OpBeginText, syntax.OpEndText:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case syntax.OpCapture, syntax.OpAlternate:
		out.Sub = nil
		for _, sub := range re.Sub {
			out.Sub = append(out.Sub, trimAnchors(sub))
		}
	case syntax.OpConcat:
		out.Sub = re.Sub
		for len(out.Sub) > 0 && out.Sub[0].Op == syntax.OpBeginText {
			out.Sub = out.Sub[1:]
		}
		for n := len(out.Sub); n > 0 && out.Sub[n-1].Op == syntax.OpEndText; n = len(out.Sub) {
			out.Sub = out.Sub[:n-1]
		}
	}
	return &out
}

// regexExpr turns a parsed expression into ours. char writes ranges of code points.
func regexExpr(re *syntax.Regexp, char func([]runeRange) expr) (expr, error) {
	subs := func() ([]expr, error) {
		var out []expr
		for _, sub := range re.Sub {
			e, err := regexExpr(sub, char)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	times := func(lo, hi int) (expr, error) {
		e, err := regexExpr(re.Sub[0], char)
		return exprRepeat{e, lo, hi}, err
	}
	switch re.Op {
	case syntax.OpNoMatch:
		return exprNone{}, nil
	case syntax.OpEmptyMatch:
		return exprEmpty{}, nil
	case syntax.OpLiteral:
		var out exprSeq
		for _, r := range re.Rune {
			set := []runeRange{{r, r}}
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					set = append(set, runeRange{f, f})
				}
			}
			out = append(out, char(set))
		}
		return out, nil
	case syntax.OpCharClass:
		return char(pairs(re.Rune)), nil
	case syntax.OpAnyCharNotNL:
		return char([]runeRange{{0, '\n' - 1}, {'\n' + 1, unicode.MaxRune}}), nil
	case syntax.OpAnyChar:
		return char([]runeRange{{0, unicode.MaxRune}}), nil
	case syntax.OpCapture:
		return regexExpr(re.Sub[0], char)
	case syntax.OpStar:
		return times(0, -1)
	case syntax.OpPlus:
		return times(1, -1)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		return times(re.Min, re.Max)
	case syntax.OpConcat:
		out, err := subs()
		return exprSeq(out), err
	case syntax.OpAlternate:
		out, err := subs()
		return exprAlt(out), err
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return nil, errors.New("^ and $ are supported at its ends only")
	}
	return nil, errors.New(`\b and \B are not supported`)
}

func pairs(r []rune) []runeRange {
	out := make([]runeRange, 0, len(r)/2)
	for i := 0; i+1 < len(r); i += 2 {
		out = append(out, runeRange{r[i], r[i+1]})
	}
	return out
}
