package jinja

import (
	"html"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// filterFunc is what follows "|".
type filterFunc func(r *run, v any, a *arguments) any

var filters map[string]filterFunc

func init() { // the table refers to functions that refer to it
	length := func(r *run, v any, _ *arguments) any { return int64(r.length(v)) }
	def := func(_ *run, v any, a *arguments) any {
		_, missing := v.(undefined)
		if missing || truth(a.get(1, "boolean", false)) && !truth(v) {
			return a.get(0, "default_value", "")
		}
		return v
	}
	onText := func(name string) filterFunc {
		m := stringMethods[name]
		return func(r *run, v any, a *arguments) any { return m(r, r.str(v), a) }
	}
	escape := func(r *run, v any, _ *arguments) any {
		s := html.EscapeString(r.str(v))
		r.use(len(s))
		return s
	}
	same := func(_ *run, v any, _ *arguments) any { return v }
	filters = map[string]filterFunc{
		"length": length, "count": length, "default": def, "d": def, "escape": escape, "e": escape, "safe": same,
		"trim": onText("strip"), "upper": onText("upper"), "lower": onText("lower"),
		"title": onText("title"), "capitalize": onText("capitalize"), "replace": onText("replace"),
		"string": func(r *run, v any, _ *arguments) any { return r.str(v) },
		"list": func(r *run, v any, _ *arguments) any {
			items := r.iterate(v)
			r.use(16 * len(items))
			return &list{items: slices.Clone(items)}
		},
		"join":    filterJoin,
		"first":   func(r *run, v any, _ *arguments) any { return end(r.iterate(v), 0) },
		"last":    func(r *run, v any, _ *arguments) any { items := r.iterate(v); return end(items, len(items)-1) },
		"reverse": filterReverse,
		"sort":    filterSort,
		"unique":  filterUnique,
		"map":     filterMap,
		"select":  picker(false, true), "reject": picker(false, false),
		"selectattr": picker(true, true), "rejectattr": picker(true, false),
		"items":    func(r *run, v any, a *arguments) any { return filterItems(r, v, a) },
		"dictsort": filterDictSort,
		"int":      filterInt,
		"float":    filterFloat,
		"abs": func(_ *run, v any, _ *arguments) any {
			if n, ok := asInt(v); ok {
				return max(n, -n)
			}
			return math.Abs(float(v))
		},
		"round":  filterRound,
		"sum":    filterSum,
		"min":    func(r *run, v any, _ *arguments) any { return extreme(r, v, -1) },
		"max":    func(r *run, v any, _ *arguments) any { return extreme(r, v, 1) },
		"indent": filterIndent,
		"format": func(r *run, v any, a *arguments) any { return r.printf(r.str(v), a.args) },
		"tojson": filterToJSON,
		"attr":   func(r *run, v any, a *arguments) any { return r.attr(v, a.str(0, "name", "")) },
		"wordcount": func(r *run, v any, _ *arguments) any {
			return int64(len(strings.Fields(r.str(v))))
		},
	}
}

func end(items []any, i int) any {
	if i < 0 || i >= len(items) {
		return undefined{"the item of an empty list"}
	}
	return items[i]
}

func float(v any) float64 {
	f, ok := asFloat(v)
	if !ok {
		fail("template: %s is not a number", typeName(v))
	}
	return f
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// attribute follows a dotted path ("function.name"), in which numbers are indexes.
func (r *run) attribute(v any, path any) any {
	if i, ok := path.(int64); ok {
		return r.item(v, i)
	}
	for part := range strings.SplitSeq(text(path), ".") {
		if i, err := strconv.ParseInt(part, 10, 32); err == nil {
			v = r.item(v, i)
		} else {
			v = r.item(v, part)
		}
	}
	return v
}

// attributeOr gives def as soon as a part of the path is missing.
func (r *run) attributeOr(v, path, def any) any {
	if s, ok := path.(string); ok {
		for part := range strings.SplitSeq(s, ".") {
			if v = r.attribute(v, part); isUndefined(v) {
				return def
			}
		}
		return v
	}
	if v = r.attribute(v, path); isUndefined(v) {
		return def
	}
	return v
}

func isUndefined(v any) bool { _, ok := v.(undefined); return ok }

func filterJoin(r *run, v any, a *arguments) any {
	items := r.iterate(v)
	attr := a.get(1, "attribute", nil)
	return r.join(items, r.str(a.get(0, "d", "")), func(x any) string {
		if attr != nil {
			x = r.attribute(x, attr)
		}
		return r.str(x)
	})
}

func filterReverse(r *run, v any, _ *arguments) any {
	if s, ok := v.(string); ok {
		r.use(4 * len(s))
		c := []rune(s)
		slices.Reverse(c)
		return string(c)
	}
	items := r.iterate(v)
	r.use(16 * len(items))
	items = slices.Clone(items)
	slices.Reverse(items)
	return &list{items: items}
}

// fold is how sort, unique, min and max see a string unless they are case sensitive.
func fold(v any, sensitive bool) any {
	if s, ok := v.(string); ok && !sensitive {
		return strings.ToLower(s)
	}
	return v
}

func filterSort(r *run, v any, a *arguments) any {
	items := r.iterate(v)
	r.use(16 * len(items))
	items = slices.Clone(items)
	sensitive, attr := truth(a.get(1, "case_sensitive", false)), a.get(2, "attribute", nil)
	key := func(x any) any {
		if attr != nil {
			x = r.attribute(x, attr)
		}
		return fold(x, sensitive)
	}
	sign := 1
	if truth(a.get(0, "reverse", false)) {
		sign = -1
	}
	slices.SortStableFunc(items, func(x, y any) int { return sign * r.order(key(x), key(y)) })
	return &list{items: items}
}

func filterDictSort(r *run, v any, a *arguments) any {
	pairs, ok := filterItems(r, v, nil).(*list)
	if !ok {
		return v
	}
	by := int64(0)
	if a.str(1, "by", "key") == "value" {
		by = 1
	}
	sensitive := truth(a.get(0, "case_sensitive", false))
	key := func(p any) any { return fold(r.item(p, by), sensitive) }
	sign := 1
	if truth(a.get(2, "reverse", false)) {
		sign = -1
	}
	slices.SortStableFunc(pairs.items, func(x, y any) int { return sign * r.order(key(x), key(y)) })
	return pairs
}

func filterItems(r *run, v any, _ *arguments) any {
	if _, ok := v.(undefined); ok {
		return &list{}
	}
	if _, ok := v.(*Dict); !ok {
		fail("template: %s has no items", typeName(v))
	}
	return dictMethods["items"](r, v, nil)
}

func filterUnique(r *run, v any, a *arguments) any {
	out := &list{}
	var seen []any
	attr := a.get(1, "attribute", nil)
next:
	for _, x := range r.iterate(v) {
		k := x
		if attr != nil {
			k = r.attribute(x, attr)
		}
		k = fold(k, truth(a.get(0, "case_sensitive", false)))
		for _, s := range seen {
			if r.equal(s, k) {
				continue next
			}
		}
		seen = append(seen, k)
		out.items = append(out.items, x)
	}
	return out
}

func filterMap(r *run, v any, a *arguments) any {
	items := r.iterate(v)
	r.use(16 * len(items))
	out := &list{items: make([]any, len(items))}
	if attr, ok := a.kwargs["attribute"]; ok {
		def, hasDefault := a.kwargs["default"]
		for i, x := range items {
			if hasDefault {
				out.items[i] = r.attributeOr(x, attr, def)
			} else {
				out.items[i] = r.attribute(x, attr)
			}
		}
		return out
	}
	name := text(a.need(0, "map"))
	f, ok := filters[name]
	if !ok {
		fail("template: no filter named %.40q", name)
	}
	rest := &arguments{args: a.args[1:], kwargs: a.kwargs}
	for i, x := range items {
		r.enter()
		out.items[i] = f(r, x, rest)
		r.leave()
	}
	return out
}

// picker makes select, reject and, with attr, selectattr and rejectattr.
func picker(attr, want bool) filterFunc {
	return func(r *run, v any, a *arguments) any {
		out := &list{}
		args := a.args
		var path any
		if attr {
			path, args = a.need(0, "selectattr"), args[1:]
		}
		holds := func(_ *run, v any, _ []any) bool { return truth(v) }
		if len(args) > 0 {
			name := text(args[0])
			t, ok := tests[name]
			if !ok {
				fail("template: no test named %.40q", name)
			}
			holds, args = t, args[1:]
		}
		for _, x := range r.iterate(v) {
			r.step()
			y := x
			if attr {
				y = r.attribute(x, path)
			}
			if holds(r, y, args) == want {
				out.items = append(out.items, x)
			}
		}
		r.use(16 * len(out.items))
		return out
	}
}

func filterInt(r *run, v any, a *arguments) any {
	switch v := v.(type) {
	case float64:
		if math.Abs(v) < 1<<62 {
			return int64(v)
		}
	case string:
		s := strings.TrimSpace(v)
		if n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), int(max(2, min(36, a.int(1, "base", 10)))), 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1<<62 {
			return int64(f)
		}
	default:
		if n, ok := asInt(v); ok {
			return n
		}
	}
	return a.get(0, "default", int64(0))
}

func filterFloat(_ *run, v any, a *arguments) any {
	if f, ok := asFloat(v); ok {
		return f
	}
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f
		}
	}
	return a.get(0, "default", 0.0)
}

