package grammar

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Bounds of numbers. Digits are bounded so that a model cannot write them without end.
const (
	maxDigits       = 16 // before and behind the point where a schema does not ask for more
	maxBoundDigits  = 64 // of a schema's own bounds
	maxNumberStates = 1 << 14
)

// numberSpec is what a number must be. Bounds are nil where there are none.
type numberSpec struct {
	integer      bool
	lo, hi       *big.Rat
	loEx, hiEx   bool // the bound itself is not allowed
	multiple     *big.Rat
	plusMultiple []*big.Rat // further ones
}

func (n *numberSpec) atLeast(v *big.Rat, exclusive bool) {
	if n.lo == nil || v.Cmp(n.lo) > 0 {
		n.lo, n.loEx = v, exclusive
	} else if v.Cmp(n.lo) == 0 {
		n.loEx = n.loEx || exclusive
	}
}

func (n *numberSpec) atMost(v *big.Rat, exclusive bool) {
	if n.hi == nil || v.Cmp(n.hi) < 0 {
		n.hi, n.hiEx = v, exclusive
	} else if v.Cmp(n.hi) == 0 {
		n.hiEx = n.hiEx || exclusive
	}
}

// empty says that no number can fulfil the bounds.
func (n *numberSpec) empty() bool {
	if n.lo == nil || n.hi == nil {
		return false
	}
	c := n.lo.Cmp(n.hi)
	return c > 0 || c == 0 && (n.loEx || n.hiEx)
}

// jsonNumber matches a number of the spec.
func (b *builder) jsonNumber(n numberSpec) (expr, error) {
	if n.empty() {
		return exprNone{}, nil
	}
	if !n.integer && n.lo == nil && n.hi == nil && n.multiple == nil {
		return b.anyNumber(), nil
	}
	if n.integer {
		// The default range is that of int64, which every reader can hold.
		if n.lo == nil {
			n.lo = new(big.Rat).SetInt64(-1 << 63)
			if n.hi != nil && n.hi.Cmp(n.lo) <= 0 {
				n.lo = new(big.Rat).Mul(n.hi, big.NewRat(10, 1))
			}
		}
		if n.hi == nil {
			n.hi = new(big.Rat).SetInt64(1<<63 - 1)
			if n.lo.Cmp(n.hi) >= 0 {
				n.hi = new(big.Rat).Mul(n.lo, big.NewRat(10, 1))
			}
		}
	}
	limit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(maxDigits), nil))
	if n.lo == nil {
		n.lo = new(big.Rat).Neg(limit)
		if n.hi != nil && n.hi.Cmp(n.lo) <= 0 {
			n.lo = new(big.Rat).Mul(n.hi, big.NewRat(10, 1))
		}
	}
	if n.hi == nil {
		n.hi = limit
		if n.lo.Cmp(n.hi) >= 0 {
			n.hi = new(big.Rat).Mul(n.lo, big.NewRat(10, 1))
		}
	}
	var out exprAlt
	zero := new(big.Rat)
	if n.hi.Sign() >= 0 {
		part := n
		if n.lo.Sign() < 0 {
			part.lo, part.loEx = zero, false
		}
		e, err := b.magnitude(part)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if n.lo.Sign() < 0 {
		part := n
		part.lo, part.loEx, part.hi, part.hiEx = new(big.Rat).Neg(n.hi), n.hiEx, new(big.Rat).Neg(n.lo), n.loEx
		if n.hi.Sign() >= 0 {
			part.lo, part.loEx = zero, true
		}
		e, err := b.magnitude(part)
		if err != nil {
			return nil, err
		}
		out = append(out, exprSeq{literal("-"), e})
	}
	return out, nil
}

// anyNumber is a JSON number of up to 16 digits before and behind the point and two of the exponent.
func (b *builder) anyNumber() expr {
	return b.once("number", func() expr {
		digit := oneOf("0123456789")
		return exprSeq{
			exprRepeat{literal("-"), 0, 1},
			exprAlt{literal("0"), exprSeq{oneOf("123456789"), exprRepeat{digit, 0, maxDigits - 1}}},
			exprRepeat{exprSeq{literal("."), exprRepeat{digit, 1, maxDigits}}, 0, 1},
			exprRepeat{exprSeq{oneOf("eE"), exprRepeat{oneOf("+-"), 0, 1}, exprRepeat{digit, 1, 2}}, 0, 1},
		}
	})
}

// decimal writes a number without exponent: the digits before and behind the point.
func decimal(r *big.Rat) (whole, frac string, err error) {
	digits, exact := r.FloatPrec()
	if !exact || digits > maxBoundDigits {
		return "", "", fmt.Errorf("%w: a bound has more than %d digits", ErrLimit, maxBoundDigits)
	}
	whole, frac, _ = strings.Cut(r.FloatString(digits), ".")
	if len(whole) > maxBoundDigits {
		return "", "", fmt.Errorf("%w: a bound has more than %d digits", ErrLimit, maxBoundDigits)
	}
	return whole, frac, nil
}

