package chunker

import (
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// block is a range of the text that stays together where it fits.
type block struct {
	start, end int
	kind       kind
}

// packer fills chunks with consecutive blocks. The open chunk is [start, end): [start, fresh) repeats the chunk
// before it, [fresh, end) is new. Sizes are in what the ruler counts.
type packer struct {
	*ruler
	size, overlap int
	heading       []string // path of the section being packed
	out           []sdk.Chunk

	start, fresh, end int
	held              int  // length of the open chunk
	headed            bool // what is new in the open chunk is nothing but headings
	reach             int  // the next chunk's overlap may not begin before this offset
}

// resume goes on where another document ended: the first repeat bytes are the overlap of the first chunk.
func (p *packer) resume(repeat int, heading []string) {
	at := p.snap(repeat)
	p.fresh, p.end, p.heading = at, at, heading
	p.start, p.held = p.back(at, p.overlap, 0)
}

// add puts the next block into the open chunk, or into a new one, or cuts it into several.
func (p *packer) add(b block) {
	b.start, b.end = max(p.snap(b.start), p.end), p.snap(b.end)
	if b.start >= b.end {
		return
	}
	n := p.count(b.start, b.end, p.size)
	cut := n > p.size || b.kind == text
	if p.held+n > p.size && p.end > p.fresh && !(p.headed && cut) {
		p.flush() // but headings do not stay behind what is cut anyway
	}
	if p.held+n > p.size && n <= p.size && p.end == p.fresh {
		p.start, p.held = p.fresh, 0 // rather whole than with an overlap
	}
	if p.held+n > p.size {
		p.split(b)
	} else {
		p.end = b.end
		p.held += n
	}
	p.headed = b.kind == heading && (p.headed || p.fresh == b.start)
	switch {
	case b.kind == code || b.kind == table || b.kind == heading:
		p.reach = b.end // the tail of these means little on its own
	case p.reach < b.start && b.kind == list:
		p.reach = b.start
	}
}

// flush closes the open chunk, if it holds anything new, and opens the next with its overlap.
func (p *packer) flush() {
	if p.end == p.fresh {
		return
	}
	p.out = append(p.out, sdk.Chunk{Start: p.start, End: p.end, Heading: p.heading})
	floor, _ := p.forward(p.start, p.end, 1) // a chunk starts after the one before it
	p.fresh = p.end
	p.start, p.held = p.wordsBefore(p.end, max(floor, min(p.reach, p.end)))
	p.headed = false
}

// wordsBefore returns where the overlap of a chunk begins whose new text is at i, and its length. It begins with a word if
// one begins there at all.
func (p *packer) wordsBefore(i, floor int) (start, count int) {
	if p.overlap == 0 {
		return i, 0
	}
	start, count = p.back(i, p.overlap, floor)
	for j := start; j < i; j++ {
		if j > 0 && isSpace(p.text[j-1]) && !isSpace(p.text[j]) {
			if j = p.snap(j); j >= start {
				return j, p.count(j, i, p.overlap)
			}
		}
	}
	return start, count
}

// section closes what is open, so that no chunk and no overlap crosses a heading.
func (p *packer) section() {
	p.flush()
	p.start, p.held, p.reach = p.fresh, 0, p.fresh
}

// split cuts a block that does not fit. The last part stays open, for what follows may still fit in.
func (p *packer) split(b block) {
	for {
		if p.held >= p.size {
			p.flush()
		}
		cut, n := p.breakAfter(p.end, b.end, p.size-p.held)
		if p.held+n > p.size { // a step of several tokens that does not fit here
			if p.end > p.fresh {
				p.flush()
				continue
			}
			if p.held > 0 {
				p.start, p.held = p.fresh, 0
				continue
			}
		}
		p.end = cut
		p.held += n
		if cut == b.end {
			return
		}
		p.flush()
	}
}

// breakAfter returns where to cut text[i:end] so that at most limit comes before the cut, and how much that is. It cuts at
// the coarsest break in the last three quarters of what would fit, else at the last word at all, else where it must.
func (p *packer) breakAfter(i, end, limit int) (cut, n int) {
	quarter, few := p.forward(i, end, limit/4)
	last, more := p.forward(quarter, end, limit-few)
	if few > 0 && few+more > limit {
		last, more = quarter, 0
	}
	if last == end {
		return end, few + more
	}
	cut = p.lastBreak(quarter, p.spaces(last, end))
	if cut < 0 {
		cut = p.lastWord(i, quarter)
	}
	if cut = p.snap(max(cut, 0)); cut <= i {
		return last, few + more
	}
	return cut, p.count(i, cut, limit)
}

// spaces returns the end of the spaces that a token at i begins with: a break behind them lies at i.
func (p *packer) spaces(i, end int) int {
	for p.at != nil && i < end && isSpace(p.text[i]) && p.snap(i+1) != i+1 {
		i++
	}
	return i
}
