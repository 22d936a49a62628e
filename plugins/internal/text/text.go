// Package text holds what the guards share: folding a text so that disguises fall away while offsets into the original
// are kept, and the entropy of a string. It imports nothing, so that a guest stays small.
package text

import "unicode/utf8"

// Folded is a text in which invisible characters are gone and wide, mathematical and look-alike forms of ASCII are
// ASCII. pos has the offset in the original of each byte; it is nil where they are equal.
type Folded struct {
	S    string
	pos  []int32
	orig string
}

// Fold folds a text. Other characters stay as they are. Time and memory are linear.
func Fold(s string) Folded {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return Folded{S: s, orig: s}
	}
	out := make([]byte, i, len(s))
	copy(out, s)
	pos := make([]int32, i, len(s)+1)
	for k := range pos {
		pos[k] = int32(k)
	}
	for i < len(s) {
		c := s[i]
		if c < utf8.RuneSelf {
			out, pos = append(out, c), append(pos, int32(i))
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		f := ASCII(r)
		switch {
		case f > 0:
			out, pos = append(out, f), append(pos, int32(i))
		case !Invisible(r):
			for k := range n {
				out, pos = append(out, s[i+k]), append(pos, int32(i+k))
			}
		}
		i += n
	}
	return Folded{S: string(out), pos: append(pos, int32(len(s))), orig: s}
}

// Span returns the range of the original text for the range [i, j) of the folded one.
func (f *Folded) Span(i, j int) (start, end int) {
	if f.pos == nil || j <= i {
		return i, j
	}
	start, end = int(f.pos[i]), int(f.pos[j-1])
	for start > 0 && !utf8.RuneStart(f.orig[start]) {
		start--
	}
	for end > 0 && !utf8.RuneStart(f.orig[end]) {
		end--
	}
	_, n := utf8.DecodeRuneInString(f.orig[end:])
	return start, end + n
}

// Offset returns where in the original text the byte at index i of the folded one is.
func (f *Folded) Offset(i int) int {
	if f.pos == nil {
		return i
	}
	return int(f.pos[min(i, len(f.pos)-1)])
}

// Index returns the first index in the folded text that is at or after an offset of the original.
func (f *Folded) Index(offset int) int {
	if f.pos == nil {
		return min(offset, len(f.S))
	}
	lo, hi := 0, len(f.S)
	for lo < hi {
		m := (lo + hi) / 2
		if int(f.pos[m]) < offset {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// Invisible says whether a character cannot be seen: joiners, direction marks, variation selectors, tags.
func Invisible(r rune) bool {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xfeff, r == 0xffa0:
		return true
	case r >= 0x180b && r <= 0x180e, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
		r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0000 && r <= 0xe01ef:
		return true
	}
	return false
}

// ASCII returns the ASCII character that r is a form of, or is made to look like; 0 if none. Letters of living
// alphabets are left alone: a Cyrillic word is a word.
func ASCII(r rune) byte {
	switch {
	case r >= 0xff01 && r <= 0xff5e:
		return byte(r - 0xff01 + '!')
	case r == 0x3000, r == 0xa0, r >= 0x2000 && r <= 0x200a, r == 0x202f, r == 0x205f:
		return ' '
	case r >= 0x2010 && r <= 0x2015, r == 0x2212:
		return '-'
	case r == 0x2018, r == 0x2019:
		return '\''
	case r == 0x201c, r == 0x201d:
		return '"'
	case r >= 0x1d400 && r <= 0x1d6a3:
		if k := byte((r - 0x1d400) % 52); k < 26 {
			return 'A' + k
		} else {
			return 'a' + k - 26
		}
	case r >= 0x1d7ce && r <= 0x1d7ff:
		return byte('0' + (r-0x1d7ce)%10)
	}
	return 0
}

// Entropy is the Shannon entropy of a string's bytes, in bits per byte.
func Entropy(s string) float64 {
	if s == "" {
		return 0
	}
	var count [256]uint16
	for i := range len(s) {
		count[s[i]]++
	}
	e, n := 0.0, float64(len(s))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			e -= p * log2(p)
		}
	}
	return e
}

// log2 of p in (0, 1], to 1e-4: package math would do too; this is a few bytes of module.
func log2(p float64) float64 {
	n := 0.0
	for p < 1 {
		p *= 2
		n--
	}
	x := (p - 1) / (p + 1)
	x2 := x * x
	return n + 2.8853900817779268*x*(1+x2*(1.0/3+x2*(0.2+x2*(1.0/7+x2/9))))
}
