package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// class is the set of character classes that the patterns ask for.
type class uint16

const (
	letter   class = 1 << iota // \p{L}
	number                     // \p{N}
	mark                       // \p{M}
	punct                      // \p{P}
	symbolic                   // \p{S}
	space                      // \s, as Unicode's White_Space
	lowerASCII
	upperASCII
	asciiPunct // punct or symbolic below 0x80
)

var asciiClass = func() (t [utf8.RuneSelf]class) {
	for c := range t {
		t[c] = unicodeClass(rune(c))
		switch {
		case c >= 'a' && c <= 'z':
			t[c] |= lowerASCII
		case c >= 'A' && c <= 'Z':
			t[c] |= upperASCII
		case t[c]&(punct|symbolic) != 0:
			t[c] |= asciiPunct
		}
	}
	return t
}()

func unicodeClass(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	case unicode.IsMark(r):
		return mark
	case unicode.IsPunct(r):
		return punct
	case unicode.IsSymbol(r):
		return symbolic
	}
	return 0
}

// decode returns the classes and the length of the first character.
func decode(text string) (class, int) {
	if c := text[0]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRuneInString(text)
	return unicodeClass(r), n
}

// span is the length of the leading characters that are in any of the classes.
func span(text string, in class) int {
	at := 0
	for at < len(text) {
		c, n := decode(text[at:])
		if c&in == 0 {
			break
		}
		at += n
	}
	return at
}

// spanNone is the length of the leading characters that are in none of the classes.
func spanNone(text string, out class) int {
	at := 0
	for at < len(text) {
		c, n := decode(text[at:])
		if c&out != 0 {
			break
		}
		at += n
	}
	return at
}

// matchAll matches a run of the characters that is says yes to.
func matchAll(is func(rune) bool) match {
	return func(text string) int {
		for i, r := range text {
			if !is(r) {
				return i
			}
		}
		return len(text)
	}
}

// spaced is \s?[...]+
func spaced(is func(rune) bool) match {
	all := matchAll(is)
	return func(text string) int {
		at := 0
		if c, n := decode(text); c&space != 0 {
			at = n
		}
		if n := all(text[at:]); n > 0 {
			return at + n
		}
		return all(text)
	}
}

func isLetter(r rune) bool { return unicode.IsLetter(r) }
func isNumber(r rune) bool { return unicode.IsNumber(r) }
func isPunct(r rune) bool  { return unicode.IsPunct(r) }

// isPunctOrMath is [\p{P}\$\+<=>\^~\|].
func isPunctOrMath(r rune) bool {
	switch r {
	case '$', '+', '<', '=', '>', '^', '~', '|':
		return true
	}
	return unicode.IsPunct(r)
}

func isPunctOrMathOrTick(r rune) bool { return r == '`' || isPunctOrMath(r) }

func isSentencePunct(r rune) bool {
	switch r {
	case '(', '|', '.', ',', '!', '?', '…', '。', '，', '、', '।', '۔', '،', ')':
		return true
	}
	return unicode.IsSpace(r)
}

// isDeepSeekCJK is [一-龥ࠀ-一가-퟿].
func isDeepSeekCJK(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FA5 || r >= 0x0800 && r <= 0x4E00 || r >= 0xAC00 && r <= 0xD7FF
}

// cjkOrKana is [一-龥぀-ゟ゠-ヿ]+.
var cjkOrKana = matchAll(func(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FA5 || r >= 0x3040 && r <= 0x30FF
})

// isDeepSeekPunct is [!-/:-~！-／：-～‘-‟　-。].
func isDeepSeekPunct(r rune) bool {
	return r >= '!' && r <= '/' || r >= ':' && r <= '~' || r >= 0xFF01 && r <= 0xFF0F ||
		r >= 0xFF1A && r <= 0xFF5E || r >= 0x2018 && r <= 0x201F || r >= 0x3000 && r <= 0x3002
}

