package jinja

import "strings"

// equal is Python's ==.
func (r *run) equal(a, b any) bool {
	r.enter()
	defer r.leave()
	if x, y, ok := numbers(a, b); ok {
		return x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case string:
		s, ok := b.(string)
		if ok && len(s) == len(a) {
			r.use(len(s))
		}
		return ok && s == a
	case *list:
		l, ok := b.(*list)
		if !ok || l.tuple != a.tuple || len(l.items) != len(a.items) {
			return false
		}
		for i := range l.items {
			if !r.equal(a.items[i], l.items[i]) {
				return false
			}
		}
		return true
	case *Dict:
		d, ok := b.(*Dict)
		if !ok || len(d.keys) != len(a.keys) {
			return false
		}
		for _, k := range a.keys {
			v, ok := d.values[k]
			if !ok || !r.equal(a.values[k], v) {
				return false
			}
		}
		return true
	case *namespace:
		n, ok := b.(*namespace)
		return ok && n == a
	case *macro:
		m, ok := b.(*macro)
		return ok && m == a
	}
	return false
}

// numbers gives two numbers (booleans count) as floats; integers beyond 2^53 are compared as such elsewhere.
func numbers(a, b any) (x, y float64, ok bool) {
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	return x, y, okX && okY
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// order is Python's < as -1, 0 or 1; it fails on what Python cannot order.
func (r *run) order(a, b any) int {
	r.enter()
	defer r.leave()
	if x, okX := asInt(a); okX {
		if y, okY := asInt(b); okY {
			return cmp(x, y)
		}
	}
	if x, y, ok := numbers(a, b); ok {
		return cmp(x, y)
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			r.use(min(len(x), len(y)))
			return strings.Compare(x, y)
		}
	}
	if x, ok := a.(*list); ok {
		if y, ok := b.(*list); ok && x.tuple == y.tuple {
			for i := 0; i < min(len(x.items), len(y.items)); i++ {
				if !r.equal(x.items[i], y.items[i]) {
					return r.order(x.items[i], y.items[i])
				}
			}
			return cmp(len(x.items), len(y.items))
		}
	}
	fail("template: cannot order %s and %s", typeName(a), typeName(b))
	return 0
}

func cmp[T int | int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
