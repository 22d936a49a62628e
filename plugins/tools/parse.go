package tools

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// Limits of an expression, so that none runs long or grows large.
const (
	maxExpression = 1000 // bytes
	maxDepth      = 100  // nested parentheses, signs and powers
	maxBits       = 4096 // of the numerator or denominator of an exact number; beyond it numbers are float64
	maxExponent   = 400  // of a literal such as 1e400
)

// Evaluate works out an arithmetic expression and returns the result in decimal. Integers and fractions are exact as
// long as they stay below 4096 bits; roots, logarithms and their like are float64, shown with 15 digits.
//
//	expression = term { ("+" | "-") term }
//	term       = unary { ("*" | "/" | "%") unary }
//	unary      = { "+" | "-" } power
//	power      = primary [ "^" unary ]           so -2^2 is -4 and 2^3^2 is 2^9
//	primary    = number | constant | function "(" expression { "," expression } ")" | "(" expression ")"
//
// The remainder a % b has the sign of a. Also understood: ** for ^, × · ÷ − :, a trailing =.
func Evaluate(expression string) (string, error) {
	if len(expression) > maxExpression {
		return "", errors.New("the expression is longer than " + strconv.Itoa(maxExpression) + " bytes")
	}
	p := &parser{s: spelling.Replace(expression)}
	p.s = strings.TrimRight(p.s, "= \t\r\n")
	v, err := p.sum()
	if err != nil {
		return "", err
	}
	if p.space(); p.i < len(p.s) {
		return "", p.unexpected("an operator")
	}
	return v.format()
}

var spelling = strings.NewReplacer("**", "^", "×", "*", "·", "*", "÷", "/", "−", "-", "–", "-")

type parser struct {
	s     string
	i     int
	depth int
}

func (p *parser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\n' || p.s[p.i] == '\r') {
		p.i++
	}
}

// take consumes c if it is next.
func (p *parser) take(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) unexpected(want string) error {
	p.space()
	if p.i >= len(p.s) {
		return errors.New("the expression ends where " + want + " is expected")
	}
	return errors.New("expected " + want + " at " + strconv.Quote(clip(p.s[p.i:])))
}

// down enters one more level of nesting.
func (p *parser) down() error {
	if p.depth++; p.depth > maxDepth {
		return errors.New("the expression is nested deeper than " + strconv.Itoa(maxDepth))
	}
	return nil
}

func (p *parser) sum() (number, error) {
	v, err := p.product()
	for err == nil {
		var w number
		switch {
		case p.take('+'):
			if w, err = p.product(); err == nil {
				v = add(v, w)
			}
		case p.take('-'):
			if w, err = p.product(); err == nil {
				v = add(v, neg(w))
			}
		default:
			return v, nil
		}
	}
	return number{}, err
}

func (p *parser) product() (number, error) {
	v, err := p.unary()
	for err == nil {
		var op func(a, b number) (number, error)
		switch {
		case p.take('*'):
			op = func(a, b number) (number, error) { return mul(a, b), nil }
		case p.take('/'):
			op = quo
		case p.take('%'):
			op = rem
		default:
			return v, nil
		}
		var w number
		if w, err = p.unary(); err == nil {
			v, err = op(v, w)
		}
	}
	return number{}, err
}

func (p *parser) unary() (number, error) {
	if err := p.down(); err != nil {
		return number{}, err
	}
	defer func() { p.depth-- }()
	switch {
	case p.take('-'):
		v, err := p.unary()
		return neg(v), err
	case p.take('+'):
		return p.unary()
	}
	v, err := p.primary()
	if err == nil && p.take('^') {
		var w number
		if w, err = p.unary(); err == nil {
			return pow(v, w)
		}
	}
	return v, err
}

func (p *parser) primary() (number, error) {
	if p.take('(') {
		v, err := p.sum()
		if err == nil && !p.take(')') {
			err = p.unexpected("a closing parenthesis")
		}
		return v, err
	}
	p.space()
	if p.i >= len(p.s) {
		return number{}, p.unexpected("a number")
	}
	switch c := p.s[p.i]; {
	case c >= '0' && c <= '9' || c == '.':
		return p.literal()
	case isLetter(c):
		return p.name()
	}
	return number{}, p.unexpected("a number")
}

// literal reads digits with an optional fraction and exponent.
func (p *parser) literal() (number, error) {
	start := p.i
	n := p.digits()
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		n += p.digits()
	}
	if n == 0 {
		return number{}, p.unexpected("a number")
	}
	if p.i < len(p.s) && p.s[p.i]|0x20 == 'e' {
		mark := p.i
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		at := p.i
		if p.digits() == 0 {
			p.i = mark // "2e" is 2 and then the constant e, which is an error of its own
		} else if e, err := strconv.Atoi(p.s[at:p.i]); err != nil || e > maxExponent {
			return number{}, errors.New("the exponent of " + clip(p.s[start:p.i]) + " is larger than " + strconv.Itoa(maxExponent))
		}
	}
	r, ok := new(big.Rat).SetString(p.s[start:p.i])
	if !ok {
		return number{}, errors.New(strconv.Quote(clip(p.s[start:p.i])) + " is not a number")
	}
	return exact(r), nil
}

func (p *parser) digits() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

// name reads a constant or a function call.
func (p *parser) name() (number, error) {
	start := p.i
	for p.i < len(p.s) && (isLetter(p.s[p.i]) || p.s[p.i] >= '0' && p.s[p.i] <= '9') {
		p.i++
	}
	name := strings.ToLower(p.s[start:p.i])
	if v, ok := constants[name]; ok {
		return number{f: v}, nil
	}
	f, ok := functions[name]
	if !ok {
		return number{}, errors.New("unknown name " + strconv.Quote(clip(name)) + "; there are " + names)
	}
	if !p.take('(') {
		return number{}, p.unexpected("( after " + name)
	}
	var args []number
	for {
		v, err := p.sum()
		if err != nil {
			return number{}, err
		}
		args = append(args, v)
		if p.take(')') {
			break
		}
		if !p.take(',') {
			return number{}, p.unexpected("a comma or a closing parenthesis")
		}
	}
	if len(args) < f.min || len(args) > f.max {
		return number{}, errors.New(name + " takes " + f.takes())
	}
	return f.apply(args)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