// deepSeekTable holds the cased letters that deepseek-llm's pattern lists (not all of \p{L&}), by number:
// some of them have look-alikes that an editor would put in their place.
var deepSeekTable = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x41, 0x5A, 1}, {0x61, 0x7A, 1}, {0xB5, 0xB5, 1}, {0xC0, 0xD6, 1}, {0xD8, 0xF6, 1},
		{0xF8, 0x1BA, 1}, {0x1BC, 0x1BF, 1}, {0x1C4, 0x293, 1}, {0x295, 0x2AF, 1}, {0x370, 0x373, 1},
		{0x376, 0x377, 1}, {0x37B, 0x37D, 1}, {0x37F, 0x37F, 1}, {0x386, 0x386, 1}, {0x388, 0x38A, 1},
		{0x38C, 0x38C, 1}, {0x38E, 0x3A1, 1}, {0x3A3, 0x3F5, 1}, {0x3F7, 0x481, 1}, {0x48A, 0x52F, 1},
		{0x531, 0x556, 1}, {0x10A0, 0x10C5, 1}, {0x13A0, 0x13F5, 1}, {0x13F8, 0x13FD, 1}, {0x1C90, 0x1CBA, 1},
		{0x1CBD, 0x1CBF, 1}, {0x1D00, 0x1D2B, 1}, {0x1D6B, 0x1D77, 1}, {0x1D79, 0x1D9A, 1}, {0x1E00, 0x1F15, 1},
		{0x1F18, 0x1F1D, 1}, {0x1F20, 0x1F45, 1}, {0x1F48, 0x1F4D, 1}, {0x1F50, 0x1F57, 1}, {0x1F59, 0x1F59, 1},
		{0x1F5B, 0x1F5B, 1}, {0x1F5D, 0x1F5D, 1}, {0x1F5F, 0x1F7D, 1}, {0x1F80, 0x1FB4, 1}, {0x1FB6, 0x1FBC, 1},
		{0x1FBE, 0x1FBE, 1}, {0x1FC2, 0x1FC4, 1}, {0x1FC6, 0x1FCC, 1}, {0x1FD0, 0x1FD3, 1}, {0x1FD6, 0x1FDB, 1},
		{0x1FE0, 0x1FEC, 1}, {0x1FF2, 0x1FF4, 1}, {0x1FF6, 0x1FFC, 1}, {0x2102, 0x2102, 1}, {0x2107, 0x2107, 1},
		{0x210A, 0x2113, 1}, {0x2115, 0x2115, 1}, {0x2119, 0x211D, 1}, {0x2124, 0x2124, 1}, {0x2126, 0x2126, 1},
		{0x2128, 0x2128, 1}, {0x212A, 0x212D, 1}, {0x212F, 0x2134, 1}, {0x2139, 0x2139, 1}, {0x213C, 0x213F, 1},
		{0x2145, 0x2149, 1}, {0x214E, 0x214E, 1}, {0x2183, 0x2184, 1}, {0x2C00, 0x2C7B, 1}, {0x2C7E, 0x2CE4, 1},
		{0x2CEB, 0x2CEE, 1}, {0x2CF2, 0x2CF3, 1}, {0xA640, 0xA66D, 1}, {0xA680, 0xA69B, 1}, {0xA722, 0xA76F, 1},
		{0xA771, 0xA787, 1}, {0xA78B, 0xA78E, 1}, {0xAB70, 0xABBF, 1}, {0xFB00, 0xFB06, 1}, {0xFB13, 0xFB17, 1},
		{0xFF21, 0xFF3A, 1}, {0xFF41, 0xFF5A, 1},
	},
	R32: []unicode.Range32{
		{0x10400, 0x1044F, 1}, {0x104B0, 0x104D3, 1}, {0x104D8, 0x104FB, 1}, {0x10C80, 0x10CB2, 1}, {0x10CC0, 0x10CF2, 1},
		{0x118A0, 0x118DF, 1}, {0x1E900, 0x1E943, 1},
	},
}

func isDeepSeekLetter(r rune) bool { return unicode.Is(deepSeekTable, r) }
