package grammar

import (
	"fmt"
	"unicode/utf8"
)

// expr is an expression before it becomes nodes.
type expr interface{}

type (
	exprEmpty struct{}
	exprNone  struct{} // matches nothing
	exprBytes struct{ set byteSet }
	exprSeq   []expr
	exprAlt   []expr
	exprCall  int // a rule
	// exprRepeat is min to max times its expression; max -1: without end.
	exprRepeat struct {
		of       expr
		min, max int
	}
	// exprGraph is an automaton: state 0 begins.
	exprGraph struct{ states []graphState }
)

// graphState is a state of an exprGraph.
type graphState struct {
	accept bool
	edges  []graphEdge
}

// graphEdge consumes an expression that is not empty and goes to a state.
type graphEdge struct {
	on expr
	to int
}

type rule struct {
	name  string
	entry int32 // -1: not defined yet
}

// builder collects rules. After a fault err is set and the rest does nothing.
type builder struct {
	nodes  []node
	rules  []rule
	sets   []byteSet
	setIDs map[byteSet]int32
	ret    int32
	err    error

	shared map[string]int // rules for common parts, by name
}

func newBuilder() *builder {
	b := &builder{setIDs: map[byteSet]int32{}, shared: map[string]int{}}
	b.nodes = append(b.nodes, node{op: opEnd}, node{op: opReturn})
	b.ret = 1
	return b
}

// declare makes a rule that is defined later.
func (b *builder) declare(name string) int {
	if len(b.rules) >= maxRules {
		b.fail(fmt.Errorf("%w: more than %d rules", ErrLimit, maxRules))
		return 0
	}
	b.rules = append(b.rules, rule{name, -1})
	return len(b.rules) - 1
}

func (b *builder) define(rule int, e expr) {
	entry := b.compile(e, b.ret)
	if b.err == nil {
		b.rules[rule].entry = entry
	}
}

// rule makes a rule of an expression.
func (b *builder) rule(name string, e expr) exprCall {
	r := b.declare(name)
	b.define(r, e)
	return exprCall(r)
}

// once makes a common rule the first time it is asked for.
func (b *builder) once(name string, make func() expr) expr {
	if r, ok := b.shared[name]; ok {
		return exprCall(r)
	}
	r := b.declare(name)
	b.shared[name] = r
	b.define(r, make())
	return exprCall(r)
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *builder) add(n node) int32 {
	if len(b.nodes) >= maxNodes {
		b.fail(fmt.Errorf("%w: more than %d nodes once compiled; use smaller repetitions", ErrLimit, maxNodes))
		return b.ret
	}
	b.nodes = append(b.nodes, n)
	return int32(len(b.nodes) - 1)
}

func (b *builder) set(s byteSet) int32 {
	id, ok := b.setIDs[s]
	if !ok {
		id = int32(len(b.sets))
		b.sets = append(b.sets, s)
		b.setIDs[s] = id
	}
	return id
}

// compile returns the node that matches e and goes on with next.
func (b *builder) compile(e expr, next int32) int32 {
	if b.err != nil {
		return b.ret
	}
	switch e := e.(type) {
	case exprEmpty:
		return next
	case exprNone:
		return b.add(node{op: opByte, set: b.set(byteSet{}), next: next})
	case exprBytes:
		return b.add(node{op: opByte, set: b.set(e.set), next: next})
	case exprCall:
		return b.add(node{op: opCall, other: int32(e), next: next})
	case exprSeq:
		for i := len(e) - 1; i >= 0; i-- {
			next = b.compile(e[i], next)
		}
		return next
	case exprAlt:
		if len(e) == 0 {
			return b.compile(exprNone{}, next)
		}
		at := b.compile(e[len(e)-1], next)
		for i := len(e) - 2; i >= 0; i-- {
			at = b.add(node{op: opSplit, next: b.compile(e[i], next), other: at})
		}
		return at
	case exprRepeat:
		return b.repeat(e, next)
	case exprGraph:
		return b.graph(e, next)
	}
	panic(fmt.Sprintf("grammar: %T is no expression", e))
}

