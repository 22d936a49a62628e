package piiguard

import "strings"

// street looks for an address that starts with a house number at index i: 12 Main Street, 12 rue de la Paix.
func (s *scanner) street(i int) {
	if !s.starts(i) || s.before(i) == '#' {
		return
	}
	j := i + 1
	if b := s.b[:s.plainTo]; i+7 < len(b) {
		for j < i+6 && b[j]-'0' <= 9 {
			j++
		}
		if c := b[j]; c != ' ' && c != ',' && class[c]&isLetter == 0 || c == ' ' && class[b[j+1]]&(isLetter|isDigit) == 0 && b[j+1] != letterMark {
			return
		}
	} else {
		for j-i < 6 && s.is(j, isDigit) {
			j++
		}
	}
	if j-i > 5 {
		return
	}
	if class[s.at(j)]&isLetter != 0 && class[s.at(j+1)]&isWord == 0 {
		j++ // 12b
	}
	if s.at(j) == ',' {
		j++
	}
	if s.at(j) != ' ' {
		return
	}
	p := j + 1
	if p >= len(s.b) {
		s.touched = true
		return
	}
	if class[s.b[p]]&(isLetter|isDigit) == 0 && s.b[p] != letterMark {
		return
	}
	// number, then a street word, then a name
	w := s.nameEnd(p)
	if look(s.b[p:w])&isStreetBefore != 0 && s.at(w) == ' ' {
		end, n := w, 0
		for n < 5 && s.at(end) == ' ' {
			e := s.nameEnd(end + 1)
			if e == end+1 || !s.capital(end+1) && look(s.b[end+1:e])&isParticle == 0 && !in(s.b[end+1:e], "des", "les", "l", "d", "los", "las", "dei", "delle", "dello", "degli") {
				break
			}
			end = e
			n++
		}
		if n > 0 && !(n == 1 && !s.capital(w+1)) {
			s.add(i, s.locality(end), Address, "address.street", 0.8)
		}
		return
	}
	end := j
	for n := range 5 {
		q := end + 1
		if s.at(end) != ' ' || q >= len(s.b) {
			return
		}
		e := s.nameEnd(q)
		if e == q { // 5th, 42nd
			for s.is(e, isDigit) {
				e++
			}
			if e == q || n > 1 {
				return
			}
			e = s.nameEnd(e)
			end = e
			continue
		}
		k := look(s.b[q:e])
		capital := s.capital(q)
		if !capital && k&isStreetAfter == 0 {
			return
		}
		end = e
		if k&isStreetAfter != 0 && n > 0 && (capital || in(s.b[q:e], "street", "st", "avenue", "ave", "road", "rd", "lane", "drive", "blvd", "boulevard", "way", "court")) {
			// The last street word counts: 12 Lake View Road.
			for s.at(end) == ' ' && s.capital(end+1) && look(s.b[end+1:s.nameEnd(end+1)])&isStreetAfter != 0 {
				end = s.nameEnd(end + 1)
			}
			if s.at(end) == '.' && end-q <= 4 {
				end++
			}
			s.add(i, s.locality(end), Address, "address.street", 0.85)
			return
		}
		if n == 0 && endsStreet(s.b[q:e]) {
			s.add(i, s.locality(end), Address, "address.street", 0.8)
			return
		}
	}
}

