package grammar

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
)

func sortEntries(e []entry) {
	slices.SortFunc(e, func(a, b entry) int { return cmp.Compare(a.node, b.node) })
}

// Vocabulary is a trie over the bytes of all tokens that carry text. It is immutable and safe for concurrent use.
type Vocabulary struct {
	size   int
	end    []int32  // tokens that end a text
	tokens [][]byte // by id; nil: carries no text

	// The trie in depth-first order: a node's byte, its depth, and the node behind its subtree.
	label []byte
	depth []uint16
	skip  []int32
	first []int32 // where the tokens that end at a node begin in ids
	last  []int32 // and where they end
	ids   []int32
	deep  int
}

// maxTokenBytes bounds the tokens that are considered; longer ones are never allowed.
const maxTokenBytes = 1 << 10

// NewVocabulary makes the trie. bytes returns the text of a token, nil for one that carries none (control tokens); end
// says which tokens end a text. bytes' results are kept.
func NewVocabulary(size int, text func(id int32) []byte, end func(id int32) bool) *Vocabulary {
	v := &Vocabulary{size: size, tokens: make([][]byte, size)}
	for id := range int32(size) {
		if end(id) {
			v.end = append(v.end, id)
			continue
		}
		if b := text(id); len(b) > 0 && len(b) <= maxTokenBytes {
			v.tokens[id] = b
			v.ids = append(v.ids, id)
		}
	}
	slices.SortStableFunc(v.ids, func(a, b int32) int { return bytes.Compare(v.tokens[a], v.tokens[b]) })
	var path []int32 // the nodes of the last token
	var last []byte
	for i, id := range v.ids {
		t := v.tokens[id]
		common := 0
		for common < len(last) && common < len(t) && last[common] == t[common] {
			common++
		}
		for k := len(path) - 1; k >= common; k-- {
			v.skip[path[k]] = int32(len(v.label))
		}
		path = path[:common]
		for k := common; k < len(t); k++ {
			path = append(path, int32(len(v.label)))
			v.label, v.depth = append(v.label, t[k]), append(v.depth, uint16(k))
			v.skip, v.first, v.last = append(v.skip, 0), append(v.first, int32(i)), append(v.last, int32(i))
		}
		v.last[path[len(path)-1]] = int32(i + 1)
		last = t
		v.deep = max(v.deep, len(t))
	}
	for _, n := range path {
		v.skip[n] = int32(len(v.label))
	}
	return v
}

// maxMaskBytes bounds the masks kept for one grammar and vocabulary.
const maxMaskBytes = 8 << 20

// Program is a grammar over a vocabulary, with the states and masks found so far. It is safe for concurrent use.
type Program struct {
	g *Grammar
	v *Vocabulary

	mu  sync.Mutex
	now *automaton
}

// NewProgram puts a grammar and a vocabulary together.
func NewProgram(g *Grammar, v *Vocabulary) *Program {
	return &Program{g: g, v: v, now: newAutomaton(g)}
}

// Kind is the kind of the grammar.
func (p *Program) Kind() string { return p.g.Kind }

func (p *Program) automaton() *automaton {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// renew replaces an automaton that has grown too large.
func (p *Program) renew(old *automaton) *automaton {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == old {
		p.now = newAutomaton(p.g)
	}
	return p.now
}

// Matcher follows one text. It is not safe for concurrent use.
type Matcher struct {
	p     *Program
	a     *automaton
	state int32
}

// NewMatcher begins a text.
func (p *Program) NewMatcher() (*Matcher, error) {
	m := &Matcher{p: p, a: p.automaton()}
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	if m.state = m.a.first(); m.state < 0 {
		return nil, ErrRun
	}
	return m, nil
}

// Mask implements sample.Constraint.
func (m *Matcher) Mask(mask []uint32) error {
	if len(mask) < (m.p.v.size+31)/32 {
		return fmt.Errorf("a mask of %d words is too short for %d tokens", len(mask), m.p.v.size)
	}
	m.a.mu.Lock()
	defer func() { m.a.mu.Unlock() }() // of the automaton it has moved to
	if m.a.full() {
		m.move()
	}
	known, ok := m.a.masks[m.state]
	if !ok {
		m.a.over, m.a.work = false, 0
		known = m.p.v.mask(m.a, m.state)
		if m.a.work > maxWork {
			return ErrRun
		}
		if (len(m.a.masks)+1)*len(known)*4 > maxMaskBytes {
			clear(m.a.masks)
		}
		m.a.masks[m.state] = known
	}
	clear(mask[copy(mask, known):])
	for _, w := range known {
		if w != 0 {
			return nil
		}
	}
	if m.a.over {
		return ErrRun
	}
	return errors.New("no token of the vocabulary can follow")
}

// move goes on in a fresh automaton. The caller holds m.a.mu, and holds the new one's afterwards.
func (m *Matcher) move() {
	old := m.a
	next := m.p.renew(old)
	if next.full() {
		next = newAutomaton(m.p.g) // of a single text that is very large
	}
	next.mu.Lock()
	m.state = next.adopt(old, m.state)
	m.a = next
	old.mu.Unlock()
}

// Accept implements sample.Constraint. A token that ends the text is accepted where the text is complete.
func (m *Matcher) Accept(id int32) error {
	if id < 0 || int(id) >= m.p.v.size {
		return fmt.Errorf("token %d is not in the vocabulary", id)
	}
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	if slices.Contains(m.p.v.end, id) {
		if !m.a.ends[m.state] {
			return errors.New("the text may not end here")
		}
		return nil
	}
	s, ok := m.a.run(m.state, m.p.v.tokens[id])
	if !ok || len(m.p.v.tokens[id]) == 0 {
		return fmt.Errorf("token %d may not follow", id)
	}
	m.state = s
	return nil
}

// AcceptBytes advances over bytes, or says that they may not follow and stays.
func (m *Matcher) AcceptBytes(b []byte) bool {
	m.a.mu.Lock()
	defer func() { m.a.mu.Unlock() }() // of the automaton it has moved to
	if m.a.full() {
		m.move()
	}
	s, ok := m.a.run(m.state, b)
	if ok {
		m.state = s
	}
	return ok
}

// Complete implements sample.Constraint.
func (m *Matcher) Complete() bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.a.onlyEnd(m.state)
}

// MayEnd says that the text so far is whole, though more may follow.
func (m *Matcher) MayEnd() bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.a.ends[m.state]
}

func (a *automaton) run(s int32, b []byte) (int32, bool) {
	a.work = 0
	for _, c := range b {
		if s = a.step(s, a.g.class[c]); s < 0 {
			return s, false
		}
	}
	return s, true
}

// mask walks the trie once; a subtree whose first byte is not allowed is skipped.
func (v *Vocabulary) mask(a *automaton, s int32) []uint32 {
	mask := make([]uint32, (v.size+31)/32)
	path := make([]int32, v.deep+1)
	path[0] = s
	ids, class, classes := v.ids, &a.g.class, a.g.count
	for i := 0; i < len(v.label); {
		d := v.depth[i]
		c := class[v.label[i]]
		next := a.trans[int(path[d])*classes+int(c)]
		if next == 0 {
			next = a.step(path[d], c) + 1
		}
		if next <= 0 {
			i = int(v.skip[i])
			continue
		}
		path[d+1] = next - 1
		for k := v.first[i]; k < v.last[i]; k++ {
			id := ids[k]
			mask[id>>5] |= 1 << (id & 31)
		}
		i++
	}
	if a.ends[s] {
		for _, id := range v.end {
			mask[id>>5] |= 1 << (id & 31)
		}
	}
	return mask
}
