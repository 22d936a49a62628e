package chunker

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
