package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// class is the set of character classes that the patterns ask for.
type class uint16

const (
	letter class = 1 << iota // \p{L}
	number                   // \p{N}
	mark                     // \p{M}
	punct                    // \p{P}
	symbolic                     // \p{S}
	space                    // \s, as Unicode's White_Space
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

// deepSeekLetters are the cased letters of deepseek-llm's pattern, as pairs first-last.
const deepSeekLetters = "AZazµµÀÖØöøƺƼƿǄʓʕʯͰͳͶͷͻͽͿͿΆΆΈΊΌΌΎΡΣϵϷҁҊԯԱՖႠჅᎠᏵᏸᏽᲐᲺᲽᲿᴀᴫᵫᵷᵹᶚḀἕἘἝἠὅὈὍὐὗὙὙὛὛὝὝὟώᾀᾴᾶᾼιιῂῄῆῌῐΐῖΊῠῬῲῴῶῼℂℂℇℇℊℓℕℕℙℝℤℤΩΩℨℨKℭℯℴℹℹℼℿⅅⅉⅎⅎↃↄⰀⱻⱾⳤⳫⳮⳲⳳꙀꙭꚀꚛꜢꝯꝱꞇꞋꞎꭰꮿﬀﬆﬓﬗＡＺａｚ𐐀𐑏𐒰𐓓𐓘𐓻𐲀𐲲𐳀𐳲𑢠𑣟𞤀𞥃"

var deepSeekTable = func() *unicode.RangeTable {
	t := &unicode.RangeTable{}
	p := []rune(deepSeekLetters)
	for i := 0; i+1 < len(p); i += 2 {
		if p[i+1] <= 0xFFFF {
			t.R16 = append(t.R16, unicode.Range16{Lo: uint16(p[i]), Hi: uint16(p[i+1]), Stride: 1})
		} else {
			t.R32 = append(t.R32, unicode.Range32{Lo: uint32(p[i]), Hi: uint32(p[i+1]), Stride: 1})
		}
	}
	return t
}()

func isDeepSeekLetter(r rune) bool { return unicode.Is(deepSeekTable, r) }
