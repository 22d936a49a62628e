package chunker

import (
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// block is a range of the text that stays together where it fits.
type block struct {
	start, end int
	kind       kind
}

// packer fills chunks with consecutive blocks. The open chunk is [start, end): [start, fresh) repeats the chunk
// before it, [fresh, end) is new.
type packer struct {
	text          string
	size, overlap int
	heading       []string // path of the section being packed
	out           []sdk.Chunk

	start, fresh, end int
	count             int  // code points in the open chunk
	headed            bool // what is new in the open chunk is nothing but headings
	reach             int  // the next chunk's overlap may not begin before this offset
}

// add puts the next block into the open chunk, or into a new one, or cuts it into several.
func (p *packer) add(b block) {
	n := utf8.RuneCountInString(p.text[b.start:b.end])
	cut := n > p.size || b.kind == text
	if p.count+n > p.size && p.end > p.fresh && !(p.headed && cut) {
		p.flush() // but headings do not stay behind what is cut anyway
	}
	if p.count+n > p.size && n <= p.size && p.end == p.fresh {
		p.start, p.count = p.fresh, 0 // rather whole than with an overlap
	}
	if p.count+n > p.size {
		p.split(b)
	} else {
		p.end = b.end
		p.count += n
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
	floor, _ := forward(p.text, p.start, p.end, 1) // a chunk starts after the one before it
	p.fresh = p.end
	p.start, p.count = p.wordsBefore(p.end, max(floor, min(p.reach, p.end)))
	p.headed = false
}

// wordsBefore returns where the overlap of a chunk begins whose new text is at i, and its length in code points. It
// begins with a word if one begins there at all.
func (p *packer) wordsBefore(i, floor int) (start, count int) {
	if p.overlap == 0 {
		return i, 0
	}
	start, count = back(p.text, i, p.overlap, floor)
	for j, n := start, count; j < i; n-- {
		if j > 0 && isSpace(p.text[j-1]) && !isSpace(p.text[j]) {
			return j, n
		}
		j, _ = forward(p.text, j, i, 1)
	}
	return start, count
}

// section closes what is open, so that no chunk and no overlap crosses a heading.
func (p *packer) section() {
	p.flush()
	p.start, p.count, p.reach = p.fresh, 0, p.fresh
}

// split cuts a block that does not fit. The last part stays open, for what follows may still fit in.
func (p *packer) split(b block) {
	if p.count >= p.size {
		p.flush()
	}
	i := p.end
	for {
		cut, n := p.breakAfter(i, b.end, p.size-p.count)
		p.end = cut
		p.count += n
		if cut == b.end {
			return
		}
		p.flush()
		i = cut
	}
}

// breakAfter returns where to cut text[i:end] so that at most limit code points come before the cut, and their number.
// It cuts at the coarsest break in the last three quarters of what would fit, else at the last word at all, else
// between code points. One pass notes the last break of each level.
func (p *packer) breakAfter(i, end, limit int) (cut, n int) {
	var at, after [levels]int // offset of the last break, code points before it
	w := walker{blank: i > 0 && p.text[i-1] == '\n'}
	j := i
	for n < limit && j < end {
		c := p.text[j]
		if c < utf8.RuneSelf {
			j++
		} else {
			r, width := utf8.DecodeRuneInString(p.text[j:end])
			j += width
			c = class(r)
		}
		n++
		if level := w.step(c); level >= 0 {
			at[level], after[level] = j, n
		}
	}
	if j == end {
		return end, n
	}
	for level, k := range after {
		if k > limit/4 {
			return at[level], k
		}
	}
	if last := max(at[paragraph], at[line], at[sentence], at[word]); last > 0 {
		return last, utf8.RuneCountInString(p.text[i:last])
	}
	return j, n
}
