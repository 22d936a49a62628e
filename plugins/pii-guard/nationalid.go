package piiguard

// letters looks for what may start with the ASCII letter at index i.
func (s *scanner) letters(i int) {
	found := len(s.found)
	second := class[s.at(i+1)]
	if second&isLetter != 0 {
		if third := class[s.at(i+2)]; third&isDigit != 0 {
			if s.is(i+3, isDigit) {
				s.iban(i)
			}
			if len(s.found) == found {
				s.nino(i)
			}
		} else if third&isLetter != 0 {
			s.codiceFiscale(i)
		} else if s.at(i+2) == ' ' && s.is(i+3, isDigit) {
			s.nino(i)
		}
	} else if second&isDigit != 0 || s.at(i+1) == '-' {
		s.nie(i)
	}
	if len(s.found) == found && class[s.b[i]]&isHex != 0 {
		s.hexAddress(i)
	}
}

// nino looks for a UK national insurance number: two letters, six digits, a letter from A to D; spaces between pairs.
// Prefixes that are not given out are none (HMRC NIM39110).
func (s *scanner) nino(i int) {
	a, b := s.b[i]&^0x20, s.b[i+1]&^0x20
	if s.b[i] != a || s.b[i+1] != b || has("DFIQUV", a) || has("DFIOQUV", b) {
		return
	}
	switch s.b[i : i+2] {
	case "BG", "GB", "NK", "KN", "TN", "NT", "ZZ":
		return
	}
	j := i + 2
	for k := range 6 {
		if k%2 == 0 && s.at(j) == ' ' {
			j++
		}
		if !s.is(j, isDigit) {
			return
		}
		j++
	}
	if s.at(j) == ' ' {
		j++
	}
	if c := s.at(j); c < 'A' || c > 'D' || !s.ends(j+1) {
		return
	}
	s.add(i, j+1, NationalID, "id.uk-nino", 0.85)
}

// codiceFiscale looks for an Italian tax code: 16 letters and digits in a fixed pattern, the last a check letter
// (D.M. 23/12/1976).
func (s *scanner) codiceFiscale(i int) {
	const pattern = "LLLLLLDDLDDLDDDL"
	const odd = "\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15\x02\x04\x12\x14\x0b\x03\x06\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"
	sum := 0
	for k := range len(pattern) {
		c := s.at(i + k)
		v := 0
		switch {
		case pattern[k] == 'L' && class[c]&isLetter != 0:
			v = int(c | 0x20 - 'a')
		case pattern[k] == 'D' && class[c]&isDigit != 0:
			v = int(c - '0')
		default:
			return
		}
		switch {
		case k == 15:
			if sum%26 != v {
				return
			}
		case k%2 == 0:
			sum += int(odd[v])
		default:
			sum += v
		}
	}
	if s.ends(i + len(pattern)) {
		s.add(i, i+len(pattern), NationalID, "id.it-codice-fiscale", 0.98)
	}
}

const spanishLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

// nie looks for a Spanish number of a foreigner: X, Y or Z, seven digits, and the letter of the number modulo 23.
func (s *scanner) nie(i int) {
	first := s.b[i]
	if first < 'X' || first > 'Z' {
		return
	}
	j := i + 1
	if s.at(j) == '-' {
		j++
	}
	v := int(first - 'X')
	for range 7 {
		if !s.is(j, isDigit) {
			return
		}
		v = v*10 + int(s.b[j]-'0')
		j++
	}
	s.spanishLetter(i, j, v, "id.es-nie")
}

func (s *scanner) spanishLetter(i, j, v int, rule string) {
	if s.at(j) == '-' {
		j++
	}
	if s.at(j)&^0x20 == spanishLetters[v%23] && s.ends(j+1) {
		s.add(i, j+1, NationalID, rule, 0.9)
	}
}

// dni looks for a Spanish number: eight digits, and the letter of the number modulo 23.
func (s *scanner) dni(i int) {
	if b := s.b[:s.plainTo]; i+8 < len(b) && class[b[i+8]]&isLetter == 0 && b[i+8] != '-' {
		return
	}
	j, v := i, 0
	for j-i < 9 && s.is(j, isDigit) {
		v = v*10 + int(s.b[j]-'0')
		j++
	}
	if j-i == 8 && (class[s.at(j)]&isLetter != 0 || s.at(j) == '-' && class[s.at(j+1)]&isLetter != 0) {
		s.spanishLetter(i, j, v, "id.es-dni")
	}
}

