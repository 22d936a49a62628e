package outputguard

import (
	"strings"
	"unicode/utf8"
)

// span is the range of a link that is taken out.
type span struct{ start, end int }

// linkScanner finds addresses with a host: behind a scheme, behind "//" where one is expected, and behind "www.". Readers of
// Markdown and HTML agree on little else, so what stands around an address does not count.
type linkScanner struct {
	g     *Guard
	t     string
	final bool
	open  int // from here on there may be a link that is not complete
	found []span
}

// maxHost is the longest name of a host that is looked at, with what may stand before it; a longer one is on no list.
const maxHost = 200

// A link's scheme is read character by character, since browsers pass over tabs and ends of lines in it, and resolve
// character references before.
func (s *linkScanner) run() {
	for i := 0; i < len(s.t); {
		c := s.t[i]
		switch {
		case c|0x20 == 'h' || c|0x20 == 'f' || c|0x20 == 'w' || c|0x20 == 'j' || c == '&':
			i = s.scheme(i)
		case c == '/' || c == '\\':
			i = s.relative(i)
		case c == '%' || c == 0xef: // wide letters
			i = s.scheme(i)
		default:
			i++
		}
	}
}

// char reads the character at offset i as a browser does: a character reference is what it stands for, wide forms are plain,
// what cannot be seen is 0. n is its length; short says that the text ends within it.
func (s *linkScanner) char(i int) (c byte, n int, short bool) {
	t := s.t
	if i >= len(t) {
		return 0, 0, true
	}
	switch c := t[i]; {
	case c == '&':
		return s.reference(i)
	case c == '\t' || c == '\n' || c == '\r':
		return 0, 1, false
	case c < utf8.RuneSelf:
		return c, 1, false
	}
	if !utf8.FullRuneInString(t[i:]) && !s.final {
		return 0, 0, true
	}
	r, n := utf8.DecodeRuneInString(t[i:])
	switch {
	case r == 0xad, r >= 0x200b && r <= 0x200f, r >= 0x2060 && r <= 0x2064, r == 0xfeff:
		return 0, n, false
	case r >= 0xff01 && r <= 0xff5e:
		return byte(r - 0xff01 + '!'), n, false
	case r == 0x3002 || r == 0xff61: // full stops that browsers take for dots
		return '.', n, false
	}
	return 0x80, n, false
}

// maxReference is the longest character reference that is read.
const maxReference = 12

func (s *linkScanner) reference(i int) (c byte, n int, short bool) {
	t := s.t
	j := i + 1
	for j < len(t) && j-i < maxReference && (t[j] == '#' || t[j] >= '0' && t[j] <= '9' || t[j]|0x20 >= 'a' && t[j]|0x20 <= 'z') {
		j++
	}
	if j == len(t) && !s.final && j-i < maxReference {
		return 0, 0, true
	}
	name := t[i+1 : j]
	end := j
	if end < len(t) && t[end] == ';' {
		end++
	}
	for _, e := range [...]struct {
		name string
		c    byte
	}{{"colon", ':'}, {"sol", '/'}, {"bsol", '\\'}, {"period", '.'}, {"commat", '@'}, {"Tab", 0}, {"NewLine", 0}, {"amp", '&'}, {"quot", '"'}, {"lt", '<'}, {"gt", '>'}} {
		if name == e.name {
			return e.c, end - i, false
		}
	}
	if len(name) < 2 || name[0] != '#' {
		return '&', 1, false
	}
	digits, base := name[1:], 10
	if digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	v := 0
	for k := range len(digits) {
		d := 99
		switch c := digits[k]; {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = int(c|0x20-'a') + 10
		}
		if d >= base || v > 0x10ffff {
			return '&', 1, false
		}
		v = v*base + d
	}
	switch {
	case digits == "":
		return '&', 1, false
	case v == 9 || v == 10 || v == 13 || v == 0x200b:
		return 0, end - i, false
	case v < utf8.RuneSelf:
		return byte(v), end - i, false
	}
	return 0x80, end - i, false
}

// word reads a word at offset i, whatever its case, and returns where it ends: 0 if it is not there, -1 if the text ends
// before that is known.
func (s *linkScanner) word(i int, w string) int {
	for k, gap := 0, 0; k < len(w); {
		c, n, short := s.char(i)
		if short {
			if s.final {
				return 0
			}
			return -1
		}
		i += n
		if c == 0 {
			if gap++; k == 0 || gap > 8 {
				return 0
			}
			continue
		}
		if c|0x20 != w[k]|0x20 || c != w[k] && (w[k] < 'a' || w[k] > 'z') {
			return 0
		}
		k++
	}
	return i
}

