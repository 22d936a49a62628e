package topicguard

import "unicode/utf8"

// phrase is a run of words; the last one may go on where it is open.
type phrase struct {
	words []string
	topic int
	open  bool
}

// word is a word of the folded text.
type word struct{ start, end int }

// find returns the phrases of the topics in a folded text, how many words that has, and, if more may follow, from where on
// a phrase is not complete.
func (g *Guard) find(s string, more bool) (hits []hit, count, open int) {
	list, lowered := split(s)
	open = len(s)
	for i, w := range list {
		low := lowered[w.start:w.end]
		slots := [2]uint8{slot(low), 0}
		n := 1
		if len(low) >= 3 {
			if slots[1] = slot(low[:3]); slots[1] != slots[0] {
				n = 2
			}
		}
		for _, at := range slots[:n] {
			for k := range g.first[at] {
				p := &g.first[at][k]
				end, fits := p.match(lowered, list[i:])
				if fits && end == len(s) && more || !fits && end < 0 {
					if more {
						open = min(open, w.start)
					}
					if !fits {
						continue
					}
				}
				if fits {
					hits = append(hits, hit{p.topic, w.start, end})
				}
			}
		}
	}
	if more && len(list) > 0 && list[len(list)-1].end == len(s) { // the last word may go on
		open = min(open, list[len(list)-1].start)
	}
	return hits, len(list), open
}

// match says where the phrase ends that starts with the first of the words. end is -1 where the text ends within it.
func (p *phrase) match(lowered string, list []word) (end int, fits bool) {
	for k, want := range p.words {
		if k == len(list) {
			return -1, false
		}
		w := list[k]
		have := lowered[w.start:w.end]
		last := k == len(p.words)-1
		switch {
		case have == want:
		case last && p.open && len(have) > len(want) && have[:len(want)] == want:
		case k == len(list)-1 && w.end == len(lowered) && len(have) < len(want) && want[:len(have)] == have:
			return -1, false
		default:
			return 0, false
		}
		if k > 0 && w.start-list[k-1].end > 3 { // more than a space and a sign between them
			return 0, false
		}
		end = w.end
	}
	return end, true
}

// slot is where phrases that start with a word are listed.
func slot(w string) uint8 {
	h := uint32(2166136261)
	for i := range len(w) {
		h = (h ^ uint32(w[i])) * 16777619
	}
	return uint8(h>>24 ^ h>>11)
}

// kind has what a byte is in a word, in lower case; 0 for what is in none.
var kind = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= utf8.RuneSelf && c != 0xe2 && c < 0xf0:
			t[c] = byte(c)
		case c >= 'A' && c <= 'Z':
			t[c] = byte(c) | 0x20
		}
	}
	return
}()

// split lists the words of a text, and returns the text in lower case: ASCII, Latin letters with accents, Greek and
// Cyrillic. Lengths stay. An apostrophe is part of a word between letters.
func split(s string) (list []word, lowered string) {
	b := []byte(s)
	n := len(s)/6 + 4
	list = make([]word, 0, n)
	for i := 0; i < len(b); {
		c := kind[b[i]]
		if c == 0 {
			for i++; i < len(b) && b[i]&0xc0 == 0x80 && b[i-1] >= utf8.RuneSelf; i++ { // a sign of several bytes
			}
			continue
		}
		start := i
		if ideograph(c) { // a word, since there are no spaces
			for i++; i < len(b) && b[i]&0xc0 == 0x80; i++ {
			}
			list = append(list, word{start, i})
			continue
		}
		for i < len(b) && !ideograph(b[i]) {
			if c = kind[b[i]]; c == 0 && !(b[i] == '\'' && i+1 < len(b) && kind[b[i+1]] != 0) {
				break
			} else if c != 0 {
				b[i] = c
			}
			if c >= 0xc3 && c <= 0xd1 && i+1 < len(b) {
				lowerPair(b[i : i+2])
				i++
			}
			i++
		}
		list = append(list, word{start, i})
	}
	return list, string(b)
}

// ideograph says whether a Chinese, Japanese or Korean character starts with the byte.
func ideograph(c byte) bool { return c >= 0xe3 && c <= 0xed }

// lowerPair makes a letter of two bytes a small one where that has two bytes as well.
func lowerPair(b []byte) {
	switch {
	case b[0] == 0xc3 && b[1] >= 0x80 && b[1] <= 0x9e && b[1] != 0x97: // À to Þ
		b[1] += 0x20
	case b[0] == 0xce && b[1] >= 0x91 && b[1] <= 0x9f: // Α to Ο
		b[1] += 0x20
	case b[0] == 0xce && b[1] >= 0xa0 && b[1] <= 0xa9: // Π to Ω
		b[0], b[1] = 0xcf, b[1]-0x20
	case b[0] == 0xd0 && b[1] >= 0x90 && b[1] <= 0x9f: // А to П
		b[1] += 0x20
	case b[0] == 0xd0 && b[1] >= 0xa0 && b[1] <= 0xaf: // Р to Я
		b[0], b[1] = 0xd1, b[1]-0x20
	}
}

// words are the words of a text in lower case.
func words(s string) (out []string) {
	list, lowered := split(s)
	for _, w := range list {
		out = append(out, lowered[w.start:w.end])
	}
	return out
}
