package injectionguard

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text in lower case without disguise: accents, wide and look-alike letters are plain ones, what cannot be
// seen is gone, HTML character references are resolved. pos has the offset in the original of each byte, and of the end;
// it is nil where they are equal, as for most ASCII.
type folded struct {
	b    []byte
	pos  []int32
	text string
}

// span returns the range of the original text for a range of the folded one that is not empty.
func (f *folded) span(i, j int) (start, end int) {
	if f.pos == nil {
		return i, j
	}
	start = int(f.pos[i])
	last := int(f.pos[j-1])
	for end = j; end < len(f.b) && int(f.pos[end]) == last; end++ {
	}
	end = int(f.pos[end])
	// What follows the last character and cannot be seen is not part of it.
	if size := f.size(last); last+size < end {
		end = last + size
	}
	return start, end
}

// size is how many bytes of the original the character at an offset takes.
func (f *folded) size(at int) int {
	if f.text[at] == '&' {
		if _, n := reference(f.text[at:]); n > 0 {
			return n
		}
	}
	_, n := utf8.DecodeRuneInString(f.text[at:])
	return n
}

// lower folds what is always one character of ASCII; 0 for what needs a closer look.
var lower = func() (t [256]byte) {
	for c := byte(1); c < utf8.RuneSelf; c++ {
		switch {
		case c >= 'A' && c <= 'Z':
			t[c] = c | 0x20
		case c == '\t', c == '\r':
			t[c] = ' '
		case c != '&':
			t[c] = c
		}
	}
	return
}()

