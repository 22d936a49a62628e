package injectionguard

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Bounds on what is decoded.
const (
	minEncoded  = 16   // characters of a run that may be an encoding
	maxDecoded  = 4096 // bytes of one part
	maxAttempts = 16   // parts that decode to text
)

// decode judges what encoded parts of the text say: base64, hexadecimal, rot13, reversed.
func (a *analysis) decode(depth int) {
	t := a.text
	attempts := 0
	for i := 0; i < len(t) && attempts < maxAttempts; {
		// No run covers the last byte before i+minEncoded that is of none.
		if i+minEncoded > len(t) {
			break
		}
		k := i + minEncoded - 1
		for k >= i && encoding[t[k]]&base64Kind != 0 {
			k--
		}
		if k >= i {
			i = k + 1
			continue
		}
		j := i + minEncoded
		for j < len(t) && base64Byte(t[j]) {
			j++
		}
		run := t[i:j]
		if out, ok := fromHex(run); ok {
			attempts += a.nested("hex", out, depth, i, j)
		} else if out, ok := fromBase64(run); ok {
			attempts += a.nested("base64", out, depth, i, j)
		}
		i = j
	}
	if a.pairs >= minEncoded/2 {
		if out, i, j := spacedHex(t); len(out) >= minEncoded/2 {
			a.nested("hex", out, depth, i, j)
		}
	}
	if out := unescaped(t); out != nil {
		a.nested("escapes", out, depth, 0, len(t))
	}
	if depth > 0 {
		return
	}
	if out := a.joined(); out != nil {
		a.nested("spelled", out, depth, 0, len(t))
	}
	if out := a.oneLine(); out != nil {
		a.nested("lines", out, depth, 0, len(t))
	}
	limit := min(len(t), maxDecoded)
	if a.rotated >= 2 || fewVowels(a.folded.b) {
		out := make([]byte, limit)
		for i := range out {
			c := t[i]
			switch l := c | 0x20; {
			case l >= 'a' && l <= 'm':
				c += 13
			case l >= 'n' && l <= 'z':
				c -= 13
			}
			out[i] = c
		}
		a.nested("rot13", out, depth, 0, len(t))
	}
	if a.reversed >= 2 {
		out := make([]byte, 0, limit)
		for i := limit; i > 0; {
			_, size := utf8.DecodeLastRuneInString(t[:i])
			out = append(out, t[i-size:i]...)
			i -= size
		}
		a.nested("reversed", out, depth, 0, len(t))
	}
}

// nested judges a decoded part and returns 1. To hide a command weighs more than to say it.
func (a *analysis) nested(encoding string, text []byte, depth, i, j int) int {
	if !printable(text) {
		return 0
	}
	in := analysis{text: string(text), stage: a.stage, recent: a.recent}
	in.run(depth + 1)
	if score := in.score(); score >= 0.45 {
		for !utf8.RuneStart(a.text[i]) {
			i++
		}
		a.addRange("encoded-"+encoding, min(score+0.2, 0.95), i, j)
	}
	return 1
}

func printable(b []byte) bool {
	letters, spaces := 0, 0
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return false
		}
		if r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r >= 0x80 {
			letters++
		} else if r <= ' ' {
			spaces++
		}
		i += size
	}
	return letters*2 >= len(b)-spaces
}

// Kinds of bytes of encodings.
const (
	base64Kind = 1 << iota
	hexKind
)

var encoding = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/', c == '-', c == '_':
			t[c] = base64Kind
		}
		if hexValue(byte(c)) >= 0 {
			t[c] |= hexKind
		}
	}
	return
}()

func base64Byte(c byte) bool { return encoding[c]&base64Kind != 0 }

func isHex(c byte) bool { return encoding[c]&hexKind != 0 }

// fromBase64 decodes the standard and the URL alphabet, without padding. It cuts a part that is too long.
func fromBase64(s string) ([]byte, bool) {
	enc := base64.RawStdEncoding
	for i := range len(s) {
		if s[i] == '-' || s[i] == '_' {
			enc = base64.RawURLEncoding
			break
		}
	}
	s = s[:min(len(s), maxDecoded/3*4)]
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	out, err := enc.DecodeString(s)
	return out, err == nil
}

