package tools

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// number is exact (rat is set) or a float64.
type number struct {
	rat *big.Rat
	f   float64
}

// exact wraps r, as float64 where it has grown too large.
func exact(r *big.Rat) number {
	if r.Num().BitLen() > maxBits || r.Denom().BitLen() > maxBits {
		f, _ := r.Float64()
		return number{f: f}
	}
	return number{rat: r}
}

func (n number) float() float64 {
	if n.rat == nil {
		return n.f
	}
	f, _ := n.rat.Float64()
	return f
}

func (n number) isZero() bool {
	if n.rat != nil {
		return n.rat.Sign() == 0
	}
	return n.f == 0
}

func neg(a number) number {
	if a.rat == nil {
		return number{f: -a.f}
	}
	return exact(new(big.Rat).Neg(a.rat))
}

func add(a, b number) number {
	if a.rat == nil || b.rat == nil {
		return number{f: a.float() + b.float()}
	}
	return exact(new(big.Rat).Add(a.rat, b.rat))
}

func mul(a, b number) number {
	if a.rat == nil || b.rat == nil {
		return number{f: a.float() * b.float()}
	}
	return exact(new(big.Rat).Mul(a.rat, b.rat))
}

var errZero = errors.New("division by zero")

func quo(a, b number) (number, error) {
	if b.isZero() {
		return number{}, errZero
	}
	if a.rat == nil || b.rat == nil {
		return number{f: a.float() / b.float()}, nil
	}
	return exact(new(big.Rat).Quo(a.rat, b.rat)), nil
}

// rem is a - b*trunc(a/b).
func rem(a, b number) (number, error) {
	if b.isZero() {
		return number{}, errZero
	}
	if a.rat == nil || b.rat == nil {
		return number{f: math.Mod(a.float(), b.float())}, nil
	}
	q := new(big.Rat).Quo(a.rat, b.rat)
	whole := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom()))
	return exact(new(big.Rat).Sub(a.rat, whole.Mul(whole, b.rat))), nil
}

// pow is exact for whole exponents as long as the result stays small enough.
func pow(a, b number) (number, error) {
	if a.rat != nil && b.rat != nil && b.rat.IsInt() && b.rat.Num().IsInt64() {
		e := b.rat.Num().Int64()
		if e < 0 && a.isZero() {
			return number{}, errZero
		}
		size := int64(max(a.rat.Num().BitLen(), a.rat.Denom().BitLen()))
		if n := max(e, -e); n >= 0 && n <= maxBits && n*size <= maxBits+size {
			num := new(big.Int).Exp(a.rat.Num(), big.NewInt(n), nil)
			den := new(big.Int).Exp(a.rat.Denom(), big.NewInt(n), nil)
			if e < 0 {
				num, den = den, num
			}
			return exact(new(big.Rat).SetFrac(num, den)), nil
		}
	}
	return real(math.Pow(a.float(), b.float()), "the power")
}

// real refuses what is no real number.
func real(f float64, what string) (number, error) {
	switch {
	case math.IsNaN(f):
		return number{}, errors.New(what + " is not a real number")
	case math.IsInf(f, 0):
		return number{}, errors.New(what + " is too large")
	}
	return number{f: f}, nil
}

// maxDecimals is how many digits after the point an exact decimal fraction may show.
const maxDecimals = 30

// format gives integers and short decimal fractions exactly, and the rest with 15 significant digits.
func (n number) format() (string, error) {
	if n.rat != nil {
		if n.rat.IsInt() {
			return n.rat.Num().String(), nil
		}
		if d, finite := n.rat.FloatPrec(); finite && d <= maxDecimals {
			return n.rat.FloatString(d), nil
		}
	}
	v, err := real(n.float(), "the result")
	if err != nil {
		return "", err
	}
	f := v.f
	if f == 0 {
		if n.rat != nil && n.rat.Sign() != 0 {
			return "", errors.New("the result is too close to zero")
		}
		return "0", nil
	}
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e15 {
		return strconv.FormatFloat(f, 'g', 15, 64), nil
	}
	s := strconv.FormatFloat(f, 'f', 14-int(math.Floor(math.Log10(math.Abs(f)))), 64)
	if strings.IndexByte(s, '.') >= 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s, nil
}
