package piiguard

import "unicode/utf8"

// match is a range of the original text that is an entity.
type match struct {
	start, end int
	entity     Entity
	rule       string
	confidence float64
}

// maxRaw bounds a match on a stream, in bytes of the original text. With the 120 bytes that a context word may stand
// before it, that is within the 256 bytes of context which the host keeps.
const maxRaw = 128

// Classes of bytes of folded text.
const (
	isDigit  = 1 << iota
	isLetter // of ASCII
	isHex
	isWord   // goes on a word: no entity starts or ends between two of these
	isLocal  // of the part of an address before the @
	isDomain // of the part after it
	isSign   // an entity may start with it
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = isDigit | isHex | isWord | isLocal | isDomain
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			t[c] = isLetter | isWord | isLocal | isDomain
			if c|0x20 <= 'f' {
				t[c] |= isHex
			}
		}
	}
	for _, c := range "._%+-'&" {
		t[c] |= isLocal
	}
	for _, c := range "@+(:" {
		t[c] |= isSign
	}
	t['_'] |= isWord
	t['.'] |= isDomain
	t['-'] |= isDomain
	t[letterMark] = isWord | isLocal | isDomain
	t[cjkMark] = isDomain
	return
}()

// scanner looks for entities at each place of a folded text where one may start. Whether there is one depends only on
// bytes near the place, never on what was found elsewhere, so that a window gives the same answers as the whole text.
type scanner struct {
	text   string
	b      string  // folded
	pos    []int32 // offsets in text; nil: the same
	stream bool
	final  bool

	from    int  // offset in text where the entity that is looked for starts
	touched bool // the answer depended on what follows the text
	plainTo int  // up to here in b at needs no look at the offset
	found   []match

	part       number // of it, or a telephone number
	number     number // that was read last, and where, plus 1
	numberAt   int
	numberOver bool
	topicOf    int // where topic looked last, plus 1
	topicIs    topic

	open int // index in b from which on there may be entities that are not complete
}

// scan finds the entities of text, ordered by start and then longest first. They may overlap. With final false, more
// text follows: decided is the offset up to which nothing can change.
func scan(text string, final, stream bool) (found []match, decided int) {
	whole := text
	if !final {
		text = text[:len(text)-unfinished(text)]
	}
	s := scanner{text: text, stream: stream, final: final}
	s.b, s.pos = fold(text, stream)
	s.open = len(s.b)
	if !stream {
		s.plainTo = len(s.b)
	}
	s.run()
	if !final {
		s.openLocal()
	}
	inOrder(s.found)
	decided = len(whole)
	if !final {
		decided = len(text)
		if s.open < len(s.b) {
			decided = s.offset(s.open)
		}
	}
	return s.found, decided
}

// inOrder sorts matches by start and then longest first. They come nearly so: what starts before the place where it was seen
// starts no more than an address's length before it.
func inOrder(found []match) {
	for i := 1; i < len(found); i++ {
		for j := i; j > 0 && (found[j].start < found[j-1].start || found[j].start == found[j-1].start && found[j].end > found[j-1].end); j-- {
			found[j], found[j-1] = found[j-1], found[j]
		}
	}
}

// run visits every place where an entity may start.
func (s *scanner) run() {
	b := s.b
	for i, next := 0, 0; ; i = next {
		var all uint8
		if i, next, all = place(b, i); i == len(b) {
			return
		}
		c := b[i]
		k := class[c]
		if k&isWord != 0 {
			if all&isDigit == 0 {
				if c >= 'A' && c <= 'Z' || c == letterMark || next-i <= 31 && streetLengths[c]>>(next-i)&1 != 0 {
					s.word(i, next)
				}
				if k&isLetter == 0 || next < len(b) && plain(b, i, next) {
					continue
				}
			} else if k&(isDigit|isLetter) == 0 {
				continue
			}
		} else if c == ':' && s.before(i) == ':' {
			continue
		}
		s.numberAt = 0
		s.begin(i)
		start := i
		switch {
		case k&isDigit != 0:
			found := len(s.found)
			s.digits(i)
			s.passport(i, next)
			if len(s.found) == found {
				s.birth(i)
				s.street(i)
			}
		case k&isLetter != 0:
			s.letters(i)
			if all&isDigit != 0 {
				s.passport(i, next)
			}
		case c == '@':
			start = s.email(i)
		case c == ':':
			if s.at(i+1) == ':' {
				s.hexAddress(i)
			}
		default:
			s.phone(i)
		}
		if s.touched && !s.final {
			s.open = min(s.open, start)
		}
	}
}

