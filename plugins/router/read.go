package router

import (
	"strings"
	"unicode/utf8"
)

// Bounds of how much of the last user message is read, in bytes: an instruction stands before or after what it is about.
const (
	maxHead = 1 << 10
	maxTail = 1 << 9

	zoneHead = 480 // so far from the front and from the end, words are features of the model
	zoneTail = 240

	maxFeatures = 4096 // of a text, more than the zones have

	maxQuote = 800 // bytes between quotation marks, at most
)

// FNV-1a.
const (
	hashSeed  = 2166136261
	hashPrime = 16777619
)

// Lead bytes of Chinese, Japanese and Korean characters: each is a word.
const (
	firstIdeograph = 0xe3
	lastIdeograph  = 0xed
)

// Kinds of bytes.
const (
	kindOther = iota
	kindWord  // an ASCII letter, digit or underscore
	kindHigh  // of a character beyond ASCII
	kindSpace
	kindLine
	kindEnd // of a sentence
	kindQuestion
	kindComma
	kindQuote
)

var byteKind, fold = func() (kind, fold [256]uint8) {
	for i := range 256 {
		c := byte(i)
		fold[i] = c
		switch {
		case c >= 'A' && c <= 'Z':
			kind[i], fold[i] = kindWord, c+'a'-'A'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_':
			kind[i] = kindWord
		case c >= 0x80:
			kind[i] = kindHigh
		case c == ' ' || c == '\t' || c == '\r':
			kind[i] = kindSpace
		case c == '\n':
			kind[i] = kindLine
		case c == '.' || c == '!' || c == ';' || c == ':':
			kind[i] = kindEnd
		case c == '?':
			kind[i] = kindQuestion
		case c == ',':
			kind[i] = kindComma
		case c == '"':
			kind[i] = kindQuote
		}
	}
	return kind, fold
}()

// reading is what one pass over a text finds.
type reading struct {
	task      uint32 // index into tasks plus 1; 0: none
	levels    [deep + 1]int
	brief     int
	detail    int
	sensitive bool
	domains   [4]int
	votes     [7]int // of stop words, by language

	latin, kana, han, hangul, cyrillic, greek, arabic, hebrew, devanagari, thai int // letters

	words, numbers, ends, questions, commas, lines int  // outside quotation marks
	quoted                                         int  // bytes between quotation marks
	signs                                          bool // there may be program text

	sum      [2]int32             // weights of the words that are features of the model
	features int                  // how many
	keep     *[maxFeatures]uint16 // for training: their buckets

	now struct { // the word that is being read
		h, h2, stem uint32    // hash, hash with the word before, hash of the beginning
		hits        [8]uint32 // what may be cues
		n           int
	}

	inQuote bool
}

// read reads a text: all of it, or its front and its end.
func (r *reading) read(text string) {
	switch n := len(text); {
	case n <= zoneHead+zoneTail:
		r.part(text, n, n)
	case n <= maxHead+maxTail:
		r.part(text, zoneHead, n-zoneTail)
	default:
		r.part(text[:maxHead], zoneHead, maxHead)
		r.part(text[n-maxTail:], 0, maxTail-zoneTail)
	}
}

