package piiguard

// phone looks for a telephone number that starts with +, a bracket or a digit at index i. International numbers
// (E.164) and forms that nothing else has are taken as they are; others need a word before them that says so.
func (s *scanner) phone(i int) {
	c := s.b[i]
	plus := c == '+'
	if plus || c == '(' {
		if class[s.before(i)]&isWord != 0 || plus && s.before(i) == '+' || !s.is(i+1, isDigit) {
			if !plus || s.at(i+1) != '(' || !s.is(i+2, isDigit) {
				return
			}
		}
	} else {
		if !s.starts(i) || s.before(i) == '+' || s.before(i) == '#' || s.before(i) == '$' {
			return
		}
		// A plus or a bracket before it starts the number already.
		if s.before(i) == '(' && s.before(i-1) == '+' {
			return
		}
	}
	n, bracket, ok := s.readPhone(i, plus)
	if !ok {
		return
	}
	end := s.extension(n.end())
	if plus {
		if n.digits >= 8 && n.digit(0) != 0 && (n.digit(0) != 1 || n.digits == 11) {
			s.add(i, end, Phone, "phone.e164", 0.95)
		}
		return
	}
	form, sure := phoneForm(n, bracket)
	if form == "" || looksLikeDate(n) {
		return
	}
	if s.before(i) == ' ' && i >= 2 && class[s.b[i-2]]&isDigit != 0 {
		sure = false // the later groups of a longer number
	}
	topic := s.topic(i)
	switch {
	case topic == phoneTopic:
		s.add(i, end, Phone, form, 0.9)
	case sure && topic == noTopic, sure && bracket && topic != versionTopic && topic != cardTopic:
		s.add(i, end, Phone, form, 0.75)
	}
}

// readPhone reads up to 15 digits in groups. Between groups there may be a space, a hyphen, a dot or a slash, and
// brackets around a group; bracket says that the first group stood in them. The number is valid until the next is read.
func (s *scanner) readPhone(i int, plus bool) (n *number, bracket, ok bool) {
	n = &s.part
	n.n, n.digits, n.sep = 0, 0, 0
	if plus {
		i++
	}
	j, inside := i, false
	if s.at(j) == '(' {
		bracket, inside = true, true
		j++
	}
	for n.n < 8 {
		start, digits := j, n.digits
		for {
			c := s.at(j)
			if c-'0' > 9 {
				break
			}
			if digits == 15 {
				if n.n == 0 || s.b[start-1] != ' ' {
					return n, bracket, false
				}
				return n, bracket, s.ends(n.end()) // the last group is another number
			}
			n.buf[digits] = c
			digits++
			j++
		}
		if j == start {
			break
		}
		if n.n > 0 {
			switch sep := s.b[start-1]; {
			case n.n == 1:
				n.sep = sep
			case n.sep != sep:
				n.sep = '?'
			}
		}
		n.groups[n.n] = group{int32(start), int32(j)}
		n.n++
		n.digits = digits
		if plus && n.digit(0) == 1 && n.digits == 11 {
			break
		}
		if inside {
			if s.at(j) != ')' {
				return n, bracket, false
			}
			j++
			inside = false
		}
		next, opened := s.phoneSeparator(j)
		if next == 0 || n.digits >= 12 && s.at(j) == ' ' {
			break
		}
		j, inside = next, opened
	}
	if n.n == 0 || n.digits < 7 {
		return n, bracket, false
	}
	// A ratio, a time or a fraction goes on differently.
	end := n.end()
	if s.at(end) == ':' && s.is(end+1, isDigit) || s.at(end) == '/' && s.is(end+1, isDigit) || s.at(end) == '%' {
		return n, bracket, false
	}
	return n, bracket, s.ends(end) || s.at(end) == 'x' && s.is(end+1, isDigit)
}

// phoneSeparator returns where the group after a separator at index j starts, 0 if none does. opened says that the
// group stands in brackets.
func (s *scanner) phoneSeparator(j int) (next int, opened bool) {
	spaces, marks := 0, 0
	for range 4 {
		switch c := s.at(j); {
		case class[c]&isDigit != 0:
			if spaces+marks == 0 && !opened && s.before(j) != ')' {
				return 0, false
			}
			return j, opened
		case c == ' ' && spaces == 0:
			spaces++
		case (c == '-' || c == '.' || c == '/') && marks == 0:
			marks++
		case c == '(' && !opened:
			opened = true
		default:
			return 0, false
		}
		j++
	}
	return 0, false
}

// extension returns where the number ends with its extension, as in "x123".
func (s *scanner) extension(end int) int {
	if s.at(end) != 'x' {
		return end
	}
	j := end + 1
	for j-end <= 6 && s.is(j, isDigit) {
		j++
	}
	if j == end+1 || class[s.at(j)]&isWord != 0 {
		return end
	}
	return j
}

// phoneForm names the form of a number without +, "" if it is none. sure says that it needs no word before it.
func phoneForm(n *number, bracket bool) (rule string, sure bool) {
	nanp := 0 // where the area code starts, in digits
	switch {
	case n.shape(3, 3, 4):
	case n.shape(1, 3, 3, 4) && n.digit(0) == 1:
		nanp = 1
	default:
		nanp = -1
	}
	if nanp >= 0 {
		plain := n.digit(nanp) >= 2 && n.digit(nanp+3) >= 2
		return "phone.nanp", plain && (bracket || n.sep == '-' || n.sep == '.')
	}
	if n.digit(0) == 0 && n.digit(1) == 0 { // 00 or 001 before the country code
		return "phone.international", n.n >= 3 && n.digits >= 11 && n.digit(2) != 0
	}
	if n.digit(0) == 0 {
		pairs := n.shape(2, 2, 2, 2, 2)
		first := n.groups[0].len()
		area := n.n >= 2 && n.n <= 5 && n.digits >= 10 && n.digits <= 12 && first >= 3 && first <= 5 && n.sep != '.'
		return "phone.national", pairs || area
	}
	if n.sep == '.' && n.n <= 2 {
		return "", false // a decimal number
	}
	return "phone.context", false
}

// looksLikeDate says whether the groups are those of a date, as 2024-05-17 or 17.05.2024, perhaps with an hour.
func looksLikeDate(n *number) bool {
	if n.n < 3 {
		return false
	}
	a, b, c := n.groups[0].len(), n.groups[1].len(), n.groups[2].len()
	year := func(i int) bool {
		v := n.digit(i)*10 + n.digit(i+1)
		return v == 19 || v == 20
	}
	return a == 4 && b <= 2 && c <= 2 && year(0) || a <= 2 && b <= 2 && c == 4 && year(a+b)
}
