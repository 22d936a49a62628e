package jinja

import (
	"strings"
	"unicode"
)

// testFunc is what follows "is".
type testFunc func(r *run, v any, args []any) bool

var tests map[string]testFunc

func init() { // the table refers to functions that refer to it
	order := func(ok func(int) bool) testFunc {
		return func(r *run, v any, args []any) bool { return ok(r.order(v, operand(args))) }
	}
	kindIs := func(names string) testFunc {
		return func(_ *run, v any, _ []any) bool { return strings.Contains(names, " "+typeName(v)+" ") }
	}
	eq := func(r *run, v any, args []any) bool { return r.equal(v, operand(args)) }
	ne := func(r *run, v any, args []any) bool { return !r.equal(v, operand(args)) }
	gt := order(func(c int) bool { return c > 0 })
	lt := order(func(c int) bool { return c < 0 })
	ge := order(func(c int) bool { return c >= 0 })
	le := order(func(c int) bool { return c <= 0 })
	tests = map[string]testFunc{
		"defined":   func(_ *run, v any, _ []any) bool { _, no := v.(undefined); return !no },
		"undefined": kindIs(" undefined "),
		"none":      kindIs(" none "),
		"string":    kindIs(" string "),
		"boolean":   kindIs(" boolean "),
		"integer":   kindIs(" integer "),
		"float":     kindIs(" float "),
		"number":    kindIs(" integer float boolean "),
		"mapping":   kindIs(" dict "),
		"sequence":  kindIs(" list tuple string dict undefined "),
		"iterable":  kindIs(" list tuple string dict undefined "),
		"callable":  kindIs(" function "),
		"true":      func(_ *run, v any, _ []any) bool { return v == true },
		"false":     func(_ *run, v any, _ []any) bool { return v == false },
		"even":      func(_ *run, v any, _ []any) bool { return integer(v)%2 == 0 },
		"odd":       func(_ *run, v any, _ []any) bool { return integer(v)%2 != 0 },
		"divisibleby": func(_ *run, v any, args []any) bool {
			d := integer(operand(args))
			if d == 0 {
				fail("template: division by zero")
			}
			return integer(v)%d == 0
		},
		"in": func(r *run, v any, args []any) bool { return r.contains(operand(args), v) },
		"sameas": func(r *run, v any, args []any) bool {
			w := operand(args)
			return typeName(v) == typeName(w) && r.equal(v, w)
		},
		"lower": func(r *run, v any, _ []any) bool { return cased(r.str(v), unicode.IsUpper, unicode.IsLower) },
		"upper": func(r *run, v any, _ []any) bool { return cased(r.str(v), unicode.IsLower, unicode.IsUpper) },
		"eq":    eq, "equalto": eq, "==": eq, "ne": ne, "!=": ne,
		"gt": gt, "greaterthan": gt, ">": gt, "lt": lt, "lessthan": lt, "<": lt,
		"ge": ge, ">=": ge, "le": le, "<=": le,
		"escaped": func(*run, any, []any) bool { return false },
		"filter":  func(r *run, v any, _ []any) bool { _, ok := filters[r.str(v)]; return ok },
		"test":    func(r *run, v any, _ []any) bool { _, ok := tests[r.str(v)]; return ok },
	}
}

func operand(args []any) any {
	if len(args) != 1 {
		fail("template: the test takes one argument, got %d", len(args))
	}
	return args[0]
}

func integer(v any) int64 {
	n, ok := asInt(v)
	if !ok {
		fail("template: %s is not an integer", typeName(v))
	}
	return n
}

// cased says whether s has letters of the wanted case and none of the other.
func cased(s string, other, want func(rune) bool) bool {
	found := false
	for _, c := range s {
		if other(c) {
			return false
		}
		found = found || want(c)
	}
	return found
}