// scheme looks for a link at offset i, where its first letter may be, and returns where to go on.
func (s *linkScanner) scheme(i int) int {
	_, n, _ := s.char(i)
	next := i + max(n, 1)
	for _, w := range [...]string{"https:", "http:", "ftp:", "www.", "javascript:"} {
		j := s.word(i, w)
		switch {
		case j < 0:
			s.open = min(s.open, i)
			return next
		case j == 0:
			continue
		case w == "javascript:":
			if i > 0 && strings.IndexByte("(<\"'= ", s.t[i-1]) >= 0 && s.t[i-1] != ' ' {
				s.take(i, s.end(i, j))
				return s.end(i, j)
			}
			return next
		case w == "www.":
			if i > 0 && wordByte(s.t[i-1]) || s.afterSlashes(i) {
				return next
			}
			return s.host(i, i)
		}
		// Browsers take any number of slashes, and of backslashes.
		slashes := 0
		for slashes < 16 {
			c, n, short := s.char(j)
			if short && !s.final {
				s.open = min(s.open, i)
				return next
			}
			if c == '/' || c == '\\' {
				slashes++
			} else if c != 0 || n == 0 || slashes == 0 {
				break
			}
			j += n
		}
		if slashes == 0 {
			return next
		}
		return s.host(i, j)
	}
	return next
}

func wordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// afterSlashes says whether the host at offset i has its scheme before it.
func (s *linkScanner) afterSlashes(i int) bool {
	return i >= 2 && (s.t[i-1] == '/' || s.t[i-1] == '\\') && (s.t[i-2] == '/' || s.t[i-2] == '\\') || i > 0 && (s.t[i-1] == '.' || s.t[i-1] == '@')
}

// relative looks for an address without a scheme, //host/path, at offset i: where Markdown or HTML expect an address.
func (s *linkScanner) relative(i int) int {
	j := i
	for j < len(s.t) && j-i < 8 && (s.t[j] == '/' || s.t[j] == '\\') {
		j++
	}
	p := i
	for p > 0 && i-p < 8 && (s.t[p-1] == ' ' || s.t[p-1] == '\n' || s.t[p-1] == '\t') {
		p--
	}
	expected := p > 0 && strings.IndexByte("(<\"'=", s.t[p-1]) >= 0 || p > 1 && s.t[p-1] == ':' && s.t[p-2] == ']'
	if !expected {
		return j
	}
	if j == len(s.t) && !s.final {
		s.open = min(s.open, i)
		return j
	}
	if j-i < 2 {
		return j
	}
	return s.host(i, j)
}

// host judges the link that starts at offset i, and whose host, with what may stand before it, starts at offset j. It
// returns where to go on.
func (s *linkScanner) host(i, j int) int {
	quoted := i > 0 && (s.t[i-1] == '"' || s.t[i-1] == '\'')
	host := make([]byte, 0, 64)
	k := j
	for {
		c, n, short := s.char(k)
		if short {
			if s.final {
				break
			}
			if k-i > MaxHold-maxReference {
				s.take(i, len(s.t))
				return len(s.t)
			}
			s.open = min(s.open, i)
			return len(s.t)
		}
		if c == 0 && (quoted || s.t[k] != '\n' && s.t[k] != '\t' && s.t[k] != '\r') { // passed over
			k += n
			continue
		}
		if c <= ' ' || c == '/' || c == '\\' || c == '?' || c == '#' || c == '"' || c == '\'' || c == '<' || c == '>' || c == ')' || c == '(' || c == '|' || c == '`' || c == '*' || c == ',' || c == ';' {
			break
		}
		if k-i > maxHost {
			end := s.end(i, k)
			s.take(i, end)
			return end
		}
		k += n
		switch {
		case c == '@': // what stands before it is a name
			host = host[:0]
		case c >= 'A' && c <= 'Z':
			host = append(host, c|0x20)
		default:
			host = append(host, c)
		}
	}
	name, port := string(host), ""
	if name != "" && name[0] == '[' { // IPv6
		if at := strings.IndexByte(name, ']'); at > 0 {
			name = name[1:at]
		}
	} else {
		name, port, _ = strings.Cut(name, ":")
		_ = port
	}
	name = strings.TrimRight(name, ".!]}")
	if name == "" || s.t[i] == '/' && strings.IndexByte(name, '.') < 0 && strings.IndexByte(name, ':') < 0 {
		return max(k, i+1) // no host
	}
	if s.g.allowed(name) {
		return max(k, i+1)
	}
	end := s.end(i, k)
	s.take(i, end)
	return end
}

// end returns where the link that starts at offset i ends, from offset j on.
func (s *linkScanner) end(i, j int) int {
	quote := byte(0)
	if i > 0 && (s.t[i-1] == '"' || s.t[i-1] == '\'') {
		quote = s.t[i-1]
	}
	depth := 0
	for ; j < len(s.t); j++ {
		c := s.t[j]
		switch {
		case quote != 0:
			if c == quote || c == '>' {
				return j
			}
			continue
		case c <= ' ', c == '"', c == '<', c == '>', c == '`', c == ']':
			return j
		case c == '(':
			depth++
		case c == ')':
			if depth == 0 {
				return j
			}
			depth--
		}
	}
	return j
}

// take notes a link. One whose end is the end of the text may go on.
func (s *linkScanner) take(i, end int) {
	if n := len(s.found); n > 0 && i < s.found[n-1].end {
		s.found[n-1].end = max(s.found[n-1].end, end)
		return
	}
	s.found = append(s.found, span{i, end})
}
