package grammar

import (
	"encoding/binary"
	"errors"
	"sync"
)

// Bounds of a running automaton. A state that is dropped is computed again when it is needed.
const (
	maxStates  = 1 << 14
	maxEntries = 1 << 20 // of all stack sets
	maxDepth   = 1 << 12 // of a stack
	maxSteps   = 1 << 18 // to find one state
	maxWork    = 1 << 23 // to find the states of one mask
)

// ErrRun means that a text is nested too deep, or a grammar too ambiguous, to go on.
var ErrRun = errors.New("the grammar ran over its limits: too deep or too ambiguous")

// entry is the top of some stacks: a node, and the set of what may lie below it.
type entry struct{ node, below int32 }

// automaton runs a grammar: a state is a set of stacks that share their tails, kept once and numbered. Transitions are
// found when they are needed. It is guarded by mu.
type automaton struct {
	g  *Grammar
	mu sync.Mutex

	sets    [][]entry // sorted by node, one entry a node; set 0 is empty
	depth   []int32
	ids     map[string]int32
	entries int
	states  map[int32]int32 // by set
	trans   []int32         // states x classes: 0 not known yet, -1 none, else 1 + the state
	ofState []int32         // the set of a state
	ends    []bool          // the text may end here
	masks   map[int32][]uint32
	unions  map[[2]int32]int32

	// of one closure
	stamp []uint32
	epoch uint32
	below []int32
	queue []int32
	found []entry
	steps int
	work  int // since the last mask or token
	key   []byte
	over  bool // a limit was met
}

func newAutomaton(g *Grammar) *automaton {
	a := &automaton{g: g, ids: map[string]int32{}, states: map[int32]int32{}, masks: map[int32][]uint32{}, unions: map[[2]int32]int32{},
		stamp: make([]uint32, len(g.nodes)), below: make([]int32, len(g.nodes))}
	a.intern(nil)
	return a
}

// full says that the automaton has grown enough, and a text should go on in a new one.
func (a *automaton) full() bool { return len(a.ofState) > maxStates || a.entries > maxEntries }

// intern returns the number of a sorted set, -1 if it is too deep.
func (a *automaton) intern(set []entry) int32 {
	a.key = a.key[:0]
	for _, e := range set {
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(e.node))
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(e.below))
	}
	if id, ok := a.ids[string(a.key)]; ok {
		return id
	}
	depth := int32(0)
	for _, e := range set {
		depth = max(depth, a.depth[e.below]+1)
	}
	if depth > maxDepth {
		return -1
	}
	id := int32(len(a.sets))
	a.ids[string(a.key)] = id
	a.sets = append(a.sets, append([]entry(nil), set...))
	a.depth = append(a.depth, depth)
	a.entries += len(set) + 1
	return id
}

// union joins two sets. Stacks with the same top are joined below it.
func (a *automaton) union(x, y int32) int32 {
	if x == y || y == 0 {
		return x
	}
	if x == 0 {
		return y
	}
	if x > y {
		x, y = y, x
	}
	if id, ok := a.unions[[2]int32{x, y}]; ok {
		return id
	}
	a.steps++
	a.work++
	p, q := a.sets[x], a.sets[y]
	out := make([]entry, 0, len(p)+len(q))
	for len(p) > 0 || len(q) > 0 {
		switch {
		case len(q) == 0 || len(p) > 0 && p[0].node < q[0].node:
			out, p = append(out, p[0]), p[1:]
		case len(p) == 0 || q[0].node < p[0].node:
			out, q = append(out, q[0]), q[1:]
		default:
			out = append(out, entry{p[0].node, a.union(p[0].below, q[0].below)})
			p, q = p[1:], q[1:]
		}
	}
	id := a.intern(out) // no deeper than the deeper of the two
	a.unions[[2]int32{x, y}] = id
	return id
}