func (f *folded) fold(text string) {
	f.text, f.pos = text, nil
	b := make([]byte, len(text), len(text)+8)
	i := 0
	for i < len(text) {
		c := lower[text[i]]
		if c == 0 {
			break
		}
		b[i] = c
		i++
	}
	f.b = b
	if i == len(text) {
		return
	}
	pos := make([]int32, i, len(text)+9)
	for k := range pos {
		pos[k] = int32(k)
	}
	f.b, f.pos = b[:i], pos
	for i < len(text) {
		i = f.plain(i)
		if i >= len(text) {
			break
		}
		c, at := text[i], int32(i)
		r, size := rune(c), 1
		switch {
		case c == '&':
			if ref, n := reference(text[i:]); n > 0 {
				r, size = ref, n
			}
		case c >= 0xc2 && c < 0xd5 && i+1 < len(text) && text[i+1]&0xc0 == 0x80: // two bytes
			i += 2
			if r = rune(low[(rune(c)&0x1f)<<6|rune(text[i-1]&0x3f)]); r != 0 {
				f.put(r, at)
			}
			continue
		default:
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		i += size
		if r < utf8.RuneSelf {
			if r >= 'A' && r <= 'Z' {
				r |= 0x20
			}
			f.b, f.pos = append(f.b, byte(r)), append(f.pos, at)
			continue
		}
		if r = foldRune(r); r != 0 {
			f.put(r, at)
		}
	}
	f.pos = append(f.pos, int32(len(text)))
}

// plain folds from offset i on what needs no look: ASCII, and Chinese, Japanese and Korean characters. It returns where it
// stopped.
func (f *folded) plain(i int) int {
	text, n := f.text, len(f.b)
	room := min(cap(f.b), cap(f.pos))
	b, pos := f.b[:room], f.pos[:room]
	for i < len(text) && n+3 <= room {
		c := text[i]
		if l := lower[c]; l != 0 {
			b[n], pos[n] = l, int32(i)
			n++
			i++
			continue
		}
		if c < 0xe4 || c > 0xed || i+3 > len(text) || text[i+1]&0xc0 != 0x80 || text[i+2]&0xc0 != 0x80 || c == 0xed && text[i+1] >= 0xa0 {
			break
		}
		b[n], b[n+1], b[n+2] = c, text[i+1], text[i+2]
		pos[n], pos[n+1], pos[n+2] = int32(i), int32(i), int32(i)
		n += 3
		i += 3
	}
	f.b, f.pos = b[:n], pos[:n]
	return i
}

// put appends a folded character that stands at an offset.
func (f *folded) put(r rune, at int32) {
	n := len(f.b)
	f.b = utf8.AppendRune(f.b, r)
	for range len(f.b) - n {
		f.pos = append(f.pos, at)
	}
}

// low has the folded form of each character of two bytes up to U+053F.
var low = func() (t [0x540]uint16) {
	for r := rune(0x80); r < 0x540; r++ {
		t[r] = uint16(foldRune(r))
	}
	return
}()

// accents are the plain letters of U+00C0 to U+017F; a dot where there is none.
const accents = "aaaaaaaceeeeiiiidnooooo.ouuuuytsaaaaaaaceeeeiiiidnooooo.ouuuuyty" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// foldRune returns the plain form of a character outside ASCII, 0 for one that cannot be seen.
func foldRune(r rune) rune {
	switch {
	case r < 0xc0:
		switch r {
		case 0xa0:
			return ' '
		case 0xad:
			return 0
		case 0xab, 0xbb:
			return '"'
		}
		return r
	case r < 0x180:
		if c := accents[r-0xc0]; c != '.' {
			return rune(c)
		}
		return r
	case r >= 0x300 && r < 0x370:
		return 0
	case r >= 0x370 && r < 0x530:
		return lookAlike(unicode.ToLower(r))
	case r == 0x61c, r >= 0x180b && r <= 0x180e:
		return 0
	case r >= 0x1d00 && r <= 0x1d22, r >= 0x250 && r < 0x2b0, r == 0xa730, r == 0xa731:
		return smallCapital(r)
	case r >= 0x1e00 && r < 0x1f00:
		return vietnamese(r)
	case r >= 0x2000 && r < 0x2070:
		switch {
		case r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f:
			return ' '
		case r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060:
			return 0
		case r >= 0x2010 && r <= 0x2015:
			return '-'
		case r == 0x2018, r == 0x2019:
			return '\''
		case r >= 0x201c && r <= 0x201f:
			return '"'
		}
		return r
	case r >= 0x2460 && r < 0x2500:
		if r >= 0x24b6 && r <= 0x24e9 { // circled letters
			return 'a' + (r-0x24b6)%26
		}
		return r
	case r == 0x3000:
		return ' '
	case r == 0x300c, r == 0x300d: // corner brackets
		return '"'
	case r >= 0xff01 && r <= 0xff5e:
		return unicode.ToLower(r - 0xff01 + '!')
	case r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return 0
	case r >= 0x1d400 && r <= 0x1d6a3: // mathematical letters, 26 capitals and 26 small ones to a style
		return 'a' + (r-0x1d400)%26
	case r >= 0x1d7ce && r <= 0x1d7ff:
		return '0' + (r-0x1d7ce)%10
	case r >= 0x1f130 && r <= 0x1f189, r >= 0x1f1e6 && r <= 0x1f1ff: // squared and regional letters
		if r >= 0x1f1e6 {
			return 'a' + r - 0x1f1e6
		}
		return 'a' + (r-0x1f130)%32%26
	case r >= 0xe0020 && r <= 0xe007e: // tag characters spell ASCII that nobody sees
		return unicode.ToLower(r - 0xe0000)
	case r >= 0xe0000 && r <= 0xe01ef:
		return 0
	}
	return r
}

// lookAlike returns the Latin letter that a small Greek or Cyrillic one looks like. The lexicon's Russian words pass
// through it too.
func lookAlike(r rune) rune {
	const from, to = "аеорсухіјѕкмнтвгԁһӏαορικνυτεηγωѐё", "aeopcyxijskmhtbrdhlaopikvutenywee"
	n := 0
	for _, f := range from {
		if f == r {
			return rune(to[n])
		}
		n++
	}
	return r
}

func smallCapital(r rune) rune {
	const from, to = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡɩ", "abcdefghijklmnoprstuvwyzagi"
	n := 0
	for _, f := range from {
		if f == r {
			return rune(to[n])
		}
		n++
	}
	return r
}

// vietnamese strips the second accent of U+1E00 to U+1EFF from the vowels.
func vietnamese(r rune) rune {
	switch {
	case r >= 0x1ea0 && r <= 0x1eb7:
		return 'a'
	case r >= 0x1eb8 && r <= 0x1ec7:
		return 'e'
	case r >= 0x1ec8 && r <= 0x1ecb:
		return 'i'
	case r >= 0x1ecc && r <= 0x1ee3:
		return 'o'
	case r >= 0x1ee4 && r <= 0x1ef1:
		return 'u'
	case r >= 0x1ef2 && r <= 0x1ef9:
		return 'y'
	}
	return r
}

// reference reads an HTML character reference at the start of s; n is its length, 0 if there is none.
func reference(s string) (r rune, n int) {
	if len(s) < 4 || s[0] != '&' {
		return 0, 0
	}
	if s[1] != '#' {
		for _, e := range [...]struct {
			name string
			r    rune
		}{{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&nbsp;", ' '}, {"&NewLine;", '\n'}} {
			if len(s) >= len(e.name) && s[:len(e.name)] == e.name {
				return e.r, len(e.name)
			}
		}
		return 0, 0
	}
	i, base := 2, rune(10)
	if s[2] == 'x' || s[2] == 'X' {
		i, base = 3, 16
	}
	start := i
	for ; i < len(s) && i-start < 7; i++ {
		c := s[i]
		d := rune(99)
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		}
		if d >= base {
			break
		}
		r = r*base + d
	}
	if i == start || i >= len(s) || s[i] != ';' || r > unicode.MaxRune || r < ' ' {
		return 0, 0
	}
	return r, i + 1
}