// part reads s. Words that begin in [gapFrom, gapTo) are no features of the model.
func (r *reading) part(s string, gapFrom, gapTo int) {
	var last, lastStem uint32
	place := 0 // of the word in its sentence
	for i := 0; i < len(s); {
		c := s[i]
		switch byteKind[c] {
		case kindWord:
		case kindHigh:
			if n := r.high(s, i); n > 0 { // no word
				if s[i] == 0xe3 || s[i] == 0xef {
					place, lastStem = 0, 0
				}
				i += n
				continue
			}
		case kindLine:
			r.lines++
			place, lastStem = 0, 0
			i++
			continue
		case kindEnd:
			if i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\n' {
				r.ends++
				place, lastStem = 0, 0
			} else {
				r.signs = true
			}
			i++
			continue
		case kindQuestion:
			r.questions++
			place, lastStem = 0, 0
			i++
			continue
		case kindComma:
			r.commas++
			i++
			continue
		case kindQuote:
			if n := r.quote(s[i+1:], `"`); n > 0 {
				i += n
			}
			i++
			continue
		case kindOther:
			r.signs = true
			i++
			continue
		default:
			i++
			continue
		}

		// A word.
		start := i
		h, h2 := uint32(hashSeed), (last^' ')*hashPrime
		stem := uint32(0)
		if c >= firstIdeograph && c <= lastIdeograph && i+3 <= len(s) {
			for k := range 3 {
				b := uint32(s[i+k])
				h, h2 = (h^b)*hashPrime, (h2^b)*hashPrime
			}
			i += 3
			stem = h
		} else {
			i = r.word(s, i, last)
			h, h2, stem = r.now.h, r.now.h2, r.now.stem
			for _, hit := range r.now.hits[:r.now.n&7] {
				r.note(beginnings.get(hit))
			}
			if i == start { // a stray byte
				i++
				continue
			}
			r.latin += i - start
		}
		if wholes.filter[h>>24]>>(h>>19&31)&1 != 0 {
			r.note(wholes.get(h))
		}
		if last != 0 {
			if wholes.filter[h2>>24]>>(h2>>19&31)&1 != 0 {
				r.note(wholes.get(h2))
			}
			if c >= firstIdeograph && beginnings.filter[h2>>24]>>(h2>>19&31)&1 != 0 {
				r.note(beginnings.get(h2))
			}
		}
		r.words++
		if c0 := s[start]; c0 >= '0' && c0 <= '9' {
			r.numbers++
		}
		if start < gapFrom || start >= gapTo {
			r.feature(h)
			if stem != h {
				r.feature(stem ^ saltStem)
			}
			r.feature((lastStem^saltPair)*hashPrime ^ stem)
			if place < 2 {
				r.feature(stem*31 ^ saltPlace + uint32(place))
			}
		}
		place++
		last, lastStem = h, stem
	}
}

// word reads the word at i and returns where it ends. It calls nothing: what a loop with calls costs in a guest is several times
// what one without costs.
func (r *reading) word(s string, i int, last uint32) int {
	h, h2, stem := uint32(hashSeed), (last^' ')*hashPrime, uint32(0)
	n, before := 0, byte(0)
	j, both := i, last != 0
	for uint(j) < uint(len(s)) {
		c := s[j]
		k := byteKind[c]
		if k != kindWord && (k != kindHigh || c >= firstIdeograph || c == 0xc2 || c == 0xe2) {
			break
		}
		b := uint32(fold[c])
		if before == 0xc3 && c < 0x9f {
			b |= 0x20 // a capital of Latin-1
		}
		before = c
		h, h2 = (h^b)*hashPrime, (h2^b)*hashPrime
		j++
		if j-i <= stemBytes {
			stem = h
		}
		if beginnings.filter[h>>24]>>(h>>19&31)&1 != 0 {
			r.now.hits[n&7] = h
			n++
		}
		if both && beginnings.filter[h2>>24]>>(h2>>19&31)&1 != 0 {
			r.now.hits[n&7] = h2
			n++
		}
	}
	r.now.h, r.now.h2, r.now.stem, r.now.n = h, h2, stem, min(n, 7)
	return j
}

// stemBytes is how much of a word stands for its inflected forms.
const stemBytes = 6

// Salts of the kinds of features.
const (
	saltStem  = 0x9e3779b9
	saltPair  = 0x85ebca6b
	saltPlace = 0xc2b2ae35
	saltShape = 0x27d4eb2f
)

// feature adds the weights of one.
func (r *reading) feature(h uint32) {
	b := bucket(h)
	w := &weights[b]
	r.sum[0] += int32(w[0])
	r.sum[1] += int32(w[1])
	if r.keep != nil {
		r.keep[r.features%maxFeatures] = b
	}
	r.features++
}