// numberState is a place in a number that is written digit by digit and compared with both bounds on the way.
type numberState struct {
	length int  // digits before the point, all of them
	at     int  // digits written
	point  bool // behind the point
	lo, hi bool // so far it is equal to the bound
	rest   int64
}

// magnitude matches the numbers between two bounds that are not negative, with no exponent.
func (b *builder) magnitude(n numberSpec) (expr, error) {
	loWhole, loFrac, err := decimal(n.lo)
	if err != nil {
		return nil, err
	}
	hiWhole, hiFrac, err := decimal(n.hi)
	if err != nil {
		return nil, err
	}
	places := max(maxDigits, len(loFrac)+1, len(hiFrac)+1) // behind the point
	if n.integer {
		places = 0
	}
	modulus, scale := int64(1), 0
	if n.multiple != nil {
		if modulus, scale, err = n.modulus(); err != nil {
			return nil, err
		}
		places = min(places, scale)
	}
	var states []numberState
	var graph exprGraph
	ids := map[numberState]int{}
	intern := func(s numberState) int {
		if !s.lo && !s.hi && !s.point { // what is left to write is all that matters
			s.length, s.at = s.length-s.at+1, 1
		}
		id, ok := ids[s]
		if !ok {
			id = len(states) + 1
			ids[s] = id
			states = append(states, s)
		}
		return id
	}
	digitAt := func(whole, frac string, s numberState) byte {
		switch {
		case !s.point:
			return whole[s.at]
		case s.at < len(frac):
			return frac[s.at]
		}
		return '0'
	}
	isZero := func(frac string) bool { return strings.Trim(frac, "0") == "" }
	// step writes a digit after s.
	step := func(s numberState, d byte) (numberState, bool) {
		if s.lo {
			if l := digitAt(loWhole, loFrac, s); d < l {
				return s, false
			} else if d > l {
				s.lo = false
			}
		}
		if s.hi {
			if h := digitAt(hiWhole, hiFrac, s); d > h {
				return s, false
			} else if d < h {
				s.hi = false
			}
		}
		s.at++
		s.rest = (s.rest*10 + int64(d-'0')) % modulus
		return s, true
	}
	accepts := func(s numberState) bool {
		from := 0 // of the bounds' digits behind the point, those not written
		if s.point {
			from = s.at
		}
		tail := func(frac string) string { return frac[min(from, len(frac)):] }
		if s.lo && (!isZero(tail(loFrac)) || n.loEx) || s.hi && isZero(tail(hiFrac)) && n.hiEx {
			return false
		}
		rest := s.rest
		for i := from; i < scale; i++ {
			rest = rest * 10 % modulus
		}
		return rest == 0
	}
	graph.states = append(graph.states, graphState{})
	for length := max(1, len(loWhole)); length <= len(hiWhole); length++ {
		begin := numberState{length: length, lo: length == len(loWhole), hi: length == len(hiWhole)}
		for d := byte('0'); d <= '9'; d++ {
			if d == '0' && length > 1 {
				continue
			}
			if next, ok := step(begin, d); ok {
				graph.states[0].edges = append(graph.states[0].edges, graphEdge{literal(string(d)), intern(next)})
			}
		}
	}
	for i := 0; i < len(states); i++ {
		if len(states) > maxNumberStates {
			return nil, fmt.Errorf("%w: the bounds and multipleOf together have too many states", ErrLimit)
		}
		s := states[i]
		g := graphState{}
		whole := !s.point && s.at == s.length
		if whole || s.point && s.at > 0 {
			g.accept = accepts(s)
		}
		if whole && places > 0 {
			next := s
			next.point, next.at, next.length = true, 0, 0
			g.edges = append(g.edges, graphEdge{literal("."), intern(next)})
		}
		if !whole && !(s.point && s.at >= places) {
			for d := byte('0'); d <= '9'; d++ {
				if next, ok := step(s, d); ok {
					g.edges = append(g.edges, graphEdge{literal(string(d)), intern(next)})
				}
			}
		}
		graph.states = append(graph.states, g)
	}
	return graph, b.err
}

// modulus turns multipleOf into a whole number times a power of ten, 10^-scale.
func (n *numberSpec) modulus() (modulus int64, scale int, err error) {
	all := append([]*big.Rat{n.multiple}, n.plusMultiple...)
	for _, m := range all {
		digits, exact := m.FloatPrec()
		if !exact || digits > maxDigits {
			return 0, 0, errors.New("multipleOf has too many digits")
		}
		scale = max(scale, digits)
	}
	ten := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	common := big.NewInt(1)
	for _, m := range all {
		k := new(big.Int).Set(new(big.Rat).Mul(m, ten).Num())
		gcd := new(big.Int).GCD(nil, nil, common, k)
		common.Div(common.Mul(common, k), gcd)
	}
	if !common.IsInt64() || common.Int64() > maxNumberStates/4 {
		return 0, 0, fmt.Errorf("%w: multipleOf can be enforced up to %d units of its last digit", ErrLimit, maxNumberStates/4)
	}
	return common.Int64(), scale, nil
}