// word looks for names, streets and months at the word [i, j), which has no digit, and a capital or the length of a word
// that streets start with.
func (s *scanner) word(i, j int) {
	capital := s.capital(i)
	if !capital && look(s.b[i:j])&isStreetBefore == 0 {
		return
	}
	s.begin(i)
	end := j
	if c := s.at(j); c == '\'' || c == '-' || c == letterMark {
		end = s.nameEnd(j)
	}
	k := look(s.b[i:end])
	s.streetName(i, end, k)
	if monthName(s.b[i:j]) {
		s.birthMonth(i, j)
	}
	s.names(i, end, k)
	if s.touched && !s.final {
		s.open = min(s.open, i)
	}
}

// place returns the first place from index i on that run has to look at: a word [start, end), and the classes of its bytes, or
// a sign. It is at the end of the text if there is none. It makes no calls: what is in use across one is kept in memory in a
// guest.
func place(text string, from int) (start, end int, all uint8) {
	b, i := text, uint(from)
	size := uint(len(b))
	for i < size {
		c := b[i]
		k := class[c]
		if k&isWord == 0 {
			if k&isSign != 0 {
				return int(i), int(i) + 1, k
			}
			i++
			continue
		}
		j := i + 1
		all := k
		for j < size {
			k := class[b[j]]
			if k&isWord == 0 {
				break
			}
			all |= k
			j++
		}
		n := j - i
		if all&isDigit != 0 || c >= 'A' && c <= 'Z' || c == letterMark || j == size || n <= 31 && streetLengths[c]>>(n&31)&1 != 0 {
			return int(i), int(j), all
		}
		ok := true // nothing starts with the word, as plain says
		switch b[j] {
		case ':':
			ok = n > 4
		case '-':
			ok = n > 2
		case ' ':
			ok = n > 2 || j+1 < size && class[b[j+1]]&isDigit == 0
		case '.':
			ok = n != 4
		}
		if !ok && k&isLetter != 0 {
			return int(i), int(j), all
		}
		i = j
	}
	return int(i), int(i), 0
}

// plain says whether nothing can start with the word [i, j), which has letters only and text after it: no code of letters
// and digits, and no hexadecimal address. It spares most words of prose a closer look; what it lets through may still be
// nothing.
func plain(b string, i, j int) bool {
	switch b[j] {
	case ':':
		return j-i > 4
	case '-':
		return j-i > 2
	case ' ':
		return j-i > 2 || j+1 < len(b) && class[b[j+1]]&isDigit == 0
	case '.':
		return j-i != 4
	}
	return true
}

// begin looks at index i.
func (s *scanner) begin(i int) {
	s.touched = false
	s.from = s.offset(i)
	if s.stream && s.pos == nil {
		s.plainTo = min(len(s.b), i+maxRaw+1)
	}
}

// at returns the byte at index i, which is at or after the place looked at.
func (s *scanner) at(i int) byte {
	if i < s.plainTo {
		return s.b[i]
	}
	return s.far(i)
}

func (s *scanner) far(i int) byte {
	if i >= len(s.b) {
		s.touched = true
		return 0
	}
	if s.stream && s.offset(i)-s.from > maxRaw {
		return breakMark
	}
	return s.b[i]
}

func (s *scanner) is(i int, k uint8) bool { return class[s.at(i)]&k != 0 }

// before returns the byte before index i, 0 at the start of the text.
func (s *scanner) before(i int) byte {
	if i <= 0 {
		return 0
	}
	return s.b[i-1]
}

// offset returns where in the original text the byte at index i is.
func (s *scanner) offset(i int) int {
	if s.pos == nil {
		return i
	}
	if i >= len(s.pos) {
		return len(s.text)
	}
	return int(s.pos[i])
}

// add notes an entity at [i, j) of the folded text. What depends on text that is not there yet is left for later: the
// place is open then.
func (s *scanner) add(i, j int, e Entity, rule string, confidence float64) {
	if s.touched && !s.final {
		return
	}
	m := match{start: s.offset(i), entity: e, rule: rule, confidence: confidence}
	m.end = s.offset(j-1) + 1
	if s.pos != nil {
		_, size := utf8.DecodeRuneInString(s.text[m.end-1:])
		m.end += size - 1
	}
	s.found = append(s.found, m)
}

// ends says whether an entity may end before index j: no word goes on there, and no number after a dot or a hyphen.
func (s *scanner) ends(j int) bool {
	switch c := s.at(j); {
	case class[c]&isWord != 0:
		return false
	case c == '-' || c == '.':
		return !s.is(j+1, isDigit)
	}
	return true
}

// starts says whether a number may start at index i: none goes before it that is tied to it.
func (s *scanner) starts(i int) bool {
	switch s.before(i) {
	case '-', '.', '/', ':', ',':
		return i < 2 || class[s.b[i-2]]&isDigit == 0
	}
	return true
}