func bucket(h uint32) uint16 {
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	return uint16(h & (buckets - 1))
}

// note notes what a cue stands for.
func (r *reading) note(v uint32) {
	if v == 0 {
		return
	}
	if t := v & cueTask; t != 0 && r.task == 0 {
		r.task = t
	}
	r.levels[v&cueLevel>>3]++
	if v&cueBrief != 0 {
		r.brief++
	}
	if v&cueDetail != 0 {
		r.detail++
	}
	if v&cueSensitive != 0 {
		r.sensitive = true
	}
	if v >= cueDomain {
		for i := range r.domains {
			r.domains[i] += int(v >> (8 + i) & 1)
		}
		for i := range r.votes {
			r.votes[i] += int(v >> (12 + i) & 1)
		}
	}
}

// high looks at a character beyond ASCII and returns its length where it is no part of a word, 0 where it is.
func (r *reading) high(s string, i int) int {
	c := s[i]
	switch {
	case c < 0xc2: // no beginning of a character
		return 1
	case c == 0xc2:
		if strings.HasPrefix(s[i:], "«") {
			return 2 + r.quote(s[i+2:], "»")
		}
		return min(2, len(s)-i)
	case c == 0xe2:
		n := min(3, len(s)-i)
		switch {
		case strings.HasPrefix(s[i:], "“"):
			return n + r.quote(s[i+n:], "”")
		case strings.HasPrefix(s[i:], "„"):
			return n + r.quote(s[i+n:], "“")
		}
		return n
	case c >= 0xf0:
		return min(4, len(s)-i)
	case c == 0xef || c == 0xe3 && i+1 < len(s) && s[i+1] == 0x80: // full width, ideographic punctuation
		switch {
		case strings.HasPrefix(s[i:], "？"):
			r.questions++
		case strings.HasPrefix(s[i:], "，"), strings.HasPrefix(s[i:], "、"):
			r.commas++
		case strings.HasPrefix(s[i:], "。"):
			r.ends++
		case strings.HasPrefix(s[i:], "「"):
			return 3 + r.quote(s[i+3:], "」")
		}
		return min(3, len(s)-i)
	case c == 0xe3:
		r.kana++
	case c >= 0xe4 && c <= 0xe9:
		r.han++
	case c >= 0xea && c <= 0xed:
		r.hangul++
	case c >= 0xd0 && c <= 0xd4:
		r.cyrillic += r.letters(s[i:])
	case c == 0xce || c == 0xcf:
		r.greek += r.letters(s[i:])
	case c >= 0xd8 && c <= 0xdd:
		r.arabic += r.letters(s[i:])
	case c == 0xd6 || c == 0xd7:
		r.hebrew += r.letters(s[i:])
	case c == 0xe0 && i+1 < len(s) && s[i+1]>>1 == 0xa4>>1:
		r.devanagari += r.letters(s[i:])
	case c == 0xe0:
		r.thai += r.letters(s[i:])
	}
	return 0
}

// letters counts those of a word.
func (r *reading) letters(s string) (n int) {
	for _, c := range s {
		if c < utf8.RuneSelf {
			break
		}
		n++
	}
	r.latin -= n // the bytes of the word are counted there too
	return n
}

// quote returns how long what stands in quotation marks is, with the closing one, 0 where there is none. What is quoted
// is what the request is about, not what it asks.
func (r *reading) quote(s, closing string) int {
	if r.inQuote {
		return 0
	}
	n := strings.Index(s[:min(len(s), maxQuote)], closing)
	if n < 0 {
		return 0
	}
	r.quoted += n
	inner := reading{inQuote: true} // tells the field and what is sensitive all the same
	inner.part(s[:n], 0, n)
	r.sensitive = r.sensitive || inner.sensitive
	for i := range r.domains {
		r.domains[i] += inner.domains[i]
	}
	return n + len(closing)
}
