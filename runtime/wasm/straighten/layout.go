package straighten

import (
	"cmp"
	"slices"
)

// item is a segment, or a loop: a segment that is jumped back to, with all that lies on the ways back. The function itself
// is the outermost one. Of a loop's items, in order, none but the last part of a way jumps back: the rest is jumps ahead, out of it
// or to the heads of the loops around it.
type item struct {
	entry   int // the segment where it is entered
	loop    bool
	items   []*item // of a loop, the entry's own segment first
	resumes []int   // other segments of a loop that the function may be entered again at, after a call
}

// checked says whether the item has to look at the label to know where it is entered: it is 0 for its entry.
func (i *item) checked() bool { return len(i.resumes) > 0 }

// takes says whether the item can be entered at a segment by way of the table.
func (i *item) takes(segment int) bool {
	return i.entry == segment || slices.Contains(i.resumes, segment)
}

// layout orders the segments and finds the loops, by dominators. It returns nil where jumps enter a loop in two places, as
// only goto can make them. See Ramsey, "Beyond Relooper" (2022), for the same done with a syntax tree.
func (f *function) layout() *item {
	order := f.order()
	if !f.dominate(order) {
		f.broken = true
		for s := range f.segments {
			for _, j := range f.segments[s].jumps {
				if j.op == 0 {
					f.segments[j.target].jumped = true
				}
			}
		}
		if order = f.order(); !f.dominate(order) {
			return nil
		}
	}
	heads := f.heads(order)
	// The loop around each segment, the innermost in the end: a head comes before the heads of the loops inside.
	around := make([]*item, len(f.segments))
	top := &item{loop: true, entry: -1}
	for _, s := range order {
		around[s] = top
	}
	parent := map[*item]*item{}
	var loops []*item
	for _, s := range order {
		body := heads[s]
		if body == nil {
			continue
		}
		l := &item{entry: s, loop: true}
		parent[l] = around[s]
		loops = append(loops, l)
		for _, b := range body {
			around[b] = l
		}
	}
	for _, s := range order {
		l := around[s]
		l.items = append(l.items, &item{entry: s})
		for resumed := s > 0 && (f.segments[s-1].calls || f.cut(s-1)); resumed && l != top; l = parent[l] {
			if l.entry != s {
				l.resumes = append(l.resumes, s)
			}
		}
	}
	for _, l := range loops {
		parent[l].items = append(parent[l].items, l)
	}
	for _, l := range append(loops, top) {
		slices.SortStableFunc(l.items, func(a, b *item) int { return cmp.Compare(f.segments[a.entry].number, f.segments[b.entry].number) })
	}
	return top
}

// cut says whether the step from segment s to the one that follows is made by way of the table. Nothing marks calls that
// never return, as of panic: what follows in the code need not follow in the program. Where such a step would make a loop
// that is entered in two places, all steps are cut that may be of this kind: to where jumps lead as well.
func (f *function) cut(s int) bool {
	g := &f.segments[s]
	return f.broken && s > 0 && g.start == g.end && f.segments[s-1].calls && s+1 < len(f.segments) && f.segments[s+1].jumped
}

// next calls visit for each segment that control may go to after segment s.
func (f *function) next(s int, visit func(int)) {
	g := &f.segments[s]
	for _, j := range g.jumps {
		if j.op == 0 {
			visit(j.target)
		}
	}
	if !g.stops && s+1 < len(f.segments) && !f.cut(s) {
		visit(s + 1)
	}
}

// order numbers the segments in reverse postorder, from 1, and returns them. What a segment falls through to comes right
// after it where that may be. A segment that nothing leads to may still be entered: after a panic that was recovered from,
// a function goes on at a call that stands beyond its code. So all of them are there.
func (f *function) order() []int {
	const open = -2
	for s := range f.segments {
		f.segments[s].number = -1
	}
	type visit struct{ s, at int }
	var post []int
	list := func(s int) (t []int) {
		f.next(s, func(n int) { t = append(t, n) })
		return t
	}
	f.roots = f.roots[:0]
	for root := range f.segments {
		if f.segments[root].number != -1 {
			continue
		}
		f.roots = append(f.roots, root)
		f.segments[root].number = open
		stack, targets := []visit{{root, 0}}, [][]int{list(root)}
		for len(stack) > 0 {
			top := len(stack) - 1
			v := &stack[top]
			if v.at == len(targets[top]) {
				post = append(post, v.s)
				stack, targets = stack[:top], targets[:top]
				continue
			}
			t := targets[top][v.at]
			v.at++
			if f.segments[t].number == -1 {
				f.segments[t].number = open
				stack, targets = append(stack, visit{t, 0}), append(targets, list(t))
			}
		}
	}
	slices.Reverse(post)
	for n, s := range post {
		f.segments[s].number = n + 1
	}
	return post
}

// outside is what comes before the segments that a function may be entered at: it dominates all.
const outside = -1

// dominate finds the immediate dominator of each segment (Cooper, Harvey and Kennedy, "A Simple, Fast Dominance
// Algorithm", 2001). False: a segment is jumped back to by one that it does not dominate.
func (f *function) dominate(order []int) bool {
	const unknown = -2
	for _, s := range order {
		f.segments[s].dominator, f.segments[s].before = unknown, nil
	}
	for _, s := range order {
		f.next(s, func(t int) { f.segments[t].before = append(f.segments[t].before, s) })
	}
	for _, s := range f.roots {
		f.segments[s].dominator = outside
	}
	for changed := true; changed; {
		changed = false
		for _, s := range order {
			g, d := &f.segments[s], unknown
			if slices.Contains(f.roots, s) {
				continue
			}
			for _, p := range g.before {
				switch {
				case f.segments[p].dominator == unknown:
				case d == unknown:
					d = p
				default:
					d = f.common(d, p)
				}
			}
			if d != g.dominator {
				g.dominator, changed = d, true
			}
		}
	}
	for _, s := range order {
		for _, p := range f.segments[s].before {
			if f.segments[p].number >= f.segments[s].number && !f.dominates(s, p) {
				return false
			}
		}
	}
	return true
}

func (f *function) number(s int) int {
	if s == outside {
		return 0
	}
	return f.segments[s].number
}

func (f *function) common(a, b int) int {
	for a != b {
		for f.number(a) > f.number(b) {
			a = f.segments[a].dominator
		}
		for f.number(b) > f.number(a) {
			b = f.segments[b].dominator
		}
	}
	return a
}

func (f *function) dominates(a, b int) bool {
	for f.number(b) > f.number(a) {
		b = f.segments[b].dominator
	}
	return a == b
}

// heads has the segments of each loop by its head.
func (f *function) heads(order []int) map[int][]int {
	heads := map[int][]int{}
	seen := make([]int, len(f.segments)) // the last head that a segment was found for, plus 1
	for _, s := range order {
		var body, open []int
		for _, p := range f.segments[s].before {
			if f.segments[p].number >= f.segments[s].number {
				open = append(open, p)
			}
		}
		if len(open) == 0 {
			continue
		}
		body, seen[s] = append(body, s), s+1
		for len(open) > 0 {
			b := open[len(open)-1]
			open = open[:len(open)-1]
			if seen[b] == s+1 {
				continue
			}
			seen[b] = s + 1
			body = append(body, b)
			open = append(open, f.segments[b].before...)
		}
		heads[s] = body
	}
	return heads
}