func filterRound(_ *run, v any, a *arguments) any {
	f, scale := float(v), math.Pow(10, float64(a.int(0, "precision", 0)))
	switch a.str(1, "method", "common") {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	}
	return math.RoundToEven(f*scale) / scale
}

func filterSum(r *run, v any, a *arguments) any {
	sum := a.get(1, "start", int64(0))
	attr := a.get(0, "attribute", nil)
	for _, x := range r.iterate(v) {
		if attr != nil {
			x = r.attribute(x, attr)
		}
		sum = r.binary(&binary{"+", &constant{sum}, &constant{x}}, nil)
	}
	return sum
}

func extreme(r *run, v any, sign int) any {
	items := r.iterate(v)
	best := end(items, 0)
	for _, x := range items {
		if sign*r.order(fold(x, false), fold(best, false)) > 0 {
			best = x
		}
	}
	return best
}

func filterIndent(r *run, v any, a *arguments) any {
	s := r.str(v)
	pad := ""
	switch w := a.get(0, "width", int64(4)).(type) {
	case string:
		pad = w
	default:
		n := max(integer(w), 0)
		r.useTimes(1, n)
		pad = strings.Repeat(" ", int(n))
	}
	r.useTimes(len(pad), int64(strings.Count(s, "\n")+1))
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if (i > 0 || truth(a.get(1, "first", false))) && (line != "" || truth(a.get(2, "blank", false))) {
			lines[i] = pad + line
		}
	}
	out := strings.Join(lines, "\n")
	r.use(len(out))
	return out
}
