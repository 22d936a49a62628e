package grammar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// maxTextStates bounds the automaton of one string's patterns and lengths.
const maxTextStates = 1 << 14

// textSpec is what a JSON string must be: all patterns are searched in it, as JSON Schema has it. max -1: no limit.
type textSpec struct {
	patterns []string
	min, max int
}

// jsonString matches a JSON string, quotes included.
func (b *builder) jsonString(t textSpec) (expr, error) {
	if t.max >= 0 && t.max < t.min {
		return exprNone{}, nil
	}
	body := expr(exprRepeat{b.jsonChar(), t.min, t.max})
	if len(t.patterns) > 0 {
		graph, err := b.patternGraph(t)
		if err != nil {
			return nil, fmt.Errorf("pattern or format: %w", err)
		}
		body = graph
	}
	return exprSeq{literal(`"`), body, literal(`"`)}, nil
}

// jsonChar is one character inside a JSON string, in any spelling. A surrogate comes only as a half of a pair.
func (b *builder) jsonChar() expr {
	return b.once("char", func() expr {
		hex := oneOf("0123456789abcdefABCDEF")
		d := oneOf("dD")
		return exprAlt{
			runes([]runeRange{{' ', '!'}, {'#', '['}, {']', unicode.MaxRune}}),
			exprSeq{literal(`\`), exprAlt{
				oneOf(`"\/bfnrt`),
				exprSeq{literal("u"), exprAlt{
					exprSeq{oneOf("0123456789abcefABCEF"), hex, hex, hex},
					exprSeq{d, oneOf("01234567"), hex, hex},
					exprSeq{d, oneOf("89abAB"), hex, hex, literal(`\u`), d, oneOf("cdefCDEF"), hex, hex},
				}},
			}},
		}
	})
}

// jsonRunes is one character of some ranges in its usual spelling inside a JSON string.
func (b *builder) jsonRunes(ranges []runeRange) expr {
	var name strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&name, "%x-%x,", r.lo, r.hi)
	}
	return b.once(name.String(), func() expr {
		var plain []runeRange
		var out exprAlt
		for _, r := range ranges {
			for c := r.lo; c <= min(r.hi, '\\'); c++ {
				if c < ' ' || c == '"' || c == '\\' {
					out = append(out, literal(escapeRune(c)))
				}
			}
			for _, p := range []runeRange{{' ', '!'}, {'#', '['}, {']', unicode.MaxRune}} {
				if lo, hi := max(p.lo, r.lo), min(p.hi, r.hi); lo <= hi {
					plain = append(plain, runeRange{lo, hi})
				}
			}
		}
		if len(plain) > 0 {
			out = append(out, runes(plain))
		}
		return out
	})
}

// escapeRune is the spelling of a character that a JSON string cannot hold as it is.
func escapeRune(c rune) string {
	if i := strings.IndexRune("\"\\\b\f\n\r\t", c); i >= 0 {
		return `\` + string(`"\bfnrt`[i])
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// search runs one pattern over a text, as a set of the program's instructions.
type search struct {
	prog *syntax.Prog
	mark []uint32
	turn uint32
}

// closure follows instructions that consume nothing. A set that has matched is {-1}: more text changes nothing.
func (s *search) closure(from []uint32, flags syntax.EmptyOp) (set []uint32, matched bool) {
	s.turn++
	stack := slices.Clone(from)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if s.mark[pc] == s.turn {
			continue
		}
		s.mark[pc] = s.turn
		switch i := &s.prog.Inst[pc]; i.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, i.Out, i.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, i.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(i.Arg)&^flags == 0 {
				stack = append(stack, i.Out)
			} else if syntax.EmptyOp(i.Arg) == syntax.EmptyEndText {
				set = append(set, pc) // it may yet match at the end
			}
		case syntax.InstMatch:
			matched = true
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			set = append(set, pc)
		}
	}
	slices.Sort(set)
	return set, matched
}

const hasMatched = ^uint32(0)

// start is the set before the first character.
func (s *search) start() []uint32 {
	set, matched := s.closure([]uint32{uint32(s.prog.Start)}, syntax.EmptyBeginText)
	if matched {
		return []uint32{hasMatched}
	}
	return set
}

// next is the set after a character. A search may begin anywhere, so the start is added each time.
func (s *search) next(set []uint32, r rune) []uint32 {
	if len(set) == 1 && set[0] == hasMatched {
		return set
	}
	from := []uint32{uint32(s.prog.Start)}
	for _, pc := range set {
		if i := &s.prog.Inst[pc]; i.Op != syntax.InstEmptyWidth && i.MatchRune(r) {
			from = append(from, i.Out)
		}
	}
	out, matched := s.closure(from, 0)
	if matched {
		return []uint32{hasMatched}
	}
	return out
}

// accepts says whether the text may end with this set.
func (s *search) accepts(set []uint32, empty bool) bool {
	if len(set) == 1 && set[0] == hasMatched {
		return true
	}
	flags := syntax.EmptyEndText
	if empty {
		flags |= syntax.EmptyBeginText
	}
	_, matched := s.closure(set, flags)
	return matched
}

