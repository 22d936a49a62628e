package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decoder turns a stream of ids into text piece by piece, holding back a character until all its bytes are
// there. It is not safe for concurrent use.
type Decoder struct {
	t         *Tokenizer
	held      []byte // fewer than utf8.UTFMax bytes: the beginning of a character
	trimSpace bool   // the next text loses one leading space
}

// NewDecoder returns a Decoder for a continuation: the tokens that a model generates after a prompt, whose
// leading space belongs to the text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Push returns the text that is complete with id. Control tokens and ids out of range add nothing; bytes
// that cannot be UTF-8 become U+FFFD.
func (d *Decoder) Push(id int32) string {
	if !d.t.valid(id) || d.t.IsControl(id) {
		return ""
	}
	raw := d.t.TokenBytes(id)
	if d.trimSpace && len(raw) > 0 {
		if raw[0] == ' ' {
			raw = raw[1:]
		}
		d.trimSpace = false
	}
	if len(d.held) == 0 && utf8.Valid(raw) {
		return string(raw)
	}
	d.held = append(d.held, raw...)
	return d.drain(false)
}

// Flush returns what is held back, as U+FFFD: the stream ended within a character.
func (d *Decoder) Flush() string { return d.drain(true) }

func (d *Decoder) drain(all bool) string {
	var b strings.Builder
	rest := d.held
	for len(rest) > 0 {
		if !all && !utf8.FullRune(rest) {
			break
		}
		r, n := utf8.DecodeRune(rest)
		b.WriteRune(r)
		rest = rest[n:]
	}
	d.held = append(d.held[:0], rest...)
	return b.String()
}
