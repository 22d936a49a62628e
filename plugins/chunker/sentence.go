package chunker

import (
	"slices"
	"unicode/utf8"
)

// sentences calls each for the sentences of a text, in order and without gaps. One ends with the space after its stop, or
// with its paragraph; a line's end alone ends none, since lines may be wrapped.
func sentences(text string, each func(start, end int)) {
	var w walker
	start := 0
	for i := 0; i < len(text); {
		c, width := text[i], 1
		if c >= utf8.RuneSelf {
			var r rune
			r, width = utf8.DecodeRuneInString(text[i:])
			c = class(r)
		}
		stop := w.stop
		level := w.step(c)
		i += width
		if level == sentence || level == paragraph || level == line && stop {
			// The spaces and line ends behind a stop belong to its sentence.
			for i < len(text) && isSpace(text[i]) {
				w.step(text[i])
				i++
			}
			each(start, i)
			start = i
		}
	}
	if start < len(text) {
		each(start, len(text))
	}
}

// sentences packs whole sentences.
func (p *packer) sentences() {
	sentences(p.text, func(start, end int) { p.add(block{start: start, end: end}) })
	p.flush()
}

// Sizes of the semantic strategy.
const (
	sketchSize = 256 // values of a sentence's sketch
	around     = 2   // sentences on each side of a gap that are compared
)

// sketch counts the hashed beginnings of a sentence's words: inflected forms meet, and no model is needed.
type sketch [sketchSize]float32

func sketchOf(text string) *sketch {
	s := &sketch{}
	h, n := uint32(2166136261), 0
	end := func() {
		if n > 3 { // shorter words are mostly those that every text has
			s[(h^h>>15)%sketchSize]++
		}
		h, n = 2166136261, 0
	}
	for _, r := range text {
		switch {
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r >= 0xc0 && r < 0x2000:
		case r >= 0x3040 && r != utf8.RuneError: // a script without spaces: each character tells
			h, n = (h^uint32(r))*16777619, 4
			end()
			continue
		default:
			end()
			continue
		}
		if n < 6 {
			h = (h ^ uint32(r)) * 16777619
		}
		n++
	}
	end()
	return s
}

// likeness is the squared cosine of the sums of two runs of sketches.
func likeness(a, b []*sketch) float32 {
	var dot, x, y float32
	for i := range sketchSize {
		var u, v float32
		for _, s := range a {
			u += s[i]
		}
		for _, s := range b {
			v += s[i]
		}
		dot, x, y = dot+u*v, x+u*u, y+v*v
	}
	if x == 0 || y == 0 {
		return 0
	}
	return dot * dot / (x * y)
}

// semantic cuts where what is said before and after a sentence's end has less in common than at percentile percent of the
// other ends, and packs sentences between these cuts.
func (p *packer) semantic(percentile int) {
	var ends []int
	sentences(p.text, func(_, end int) { ends = append(ends, end) })
	like := make([]float32, max(len(ends)-1, 0)) // at the end of a sentence that is not the last
	ring := [2 * around]*sketch{}                // of sentence i at i modulo its length
	from, made := 0, 0
	for i := range like {
		for ; made < min(len(ends), i+1+around); made++ {
			ring[made%len(ring)] = sketchOf(p.text[from:ends[made]])
			from = ends[made]
		}
		var before, after []*sketch
		for j := max(0, i+1-around); j < made; j++ {
			if j <= i {
				before = append(before, ring[j%len(ring)])
			} else {
				after = append(after, ring[j%len(ring)])
			}
		}
		like[i] = likeness(before, after)
	}
	floor := float32(0)
	if len(like) > 0 {
		sorted := slices.Clone(like)
		slices.Sort(sorted)
		floor = sorted[min(len(sorted)-1, len(sorted)*percentile/100)]
	}
	start := 0
	for i, end := range ends {
		p.add(block{start: start, end: end})
		if start = end; i < len(like) && like[i] < floor {
			p.section()
		}
	}
	p.flush()
}
