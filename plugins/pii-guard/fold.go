package piiguard

import "unicode/utf8"

// Bytes that stand for characters outside ASCII in folded text.
const (
	letterMark = 0x80 // a letter of an alphabet
	cjkMark    = 0x81 // a Chinese, Japanese or Korean character: a word need not end there
	otherMark  = 0x82 // anything else
	breakMark  = 0x83 // a run of invisible characters too long to look across
)

// maxInvisible is the longest run of invisible characters, in bytes, that a stream is searched across.
const maxInvisible = 32

// fold maps a text to one byte per character, so that disguised digits and signs look like plain ones: wide forms and
// foreign digits become ASCII, invisible characters vanish. pos has the offset in text of each byte of the result; it
// is nil where they are equal, as for plain ASCII.
func fold(text string, stream bool) (folded string, pos []int32) {
	ascii := 0
	for ascii < len(text) && text[ascii] < utf8.RuneSelf {
		ascii++
	}
	if ascii == len(text) {
		return text, nil
	}
	out := make([]byte, ascii, len(text))
	pos = make([]int32, ascii, len(text))
	copy(out, text)
	for i := range pos {
		pos[i] = int32(i)
	}
	invisible := 0
	for i := ascii; i < len(text); {
		c, size := text[i], 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			if c = foldRune(r); c == 0 {
				before := invisible
				invisible += size
				if stream && before <= maxInvisible && invisible > maxInvisible {
					out, pos = append(out, breakMark), append(pos, int32(i))
				}
				i += size
				continue
			}
		}
		invisible = 0
		out, pos = append(out, c), append(pos, int32(i))
		i += size
	}
	return string(out), pos
}

// foldRune returns the byte that stands for a character outside ASCII, 0 for one that cannot be seen.
func foldRune(r rune) byte {
	switch {
	case r < 0xc0:
		switch r {
		case 0xa0:
			return ' '
		case 0xad:
			return 0
		case 0xaa, 0xb5, 0xba:
			return letterMark
		}
		return otherMark
	case r < 0x300:
		if r == 0xd7 || r == 0xf7 {
			return otherMark
		}
		return letterMark
	case r < 0x370: // combining marks
		return 0
	case r < 0x2000:
		switch {
		case r >= 0x660 && r <= 0x669:
			return byte('0' + r - 0x660)
		case r >= 0x6f0 && r <= 0x6f9:
			return byte('0' + r - 0x6f0)
		case r >= 0x966 && r <= 0x96f:
			return byte('0' + r - 0x966)
		case r == 0x61c, r == 0x17b4, r == 0x17b5, r >= 0x180b && r <= 0x180e:
			return 0
		case r == 0x60c, r == 0x61b, r == 0x61f, r == 0x6d4, r == 0x964, r == 0x965:
			return otherMark
		case r >= 0x1100 && r <= 0x11ff:
			if r == 0x115f || r == 0x1160 {
				return 0
			}
			return cjkMark
		}
		return letterMark
	case r < 0x2100:
		switch {
		case r <= 0x200a, r == 0x202f, r == 0x205f:
			return ' '
		case r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
			return 0
		case r >= 0x2010 && r <= 0x2013:
			return '-'
		case r == 0x2024:
			return '.'
		}
		return otherMark
	case r == 0x2212:
		return '-'
	case r < 0x2e80:
		return otherMark
	case r == 0x3000:
		return ' '
	case r <= 0x303f:
		return otherMark
	case r < 0xa000, r >= 0xac00 && r <= 0xd7ff, r >= 0xf900 && r <= 0xfaff:
		return cjkMark
	case r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return 0
	case r == 0xfe6b:
		return '@'
	case r == 0xfe52, r == 0xff61:
		return '.'
	case r == 0xfe63:
		return '-'
	case r == 0xfe55:
		return ':'
	case r >= 0xff01 && r <= 0xff5e: // full-width ASCII
		return byte(r - 0xff01 + '!')
	case r >= 0x1d7ce && r <= 0x1d7ff: // mathematical digits
		return byte('0' + (r-0x1d7ce)%10)
	case r >= 0x20000 && r <= 0x3ffff:
		return cjkMark
	case r >= 0xe0000 && r <= 0xe01ef:
		return 0
	}
	return otherMark
}

// boundary says whether no character of text continues across offset i.
func boundary(text string, i int) bool {
	if i <= 0 || i >= len(text) || utf8.RuneStart(text[i]) {
		return true
	}
	for j := i - 1; j >= 0 && i-j < utf8.UTFMax; j-- {
		if utf8.RuneStart(text[j]) {
			_, n := utf8.DecodeRuneInString(text[j:])
			return j+n <= i
		}
	}
	return true
}

// unfinished returns how many bytes at the end of text begin a character that is not complete.
func unfinished(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		tail := text[len(text)-n:]
		if utf8.RuneStart(tail[0]) {
			if tail[0] >= utf8.RuneSelf && !utf8.FullRuneInString(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}
