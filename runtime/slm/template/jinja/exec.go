package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// run is the state of one render.
type run struct {
	out     strings.Builder
	globals *scope
	depth   int
	steps   int
	bytes   int
}

// scope is a frame of variables. Assignments go to the innermost one: a loop's do not outlive an iteration.
type scope struct {
	parent *scope
	vars   map[string]any
}

func (s *scope) get(name string) any {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return undefined{name}
}

func (s *scope) child() *scope { return &scope{parent: s, vars: map[string]any{}} }

// step, use and enter meter the render: nodes, bytes, depth.
func (r *run) step() {
	if r.steps++; r.steps > maxSteps {
		fail("template: more than %d steps: %w", maxSteps, ErrLimit)
	}
}

func (r *run) use(n int) {
	if r.bytes += n; n < 0 || r.bytes > maxBytes {
		fail("template: more than %d bytes of values: %w", maxBytes, ErrLimit)
	}
}

func (r *run) enter() {
	r.step()
	if r.depth++; r.depth > maxDepth {
		fail("template: nested or recursive deeper than %d: %w", maxDepth, ErrLimit)
	}
}

func (r *run) leave() { r.depth-- }

// maxDepth is larger than the parser's nesting: a chain of operators is a deep tree without nesting.
const maxDepth = 1000

func (r *run) write(s string) {
	r.use(len(s))
	if r.out.Len()+len(s) > maxOutput {
		fail("template: more than %d bytes of output: %w", maxOutput, ErrLimit)
	}
	r.out.WriteString(s)
}

// capture runs f and returns what it wrote.
func (r *run) capture(f func()) string {
	outer := r.out
	r.out = strings.Builder{}
	f()
	s := r.out.String()
	r.out = outer
	return s
}

// leave a body early.
type flow uint8

const (
	goOn flow = iota
	breakLoop
	continueLoop
)

func (r *run) execBody(body []node, s *scope) flow {
	for _, n := range body {
		if f := r.exec(n, s); f != goOn {
			return f
		}
	}
	return goOn
}

func (r *run) exec(n node, s *scope) flow {
	r.enter()
	defer r.leave()
	switch n := n.(type) {
	case *textNode:
		r.write(n.text)
	case *outputNode:
		r.write(r.str(r.eval(n.x, s)))
	case *ifNode:
		for i, c := range n.conds {
			if truth(r.eval(c, s)) {
				return r.execBody(n.bodies[i], s)
			}
		}
		if len(n.bodies) > len(n.conds) {
			return r.execBody(n.bodies[len(n.conds)], s)
		}
	case *forNode:
		r.execFor(n, r.iterate(r.eval(n.iter, s)), s, 0)
	case *setNode:
		r.execSet(n, s)
	case *macroNode:
		s.vars[n.name] = &macro{n, s}
	case *callNode:
		caller := &macro{n.caller, s}
		a := r.arguments(n.call, s)
		r.write(r.str(r.invoke(r.eval(n.call.fn, s), a, caller)))
	case *filterNode:
		text := r.capture(func() { r.execBody(n.body, s.child()) })
		r.write(r.str(r.chain(n.filters, text, s)))
	case *withNode:
		inner := s.child()
		for i, t := range n.targets {
			r.assign(t, r.eval(n.values[i], s), inner)
		}
		return r.execBody(n.body, inner)
	case *breakNode:
		return breakLoop
	case *continueNode:
		return continueLoop
	}
	return goOn
}

func (r *run) chain(filters []*filter, v any, s *scope) any {
	for _, f := range filters {
		v = r.filter(f, v, s)
	}
	return v
}

func (r *run) execSet(n *setNode, s *scope) {
	if n.value != nil {
		r.assign(n.target, r.eval(n.value, s), s)
		return
	}
	text := r.capture(func() { r.execBody(n.body, s.child()) })
	r.assign(n.target, r.chain(n.filter, text, s), s)
}

func (r *run) assign(target expr, v any, s *scope) {
	switch t := target.(type) {
	case *name:
		s.vars[t.name] = v
	case *attrOf:
		ns, ok := s.get(t.of.(*name).name).(*namespace)
		if !ok {
			fail("template: cannot assign attribute %q: not a namespace", t.name)
		}
		ns.vars.set(t.name, v)
	case *listOf:
		items := r.iterate(v)
		if len(items) != len(t.items) {
			fail("template: cannot unpack %d values into %d names", len(items), len(t.items))
		}
		for i := range items {
			r.assign(t.items[i], items[i], s)
		}
	}
}

