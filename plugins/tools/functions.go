package tools

import (
	"errors"
	"math"
	"math/big"
	"strconv"
)

var constants = map[string]float64{"pi": math.Pi, "e": math.E}

// names lists functions and constants for error messages.
const names = "sqrt, abs, min, max, round, floor, ceil, log, ln, exp, sin, cos, tan, pi, e"

type function struct {
	min, max int // number of arguments
	apply    func(args []number) (number, error)
}

func (f function) takes() string {
	switch {
	case f.max == 1:
		return "one argument"
	case f.max == 2:
		return "one or two arguments"
	}
	return "1 to " + strconv.Itoa(f.max) + " arguments"
}

var functions map[string]function

func init() {
	functions = map[string]function{
		"sqrt":  {1, 1, sqrt},
		"abs":   {1, 1, abs},
		"min":   {1, 100, func(a []number) (number, error) { return extreme(a, -1), nil }},
		"max":   {1, 100, func(a []number) (number, error) { return extreme(a, 1), nil }},
		"floor": {1, 1, func(a []number) (number, error) { return floor(a[0]), nil }},
		"ceil":  {1, 1, func(a []number) (number, error) { return neg(floor(neg(a[0]))), nil }},
		"round": {1, 2, round},
		"log":   {1, 1, logarithm(math.Log10)},
		"ln":    {1, 1, logarithm(math.Log)},
		"exp":   {1, 1, func(a []number) (number, error) { return real(math.Exp(a[0].float()), "exp") }},
		"sin":   {1, 1, circular(math.Sin, "sin")},
		"cos":   {1, 1, circular(math.Cos, "cos")},
		"tan":   {1, 1, circular(math.Tan, "tan")},
	}
}

// sqrt is exact for squares of fractions.
func sqrt(a []number) (number, error) {
	if r := a[0].rat; r != nil && r.Sign() >= 0 {
		num, den := new(big.Int).Sqrt(r.Num()), new(big.Int).Sqrt(r.Denom())
		root := new(big.Rat).SetFrac(num, den)
		if new(big.Rat).Mul(root, root).Cmp(r) == 0 {
			return number{rat: root}, nil
		}
	}
	return real(math.Sqrt(a[0].float()), "the square root of a negative number")
}

func abs(a []number) (number, error) {
	if a[0].rat != nil {
		return number{rat: new(big.Rat).Abs(a[0].rat)}, nil
	}
	return number{f: math.Abs(a[0].f)}, nil
}

// extreme returns the largest (sign 1) or smallest (sign -1) argument.
func extreme(a []number, sign int) number {
	best := a[0]
	for _, v := range a[1:] {
		if compare(v, best) == sign {
			best = v
		}
	}
	return best
}

func compare(a, b number) int {
	if a.rat != nil && b.rat != nil {
		return a.rat.Cmp(b.rat)
	}
	switch x, y := a.float(), b.float(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func floor(a number) number {
	if a.rat == nil {
		return number{f: math.Floor(a.f)}
	}
	return number{rat: new(big.Rat).SetInt(new(big.Int).Div(a.rat.Num(), a.rat.Denom()))} // denominators are positive
}

// round rounds half away from zero, to the number of decimals that the second argument gives (-300 to 300).
func round(a []number) (number, error) {
	decimals := 0.0
	if len(a) == 2 {
		decimals = a[1].float()
	}
	if decimals != math.Trunc(decimals) || math.Abs(decimals) > 300 {
		return number{}, errors.New("round takes a whole number of decimals between -300 and 300")
	}
	scale, err := pow(number{rat: big.NewRat(10, 1)}, number{rat: big.NewRat(int64(decimals), 1)})
	if err != nil {
		return number{}, err
	}
	half := number{rat: big.NewRat(1, 2)}
	v := a[0]
	if v.rat == nil { // what is meant is the decimal number that the float shows
		if math.IsInf(v.f, 0) || math.IsNaN(v.f) {
			return real(v.f, "the argument of round")
		}
		r, ok := new(big.Rat).SetString(strconv.FormatFloat(v.f, 'g', 15, 64))
		if !ok {
			return number{}, errors.New("round failed")
		}
		v = exact(r)
	}
	negative := compare(v, number{rat: new(big.Rat)}) < 0
	if negative {
		v = neg(v)
	}
	v = floor(add(mul(v, scale), half))
	if negative {
		v = neg(v)
	}
	return quo(v, scale)
}

func logarithm(f func(float64) float64) func([]number) (number, error) {
	return func(a []number) (number, error) {
		x := a[0].float()
		if x <= 0 {
			return number{}, errors.New("the logarithm of a number that is not positive")
		}
		return real(f(x), "the logarithm")
	}
}

// circular rounds to 15 decimals, so that sin(pi) is 0.
func circular(f func(float64) float64, name string) func([]number) (number, error) {
	return func(a []number) (number, error) {
		v := f(a[0].float())
		if math.Abs(v) > 1e15 {
			return number{}, errors.New(name + " has no value here")
		}
		if math.Abs(v) < 1 {
			v = math.Round(v*1e15) / 1e15
		}
		return real(v, name)
	}
}
