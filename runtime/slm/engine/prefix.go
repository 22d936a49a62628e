package engine

import (
	"slices"

	"github.com/ledge-run/ledge/runtime/slm/model"
)

// prefixCache keeps pages of earlier sequences for later ones that begin with the same tokens. It is a tree of pages: a
// node's page holds the keys and values of its tokens after those of its ancestors. Every space has a root of its own,
// and nothing is found across spaces: a tenant never sees whether another has asked the same. The scheduler's lock
// protects it.
type prefixCache struct {
	roots map[string]*node
	count int // pages
	clock int64
}

// node is a page in the tree. Only a full page has others behind it.
type node struct {
	parent *node
	space  string // of a root
	kids   map[[4]int32][]*node
	tokens []int32
	page   *model.Page
	used   int64
}

func newPrefixCache() *prefixCache { return &prefixCache{roots: map[string]*node{}} }

func (c *prefixCache) root(space string) *node {
	r := c.roots[space]
	if r == nil {
		r = &node{space: space}
		c.roots[space] = r
	}
	return r
}

func key(tokens []int32) (k [4]int32) {
	for i := range k {
		k[i] = -1
	}
	copy(k[:], tokens)
	return k
}

// found is how far the cache knows a prompt.
type found struct {
	full   []*node
	part   *node // whose first tokens, common many, go on from there
	common int
}

// find returns the longest known beginning of the tokens.
func (c *prefixCache) find(space string, tokens []int32) (f found) {
	at := c.roots[space]
	for at != nil {
		var next *node
		best := 0
		for _, kid := range at.kids[key(tokens[:min(len(tokens), 4)])] {
			n := common(kid.tokens, tokens)
			if n == model.PageTokens {
				next = kid
				break
			}
			if n > best {
				f.part, f.common, best = kid, n, n
			}
		}
		if next == nil {
			break
		}
		f.part, f.common = nil, 0
		f.full = append(f.full, next)
		tokens = tokens[model.PageTokens:]
		at = next
	}
	return f
}

func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// touch marks what was found as just used.
func (c *prefixCache) touch(f found) {
	c.clock++
	for _, n := range f.full {
		n.used = c.clock
	}
	if f.part != nil {
		f.part.used = c.clock
	}
}

// add puts a page behind a node, and says whether it was not known. Where it was, the known one stays.
func (c *prefixCache) add(at *node, tokens []int32, page *model.Page) (*node, bool) {
	k := key(tokens)
	c.clock++
	for _, kid := range at.kids[k] {
		if len(kid.tokens) >= len(tokens) && common(kid.tokens, tokens) == len(tokens) {
			kid.used = c.clock
			return kid, false
		}
	}
	n := &node{parent: at, tokens: slices.Clone(tokens), page: page.Retain(), used: c.clock}
	if at.kids == nil {
		at.kids = map[[4]int32][]*node{}
	}
	at.kids[k] = append(at.kids[k], n)
	c.count++
	return n, true
}

// evict drops the page that was not used for longest, of those that nobody holds and nothing hangs on.
func (c *prefixCache) evict() bool {
	var oldest *node
	var walk func(n *node)
	walk = func(n *node) {
		for _, list := range n.kids {
			for _, kid := range list {
				walk(kid)
			}
		}
		if n.page != nil && len(n.kids) == 0 && !n.page.Shared() && (oldest == nil || n.used < oldest.used) {
			oldest = n
		}
	}
	for _, r := range c.roots {
		walk(r)
	}
	if oldest == nil {
		return false
	}
	c.drop(oldest)
	return true
}

func (c *prefixCache) drop(n *node) {
	k := key(n.tokens)
	list := slices.DeleteFunc(n.parent.kids[k], func(o *node) bool { return o == n })
	if len(list) == 0 {
		delete(n.parent.kids, k)
	} else {
		n.parent.kids[k] = list
	}
	n.page.Release()
	c.count--
	if p := n.parent; p.page == nil && len(p.kids) == 0 {
		delete(c.roots, p.space)
	}
}

// clear drops everything that is not held; what is held goes when its holder does.
func (c *prefixCache) clear() {
	var walk func(n *node)
	walk = func(n *node) {
		for _, list := range n.kids {
			for _, kid := range list {
				walk(kid)
				kid.page.Release()
			}
		}
	}
	for _, r := range c.roots {
		walk(r)
	}
	c.roots, c.count = map[string]*node{}, 0
}
