package piiguard

// group is a run of digits of a number.
type group struct{ start, end int32 }

func (g group) len() int { return int(g.end - g.start) }

// number is a run of groups of digits with single separators between them.
type number struct {
	groups [20]group
	n      int  // groups
	digits int  // in all groups
	sep    byte // the separator, where all are the same; 0: there is none; '?' mixed
	buf    [20]byte
}

// end is where the number ends.
func (n *number) end() int { return int(n.groups[n.n-1].end) }

// shape says whether the groups have these lengths.
func (n *number) shape(lens ...int) bool {
	if n.n != len(lens) {
		return false
	}
	for i, l := range lens {
		if n.groups[i].len() != l {
			return false
		}
	}
	return true
}

// prefix copies the first groups of the number.
func (n *number) prefix(p *number, groups int) {
	p.n, p.digits, p.sep = groups, 0, 0
	if groups > 1 {
		p.sep = n.sep
	}
	for i, g := range n.groups[:groups] {
		p.groups[i] = g
		p.digits += g.len()
	}
	p.buf = n.buf
}

func (n *number) digit(i int) int { return int(n.buf[i] - '0') }

// readNumber reads digits from index i on: up to 19, in groups with one space, hyphen or dot between them. It stops
// after the last group that fits; over says that the number goes on in the same group.
//
// The number is valid until another is read.
func (s *scanner) readNumber(i int) (n *number, over bool) {
	n = &s.number
	if s.numberAt == i+1 {
		return n, s.numberOver
	}
	over = s.readDigits(n, i)
	s.numberAt, s.numberOver = i+1, over
	return n, over
}

func (s *scanner) readDigits(n *number, i int) (over bool) {
	n.n, n.digits, n.sep = 0, 0, 0
	b := s.b[:s.plainTo]
	for n.n < len(n.groups) {
		start, digits := i, uint(n.digits)
		for {
			var c byte
			if uint(i) < uint(len(b)) {
				c = b[i]
			} else {
				c = s.far(i)
			}
			if c-'0' > 9 {
				break
			}
			if digits >= 19 {
				return n.n == 0
			}
			n.buf[digits] = c
			digits++
			i++
		}
		if i == start {
			break
		}
		if n.n > 0 {
			sep := s.b[start-1]
			if n.n == 1 {
				n.sep = sep
			} else if n.sep != sep {
				n.sep = '?'
			}
		}
		n.groups[n.n] = group{int32(start), int32(i)}
		n.n++
		n.digits = int(digits)
		if c := s.at(i); c != ' ' && c != '-' && c != '.' || !s.is(i+1, isDigit) {
			break
		}
		i++
	}
	return false
}

// digits looks for what may start with the digit at index i.
func (s *scanner) digits(i int) {
	found := len(s.found)
	dot, colon := i+6 > len(s.b), i+6 > len(s.b) // signs of an address near enough, or there is no telling
	for k := i + 1; k < i+6 && !dot; k++ {
		c := s.b[k]
		dot, colon = c == '.', colon || c == ':' || c == '-' || c == '.'
	}
	if dot {
		s.ipv4(i)
	}
	if colon && len(s.found) == found {
		s.hexAddress(i)
	}
	if len(s.found) > found || !s.starts(i) {
		return
	}
	s.dni(i)
	if n, over := s.readNumber(i); len(s.found) == found && !over && n.digits >= 9 {
		s.card(i)
		if len(s.found) == found {
			s.ssn(i)
		}
		if len(s.found) == found {
			s.idNumber(i)
		}
	}
	if len(s.found) == found && s.sevenDigits(i) {
		s.phone(i)
	}
}

// sevenDigits says whether what goes on at index i as a telephone number does has as many digits as the shortest, or the text
// ends before that.
func (s *scanner) sevenDigits(i int) bool {
	b := s.b[:s.plainTo]
	for n := 0; n < 7; i++ {
		if uint(i) >= uint(len(b)) {
			return true
		}
		switch c := b[i]; {
		case c-'0' <= 9:
			n++
		case c != ' ' && c != '-' && c != '.' && c != '/' && c != '(' && c != ')':
			return false
		}
	}
	return true
}