// locality extends an address over unit, town, state and postal code, as far as they follow closely.
func (s *scanner) locality(end int) int {
	for range 5 {
		p := end
		if s.at(p) == ',' {
			p++
		}
		for range 2 {
			if s.at(p) == ' ' || s.at(p) == '\n' && p > end {
				p++
			}
		}
		if p == end || p >= len(s.b) || s.offset(p)-s.from > maxRaw {
			return end
		}
		comma := s.b[end] == ','
		if s.b[p] == '#' {
			q := p + 1
			for class[s.at(q)]&isWord != 0 && q-p < 7 {
				q++
			}
			if q == p+1 {
				return end
			}
			end = q
			continue
		}
		if s.is(p, isDigit) { // a postal code
			q := p
			for s.is(q, isDigit) {
				q++
			}
			if s.at(q) == '-' && s.is(q+1, isDigit) {
				for q++; s.is(q, isDigit); q++ {
				}
			}
			if q-p < 4 || q-p > 10 || class[s.at(q)]&isWord != 0 {
				return end
			}
			end = q
			if s.at(q) == ' ' && s.capital(q+1) && look(s.b[q+1:s.nameEnd(q+1)])&(isCity|isNoName) == isCity {
				end = s.nameEnd(q + 1)
			}
			continue
		}
		if !s.capital(p) {
			return end
		}
		w := s.nameEnd(p)
		word := s.b[p:w]
		switch {
		case in(word, "Apt", "Suite", "Unit", "Apartment", "Floor", "Ste", "Flat", "Room", "Bldg", "Building"):
			q := w
			if s.at(q) == '.' {
				q++
			}
			if s.at(q) == ' ' {
				q++
			}
			if s.at(q) == '#' {
				q++
			}
			r := q
			for class[s.at(r)]&isWord != 0 && r-q < 6 {
				r++
			}
			if r == q {
				return end
			}
			end = r
		case w-p == 2 && s.b[p+1] >= 'A' && s.b[p+1] <= 'Z' || w-p == 2 && class[s.at(w)]&isDigit != 0 || w-p == 1 && class[s.at(w)]&isDigit != 0: // a state, or the start of a British code
			q := w
			for class[s.at(q)]&isWord != 0 && q-p < 5 {
				q++
			}
			if q > w && s.at(q) == ' ' && s.is(q+1, isDigit) && s.at(q+2) >= 'A' && s.at(q+2) <= 'Z' && s.at(q+3) >= 'A' && s.at(q+3) <= 'Z' {
				q += 4
			}
			end = q
		case comma && (look(word)&isNoName == 0 || look(word)&isCity != 0):
			q := w
			for range 2 {
				if s.at(q) == ' ' && s.capital(q+1) && look(s.b[q+1:s.nameEnd(q+1)])&isNoName == 0 && s.nameEnd(q+1)-q > 3 {
					q = s.nameEnd(q + 1)
				}
			}
			// A town counts when something of an address follows, or it is known.
			r := q
			if s.at(r) == ',' {
				r++
			}
			if s.at(r) == ' ' && (s.is(r+1, isDigit) || s.at(r+1) >= 'A' && s.at(r+1) <= 'Z' && s.at(r+2) >= 'A' && s.at(r+2) <= 'Z' || s.capital(r+1) && class[s.at(r+2)]&isDigit != 0) || look(word)&isCity != 0 {
				end = q
				continue
			}
			return end
		default:
			return end
		}
	}
	return end
}

// streetName looks for an address that starts with its street at [i, j): Hauptstraße 12, Calle Mayor 5, P.O. Box 77.
//
// j is where the word ends, with its parts after hyphens, and k what is known of it.
func (s *scanner) streetName(i, j int, k uint16) {
	end := 0
	switch {
	case endsStreet(s.b[i:j]) && s.capital(i):
		end = j
	case k&isStreetBefore != 0:
		e := j
		if s.at(e) == '.' {
			e++
		}
		for n := 0; n < 5 && s.at(e) == ' '; n++ {
			w := s.nameEnd(e + 1)
			if w == e+1 {
				break
			}
			if !s.capital(e+1) && look(s.b[e+1:w])&isParticle == 0 && !in(s.b[e+1:w], "des", "los", "las", "dei", "delle", "degli") {
				return
			}
			e = w
		}
		if e == j {
			return
		}
		end = e
	case in(s.b[i:j], "PO", "P") && s.at(j) != 0:
		e := j
		for e-i < 5 && has(". O", s.at(e)) {
			e++
		}
		if e+4 < len(s.b) && s.b[e:e+4] == "Box " && s.is(e+4, isDigit) {
			for e += 4; s.is(e, isDigit); e++ {
			}
			s.add(i, s.locality(e), Address, "address.po-box", 0.85)
		}
		return
	default:
		return
	}
	p := end
	if s.at(p) == ',' {
		p++
	}
	if s.at(p) != ' ' || !s.is(p+1, isDigit) {
		return
	}
	q := p + 1
	for s.is(q, isDigit) {
		q++
	}
	if q-p > 5 {
		return
	}
	if class[s.at(q)]&isLetter != 0 && class[s.at(q+1)]&isWord == 0 {
		q++
	}
	if class[s.at(q)]&isWord != 0 {
		return
	}
	s.add(i, s.locality(q), Address, "address.street", 0.8)
}

func endsStreet(w string) bool {
	if len(w) < 6 || streetEnds.none(w) {
		return false
	}
	for _, e := range streetEnds.list {
		if len(w) > len(e)+2 && w[len(w)-len(e):] == e && (len(e) > 3 || len(w) > 6) {
			return true
		}
	}
	return false
}

// streetEnds are the endings of one-word names of streets.
var streetEnds = newEndings("strasse", "stra\x80e", "straat", "str", "laan", "weg", "platz", "plein", "gasse", "allee", "gracht", "kade", "damm", "gatan", "v\x80gen", "gade", "vej", "veien", "katu", "tie", "ring", "ufer")

// endings are endings of words, and the pairs of bytes that they end with: most words need no comparison.
type endings struct {
	list []string
	last [256]uint32 // for a last byte, a bit for each byte before it, as far as 5 bits tell
}

