package terms

import (
	"bytes"
	"unicode/utf8"
)

// Stem appends to b what the inflected forms of a folded word have in common. It is light and knows no language: it
// takes off endings that are frequent in European languages where enough of the word remains. Two forms of a word may
// keep different stems, and two words may share one.
func Stem(b, word []byte) []byte {
	b = append(b, word...)
	if len(word) < 4 {
		return b
	}
	if word[0] >= utf8.RuneSelf {
		return stemCyrillic(b)
	}
	for _, c := range word {
		if c < 'a' || c > 'z' {
			return b // numbers, codes, identifiers
		}
	}
	b = plural(b)
	for _, e := range endings {
		if len(b)-len(e.end) >= e.rest && bytes.HasSuffix(b, []byte(e.end)) {
			if stem := b[:len(b)-len(e.end)]; hasVowel(stem) {
				b = append(stem, e.put...)
				if e.undouble {
					b = undouble(b)
				}
				break
			}
		}
	}
	if len(b) > 3 && (b[len(b)-1] == 'e' || b[len(b)-1] == 'a' || b[len(b)-1] == 'o') {
		b = b[:len(b)-1]
	}
	if n := len(b); n > 3 && b[n-1] == 'y' {
		b[n-1] = 'i'
	}
	return b
}

// ending is a suffix that is taken off where at least rest bytes remain.
type ending struct {
	end, put string
	rest     int
	undouble bool
}

// endings are tried in order; the first that fits is taken off.
var endings = []ending{
	{"ization", "iz", 3, false}, {"isation", "is", 3, false}, {"ational", "at", 3, false}, {"fulness", "ful", 3, false},
	{"ousness", "ous", 3, false}, {"iveness", "iv", 3, false}, {"ations", "", 4, false}, {"ation", "", 4, false},
	{"ating", "at", 4, false}, {"ated", "at", 4, false}, {"ingly", "", 4, true}, {"edly", "", 4, true}, {"ement", "", 4, false},
	{"ment", "", 4, false}, {"ness", "", 4, false}, {"ings", "", 3, true}, {"ing", "", 3, true}, {"tion", "t", 3, false},
	{"sion", "s", 3, false}, {"able", "", 4, false}, {"ible", "", 4, false}, {"ally", "al", 3, false}, {"ily", "y", 3, false},
	{"ly", "", 4, false}, {"ied", "y", 2, false}, {"ed", "", 3, true}, {"ungen", "ung", 3, false}, {"heiten", "heit", 3, false},
	{"ern", "", 4, false}, {"en", "", 4, false}, {"em", "", 4, false}, {"er", "", 4, false}, {"est", "", 5, false},
	{"mente", "", 4, false}, {"ando", "", 4, false}, {"iendo", "", 4, false}, {"ant", "", 5, false},
}

// plural takes off what makes a plural or a possessive.
func plural(b []byte) []byte {
	n := len(b)
	switch {
	case b[n-1] != 's' || n < 4:
	case bytes.HasSuffix(b, []byte("ies")) && n > 4:
		return append(b[:n-3], 'y')
	case bytes.HasSuffix(b, []byte("sses")), bytes.HasSuffix(b, []byte("xes")), bytes.HasSuffix(b, []byte("ches")), bytes.HasSuffix(b, []byte("shes")):
		return b[:n-2]
	case b[n-2] == 's', b[n-2] == 'u', b[n-2] == 'i':
	default:
		return b[:n-1]
	}
	return b
}

func hasVowel(b []byte) bool { return bytes.ContainsAny(b, "aeiouy") }

// undouble takes off a doubled consonant that an ending brought: planned, running.
func undouble(b []byte) []byte {
	if n := len(b); n > 3 && b[n-1] == b[n-2] && !bytes.ContainsRune([]byte("aeioulsz"), rune(b[n-1])) {
		return b[:n-1]
	}
	return b
}

// cyrillic endings, longest first.
var cyrillic = [][]byte{
	[]byte("иями"), []byte("ости"), []byte("ость"), []byte("ами"), []byte("ями"), []byte("ого"), []byte("его"), []byte("ому"), []byte("ему"),
	[]byte("ыми"), []byte("ими"), []byte("иях"), []byte("ов"), []byte("ев"), []byte("еи"), []byte("ии"), []byte("ыи"), []byte("ои"),
	[]byte("ая"), []byte("яя"), []byte("ое"), []byte("ее"), []byte("ые"), []byte("ие"), []byte("ия"), []byte("ию"), []byte("ам"),
	[]byte("ям"), []byte("ах"), []byte("ях"), []byte("ом"), []byte("ем"), []byte("ым"), []byte("им"), []byte("ых"), []byte("их"),
	[]byte("ую"), []byte("юю"), []byte("а"), []byte("я"), []byte("о"), []byte("е"), []byte("ы"), []byte("и"), []byte("у"), []byte("ю"), []byte("ь"),
}

func stemCyrillic(b []byte) []byte {
	if r, _ := utf8.DecodeRune(b); r < 0x400 || r > 0x52f {
		return b
	}
	for _, e := range cyrillic {
		if len(b)-len(e) >= 6 && bytes.HasSuffix(b, e) { // three letters remain
			return b[:len(b)-len(e)]
		}
	}
	return b
}