// card looks for a payment card number: 13 to 19 digits with an issuer's prefix and a Luhn check digit (ISO/IEC 7812),
// written without separators or in groups as they are on cards. Other groups need a word that says it is a card.
func (s *scanner) card(i int) {
	all, over := s.readNumber(i)
	if over || all.digits < 13 {
		return
	}
	for k := all.n; k > 0; k-- {
		n := &s.part
		all.prefix(n, k)
		if n.digits < 13 {
			return
		}
		sure := issuer(n)
		if sure == 0 || !luhn(n.buf[:n.digits]) || !s.ends(n.end()) {
			continue
		}
		if n.n == 1 && s.before(i) == '.' {
			continue // decimals
		}
		topic := s.topic(i)
		if !cardGroups(n) {
			sure = 1
		}
		if sure == 1 && topic != cardTopic {
			continue
		}
		if n.n == 1 && topic == countTopic && s.at(n.end()) != ' ' && n.digits != 16 && n.digits != 15 {
			continue
		}
		s.add(i, n.end(), Card, "card.luhn", 0.97)
		return
	}
}

// issuer says how surely a number's prefix and length are a card's: 2 sure, 1 with a word that says so, 0 not.
func issuer(n *number) int {
	p := func(k int) (v int) {
		for i := range k {
			v = v*10 + n.digit(i)
		}
		return
	}
	d, p2, p3, p4 := n.digits, p(2), p(3), p(4)
	in := func(v, lo, hi int) bool { return v >= lo && v <= hi }
	switch {
	case p2/10 == 4: // Visa
		if d == 16 {
			return 2
		}
		if d == 13 || d == 19 {
			return 1
		}
	case in(p2, 51, 55), in(p4, 2221, 2720): // Mastercard
		if d == 16 {
			return 2
		}
	case p2 == 34, p2 == 37: // American Express
		if d == 15 {
			return 2
		}
	case in(p3, 300, 305), p2 == 36, p2 == 38, p2 == 39: // Diners Club
		if d == 14 || d == 16 {
			return min(d-12, 2)
		}
	case in(p4, 3528, 3589): // JCB
		if d == 16 {
			return 2
		}
	case p4 == 6011, p2 == 65, in(p3, 644, 649), p2 == 62: // Discover, UnionPay
		if d == 16 {
			return 2
		}
		if d > 16 {
			return 1
		}
	case p2 == 50, in(p2, 56, 69): // Maestro
		return 1
	}
	return 0
}

// cardGroups says whether the digits stand in groups as on cards, or one by one.
func cardGroups(n *number) bool {
	if n.n == 1 {
		return true
	}
	if n.sep == '?' {
		return false
	}
	if n.n == n.digits || n.shape(4, 6, 5) || n.shape(4, 6, 4) || n.shape(8, 8) {
		return true
	}
	for i, g := range n.groups[:n.n] {
		if g.len() != 4 && i < n.n-1 {
			return false
		}
	}
	return true
}

// luhn checks a decimal number's check digit by ISO/IEC 7812-1 annex B.
func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		v := int(digits[len(digits)-1-i] - '0')
		if i&1 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// ssn looks for a US social security number: three, two and four digits, not of the ranges that were never given.
// Hyphens are enough; other forms need a word that says what it is.
func (s *scanner) ssn(i int) {
	if s.before(i) == '+' {
		return
	}
	all, over := s.readNumber(i)
	if over {
		return
	}
	n := &s.part
	switch {
	case all.n >= 3 && all.groups[0].len() == 3 && all.groups[1].len() == 2 && all.groups[2].len() == 4:
		all.prefix(n, 3)
		n.sep = s.b[n.groups[0].end]
		if s.b[n.groups[1].end] != n.sep {
			return
		}
	case all.groups[0].len() == 9:
		all.prefix(n, 1)
	default:
		return
	}
	if !s.ends(n.end()) {
		return
	}
	area := n.digit(0)*100 + n.digit(1)*10 + n.digit(2)
	if area == 0 || area == 666 || area >= 900 || n.digit(3)+n.digit(4) == 0 || n.digit(5)+n.digit(6)+n.digit(7)+n.digit(8) == 0 {
		return
	}
	topic := s.topic(i)
	if topic == ssnTopic || n.sep == '-' && topic != countTopic && topic != versionTopic {
		s.add(i, n.end(), SSN, "ssn.us", 0.95)
	}
}