// patternGraph is the automaton of all patterns and the length together.
func (b *builder) patternGraph(t textSpec) (expr, error) {
	var searches []*search
	cuts := []rune{0, unicode.MaxRune + 1, 0xd800, 0xe000}
	for _, p := range t.patterns {
		re, err := parseRegex(p)
		if err != nil {
			return nil, err
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			return nil, err
		}
		if len(prog.Inst) > 1<<14 {
			return nil, ErrLimit
		}
		for i := range prog.Inst {
			if inst := &prog.Inst[i]; inst.Op == syntax.InstEmptyWidth {
				if op := syntax.EmptyOp(inst.Arg); op != syntax.EmptyBeginText && op != syntax.EmptyEndText {
					return nil, errors.New(`\b, \B and (?m) are not supported in a pattern`)
				}
			} else {
				cuts = append(cuts, cutsOf(inst)...)
			}
		}
		searches = append(searches, &search{prog: prog, mark: make([]uint32, len(prog.Inst))})
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	if len(cuts) > 1<<12 {
		return nil, fmt.Errorf("%w: the patterns tell too many ranges of characters apart", ErrLimit)
	}
	most := t.max // lengths above are not told apart
	if most < 0 {
		most = t.min
	}
	type state struct {
		sets  [][]uint32
		count int
	}
	var states []state
	var graph exprGraph
	ids := map[string]int{}
	work := 0
	intern := func(s state) int {
		var key []byte
		for _, set := range s.sets {
			key = binary.LittleEndian.AppendUint32(key, uint32(len(set)))
			for _, pc := range set {
				key = binary.LittleEndian.AppendUint32(key, pc)
			}
		}
		key = binary.LittleEndian.AppendUint32(key, uint32(s.count))
		id, ok := ids[string(key)]
		if !ok {
			id = len(states)
			ids[string(key)] = id
			states = append(states, s)
		}
		return id
	}
	first := state{}
	for _, s := range searches {
		first.sets = append(first.sets, s.start())
	}
	intern(first)
	for i := 0; i < len(states); i++ {
		from := states[i]
		g := graphState{accept: from.count >= t.min}
		for k, s := range searches {
			g.accept = g.accept && s.accepts(from.sets[k], i == 0)
		}
		ways := map[int][]runeRange{}
		var order []int
		for c := 0; c+1 < len(cuts) && (t.max < 0 || from.count < t.max); c++ {
			if cuts[c] == 0xd800 {
				continue // surrogates are no characters
			}
			next := state{count: min(from.count+1, most)}
			for k, s := range searches {
				next.sets = append(next.sets, s.next(from.sets[k], cuts[c]))
				work += len(from.sets[k]) + 4
			}
			if work > 1<<24 || len(states) > maxTextStates {
				return nil, fmt.Errorf("%w: the patterns and lengths together have too many states", ErrLimit)
			}
			to := intern(next)
			if ways[to] == nil {
				order = append(order, to)
			}
			r := runeRange{cuts[c], cuts[c+1] - 1}
			if n := len(ways[to]); n > 0 && ways[to][n-1].hi == r.lo-1 {
				ways[to][n-1].hi = r.hi
			} else {
				ways[to] = append(ways[to], r)
			}
		}
		for _, to := range order {
			g.edges = append(g.edges, graphEdge{b.jsonRunes(ways[to]), to})
		}
		graph.states = append(graph.states, g)
	}
	return graph, b.err
}

// cutsOf lists where an instruction begins and ends to match.
func cutsOf(i *syntax.Inst) []rune {
	var out []rune
	add := func(lo, hi rune) { out = append(out, lo, hi+1) }
	switch i.Op {
	case syntax.InstRuneAnyNotNL:
		add('\n', '\n')
	case syntax.InstRune, syntax.InstRune1:
		if len(i.Rune) == 1 {
			add(i.Rune[0], i.Rune[0])
			if syntax.Flags(i.Arg)&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(i.Rune[0]); f != i.Rune[0]; f = unicode.SimpleFold(f) {
					add(f, f)
				}
			}
			break
		}
		for _, r := range pairs(i.Rune) {
			add(r.lo, r.hi)
		}
	}
	return out
}

// otherKey matches a JSON string that is none of the names.
func (b *builder) otherKey(names []string) expr {
	type branch struct {
		next  map[rune]int
		order []rune
		name  bool
	}
	trie := []branch{{next: map[rune]int{}}}
	for _, n := range names {
		at := 0
		for _, r := range n {
			to, ok := trie[at].next[r]
			if !ok {
				to = len(trie)
				trie = append(trie, branch{next: map[rune]int{}})
				trie[at].next[r] = to
				trie[at].order = append(trie[at].order, r)
			}
			at = to
		}
		trie[at].name = true
	}
	free := len(trie)
	var graph exprGraph
	for _, t := range trie {
		s := graphState{accept: !t.name}
		slices.Sort(t.order)
		var rest []runeRange
		from := rune(0)
		for _, r := range t.order {
			s.edges = append(s.edges, graphEdge{b.jsonRunes([]runeRange{{r, r}}), t.next[r]})
			if from < r {
				rest = append(rest, runeRange{from, r - 1})
			}
			from = r + 1
		}
		rest = append(rest, runeRange{from, unicode.MaxRune})
		s.edges = append(s.edges, graphEdge{b.jsonRunes(rest), free})
		graph.states = append(graph.states, s)
	}
	graph.states = append(graph.states, graphState{accept: true, edges: []graphEdge{{b.jsonRunes([]runeRange{{0, unicode.MaxRune}}), free}}})
	return exprSeq{literal(`"`), graph, literal(`"`)}
}
