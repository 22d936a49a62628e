// Package grammar keeps a model's answer in a form: a grammar in GBNF, a regular expression, JSON, or a JSON Schema. All
// four compile to one thing, rules of byte-level nodes, which run as a stack machine over the bytes of tokens. What may
// come next is a mask over the vocabulary, computed from a trie of all tokens and kept for each state of the machine.
//
// It knows nothing of models and logits. Start reading at [Grammar], then automaton.go for how it runs and mask.go for
// the masks. gbnf.go, regex.go and schema.go are the languages.
//
// Prior art: Dong et al., XGrammar (2024), for masks kept for each state of a pushdown automaton; Scott and Johnstone,
// GLL Parsing (2010), for stacks that share their tails.
package grammar

import (
	"errors"
	"fmt"
)

// Bounds of what is compiled. Schemas and grammars come from outside.
const (
	MaxSource  = 1 << 20 // bytes of a source text
	maxNodes   = 1 << 19
	maxRules   = 1 << 16
	maxNesting = 256 // of a source's own brackets, groups and sub-schemas
)

// ErrLimit is the class of errors about sources that are too large once compiled.
var ErrLimit = errors.New("it is too large")

var errNoText = errors.New("no text can match it")

// op is what a node does.
type op uint8

const (
	opEnd    op = iota // the whole text is complete; always node 0
	opByte             // consumes a byte of set, then next
	opSplit            // next or other
	opCall             // the rule other, then next
	opReturn           // ends a rule
)

// node is one position of a rule. Nodes are numbered so that what follows has mostly the lower number.
type node struct {
	op          op
	next, other int32
	set         int32
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s[b>>6] |= 1 << (b & 63)
	}
}
func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

// Grammar is a compiled form. It is immutable and safe for concurrent use.
type Grammar struct {
	Kind  string // gbnf, regex, json_object, json_schema: for traces
	nodes []node
	start int32
	rules []int32    // the entries of rules
	live  []bool     // whether the end of the node's rule can be reached
	class [256]uint8 // bytes that no set tells apart
	count int        // classes
	sets  []byteSet  // of classes
}

// finish checks the rules and prepares them for running. root is the first rule.
func (b *builder) finish(kind string, root int) (*Grammar, error) {
	if b.err != nil {
		return nil, b.err
	}
	for i, r := range b.rules {
		if r.entry < 0 {
			return nil, fmt.Errorf("the rule %q is used and not defined", b.rules[i].name)
		}
	}
	g := &Grammar{Kind: kind, nodes: b.nodes, start: b.rules[root].entry, rules: make([]int32, len(b.rules))}
	for i, r := range b.rules {
		g.rules[i] = r.entry
	}
	g.live = b.fixpoint(func(n *node) bool { return n.op == opByte && b.sets[n.set] != byteSet{} })
	if !g.live[g.start] {
		return nil, errNoText
	}
	if err := b.checkLeftRecursion(); err != nil {
		return nil, err
	}
	g.classify(b.sets)
	return g, nil
}

// fixpoint finds the nodes from which a return can be reached; through says whether a byte node may be passed.
func (b *builder) fixpoint(through func(*node) bool) []bool {
	reaches := make([]bool, len(b.nodes))
	waiting := make([][]int32, len(b.nodes)) // who looks at a node again when it is found to reach
	var work []int32
	check := func(i int32) {
		n := &b.nodes[i]
		if reaches[i] {
			return
		}
		needs := func(j int32) bool {
			if !reaches[j] {
				waiting[j] = append(waiting[j], i)
			}
			return reaches[j]
		}
		ok := false
		switch n.op {
		case opEnd, opReturn:
			ok = true
		case opByte:
			ok = through(n) && needs(n.next)
		case opSplit:
			ok = needs(n.next) || needs(n.other)
		case opCall:
			ok = needs(b.rules[n.other].entry) && needs(n.next)
		}
		if ok {
			reaches[i] = true
			work = append(work, i)
		}
	}
	for i := range b.nodes {
		check(int32(i))
		for len(work) > 0 {
			j := work[len(work)-1]
			work = work[:len(work)-1]
			list := waiting[j]
			waiting[j] = nil
			for _, k := range list {
				check(k)
			}
		}
	}
	return reaches
}

// checkLeftRecursion refuses rules that can call themselves before they consume a byte: the stack machine would not end.
func (b *builder) checkLeftRecursion() error {
	nullable := b.fixpoint(func(*node) bool { return false })
	const entered, done = 1, 2
	color := make([]uint8, len(b.rules))
	seen := make([]int32, len(b.nodes)) // 1 + the rule that walked it last
	// left lists the rules that a rule can call first.
	left := func(r int32) []int32 {
		var calls []int32
		stack := []int32{b.rules[r].entry}
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[i] == r+1 {
				continue
			}
			seen[i] = r + 1
			switch n := &b.nodes[i]; n.op {
			case opSplit:
				stack = append(stack, n.next, n.other)
			case opCall:
				calls = append(calls, n.other)
				if nullable[b.rules[n.other].entry] {
					stack = append(stack, n.next)
				}
			}
		}
		return calls
	}
	type frame struct {
		rule  int32
		calls []int32
	}
	for r := range b.rules {
		if color[r] != 0 {
			continue
		}
		stack := []frame{{int32(r), left(int32(r))}}
		color[r] = entered
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if len(f.calls) == 0 {
				color[f.rule] = done
				stack = stack[:len(stack)-1]
				continue
			}
			next := f.calls[0]
			f.calls = f.calls[1:]
			switch color[next] {
			case entered:
				return fmt.Errorf("the rule %q is left-recursive: it calls itself before it has consumed anything; write the repetition with * or +", b.rules[next].name)
			case 0:
				color[next] = entered
				stack = append(stack, frame{next, left(next)})
			}
		}
	}
	return nil
}

// classify numbers the bytes that behave alike, so that a state's transitions are few.
func (g *Grammar) classify(sets []byteSet) {
	g.count = 1
	for i := range sets {
		var to [256][2]int
		next := 0
		for b := range 256 {
			in := 0
			if sets[i].has(byte(b)) {
				in = 1
			}
			t := &to[g.class[b]][in]
			if *t == 0 {
				next++
				*t = next
			}
			g.class[b] = uint8(*t - 1)
		}
		g.count = next
	}
	g.sets = make([]byteSet, len(sets))
	for i := range sets {
		for b := range 256 {
			if sets[i].has(byte(b)) {
				g.sets[i].add(g.class[b], g.class[b])
			}
		}
	}
}

// entryOf is where the rule of a call begins.
func (g *Grammar) entryOf(call *node) int32 { return g.rules[call.other] }