func (b *builder) repeat(e exprRepeat, next int32) int32 {
	// What is copied often becomes a rule, so that a copy is one node.
	if _, single := e.of.(exprBytes); !single && (e.max > 3 || e.min > 3) {
		if _, call := e.of.(exprCall); !call {
			e.of = b.rule("repeated", e.of)
		}
	}
	at := next
	if e.max < 0 {
		loop := b.add(node{op: opSplit, other: next})
		body := b.compile(e.of, loop)
		if b.err == nil {
			b.nodes[loop].next = body
		}
		at = loop
	}
	for i := e.min; i < e.max && b.err == nil; i++ {
		at = b.add(node{op: opSplit, next: b.compile(e.of, at), other: next})
	}
	for i := 0; i < e.min && b.err == nil; i++ {
		at = b.compile(e.of, at)
	}
	return at
}

func (b *builder) graph(e exprGraph, next int32) int32 {
	entries := make([]int32, len(e.states))
	for i := range entries {
		entries[i] = b.add(node{op: opSplit})
	}
	for i, s := range e.states {
		if b.err != nil {
			return b.ret
		}
		var ways []int32
		if s.accept {
			ways = append(ways, next)
		}
		for _, edge := range s.edges {
			ways = append(ways, b.compile(edge.on, entries[edge.to]))
		}
		if len(ways) == 0 {
			ways = append(ways, b.compile(exprNone{}, next))
		}
		at := ways[len(ways)-1]
		for k := len(ways) - 2; k >= 0; k-- {
			at = b.add(node{op: opSplit, next: ways[k], other: at})
		}
		if b.err == nil {
			b.nodes[entries[i]].next, b.nodes[entries[i]].other = at, at
		}
	}
	return entries[0]
}

// literal matches bytes as they are.
func literal(s string) expr {
	out := make(exprSeq, len(s))
	for i := range len(s) {
		var set byteSet
		set.add(s[i], s[i])
		out[i] = exprBytes{set}
	}
	return out
}

// oneOf matches one of some ASCII characters.
func oneOf(chars string) expr {
	var set byteSet
	for i := range len(chars) {
		set.add(chars[i], chars[i])
	}
	return exprBytes{set}
}

// runeRange is a range of code points, both ends included.
type runeRange struct{ lo, hi rune }

// runes matches the UTF-8 form of one code point of the ranges. Surrogates are never matched.
func runes(ranges []runeRange) expr {
	var single byteSet
	var out exprAlt
	for _, r := range ranges {
		for _, part := range []runeRange{{max(r.lo, 0), min(r.hi, 0xd7ff)}, {max(r.lo, 0xe000), min(r.hi, utf8.MaxRune)}} {
			if part.lo <= part.hi {
				out = splitUTF8(out, &single, part.lo, part.hi)
			}
		}
	}
	if single != (byteSet{}) {
		out = append(out, exprBytes{single})
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

// splitUTF8 cuts a range until all bytes of its ends but some last ones are equal, and these cover all values between.
func splitUTF8(out exprAlt, single *byteSet, lo, hi rune) exprAlt {
	for _, limit := range []rune{0x7f, 0x7ff, 0xffff} {
		if lo <= limit && hi > limit {
			out = splitUTF8(out, single, lo, limit)
			return splitUTF8(out, single, limit+1, hi)
		}
	}
	if hi <= 0x7f {
		single.add(byte(lo), byte(hi))
		return out
	}
	for i := 1; i < utf8.UTFMax; i++ {
		m := rune(1)<<(6*i) - 1
		if lo&^m == hi&^m {
			continue
		}
		if lo&m != 0 {
			out = splitUTF8(out, single, lo, lo|m)
			return splitUTF8(out, single, (lo|m)+1, hi)
		}
		if hi&m != m {
			out = splitUTF8(out, single, lo, hi&^m-1)
			return splitUTF8(out, single, hi&^m, hi)
		}
	}
	a, z := utf8.AppendRune(nil, lo), utf8.AppendRune(nil, hi)
	seq := make(exprSeq, len(a))
	for i := range a {
		var set byteSet
		set.add(a[i], z[i])
		seq[i] = exprBytes{set}
	}
	return append(out, seq)
}
