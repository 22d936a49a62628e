package prompt

import (
	"fmt"
	"unicode/utf8"
)

// headShare is how much of what stays of a text stands before what was left out, in percent: instructions stand before or
// after what they are about.
const headShare = 60

// squeeze brings a text of has tokens down to about room: its middle goes, or is summarised.
func (b *Builder) squeeze(text string, has, room int) (string, string) {
	if b.Over == Summarise && b.Summarise != nil && room >= 2*leastQuestion {
		share := room / 3
		head, middle, tail := b.cut(text, has, room-share)
		if said, err := b.Summarise(middle, share*3/4); err == nil && said != "" {
			out := head + "\n[What is left out here, in short: " + said + "]\n" + tail
			if b.count(out) <= room {
				return out, "summarised"
			}
		}
	}
	for try := room; try > 8; try = try * 9 / 10 { // a tokenizer may make more of the pieces than of the whole
		head, middle, tail := b.cut(text, has, try)
		out := head + fmt.Sprintf("\n[%d tokens are left out here]\n", b.count(middle)) + tail
		if b.count(out) <= room {
			return out, "left out"
		}
	}
	head, _, tail := b.cut(text, has, room/2)
	return head + tail, "left out"
}

// cut parts a text of has tokens so that head and tail have about room, between words where there are any.
func (b *Builder) cut(text string, has, room int) (head, middle, tail string) {
	keep := len(text) * room / max(has, 1)
	from, to := keep*headShare/100, len(text)-keep*(100-headShare)/100
	from, to = boundary(text, from), boundary(text, max(to, from))
	return text[:from], text[from:to], text[to:]
}

// boundary moves an offset back to the end of a word, or at least of a character.
func boundary(text string, at int) int {
	at = max(min(at, len(text)), 0)
	for i := at; i > 0 && at-i < 40; i-- {
		if i == len(text) || text[i] == ' ' || text[i] == '\n' {
			return i
		}
	}
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}
