package tokenizer

import "slices"

// matcher says which of many words occur in a text in one pass over it (Aho and Corasick 1975), whatever
// the words: a vocabulary may have thousands of special tokens and most texts have none.
type matcher struct {
	nodes []matchNode
	root  [256]int32
}

type matchNode struct {
	next map[byte]int32
	fail int32
	word int32 // index of the word ending here, or -1
	dict int32 // nearest node on the fail chain where a word ends, 0 if none
}

func newMatcher(words []string) *matcher {
	m := &matcher{nodes: []matchNode{{word: -1}}}
	for i, w := range words {
		at := int32(0)
		for j := 0; j < len(w); j++ {
			nx, ok := m.nodes[at].next[w[j]]
			if !ok {
				nx = int32(len(m.nodes))
				m.nodes = append(m.nodes, matchNode{word: -1})
				if m.nodes[at].next == nil {
					m.nodes[at].next = make(map[byte]int32, 1)
				}
				m.nodes[at].next[w[j]] = nx
			}
			at = nx
		}
		if at != 0 {
			m.nodes[at].word = int32(i)
		}
	}
	m.link()
	return m
}

// link sets the fail and dict links breadth first.
func (m *matcher) link() {
	queue := make([]int32, 0, len(m.nodes))
	for c, nx := range m.nodes[0].next {
		m.root[c] = nx
		queue = append(queue, nx)
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for c, nx := range m.nodes[at].next {
			fail := m.step(m.nodes[at].fail, c)
			m.nodes[nx].fail = fail
			m.nodes[nx].dict = fail
			if m.nodes[fail].word < 0 {
				m.nodes[nx].dict = m.nodes[fail].dict
			}
			queue = append(queue, nx)
		}
	}
}

func (m *matcher) step(at int32, c byte) int32 {
	for at != 0 {
		if nx, ok := m.nodes[at].next[c]; ok {
			return nx
		}
		at = m.nodes[at].fail
	}
	return m.root[c]
}

// present returns the indexes of the words that occur in text, ascending.
func (m *matcher) present(text string) []int {
	if len(m.nodes) == 1 {
		return nil
	}
	var found []int
	var seen map[int32]bool
	at := int32(0)
	for i := 0; i < len(text); i++ {
		at = m.step(at, text[i])
		for n := at; n != 0; n = m.nodes[n].dict {
			if seen[n] {
				break // so is all of its chain
			}
			if w := m.nodes[n].word; w >= 0 {
				found = append(found, int(w))
			}
			if seen == nil {
				seen = make(map[int32]bool)
			}
			if m.nodes[n].word >= 0 {
				seen[n] = true
			}
		}
	}
	slices.Sort(found)
	return found
}
