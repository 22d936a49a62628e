package straighten

import (
	"cmp"
	"slices"
)

// loop is a run of segments that jumps back to itself and can be entered in one place only.
type loop struct {
	first, last int
	entry       int
	inner       []*loop
	dissolved   bool
}

// loops finds the loops, those inside of others among their inner ones.
func (f *function) loops() []*loop {
	ends := map[int]int{}
	for s := range f.segments {
		for _, j := range f.segments[s].jumps {
			if j.op == 0 && j.target <= s {
				ends[j.target] = max(ends[j.target], s)
			}
		}
	}
	var all []*loop
	for t, e := range ends {
		all = append(all, &loop{first: t, last: e})
	}
	slices.SortFunc(all, func(a, b *loop) int { return cmp.Compare(a.first, b.first) })
	var outer, open []*loop
	for _, l := range all {
		for len(open) > 0 && open[len(open)-1].last < l.first {
			open = open[:len(open)-1]
		}
		for _, o := range open { // those that overlap become one within the other
			o.last = max(o.last, l.last)
		}
		if len(open) == 0 {
			outer = append(outer, l)
		} else {
			o := open[len(open)-1]
			o.inner = append(o.inner, l)
		}
		open = append(open, l)
	}
	f.judge(outer)
	return outer
}

// judge dissolves what is no loop with one entry.
func (f *function) judge(list []*loop) {
	for _, l := range list {
		f.judge(l.inner)
		entries := map[int]bool{}
		for s := range f.segments {
			g := &f.segments[s]
			if s == 0 && l.first == 0 {
				entries[0] = true
			}
			if s+1 >= l.first && s+1 <= l.last && (g.calls || !g.stops && s < l.first) {
				entries[s+1] = true
			}
			if s >= l.first && s <= l.last {
				continue
			}
			for _, j := range g.jumps {
				if j.op == 0 && j.target >= l.first && j.target <= l.last {
					entries[j.target] = true
				}
			}
		}
		l.dissolved = len(entries) != 1
		for e := range entries {
			l.entry = e
		}
	}
}

// item is a segment or a loop in the order in which they are written.
type item struct {
	segment int
	loop    *loop
}

func (i item) entry() int {
	if i.loop != nil {
		return i.loop.entry
	}
	return i.segment
}

// items puts the segments [first, last], in which the loops are, in order.
func items(first, last int, loops []*loop) (out []item) {
	for s := first; s <= last; {
		l := within(loops, s)
		switch {
		case l == nil:
			out = append(out, item{segment: s})
			s++
		case l.dissolved || l.first < first || l.last > last:
			end := min(l.last, last)
			out = append(out, items(s, end, l.inner)...)
			s = end + 1
		default:
			out = append(out, item{loop: l})
			s = l.last + 1
		}
	}
	return out
}

// within returns the loop that segment s is in.
func within(loops []*loop, s int) *loop {
	for _, l := range loops {
		if s >= l.first && s <= l.last {
			return l
		}
	}
	return nil
}

// inside are the items of a loop, its entry first.
func (l *loop) inside() []item {
	return append(items(l.entry, l.last, l.inner), items(l.first, l.entry-1, l.inner)...)
}
