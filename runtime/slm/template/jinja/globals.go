package jinja

import "fmt"

// arguments of a call, evaluated.
type arguments struct {
	args   []any
	kwargs map[string]any
}

// get returns argument i, or the keyword argument of that name, or def.
func (a *arguments) get(i int, name string, def any) any {
	if i < len(a.args) {
		return a.args[i]
	}
	if v, ok := a.kwargs[name]; ok {
		return v
	}
	return def
}

func (a *arguments) need(i int, of string) any {
	if i >= len(a.args) {
		fail("template: %s needs %d arguments", of, i+1)
	}
	return a.args[i]
}

func (a *arguments) str(i int, name, def string) string {
	switch v := a.get(i, name, def).(type) {
	case string:
		return v
	default:
		fail("template: argument %q is %s, want a string", name, typeName(v))
		return ""
	}
}

func (a *arguments) int(i int, name string, def int64) int64 {
	v := a.get(i, name, def)
	n, ok := asInt(v)
	if !ok {
		fail("template: argument %q is %s, want an integer", name, typeName(v))
	}
	return n
}

// builtin is a function of this package: it sees the run, so that it can meter.
type builtin func(r *run, a *arguments) any

var globals = map[string]any{
	"range": builtin(func(r *run, a *arguments) any {
		lo, hi, step := int64(0), int64(0), int64(1)
		switch len(a.args) {
		case 1:
			hi = a.int(0, "stop", 0)
		case 2, 3:
			lo, hi, step = a.int(0, "start", 0), a.int(1, "stop", 0), a.int(2, "step", 1)
		default:
			fail("template: range takes 1 to 3 arguments")
		}
		if step == 0 {
			fail("template: range step is zero")
		}
		l := &list{}
		for i := lo; step > 0 && i < hi || step < 0 && i > hi; i += step {
			r.step() // so that range(10**9) stops at the limit, not at the end of memory
			l.items = append(l.items, i)
			if i > 1<<60 || i < -(1<<60) {
				break
			}
		}
		r.use(16 * len(l.items))
		return l
	}),
	"namespace": builtin(func(r *run, a *arguments) any {
		return &namespace{dictOfArguments(r, a)}
	}),
	"dict": builtin(func(r *run, a *arguments) any { return dictOfArguments(r, a) }),
	"raise_exception": builtin(func(r *run, a *arguments) any {
		panic(failure{&Raised{r.str(a.get(0, "message", ""))}})
	}),
	"joiner": builtin(func(r *run, a *arguments) any {
		sep, used := a.str(0, "sep", ", "), false
		return Func(func([]any, map[string]any) (any, error) {
			if !used {
				used = true
				return "", nil
			}
			return sep, nil
		})
	}),
	"cycler": builtin(func(r *run, a *arguments) any {
		if len(a.args) == 0 {
			fail("template: cycler needs arguments")
		}
		ns, at := NewDict(), 0
		ns.set("next", Func(func([]any, map[string]any) (any, error) {
			v := a.args[at%len(a.args)]
			at++
			return v, nil
		}))
		ns.set("reset", Func(func([]any, map[string]any) (any, error) { at = 0; return nil, nil }))
		return &namespace{ns}
	}),
}

func dictOfArguments(r *run, a *arguments) *Dict {
	d := NewDict()
	if len(a.args) > 0 {
		switch src := a.args[0].(type) {
		case *Dict:
			r.use(32 * len(src.keys))
			for _, k := range src.keys {
				d.set(k, src.values[k])
			}
		default:
			for _, pair := range r.iterate(src) {
				kv := r.iterate(pair)
				if len(kv) != 2 {
					fail("template: dict wants pairs")
				}
				d.set(r.key(kv[0]), kv[1])
			}
		}
	}
	for _, k := range sortedKeys(a.kwargs) {
		d.set(k, a.kwargs[k])
	}
	return d
}

// printf is the % operator on strings and the filter format.
func (r *run) printf(format string, args []any) string {
	var verbs []any
	out := make([]byte, 0, len(format))
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			if c == '%' {
				fail("template: incomplete format")
			}
			out = append(out, c)
			continue
		}
		j := i + 1
		for j < len(format) && (format[j] >= '0' && format[j] <= '9' || format[j] == '.' || format[j] == '-' || format[j] == '+') {
			j++
		}
		if j-i > 6 || j == len(format) {
			fail("template: format %.20q is not supported", format[i:])
		}
		verb, flags := format[j], format[i:j]
		i = j
		if verb == '%' {
			out = append(out, '%')
			continue
		}
		if len(verbs) == len(args) {
			fail("template: not enough arguments for the format")
		}
		v := args[len(verbs)]
		verbs = append(verbs, v)
		switch verb {
		case 's':
			out = fmt.Appendf(out, flags+"s", r.str(v))
		case 'd', 'i', 'x':
			n, ok := asInt(v)
			if f, isFloat := v.(float64); isFloat {
				n, ok = int64(f), true
			}
			if !ok {
				fail("template: %%%c wants a number", verb)
			}
			if verb == 'i' {
				verb = 'd'
			}
			out = fmt.Appendf(out, flags+string(verb), n)
		case 'f', 'g', 'e':
			f, ok := asFloat(v)
			if !ok {
				fail("template: %%%c wants a number", verb)
			}
			out = fmt.Appendf(out, flags+string(verb), f)
		default:
			fail("template: format %%%c is not supported", verb)
		}
		r.use(len(flags) + 100)
		if len(out) > maxOutput {
			r.use(maxBytes + 1)
		}
	}
	if len(verbs) < len(args) {
		fail("template: too many arguments for the format")
	}
	r.use(len(out))
	return string(out)
}