// put adds stacks to the closure in work.
func (a *automaton) put(n, below int32) {
	if !a.g.live[n] {
		return
	}
	if a.stamp[n] != a.epoch {
		a.stamp[n], a.below[n] = a.epoch, below
		a.queue = append(a.queue, n)
		return
	}
	if joined := a.union(a.below[n], below); joined != a.below[n] {
		a.below[n] = joined
		a.queue = append(a.queue, n)
	}
}

// begin empties the closure in work.
func (a *automaton) begin() {
	a.epoch++
	if a.epoch == 0 {
		clear(a.stamp)
		a.epoch = 1
	}
	a.queue, a.found, a.steps = a.queue[:0], a.found[:0], 0
}

// close follows everything that consumes nothing, and returns the state, or -1.
func (a *automaton) close() int32 {
	for len(a.queue) > 0 {
		i := a.queue[len(a.queue)-1]
		a.queue = a.queue[:len(a.queue)-1]
		a.steps++
		if a.work++; a.steps > maxSteps || a.work > maxWork {
			a.over = true
			return -1
		}
		below := a.below[i]
		switch n := &a.g.nodes[i]; n.op {
		case opByte, opEnd:
			a.found = append(a.found, entry{node: i})
		case opSplit:
			a.put(n.next, below)
			a.put(n.other, below)
		case opCall:
			if a.g.nodes[n.next].op != opReturn { // else it is a tail call and needs no stack
				one := [1]entry{{n.next, below}}
				if below = a.intern(one[:]); below < 0 {
					a.over = true
					continue
				}
			}
			a.put(a.g.entryOf(n), below)
		case opReturn:
			for _, e := range a.sets[below] {
				a.put(e.node, e.below)
			}
		}
	}
	out := a.found[:0]
	sortEntries(a.found)
	for i, e := range a.found {
		if i == 0 || e.node != out[len(out)-1].node {
			out = append(out, entry{e.node, a.below[e.node]})
		}
	}
	if len(out) == 0 {
		return -1
	}
	set := a.intern(out)
	if set < 0 {
		a.over = true
		return -1
	}
	return a.state(set)
}

func (a *automaton) state(set int32) int32 {
	if s, ok := a.states[set]; ok {
		return s
	}
	s := int32(len(a.ofState))
	a.states[set] = s
	a.ofState = append(a.ofState, set)
	a.ends = append(a.ends, a.sets[set][0].node == 0)
	for range a.g.count {
		a.trans = append(a.trans, 0)
	}
	return s
}

// first returns the state before the first byte.
func (a *automaton) first() int32 {
	a.begin()
	a.put(a.g.start, a.intern([]entry{{0, 0}}))
	return a.close()
}

// step returns the state after a byte of a class, or -1.
func (a *automaton) step(s int32, class uint8) int32 {
	at := int(s)*a.g.count + int(class)
	if t := a.trans[at]; t != 0 {
		if t > 0 {
			return t - 1
		}
		return -1
	}
	a.begin()
	for _, e := range a.sets[a.ofState[s]] {
		if n := &a.g.nodes[e.node]; n.op == opByte && a.g.sets[n.set].has(class) {
			a.put(n.next, e.below)
		}
	}
	t := a.close()
	if t < 0 {
		a.trans[at] = -1
	} else {
		a.trans[at] = t + 1
	}
	return t
}

// onlyEnd says that the text is complete and nothing may follow.
func (a *automaton) onlyEnd(s int32) bool { return a.ends[s] && len(a.sets[a.ofState[s]]) == 1 }

// adopt takes over a state of another automaton of the same grammar.
func (a *automaton) adopt(from *automaton, s int32) int32 {
	known := map[int32]int32{0: 0}
	var set func(int32) int32
	set = func(id int32) int32 {
		if mine, ok := known[id]; ok {
			return mine
		}
		copied := make([]entry, len(from.sets[id]))
		for i, e := range from.sets[id] {
			copied[i] = entry{e.node, set(e.below)}
		}
		mine := a.intern(copied)
		known[id] = mine
		return mine
	}
	return a.state(set(from.ofState[s]))
}
