package tokenizer

// The splitters of the pre-tokenizers by hand. A backtracking regexp engine would need lookahead, converts
// the text to runes and is quadratic on hostile text; the tests hold these against one.

// matchGPT2 is 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func matchGPT2(text string) int {
	if n := contraction(text, false); n > 0 {
		return n
	}
	at := 0
	if text[0] == ' ' && len(text) > 1 {
		at = 1
	}
	c, size := decode(text[at:])
	switch {
	case c&letter != 0:
		return at + size + span(text[at+size:], letter)
	case c&number != 0:
		return at + size + span(text[at+size:], number)
	case c&space == 0:
		return at + size + spanNone(text[at+size:], space|letter|number)
	}
	return spaces(text)
}

// modern is the family of patterns that came with cl100k. In its plainest form (Qwen2):
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
type modern struct {
	contractions bool
	digits       int  // a number is cut after so many
	marks        bool // \p{M} counts as letter
	slash        bool // [\r\n/]* after punctuation
	cased        bool // a word ends where capitals begin; the contraction belongs to it
}

func (m modern) match(text string) int {
	if m.contractions && !m.cased {
		if n := contraction(text, true); n > 0 {
			return n
		}
	}
	letters := letter
	if m.marks {
		letters |= mark
	}
	c, size := decode(text)
	// [^\r\n\p{L}\p{N}]? and letters. The optional character may itself count as a letter (a mark).
	at := 0
	if c&(letter|number) == 0 && text[0] != '\r' && text[0] != '\n' {
		at = size
	}
	if n := m.letters(text[at:], letters); n > 0 {
		return m.suffixed(text, at+n)
	}
	if at > 0 {
		if n := m.letters(text, letters); n > 0 {
			return m.suffixed(text, n)
		}
	}
	if c&number != 0 {
		n := size
		for i := 1; i < m.digits && n < len(text); i++ {
			c, size := decode(text[n:])
			if c&number == 0 {
				break
			}
			n += size
		}
		return n
	}
	at = 0
	if text[0] == ' ' {
		at = 1
	}
	if n := spanNone(text[at:], space|letters|number); n > 0 {
		at += n
		for at < len(text) && (text[at] == '\r' || text[at] == '\n' || m.slash && text[at] == '/') {
			at++
		}
		return at
	}
	return newlinesOrSpaces(text)
}

func (m modern) letters(text string, class class) int {
	if m.cased {
		return casedWord(text)
	}
	return span(text, class)
}

func (m modern) suffixed(text string, n int) int {
	if m.cased && m.contractions {
		n += contraction(text[n:], true)
	}
	return n
}

// casedWord is, with A for a letter that is not a-z and B for a letter that is not A-Z, A*B+ or else A+B*,
// as a backtracking engine finds it.
func casedWord(text string) int {
	at, lastB := 0, 0 // lastB: end of the last B among the As
	for at < len(text) {
		c, n := decode(text[at:])
		if c&letter == 0 || c&lowerASCII != 0 {
			break
		}
		at += n
		if c&upperASCII == 0 {
			lastB = at
		}
	}
	if at < len(text) {
		if c, _ := decode(text[at:]); c&lowerASCII != 0 {
			for at < len(text) {
				c, n := decode(text[at:])
				if c&letter == 0 || c&upperASCII != 0 {
					break
				}
				at += n
			}
			return at
		}
	}
	if lastB > 0 {
		return lastB
	}
	return at
}

// newlinesOrSpaces is \s*[\r\n]+|\s+(?!\S)|\s+ ; a control character that is no white space stands alone.
func newlinesOrSpaces(text string) int {
	n := span(text, space)
	for i := n; i > 0; i-- {
		if text[i-1] == '\r' || text[i-1] == '\n' {
			return i
		}
	}
	return spaces(text)
}

// spaces is \s+(?!\S)|\s+: all white space, but the last before a word is left to it.
func spaces(text string) int {
	at, last := 0, 0
	for at < len(text) {
		c, n := decode(text[at:])
		if c&space == 0 {
			break
		}
		last = at
		at += n
	}
	if at < len(text) && last > 0 {
		return last
	}
	if at == 0 { // not white space at all: no pattern matches
		_, at = decode(text)
	}
	return at
}

// contraction matches an English clitic: 's 't 're 've 'm 'll 'd.
func contraction(text string, anyCase bool) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	a, b := text[1], byte(0)
	if len(text) > 2 {
		b = text[2]
	}
	if anyCase {
		a, b = lower(a), lower(b)
	}
	switch {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return 2
	case a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l':
		return 3
	}
	return 0
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func oneNewline(text string) int {
	if text[0] == '\r' || text[0] == '\n' {
		return 1
	}
	return 0
}

func oneNumber(text string) int {
	if c, n := decode(text); c&number != 0 {
		return n
	}
	return 0
}

// upToThreeNumbers is \p{N}{1,3}.
func upToThreeNumbers(text string) int {
	at := 0
	for i := 0; i < 3 && at < len(text); i++ {
		c, n := decode(text[at:])
		if c&number == 0 {
			break
		}
		at += n
	}
	return at
}

// threeDigits is [0-9][0-9][0-9].
func threeDigits(text string) int {
	if len(text) < 3 {
		return 0
	}
	for _, c := range []byte(text[:3]) {
		if c < '0' || c > '9' {
			return 0
		}
	}
	return 3
}

// trailingSpace is \s+$ as a stage.
func trailingSpace(text string) int {
	end, at := 0, 0 // end: of the last character that is no white space
	for at < len(text) {
		c, n := decode(text[at:])
		at += n
		if c&space == 0 {
			end = at
		}
	}
	if end == 0 {
		return len(text)
	}
	return end
}

// matchDeepSeek3 is
//
//	[!-/:-@[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func matchDeepSeek3(text string) int {
	c, size := decode(text)
	if c&asciiPunct != 0 {
		n := 1
		for n < len(text) && (text[n]|0x20 >= 'a' && text[n]|0x20 <= 'z') {
			n++
		}
		if n > 1 {
			return n
		}
	}
	at := 0
	if c&(letter|punct|symbolic) == 0 && text[0] != '\r' && text[0] != '\n' {
		at = size
	}
	if n := span(text[at:], letter|mark); n > 0 {
		return at + n
	}
	if at > 0 {
		if n := span(text, letter|mark); n > 0 {
			return n
		}
	}
	at = 0
	if text[0] == ' ' {
		at = 1
	}
	if n := span(text[at:], punct|symbolic); n > 0 {
		at += n
		for at < len(text) && (text[at] == '\r' || text[at] == '\n') {
			at++
		}
		return at
	}
	if c&space == 0 {
		return 0
	}
	return newlinesOrSpaces(text)
}

// matchUnpunctuated is " ?[^(\s|.,!?…。，、।۔،)]+".
func matchUnpunctuated(text string) int {
	at := 0
	if text[0] == ' ' {
		at = 1
	}
	n := matchAll(func(r rune) bool { return !isSentencePunct(r) })(text[at:])
	if n == 0 {
		return 0
	}
	return at + n
}