// loop is the value of the name loop in a for body.
type loop struct {
	items        []any
	index, depth int
	recurse      func(items []any) string
	last         *[]any // what changed() saw
}

func (r *run) execFor(n *forNode, items []any, s *scope, depth int) {
	if n.cond != nil {
		kept := []any{}
		for _, it := range items {
			inner := s.child()
			r.assign(n.target, it, inner)
			if truth(r.eval(n.cond, inner)) {
				kept = append(kept, it)
			}
		}
		r.use(16 * len(kept))
		items = kept
	}
	if len(items) == 0 {
		r.execBody(n.none, s.child())
		return
	}
	l := &loop{items: items, depth: depth}
	if n.recursive {
		l.recurse = func(items []any) string {
			return r.capture(func() { r.execFor(n, items, s, depth+1) })
		}
	}
	for i, it := range items {
		r.step()
		l.index = i
		inner := s.child()
		inner.vars["loop"] = l
		r.assign(n.target, it, inner)
		if r.execBody(n.body, inner) == breakLoop {
			break
		}
	}
}

func (r *run) loopAttr(l *loop, attr string) any {
	n := len(l.items)
	neighbour := func(i int, name string) any {
		if i < 0 || i >= n {
			return undefined{name}
		}
		return l.items[i]
	}
	switch attr {
	case "index":
		return int64(l.index + 1)
	case "index0":
		return int64(l.index)
	case "revindex":
		return int64(n - l.index)
	case "revindex0":
		return int64(n - l.index - 1)
	case "first":
		return l.index == 0
	case "last":
		return l.index == n-1
	case "length":
		return int64(n)
	case "depth":
		return int64(l.depth + 1)
	case "depth0":
		return int64(l.depth)
	case "previtem":
		return neighbour(l.index-1, attr)
	case "nextitem":
		return neighbour(l.index+1, attr)
	case "cycle":
		return Func(func(args []any, _ map[string]any) (any, error) {
			if len(args) == 0 {
				return nil, errors.New("loop.cycle needs arguments")
			}
			return args[l.index%len(args)], nil
		})
	case "changed":
		return Func(func(args []any, _ map[string]any) (any, error) {
			same := l.last != nil && r.equal(&list{items: *l.last}, &list{items: args})
			l.last = &args
			return !same, nil
		})
	}
	return undefined{attr}
}

// macro is a macro, or the body of a call block, with the scope it was written in.
type macro struct {
	node  *macroNode
	scope *scope
}

func (r *run) callMacro(m *macro, a *arguments, caller *macro) string {
	inner := m.scope.child()
	n := m.node
	if len(a.args) > len(n.params) {
		fail("template: macro %s takes %d arguments, got %d", n.name, len(n.params), len(a.args))
	}
	taken := len(a.args)
	for k := range a.kwargs {
		at := -1
		for i, p := range n.params {
			if p == k {
				at = i
			}
		}
		if at < 0 {
			fail("template: macro %s has no parameter %q", n.name, k)
		}
		if at < taken {
			fail("template: macro %s got %q twice", n.name, k)
		}
	}
	if caller != nil {
		inner.vars["caller"] = caller
	}
	firstDefault := len(n.params) - len(n.defaults)
	for i, p := range n.params {
		v, given := a.kwargs[p]
		switch {
		case i < taken:
			v = a.args[i]
		case given:
		case i >= firstDefault:
			v = r.eval(n.defaults[i-firstDefault], inner)
		default:
			v = undefined{p}
		}
		inner.vars[p] = v
	}
	return r.capture(func() { r.execBody(n.body, inner) })
}

// invoke calls any callable value.
func (r *run) invoke(fn any, a *arguments, caller *macro) any {
	switch fn := fn.(type) {
	case Func:
		v, err := fn(a.args, a.kwargs)
		if err != nil {
			panic(failure{err})
		}
		return r.fromGo(v, 0)
	case builtin:
		return fn(r, a)
	case *method:
		return fn.fn(r, fn.recv, a)
	case *macro:
		return r.callMacro(fn, a, caller)
	case *loop:
		if fn.recurse != nil {
			return fn.recurse(r.iterate(a.need(0, "loop")))
		}
	case undefined:
		fail("template: %q is undefined, so it cannot be called", fn.name)
	}
	panic(failure{fmt.Errorf("template: %s cannot be called", typeName(fn))})
}
