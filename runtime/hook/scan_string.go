package hook

import (
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns how many bytes from i on need no look: neither quote, backslash nor control character. It also says
// whether bytes beyond ASCII were among them. It may stop early.
func plain(b []byte, i int) (end int, beyond bool) {
	var seen uint64
	for len(b)-i >= 8 {
		w := word(b, i)
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The classic zero-byte test may report a byte above a true hit, never miss one; bytes beyond ASCII are masked out.
		hit := ((quote - ones) | (slash - ones) | (w - ones*0x20)) &^ w & highs
		if hit != 0 {
			n := bits.TrailingZeros64(hit) / 8 // what lies below the lowest is plain
			if n > 0 {
				seen |= w << (64 - 8*n)
			}
			i += n
			break
		}
		seen |= w
		i += 8
	}
	for i < len(b) {
		c := b[i]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		seen |= uint64(c)
		i++
	}
	return i, seen&highs != 0
}

// plainASCII steps over words of 8 bytes that are plain and ASCII.
func plainASCII(b []byte, i int) int {
	for len(b)-i >= 8 {
		w := word(b, i)
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if hit := ((quote - ones) | (slash - ones) | (w - ones*0x20) | w) & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	return i
}

// quoted reads a string; the quote is next.
func (s *scanner) quoted() string {
	start := s.i + 1
	end, beyond := plain(s.b, start)
	if end < len(s.b) && s.b[end] == '"' {
		if text := s.b[start:end]; !beyond || valid(text) {
			s.i = end + 1
			return view(text)
		}
	}
	return s.unescape(start)
}

// unescape reads a string that holds escapes or invalid UTF-8 and starts, after its quote, at start.
func (s *scanner) unescape(start int) string {
	out := make([]byte, 0, closing(s.b, start)-start)
	for i := start; ; {
		end, beyond := plain(s.b, i)
		if beyond {
			out = appendValid(out, s.b[i:end])
		} else {
			out = append(out, s.b[i:end]...)
		}
		if end >= len(s.b) {
			s.failAt(len(s.b), "the document ends inside a string")
			return ""
		}
		switch c := s.b[end]; {
		case c == '"':
			s.i = end + 1
			return view(out)
		case c < 0x20:
			s.failAt(end, "control character in a string")
			return ""
		}
		var n int
		if out, n = s.escape(out, end); n == 0 {
			return ""
		}
		i = end + n
	}
}

// closing finds the quote that ends the string whose text starts at i, or where the string cannot go on.
func closing(b []byte, i int) int {
	for {
		i, _ = plain(b, i)
		if i+1 >= len(b) || b[i] != '\\' {
			return i
		}
		i += 2
	}
}

// escape appends what the escape at offset at stands for, and returns its length, 0 after an error.
func (s *scanner) escape(out []byte, at int) ([]byte, int) {
	if at+1 >= len(s.b) {
		s.failAt(len(s.b), "the document ends inside a string")
		return out, 0
	}
	switch c := s.b[at+1]; c {
	case '"', '\\', '/':
		return append(out, c), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r := hex4(s.b, at)
		if r < 0 {
			s.failAt(at, "\\u needs four hexadecimal digits")
			return out, 0
		}
		if utf16.IsSurrogate(r) {
			// A lone half is replaced, and what follows it stands for itself.
			if pair := utf16.DecodeRune(r, hex4(s.b, at+6)); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(out, r), 6
	}
	s.failAt(at, "unknown escape")
	return out, 0
}

// hex4 reads \uXXXX at offset i, -1 if there is none.
func hex4(b []byte, i int) rune {
	if len(b)-i < 6 || b[i] != '\\' || b[i+1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// appendValid appends text with every byte of invalid UTF-8 replaced by U+FFFD.
func appendValid(out, text []byte) []byte {
	if valid(text) {
		return append(out, text...)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		out = utf8.AppendRune(out, r)
		text = text[n:]
	}
	return out
}

// valid is utf8.Valid, with words of 8 bytes of ASCII skipped anywhere and not at the start alone.
func valid(b []byte) bool {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			if i++; len(b)-i >= 8 {
				if high := word(b, i) & highs; high == 0 {
					i += 8
				} else {
					i += bits.TrailingZeros64(high) / 8
				}
			}
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return false
		}
		i += n
	}
	return true
}

// view is b as a string without a copy. It is sound because a parsed document must not change; see ParseJSON.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
