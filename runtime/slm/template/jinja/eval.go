package jinja

import (
	"math"
	"strings"
)

func (r *run) eval(x expr, s *scope) any {
	r.enter()
	defer r.leave()
	switch x := x.(type) {
	case *constant:
		return x.v
	case *name:
		return s.get(x.name)
	case *attrOf:
		return r.attr(r.eval(x.of, s), x.name)
	case *itemOf:
		return r.item(r.eval(x.of, s), r.eval(x.key, s))
	case *sliceOf:
		return r.slice(x, s)
	case *unary:
		return r.unary(x.op, r.eval(x.x, s))
	case *binary:
		return r.binary(x, s)
	case *compare:
		return r.compare(x, s)
	case *conditional:
		if truth(r.eval(x.cond, s)) {
			return r.eval(x.yes, s)
		}
		if x.no == nil {
			return undefined{"the inline if without else"}
		}
		return r.eval(x.no, s)
	case *call:
		fn := r.eval(x.fn, s)
		return r.invoke(fn, r.arguments(x, s), nil)
	case *filter:
		return r.filter(x, r.eval(x.x, s), s)
	case *test:
		v := r.eval(x.x, s)
		return tests[x.name](r, v, r.evalAll(x.args, s)) != x.not
	case *listOf:
		return &list{items: r.evalAll(x.items, s), tuple: x.tuple}
	case *dictOf:
		d := NewDict()
		for i := range x.keys {
			d.set(r.key(r.eval(x.keys[i], s)), r.eval(x.values[i], s))
		}
		return d
	}
	fail("template: unknown expression %T", x)
	return nil
}

// key refuses what cannot be a dictionary key.
func (r *run) key(v any) any {
	switch v.(type) {
	case nil, bool, int64, float64, string:
		return v
	}
	fail("template: %s cannot be a dict key", typeName(v))
	return nil
}

func (r *run) evalAll(xs []expr, s *scope) []any {
	r.use(16 * len(xs))
	items := make([]any, len(xs))
	for i, x := range xs {
		items[i] = r.eval(x, s)
	}
	return items
}

func (r *run) arguments(c *call, s *scope) *arguments {
	a := &arguments{args: r.evalAll(c.args, s)}
	for _, k := range c.kwargs {
		if a.kwargs == nil {
			a.kwargs = map[string]any{}
		}
		a.kwargs[k.name] = r.eval(k.value, s)
	}
	return a
}

func (r *run) filter(f *filter, v any, s *scope) any {
	return filters[f.name](r, v, r.arguments(f.call, s))
}

// attr is x.name: a method first, then an item.
func (r *run) attr(v any, name string) any {
	switch v := v.(type) {
	case undefined:
		fail("template: %q is undefined, so it has no %q", v.name, name)
	case *loop:
		return r.loopAttr(v, name)
	case *namespace:
		if x, ok := v.vars.values[name]; ok {
			return x
		}
		return undefined{name}
	}
	if m := methodOf(v, name); m != nil {
		return &method{v, name, m}
	}
	if d, ok := v.(*Dict); ok {
		if x, ok := d.values[name]; ok {
			return x
		}
	}
	return undefined{name}
}

// item is x[key]: an item first, then a method.
func (r *run) item(v, key any) any {
	switch v := v.(type) {
	case undefined:
		fail("template: %q is undefined, so it has no items", v.name)
	case *Dict:
		switch key.(type) {
		case *list, *Dict, *namespace, *macro, *method, Func, builtin, *loop:
			fail("template: %s cannot be a dict key", typeName(key))
		}
		if x, ok := v.values[key]; ok {
			return x
		}
	case *list:
		if i, ok := asInt(key); ok {
			if i < 0 {
				i += int64(len(v.items))
			}
			if i >= 0 && i < int64(len(v.items)) {
				return v.items[i]
			}
			return undefined{"the item"}
		}
	case string:
		if i, ok := asInt(key); ok {
			r.use(4 * len(v))
			chars := []rune(v)
			if i < 0 {
				i += int64(len(chars))
			}
			if i >= 0 && i < int64(len(chars)) {
				return string(chars[i])
			}
			return undefined{"the character"}
		}
	}
	if name, ok := key.(string); ok {
		return r.attr(v, name)
	}
	return undefined{"the item"}
}

