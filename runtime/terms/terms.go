// Package terms takes text apart into normalised words, so that words which a reader takes for the same are the same
// bytes: letters without case and accents, inflected forms by a common stem. Scripts that are written without spaces
// give overlapping pairs of characters.
//
// It is what the lexical embedding and the keyword index agree on. It knows nothing of either. Start reading at [Scan].
package terms

import (
	"unicode"
	"unicode/utf8"
)

// Version changes whenever the same text may give other terms.
const Version = 1

// maxTerm bounds a term in bytes: what is longer is no word, and its beginning tells it from others.
const maxTerm = 64

// Term is one word of a text.
type Term struct {
	Word   []byte // folded; valid until yield returns
	Stem   []byte // what inflected forms have in common; valid until yield returns
	Common bool   // a word that nearly every text of its language has
	Pair   bool   // two characters of a script without spaces, or one that stands alone
	Start  int    // where the word is in the text, in bytes
	End    int
}

// Scan calls yield for each term of the text in order, until it returns false. Any bytes are a text: what is not UTF-8
// separates words.
func Scan(text string, yield func(t *Term) bool) {
	s := scanner{text: text, yield: yield}
	for s.at < len(text) {
		r, n := rune(text[s.at]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[s.at:])
		}
		next := s.at + n
		switch kindOf(r) {
		case spaceless:
			s.endWord(s.at)
			s.pairs(r, next)
		case letter:
			s.endPairs()
			s.letter(r)
		case mark: // accents that stand apart, and vowel points
		case joiner:
			s.joiner(next)
		default:
			s.endWord(s.at)
			s.endPairs()
		}
		if s.stopped {
			return
		}
		s.at = next
	}
	s.endWord(len(text))
	s.endPairs()
}

// kinds of runes.
const (
	other = iota
	letter
	mark
	joiner    // inside a word it joins: apostrophes, soft hyphens
	spaceless // scripts written without spaces between words
)

func kindOf(r rune) int {
	if r < utf8.RuneSelf {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_':
			return letter
		case r == '\'':
			return joiner
		}
		return other
	}
	switch {
	case r == utf8.RuneError:
		return other
	case r == '\u2019', r == '\u00ad', r == '\u200d', r == '\u200c':
		return joiner
	case r >= 0x0e00 && isSpaceless(r):
		return spaceless
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return letter
	case unicode.IsMark(r):
		if r >= 0x0900 && r < 0x0e00 { // vowels of Indic scripts are marks, and part of the word
			return letter
		}
		return mark
	}
	return other
}

func isSpaceless(r rune) bool {
	switch {
	case r < 0x1100: // Thai, Lao; Myanmar from 0x1000; Khmer below
		return r < 0x0f00 && unicode.IsLetter(r) || r >= 0x1000 && r < 0x10a0 && unicode.IsLetter(r)
	case r >= 0x1780 && r < 0x17b4, r >= 0x3040 && r < 0x3100, r >= 0x31f0 && r < 0x3200, r >= 0x3400 && r < 0x4dc0,
		r >= 0x4e00 && r < 0xa000, r >= 0xf900 && r < 0xfb00, r >= 0xff66 && r < 0xffa0, r >= 0x20000 && r < 0x32000:
		return true
	}
	return false
}

type scanner struct {
	text    string
	at      int
	yield   func(*Term) bool
	stopped bool

	word  [maxTerm + utf8.UTFMax*2]byte
	stem  [maxTerm + utf8.UTFMax*2]byte
	n     int // bytes of the open word
	open  bool
	start int
	glue  int // length of the word before the joiner that may end it; 0: none

	last      rune // the spaceless rune before, 0: none
	lastStart int
	lastEnd   int
	lone      bool // last is in no pair yet
	term      Term
}

func (s *scanner) letter(r rune) {
	if !s.open {
		s.open, s.start, s.n, s.glue = true, s.at, 0, 0
	}
	if s.n < maxTerm {
		s.n += fold(s.word[s.n:], r)
	}
}

// joiner keeps a word open: "don't" is one word, and the "'s" of a possessive falls off.
func (s *scanner) joiner(next int) {
	if s.open {
		s.glue = s.n
		if s.text[s.at] == 0xc2 || s.text[s.at] == 0xe2 && s.text[next-1] != 0x99 { // soft hyphen, zero-width joiners
			s.glue = 0
		}
	}
}

func (s *scanner) endWord(end int) {
	if !s.open {
		return
	}
	s.open = false
	n := s.n
	if s.glue > 0 && n-s.glue <= 1 && (n == s.glue || s.word[n-1] == 's') {
		n = s.glue
	} else if s.glue > 0 && s.glue <= 2 && n-s.glue >= 2 { // l'eau, d'accord, qu'il
		copy(s.word[:], s.word[s.glue:n])
		n -= s.glue
	}
	if n == 0 {
		return
	}
	w := s.word[:n]
	s.term = Term{Word: w, Common: common[string(w)], Start: s.start, End: end}
	s.term.Stem = Stem(s.stem[:0], w)
	s.emit()
}

// pairs adds a character of a spaceless script.
func (s *scanner) pairs(r rune, next int) {
	adjacent := s.last != 0 && s.lastEnd == s.at
	if adjacent {
		n := fold(s.word[:], s.last)
		n += fold(s.word[n:], r)
		s.term = Term{Word: s.word[:n], Stem: s.word[:n], Pair: true, Start: s.lastStart, End: next}
		s.lone = false
		s.emit()
	} else {
		s.endPairs()
		s.lone = true
	}
	s.last, s.lastStart, s.lastEnd = r, s.at, next
}

func (s *scanner) endPairs() {
	if s.last != 0 && s.lone {
		n := fold(s.word[:], s.last)
		s.term = Term{Word: s.word[:n], Stem: s.word[:n], Pair: true, Start: s.lastStart, End: s.lastEnd}
		s.emit()
	}
	s.last, s.lone = 0, false
}

func (s *scanner) emit() {
	if !s.stopped && !s.yield(&s.term) {
		s.stopped = true
	}
}

// fold writes the rune without case and accents, and returns the bytes it took.
func fold(b []byte, r rune) int {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		b[0] = byte(r)
		return 1
	}
	if r >= 0xff01 && r <= 0xff5e { // full-width ASCII
		return fold(b, r-0xff01+'!')
	}
	r = unicode.ToLower(r)
	if plain, ok := unaccented[r]; ok {
		return copy(b, plain)
	}
	return utf8.EncodeRune(b, r)
}