func fromHex(s string) ([]byte, bool) {
	if len(s)%2 != 0 || len(s) > 2*maxDecoded {
		return nil, false
	}
	out := make([]byte, 0, len(s)/2)
	for i := 0; i < len(s); i += 2 {
		h, l := hexValue(s[i]), hexValue(s[i+1])
		if h < 0 || l < 0 {
			return nil, false
		}
		out = append(out, byte(h<<4|l))
	}
	return out, true
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// spacedHex decodes the longest run of pairs as in "69 67 6e", "\x69\x67" or "%69%67", found at [start, end).
func spacedHex(t string) (out []byte, start, end int) {
	var run []byte
	from, gap := 0, 0
	flush := func(to int) {
		if len(run) > len(out) {
			out, start, end = append([]byte(nil), run...), from, to
		}
		run = run[:0]
	}
	last := 0
	for i := 0; i < len(t); {
		c := t[i]
		pair := isHex(c) && i+1 < len(t) && isHex(t[i+1]) && (i == 0 || !isHex(t[i-1])) && (i+2 >= len(t) || !isHex(t[i+2]))
		switch {
		case pair && len(run) < maxDecoded:
			if len(run) == 0 {
				from = i
			}
			run = append(run, byte(hexValue(c)<<4|hexValue(t[i+1])))
			i += 2
			last, gap = i, 0
		case len(run) > 0 && gap < 4 && (c == ' ' || c == '\\' || c == 'x' || c == '%' || c == ',' || c == ':' || c == '0' && i+1 < len(t) && t[i+1] == 'x'):
			gap++
			i++
		default:
			if len(run) > 0 {
				flush(last)
			}
			gap = 0
			i++
		}
	}
	flush(last)
	return out, start, end
}

// fewVowels says whether the letters of a text are not those of a language: in rot13 every fifth is a vowel, in English two
// of five are.
func fewVowels(b []byte) bool {
	letters, vowels := 0, 0
	for _, c := range b[:min(len(b), 512)] {
		switch {
		case c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u':
			vowels++
			letters++
		case c >= 'a' && c <= 'z':
			letters++
		}
	}
	return letters >= minEncoded && vowels*10 < letters*3
}

// minApart is how many escapes, or letters that stand apart, a text needs before it is put together.
const minApart = 8

// unescaped replaces escapes as in \u0069 and \x69; nil where there are few.
func unescaped(t string) []byte {
	first := strings.IndexByte(t, '\\')
	if first < 0 || strings.Count(t[first:], `\u`)+strings.Count(t[first:], `\x`) < minApart {
		return nil
	}
	out := make([]byte, 0, min(len(t), maxDecoded))
	for i := 0; i < len(t) && len(out) < maxDecoded; {
		digits := 0
		if t[i] == '\\' && i+1 < len(t) {
			switch t[i+1] {
			case 'u':
				digits = 4
			case 'x':
				digits = 2
			}
		}
		r, ok := rune(0), digits > 0 && i+2+digits <= len(t)
		for k := i + 2; ok && k < i+2+digits; k++ {
			v := hexValue(t[k])
			ok = v >= 0
			r = r<<4 | rune(v)
		}
		if !ok {
			out = append(out, t[i])
			i++
			continue
		}
		out = utf8.AppendRune(out, r)
		i += 2 + digits
	}
	return out
}

// joined puts letters together that stand apart: "i g n o r e   a l l", "i-g-n-o-r-e". nil where there are few.
func (a *analysis) joined() []byte {
	if a.apart < minApart {
		return nil
	}
	b := a.folded.b
	out := make([]byte, 0, min(len(b), maxDecoded))
	single := func(i int) bool {
		return i < len(b) && b[i] < 0x80 && wordAt(b, i) && (i == 0 || !wordAt(b, i-1)) && (i+1 >= len(b) || !wordAt(b, i+1))
	}
	signs, spaces := 0, 0
	for i := range b {
		if single(i) && single(i+2) && b[i+1] == ' ' {
			spaces++
		} else if single(i) && single(i+2) && b[i+1] < 0x80 {
			signs++
		}
	}
	for i := 0; i < len(b) && len(out) < maxDecoded; i++ {
		out = append(out, b[i])
		// The sign between two of them goes, but for a space between words that are spelled with another sign.
		if single(i) && single(i+2) && b[i+1] < 0x80 && (b[i+1] != ' ' || spaces > signs) {
			i++
		}
	}
	return out
}

// oneLine joins lines of one or two words each; nil where the text is not mostly those.
func (a *analysis) oneLine() []byte {
	n := strings.Count(a.text, "\n")
	if n < 3 || a.words > 2*n+2 || len(a.text) > maxDecoded {
		return nil
	}
	return []byte(strings.ReplaceAll(a.text, "\n", " "))
}