func (r *run) slice(x *sliceOf, s *scope) any {
	v := r.eval(x.of, s)
	bound := func(x expr) (int, bool) {
		if x == nil {
			return 0, false
		}
		v := r.eval(x, s)
		if v == nil {
			return 0, false
		}
		n, ok := asInt(v)
		if !ok {
			fail("template: slice bound is %s, want an integer", typeName(v))
		}
		return int(max(min(n, math.MaxInt32), math.MinInt32)), true
	}
	lo, hasLo := bound(x.lo)
	hi, hasHi := bound(x.hi)
	step, hasStep := bound(x.step)
	if !hasStep {
		step = 1
	}
	if step == 0 {
		fail("template: slice step is zero")
	}
	switch v := v.(type) {
	case string:
		r.use(8 * len(v))
		var b strings.Builder
		chars := []rune(v)
		for _, i := range sliceIndexes(len(chars), lo, hi, step, hasLo, hasHi) {
			b.WriteRune(chars[i])
		}
		return b.String()
	case *list:
		r.use(16 * len(v.items))
		out := &list{tuple: v.tuple}
		for _, i := range sliceIndexes(len(v.items), lo, hi, step, hasLo, hasHi) {
			out.items = append(out.items, v.items[i])
		}
		return out
	case undefined:
		return v
	}
	fail("template: %s cannot be sliced", typeName(v))
	return nil
}

// sliceIndexes follows Python's slice.indices.
func sliceIndexes(n, lo, hi, step int, hasLo, hasHi bool) []int {
	clamp := func(i, least, most int) int {
		if i < 0 {
			i += n
		}
		return max(least, min(i, most))
	}
	var out []int
	if step > 0 {
		from, to := 0, n
		if hasLo {
			from = clamp(lo, 0, n)
		}
		if hasHi {
			to = clamp(hi, 0, n)
		}
		for i := from; i < to; i += step {
			out = append(out, i)
		}
		return out
	}
	from, to := n-1, -1
	if hasLo {
		from = clamp(lo, -1, n-1)
	}
	if hasHi {
		to = clamp(hi, -1, n-1)
	}
	for i := from; i > to; i += step {
		out = append(out, i)
	}
	return out
}

func (r *run) unary(op string, v any) any {
	if op == "not" {
		return !truth(v)
	}
	if n, ok := asInt(v); ok {
		if op == "-" {
			n = -n
		}
		return n
	}
	if f, ok := v.(float64); ok {
		if op == "-" {
			f = -f
		}
		return f
	}
	fail("template: %s%s makes no sense", op, typeName(v))
	return nil
}

func (r *run) compare(c *compare, s *scope) any {
	left := r.eval(c.x, s)
	for i, op := range c.ops {
		right := r.eval(c.rest[i], s)
		var ok bool
		switch op {
		case "==":
			ok = r.equal(left, right)
		case "!=":
			ok = !r.equal(left, right)
		case "<":
			ok = r.order(left, right) < 0
		case "<=":
			ok = r.order(left, right) <= 0
		case ">":
			ok = r.order(left, right) > 0
		case ">=":
			ok = r.order(left, right) >= 0
		case "in":
			ok = r.contains(right, left)
		case "not in":
			ok = !r.contains(right, left)
		}
		if !ok {
			return false
		}
		left = right
	}
	return true
}

func (r *run) contains(in, v any) bool {
	switch in := in.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			fail("template: %s in string makes no sense", typeName(v))
		}
		r.use(len(in))
		return strings.Contains(in, s)
	case *Dict:
		_, ok := in.values[r.key(v)]
		return ok
	}
	for _, x := range r.iterate(in) {
		if r.equal(x, v) {
			return true
		}
	}
	return false
}

