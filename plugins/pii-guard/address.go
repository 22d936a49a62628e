package piiguard

// ipv4 looks for four decimal numbers up to 255 without leading zeros. Numbers of versions and sections, the loopback
// net and masks are no one's data.
func (s *scanner) ipv4(i int) {
	if !s.starts(i) {
		return
	}
	var octets [4]int
	j, length := i, 0
	for k := range octets {
		start := j
		for s.is(j, isDigit) {
			if j-start == 3 {
				return
			}
			octets[k] = octets[k]*10 + int(s.b[j]-'0')
			j++
		}
		if j == start || octets[k] > 255 || s.b[start] == '0' && j-start > 1 {
			return
		}
		length += j - start
		if k < 3 {
			if s.at(j) != '.' {
				return
			}
			j++
		}
	}
	if !s.ends(j) || octets[0] == 127 || octets[0] == 0 || octets[0] == 255 {
		return
	}
	topic := s.topic(i)
	if topic == versionTopic || length == 4 && topic != ipTopic {
		return
	}
	s.add(i, j, IP, "ip.v4", 0.9)
}

// hexAddress looks for an IPv6 address (RFC 4291 2.2) or a MAC address at index i: groups of hexadecimal digits.
func (s *scanner) hexAddress(i int) {
	switch s.before(i) {
	case ':', '.', '-', '/':
		if s.before(i) != '/' && i >= 2 && class[s.b[i-2]]&isWord != 0 {
			return
		}
	}
	var lens [8]int
	n, j, double, letters := 0, i, -1, false
	if s.b[i] == ':' {
		double, j = 0, i+2
	}
	for n < 8 {
		start := j
		for j-start < 5 && s.is(j, isHex) {
			letters = letters || class[s.b[j]]&isLetter != 0
			j++
		}
		if j == start || j-start > 4 {
			break
		}
		lens[n] = j - start
		n++
		c := s.at(j)
		if n == 1 && (c == '-' && lens[0] == 2 || c == '.' && lens[0] == 4) {
			s.mac(i, c)
			return
		}
		if c != ':' {
			break
		}
		if s.at(j+1) == ':' {
			if double >= 0 {
				return
			}
			double = n
			if j += 2; !s.is(j, isHex) {
				break
			}
			continue
		}
		if !s.is(j+1, isHex) || n == 8 {
			break
		}
		j++
	}
	if n == 6 && double < 0 && lens == [8]int{2, 2, 2, 2, 2, 2} {
		s.mac(i, ':')
		return
	}
	if class[s.at(j)]&isWord != 0 || s.at(j) == ':' && s.is(j+1, isHex) {
		return
	}
	if n == 8 && double < 0 || double >= 0 && n >= 2 && n < 8 && (lens[0] >= 3 || n >= 4) {
		s.add(i, j, IP, "ip.v6", 0.95)
	}
}

// mac looks for six pairs of hexadecimal digits (IEEE 802) or three groups of four after Cisco's manner. Without a
// letter among them, hyphens and dots need a word that says what it is.
func (s *scanner) mac(i int, sep byte) {
	size, groups := 2, 6
	if sep == '.' {
		size, groups = 4, 3
	}
	letters, same, j := false, true, i
	for k := range groups {
		for range size {
			if !s.is(j, isHex) {
				return
			}
			letters = letters || class[s.b[j]]&isLetter != 0
			same = same && s.b[j]|0x20 == s.b[i]|0x20
			j++
		}
		if k < groups-1 {
			if s.at(j) != sep {
				return
			}
			j++
		}
	}
	if class[s.at(j)]&isWord != 0 || s.at(j) == sep && s.is(j+1, isHex) {
		return
	}
	if same || !letters && sep != ':' && s.topic(i) != macTopic {
		return
	}
	s.add(i, j, MAC, "mac.eui48", 0.95)
}