// idNumber looks for national numbers that start with a digit. Those whose form is common for other things need a word
// that says what it is.
func (s *scanner) idNumber(i int) {
	n, over := s.readNumber(i)
	if over || n.digits < 9 || n.digits > 15 || !s.ends(n.end()) {
		return
	}
	d := n.buf[:n.digits]
	rule, sure := "", false
	switch n.digits {
	case 15:
		if n.n == 1 || n.shape(1, 2, 2, 2, 3, 3, 2) {
			rule, sure = "id.fr-nir", frenchNIR(d)
			if !sure {
				return
			}
		}
	case 12:
		if (n.n == 1 || n.shape(4, 4, 4)) && d[0] >= '2' && verhoeff(d) {
			rule = "id.in-aadhaar"
		}
	case 11:
		switch {
		case brazilianCPF(d) && (n.n == 1 || n.shape(3, 3, 3, 2)):
			rule, sure = "id.br-cpf", n.n == 4 && n.groups[3].start > 0 && s.b[n.groups[3].start-1] == '-' && s.b[n.groups[1].start-1] == '.'
		case n.n == 1 && pesel(d):
			rule = "id.pl-pesel"
		case germanTaxID(d) && (n.n == 1 || n.shape(2, 3, 3, 3)):
			rule = "id.de-steuer-id"
		}
	case 10:
		if n.shape(6, 4) && n.sep == '-' && luhn(d) && monthDay(d[2:6]) {
			rule, sure = "id.se-personnummer", true
		}
	case 9:
		switch {
		case (n.n == 1 || n.shape(3, 3, 3)) && luhn(d) && d[0] != '0':
			rule = "id.ca-sin"
		case n.n == 1 && dutchBSN(d):
			rule = "id.nl-bsn"
		}
	}
	if rule == "" {
		return
	}
	topic := s.topic(i)
	if topic == idTopic || topic == ssnTopic || sure && topic != countTopic {
		s.add(i, n.end(), NationalID, rule, 0.9)
	}
}

// frenchNIR checks sex, month and the key, 97 minus the number modulo 97 (INSEE).
func frenchNIR(d []byte) bool {
	v := 0
	for _, c := range d[:13] {
		v = v*10 + int(c-'0')
	}
	month := int(d[3]-'0')*10 + int(d[4]-'0')
	return (d[0] == '1' || d[0] == '2') && month >= 1 && month <= 12 && 97-v%97 == int(d[13]-'0')*10+int(d[14]-'0')
}

// brazilianCPF checks the two digits, each a weighted sum modulo 11.
func brazilianCPF(d []byte) bool {
	same := true
	for _, c := range d {
		same = same && c == d[0]
	}
	for _, n := range [...]int{9, 10} {
		sum := 0
		for i := range n {
			sum += int(d[i]-'0') * (n + 1 - i)
		}
		if sum*10%11%10 != int(d[n]-'0') {
			return false
		}
	}
	return !same
}

// pesel checks the date's month and the weighted sum of a Polish number.
func pesel(d []byte) bool {
	const weights = "\x01\x03\x07\x09\x01\x03\x07\x09\x01\x03\x01"
	sum := 0
	for i := range weights {
		sum += int(d[i]-'0') * int(weights[i])
	}
	month := (int(d[2]-'0')*10 + int(d[3]-'0')) % 20
	return sum%10 == 0 && month >= 1 && month <= 12
}

// germanTaxID checks by ISO 7064 mod 11,10.
func germanTaxID(d []byte) bool {
	p := 10
	for _, c := range d[:10] {
		v := (int(c-'0') + p) % 10
		if v == 0 {
			v = 10
		}
		p = v * 2 % 11
	}
	return d[0] != '0' && (11-p)%10 == int(d[10]-'0')
}

// dutchBSN checks by elevens, the last digit with weight -1.
func dutchBSN(d []byte) bool {
	sum := -int(d[8] - '0')
	for i := range 8 {
		sum += int(d[i]-'0') * (9 - i)
	}
	return sum%11 == 0
}

func monthDay(d []byte) bool {
	month, day := int(d[0]-'0')*10+int(d[1]-'0'), int(d[2]-'0')*10+int(d[3]-'0')
	return month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// verhoeff checks a number by the dihedral group of order 10.
func verhoeff(digits []byte) bool {
	const permute = "1576283094" // each place permutes the digits once more
	product := func(a, b int) int {
		switch {
		case a < 5 && b < 5:
			return (a + b) % 5
		case a < 5:
			return 5 + (a+b-5)%5
		case b < 5:
			return 5 + (a-5-b+5)%5
		}
		return (a - b + 5) % 5
	}
	c := 0
	for i := range digits {
		row := i % 8
		v := int(digits[len(digits)-1-i] - '0')
		for range row {
			v = int(permute[v] - '0')
		}
		c = product(c, v)
	}
	return c == 0
}

func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