func newEndings(list ...string) *endings {
	e := &endings{list: list}
	for _, w := range list {
		e.last[w[len(w)-1]] |= 1 << (w[len(w)-2] & 31)
	}
	return e
}

// none says that a word, of two bytes at least, has none of the endings.
func (e *endings) none(w string) bool { return e.last[w[len(w)-1]]>>(w[len(w)-2]&31)&1 == 0 }

func in(w string, list ...string) bool {
	for _, x := range list {
		if w == x {
			return true
		}
	}
	return false
}

// birth looks for a date at index i that a word before says is one of birth.
func (s *scanner) birth(i int) {
	// No date goes on otherwise after its first number.
	if b := s.b[:s.plainTo]; i+5 < len(b) {
		j := i + 1
		for j < i+5 && b[j]-'0' <= 9 {
			j++
		}
		if c := b[j]; j-i > 4 || c != '/' && c != '-' && c != '.' && c != ' ' && c != 's' && c != 't' && c != 'n' && c != 'r' {
			return
		}
	}
	if !s.starts(i) || s.topic(i) != birthTopic {
		return
	}
	j, groups, sep := i, 0, byte(0)
	for groups < 3 {
		start := j
		for s.is(j, isDigit) && j-start < 5 {
			j++
		}
		if j == start || j-start > 4 || j-start == 3 {
			return
		}
		groups++
		if groups == 3 {
			break
		}
		c := s.at(j)
		if groups == 1 && (c == ' ' || c == '.' && s.at(j+1) == ' ' || has("stnr", c)) { // 12 May 1980
			s.wordDate(i, j)
			return
		}
		if c != '/' && c != '-' && c != '.' || sep != 0 && c != sep {
			return
		}
		sep = c
		j++
	}
	if s.at(j) == 'T' && s.is(j+1, isDigit) {
		for class[s.at(j)]&isWord != 0 || s.at(j) == ':' || s.at(j) == '.' {
			j++
		}
	}
	if s.ends(j) {
		s.add(i, j, BirthDate, "date.birth", 0.9)
	}
}

func (s *scanner) wordDate(i, j int) {
	for has(".stndrh ", s.at(j)) && j-i < 6 {
		j++
	}
	w := s.nameEnd(j)
	if monthName(s.b[j:w]) {
		s.year(i, w)
	}
}

// birthMonth looks for May 12, 1980 with the month at [i, j).
func (s *scanner) birthMonth(i, j int) {
	if !monthName(s.b[i:j]) || s.topic(i) != birthTopic {
		return
	}
	if s.at(j) == '.' {
		j++
	}
	if s.at(j) != ' ' || !s.is(j+1, isDigit) {
		return
	}
	k := j + 1
	for s.is(k, isDigit) {
		k++
	}
	if k-j > 4 {
		s.add(i, k, BirthDate, "date.birth", 0.8)
		return
	}
	for has("stndrh", s.at(k)) {
		k++
	}
	s.year(i, k)
}

func (s *scanner) year(i, j int) {
	for has(",. ", s.at(j)) && j-i < 24 {
		j++
	}
	k := j
	for s.is(k, isDigit) {
		k++
	}
	if k-j == 4 && s.ends(k) {
		s.add(i, k, BirthDate, "date.birth", 0.9)
	}
}

func monthName(w string) bool {
	if len(w) < 3 || len(w) > 10 {
		return false
	}
	a, b, c := w[0]|0x20, w[1]|0x20, w[2]|0x20
	return a >= 'a' && a <= 'z' && b >= 'a' && b <= 'z' && c >= 'a' && c <= 'z' && months[int(a-'a')*26+int(b-'a')]>>(c-'a')&1 != 0
}

// months has, for the first two letters of a month, a bit for each third one.
var months = func() (t [26 * 26]uint32) {
	for m := range strings.FieldsSeq("jan feb mar apr may jun jul aug sep oct okt nov dec dez mai ene abr ago dic gen mag giu lug set ott avr jui") {
		t[int(m[0]-'a')*26+int(m[1]-'a')] |= 1 << (m[2] - 'a')
	}
	return
}()

// passport looks for a passport's or licence's number that a word before says is one: letters and digits, 6 to 12 of
// them, at least four digits.
func (s *scanner) passport(i, j int) {
	digits := 0
	for k := i; k < j; k++ {
		if class[s.b[k]]&isDigit != 0 {
			digits++
		}
		if s.b[k] == letterMark || s.b[k] == '_' || s.b[k] >= 'a' && s.b[k] <= 'z' {
			return
		}
	}
	if n := j - i; n < 6 || n > 12 || digits < 4 || !s.starts(i) || !s.ends(j) {
		return
	}
	switch s.topic(i) {
	case passportTopic:
		s.add(i, j, Passport, "passport", 0.85)
	}
}