func (r *run) binary(b *binary, s *scope) any {
	x := r.eval(b.x, s)
	switch b.op {
	case "and":
		if !truth(x) {
			return x
		}
		return r.eval(b.y, s)
	case "or":
		if truth(x) {
			return x
		}
		return r.eval(b.y, s)
	}
	y := r.eval(b.y, s)
	if b.op == "~" {
		left, right := r.str(x), r.str(y)
		r.use(len(left) + len(right))
		return left + right
	}
	if v, ok := r.sequences(b.op, x, y); ok {
		return v
	}
	if i, ok := asInt(x); ok && b.op != "/" {
		if j, ok := asInt(y); ok {
			return integers(b.op, i, j)
		}
	}
	i, j, ok := numbers(x, y)
	if !ok {
		if u, is := x.(undefined); is {
			fail("template: %q is undefined", u.name)
		}
		if u, is := y.(undefined); is {
			fail("template: %q is undefined", u.name)
		}
		fail("template: %s %s %s makes no sense", typeName(x), b.op, typeName(y))
	}
	return floats(b.op, i, j)
}

// sequences does what operators mean for strings and lists.
func (r *run) sequences(op string, x, y any) (any, bool) {
	switch op {
	case "+":
		if a, ok := x.(string); ok {
			if b, ok := y.(string); ok {
				r.use(len(a) + len(b))
				return a + b, true
			}
		}
		if a, ok := x.(*list); ok {
			if b, ok := y.(*list); ok && a.tuple == b.tuple {
				r.use(16 * (len(a.items) + len(b.items)))
				items := append(append([]any{}, a.items...), b.items...)
				return &list{items: items, tuple: a.tuple}, true
			}
		}
	case "*":
		if _, ok := asInt(x); ok {
			x, y = y, x
		}
		n, ok := asInt(y)
		if !ok {
			return nil, false
		}
		n = max(n, 0)
		switch a := x.(type) {
		case string:
			r.useTimes(len(a), n)
			return strings.Repeat(a, int(n)), true
		case *list:
			r.useTimes(16*len(a.items), n)
			out := &list{tuple: a.tuple}
			for range n {
				if len(a.items) == 0 {
					break
				}
				out.items = append(out.items, a.items...)
			}
			return out, true
		}
	case "%":
		if a, ok := x.(string); ok {
			args := []any{y}
			if t, ok := y.(*list); ok && t.tuple {
				args = t.items
			}
			return r.printf(a, args), true
		}
	}
	return nil, false
}

// useTimes meters size*n bytes without overflow.
func (r *run) useTimes(size int, n int64) {
	if n > maxBytes || int64(size)*n > maxBytes {
		r.use(maxBytes + 1)
	}
	r.use(size * int(n))
}

func integers(op string, i, j int64) any {
	if f := floats(op, float64(i), float64(j)).(float64); math.Abs(f) > 1<<62 {
		fail("template: %d %s %d is too large", i, op, j)
	}
	switch op {
	case "+":
		return i + j
	case "-":
		return i - j
	case "*":
		return i * j
	case "//":
		q := i / j
		if i%j != 0 && (i < 0) != (j < 0) {
			q--
		}
		return q
	case "%":
		m := i % j
		if m != 0 && (m < 0) != (j < 0) {
			m += j
		}
		return m
	case "**":
		f := math.Pow(float64(i), float64(j))
		if j < 0 {
			return f
		}
		return int64(f)
	}
	fail("template: unknown operator %s", op)
	return nil
}

func floats(op string, x, y float64) any {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "**":
		return math.Pow(x, y)
	}
	if y == 0 {
		fail("template: division by zero")
	}
	switch op {
	case "/":
		return x / y
	case "//":
		return math.Floor(x / y)
	}
	m := math.Mod(x, y)
	if m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	return m
}
