package hook

import "strconv"

// maxDepth bounds how deep arrays and objects may nest, so that hostile input cannot exhaust a guest's stack.
const maxDepth = 128

// SyntaxError says where a document stops being what is expected: not JSON at all, or JSON of another type.
type SyntaxError struct {
	Offset int    // byte offset into the document
	Msg    string // what was found or expected
}

func (e *SyntaxError) Error() string {
	return "json: " + e.Msg + " at byte " + strconv.Itoa(e.Offset)
}

// scanner reads one JSON document (RFC 8259) from front to back. The first error sticks: after it every method
// returns a zero value and every loop over members ends, so that callers check once, in end.
//
// Strings without escapes point into b.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   *SyntaxError
}

// node is a value that reads itself.
type node interface{ parse(*scanner) }

func parseDocument(b []byte, n node) error {
	s := &scanner{b: b}
	n.parse(s)
	return s.end()
}

// end reports the first error, or that something follows the document.
func (s *scanner) end() error {
	if s.err == nil {
		s.space()
		if s.i < len(s.b) {
			s.fail("something follows the document")
		}
	}
	if s.err != nil {
		return s.err
	}
	return nil
}

func (s *scanner) fail(msg string) {
	if s.err == nil {
		s.err = &SyntaxError{Offset: min(s.i, len(s.b)), Msg: msg}
	}
}

func (s *scanner) failAt(offset int, msg string) {
	s.i = offset
	s.fail(msg)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the first byte of what follows, 0 at the end and after an error.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	s.space()
	if s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// expected fails because want does not follow.
func (s *scanner) expected(want string) {
	if s.i >= len(s.b) {
		s.fail("the document ends where " + want + " is expected")
		return
	}
	s.fail("expected " + want)
}

// null consumes a null if one follows.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail("invalid literal, expected " + word)
		return
	}
	s.i += len(word)
}

// open enters an object ('{') or an array ('[') and says whether it has a first member. A null has none.
func (s *scanner) open(bracket byte) bool {
	c := s.peek()
	if c == 'n' {
		s.literal("null")
		return false
	}
	if c != bracket {
		if bracket == '{' {
			s.expected("an object")
		} else {
			s.expected("an array")
		}
		return false
	}
	s.i++
	if s.depth++; s.depth > maxDepth {
		s.fail("nested too deep")
		return false
	}
	if s.peek() == bracket+2 { // '}' is '{'+2, ']' is '['+2
		s.i++
		s.depth--
		return false
	}
	return s.err == nil
}

// more steps over the comma before a further member, or out of what open entered.
func (s *scanner) more(closing byte) bool {
	switch c := s.peek(); {
	case s.err != nil:
	case c == ',':
		s.i++
		return true
	case c == closing:
		s.i++
		s.depth--
	case closing == '}':
		s.expected("a comma or }")
	default:
		s.expected("a comma or ]")
	}
	return false
}

// key reads a member's name and the colon.
func (s *scanner) key() string {
	if s.peek() != '"' {
		s.expected("a member name in quotes")
		return ""
	}
	name := s.quoted()
	if s.peek() != ':' {
		s.expected("a colon")
		return ""
	}
	s.i++
	return name
}

func (s *scanner) string(dst *string) {
	*dst = ""
	switch s.peek() {
	case '"':
		*dst = s.quoted()
	case 'n':
		s.literal("null")
	default:
		s.expected("a string")
	}
}

func (s *scanner) strings(dst *[]string) {
	*dst = nil
	if s.null() {
		return
	}
	list := []string{}
	for more := s.open('['); more; more = s.more(']') {
		var v string
		s.string(&v)
		list = append(list, v)
	}
	*dst = list
}

func (s *scanner) ints(dst *[]int) {
	*dst = nil
	if s.null() {
		return
	}
	list := []int{}
	for more := s.open('['); more; more = s.more(']') {
		var v int
		s.int(&v)
		list = append(list, v)
	}
	*dst = list
}

func (s *scanner) bool(dst *bool) {
	*dst = false
	switch s.peek() {
	case 't':
		s.literal("true")
		*dst = s.err == nil
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.expected("true or false")
	}
}

func (s *scanner) int(dst *int) {
	*dst = 0
	if s.null() {
		return
	}
	start := s.i
	text := s.number()
	if s.err != nil {
		return
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		s.failAt(start, "expected an integer in range, found "+shorten(text))
		return
	}
	*dst = v
}

func (s *scanner) float(dst *float64) {
	*dst = 0
	if s.null() {
		return
	}
	start := s.i
	text := s.number()
	if s.err != nil {
		return
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.failAt(start, "number out of range: "+shorten(text))
		return
	}
	*dst = v
}

// raw keeps the bytes of the value as they are.
func (s *scanner) raw(dst *Raw) {
	*dst = nil
	s.peek()
	start := s.i
	s.skip()
	if s.err == nil {
		*dst = Raw(s.b[start:s.i:s.i])
	}
}

// list reads an array of T. A null makes it nil, an empty array an empty slice.
func list[T any, P interface {
	*T
	node
}](s *scanner, dst *[]T) {
	*dst = nil
	if s.null() {
		return
	}
	out := []T{}
	for more := s.open('['); more; more = s.more(']') {
		var zero T
		out = append(out, zero)
		P(&out[len(out)-1]).parse(s)
	}
	*dst = out
}

// skip steps over one value of any kind and checks its syntax.
func (s *scanner) skip() {
	switch c := s.peek(); c {
	case '{':
		for more := s.open('{'); more; more = s.more('}') {
			s.key()
			s.skip()
		}
	case '[':
		for more := s.open('['); more; more = s.more(']') {
			s.skip()
		}
	case '"':
		s.quoted()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			s.number()
			return
		}
		s.expected("a value")
	}
}

// number returns the text of the number that follows, strict by the grammar.
func (s *scanner) number() string {
	c := s.peek()
	start := s.i
	if c == '-' {
		s.i++
	} else if c < '0' || c > '9' {
		s.expected("a number")
		return ""
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else {
		s.digits()
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		s.digits()
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		s.digits()
	}
	if s.err != nil {
		return ""
	}
	return view(s.b[start:s.i])
}

func (s *scanner) digits() {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	if s.i == start {
		s.expected("a digit")
	}
}

func shorten(s string) string {
	if len(s) > 32 {
		return s[:32] + "..."
	}
	return s
}
