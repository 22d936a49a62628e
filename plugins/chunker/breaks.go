package chunker

import "unicode/utf8"

// Levels of breaks, coarsest first. A break lies after the characters that make it.
const (
	paragraph = iota // after a line that is blank
	line             // after a line
	sentence         // after the space that follows . ! ? or …, or right after their CJK forms
	word             // after a space
	levels
)

// Stand-ins, among the ASCII control characters, for characters beyond ASCII that matter to breaks.
const (
	classOther   = 0x01
	classSpace   = ' '
	classStop    = '!'
	classCJKStop = 0x02
	classClosing = '"'
)

// class maps a rune beyond ASCII to a byte that breaks alike.
func class(r rune) byte {
	switch r {
	case '\u3002', '\uff61', '\uff01', '\uff1f': // full stops of CJK, full-width ! and ?
		return classCJKStop
	case '\u2026', '\u061f', '\u0964': // ellipsis, Arabic question mark, danda
		return classStop
	case '\u201d', '\u2019', '\u00bb', '\u203a': // closing quotes
		return classClosing
	case '\u1680', '\u2028', '\u2029', '\u205f', '\u3000':
		return classSpace
	}
	if r >= '\u2000' && r <= '\u200a' && r != '\u2007' {
		return classSpace
	}
	return classOther
}

// walker recognises breaks from the characters it is shown one by one.
type walker struct {
	blank bool // nothing but spaces since the last line end
	stop  bool // a sentence may have ended: only closing quotes and brackets since . ! ?
	run   int  // letters and digits before this character
}

// step takes the next character and returns the level of the break after it, -1 for none.
func (w *walker) step(c byte) int {
	switch c {
	case '\n':
		level := line
		if w.blank {
			level = paragraph
		}
		*w = walker{blank: true}
		return level
	case ' ', '\t', '\r', '\v', '\f':
		level := word
		if w.stop {
			level = sentence
		}
		w.run = 0
		return level
	case '.':
		w.stop = w.run != 1 // "z. B.", "J. Smith", "1. item" do not end sentences
	case classStop, '?':
		w.stop = true
	case classCJKStop:
		*w = walker{}
		return sentence
	case classClosing, '\'', ')', ']':
		// leaves stop as it is
	default:
		w.stop, w.blank = false, false
		w.run++
		return -1
	}
	w.blank, w.run = false, 0
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// lastBreak returns the end of the last break of the coarsest kind that ends in (from, to], -1 for none.
func (r *ruler) lastBreak(from, to int) int {
	lineEnd := -1
	for j := r.lastByte('\n', from, to); j >= 0; {
		if lineEnd < 0 {
			lineEnd = j + 1
		}
		i := j
		for i > from && r.text[i-1] != '\n' && isSpace(r.text[i-1]) {
			i--
		}
		if i > 0 && r.text[i-1] == '\n' {
			return j + 1 // the line is blank
		}
		j = r.lastByte('\n', from, i)
	}
	if lineEnd >= 0 {
		return lineEnd
	}
	if at := r.lastSentence(from, to); at >= 0 {
		return at
	}
	return r.lastWord(from, to)
}

// lastSentence returns the end of the last sentence that ends in (from, to], with the spaces behind it; -1 for none.
func (r *ruler) lastSentence(from, to int) int {
	for j := to; j > from; {
		c, w := r.before(j)
		if c == classCJKStop {
			return j
		}
		if !isBreakSpace(c) {
			j -= w
			continue
		}
		end := j
		for j > from && isBreakSpace(c) {
			j -= w
			c, w = r.before(j)
		}
		stop := j
		for stop > from && (c == classClosing || c == '\'' || c == ')' || c == ']') {
			stop -= w
			c, w = r.before(stop)
		}
		if stop > 0 && (c == classStop || c == '?' || c == '.' && !r.initial(stop-1)) {
			return end
		}
		j = min(j, stop)
	}
	return -1
}

// lastWord returns the end of the last space that ends in (from, to], -1 for none.
func (r *ruler) lastWord(from, to int) int {
	for j := to; j > from; {
		c, w := r.before(j)
		if isBreakSpace(c) || c == '\n' || c == classCJKStop {
			return j
		}
		j -= w
	}
	return -1
}

// before returns the character that ends at i, as a byte that breaks alike, and its length; 0 at the text's start.
func (r *ruler) before(i int) (c byte, width int) {
	if i == 0 {
		return 0, 0
	}
	if c = r.bytes[i-1]; c < utf8.RuneSelf {
		return c, 1
	}
	l, w := utf8.DecodeLastRuneInString(r.text[:i])
	return class(l), w
}

// initial says that the full stop at i follows a single letter or digit: "z. B.", "J. Smith", "1. item".
func (r *ruler) initial(i int) bool {
	c, w := r.before(i)
	if !isWordByte(c) {
		return false
	}
	c, _ = r.before(i - w)
	return !isWordByte(c)
}

// isWordByte says that c is none of the characters that the walker tells apart.
func isWordByte(c byte) bool {
	switch c {
	case 0, '\n', ' ', '\t', '\r', '\v', '\f', '.', classStop, '?', classCJKStop, classClosing, '\'', ')', ']':
		return false
	}
	return true
}

func isBreakSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' }
