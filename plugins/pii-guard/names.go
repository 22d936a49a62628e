package piiguard

import (
	"unicode"
	"unicode/utf8"
)

// Most words of a name and of an address.
const (
	maxNameWords = 6
	maxNameRaw   = 96
)

// capital says whether the word at index i starts with a capital letter.
func (s *scanner) capital(i int) bool {
	if i >= len(s.b) {
		s.touched = true
		return false
	}
	c := s.b[i]
	if c >= 'A' && c <= 'Z' {
		return true
	}
	if c != letterMark {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s.text[s.offset(i):])
	return unicode.IsUpper(r)
}

// nameEnd returns where the word of a name that goes on at index i ends: letters, an apostrophe or hyphen between two.
func (s *scanner) nameEnd(i int) int {
	for {
		b := s.b[:s.plainTo]
		for uint(i) < uint(len(b)) && inWord[b[i]] {
			i++
		}
		c := s.at(i)
		if class[c]&isLetter != 0 || c == letterMark {
			i++
			continue
		}
		if c == '\'' || c == '-' {
			n := s.at(i + 1)
			if (class[n]&isLetter != 0 || n == letterMark) && !(c == '\'' && n == 's' && class[s.at(i+2)]&isWord == 0) {
				i++
				continue
			}
		}
		return i
	}
}

// wordBefore returns the word that ends before index i, with up to three signs between them.
func (s *scanner) wordBefore(i int) (from, to int) {
	j := i
	n := 0
	for j > 0 && n < 3 && (s.b[j-1] == ' ' || s.b[j-1] == '.' || s.b[j-1] == ':' || s.b[j-1] == ',' || s.b[j-1] == '"' || s.b[j-1] == '*' || s.b[j-1] == '\n') {
		j--
		n++
	}
	to = j
	for j > 0 && to-j < 32 && (class[s.b[j-1]]&isLetter != 0 || s.b[j-1] == letterMark || s.b[j-1] == '\'') {
		j--
	}
	if j > 0 && class[s.b[j-1]]&isWord != 0 {
		return i, i
	}
	return j, to
}

// nameable says whether the word [i, j) may be part of a name.
func (s *scanner) nameable(i, j int) bool {
	if !s.capital(i) {
		return false
	}
	k := look(s.b[i:j])
	return k&isNoName == 0 || k&(isGiven|isSurname) != 0 && k&isCue == 0 && k&(isWeakGiven|isWeakSurname) == 0
}

// names looks for a person or an organisation whose first word is at [i, j). Which word is the first depends on the one
// before only.
//
// j is where the word ends, with its parts after hyphens, and k0 what is known of it.
func (s *scanner) names(i, j int, k0 uint16) {
	if s.before(i) == '@' || s.before(i) == '/' || s.before(i) == '_' || s.before(i) == '\'' || s.before(i) == '#' {
		return
	}
	if s.at(j) == '@' || s.at(j) == '_' || class[s.at(j)]&isDigit != 0 {
		return
	}
	pf, pt := s.wordBefore(i)
	prev := uint16(0)
	if pt > pf {
		prev = look(s.b[pf:pt])
	}
	joined := pt > pf && i-pt == 1 && s.b[pt] == ' ' && s.nameable(pf, pt) && prev&(isTitle|isCue) == 0
	if joined && prev&(isGiven|isSurname|isOrgAfter|isOrgKnown) != 0 {
		return // part of what starts before
	}
	if !s.nameable(i, j) && prev&isTitle == 0 {
		return
	}
	// The words of the run.
	var ends [maxNameWords]int
	var starts [maxNameWords]int
	var know [maxNameWords]uint16
	starts[0], ends[0], know[0] = i, j, k0
	n := 1
	for n < maxNameWords {
		e := ends[n-1]
		p := e
		if e-starts[n-1] == 1 && s.at(p) == '.' {
			p++ // an initial
		}
		if s.at(p) != ' ' {
			if s.at(p) == '&' || !(p > e && class[s.at(p)]&isLetter != 0) {
				break
			}
		} else {
			p++
		}
		q := p
		if s.at(p) == '&' && s.at(p+1) == ' ' {
			q = p + 2
		}
		if q >= len(s.b) {
			s.touched = true
			break
		}
		if c := s.b[q]; class[c]&isLetter == 0 && c != letterMark {
			break
		}
		w := s.nameEnd(q)
		if s.offset(w)-s.from > maxNameRaw {
			break
		}
		k := look(s.b[q:w])
		if !s.capital(q) {
			if k&isParticle == 0 || n+1 >= maxNameWords || k&isVerb != 0 {
				break
			}
			// a particle counts only with a name after it
			r := w
			if s.at(r) == ' ' {
				r++
			}
			if r >= len(s.b) {
				s.touched = true
				break
			}
			if !s.capital(r) {
				r2 := s.nameEnd(r)
				if look(s.b[r:r2])&isParticle == 0 || s.at(r2) != ' ' || !s.capital(r2+1) {
					break
				}
			}
			starts[n], ends[n], know[n] = q, w, isParticle
			n++
			continue
		}
		if k&isNoName != 0 && !(w-q == 1 && s.at(w) == '.') && k&(isGiven|isSurname|isOrgAfter|isParticle) == 0 {
			break
		}
		if class[s.at(w)]&isDigit != 0 || s.at(w) == '@' || s.at(w) == '_' {
			break
		}
		starts[n], ends[n], know[n] = q, w, k
		n++
	}
	for n > 1 && know[n-1] == isParticle {
		n--
	}
	s.organisation(i, starts[:n], ends[:n], know[:n], prev)
	s.person(starts[:n], ends[:n], know[:n], prev, pf, pt)
}

// organisation weighs a run by a word that companies end with, "University of X", or a known name.
func (s *scanner) organisation(i int, starts, ends []int, know []uint16, prev uint16) {
	n := len(know)
	for k := n - 1; k > 0; k-- {
		if know[k]&isOrgAfter != 0 {
			if w := s.b[starts[k]:ends[k]]; len(w) == 2 && (w[1] < 'a' && s.b[ends[k-1]-1] < 'a' || s.at(ends[k]) == ' ' && s.is(ends[k]+1, isDigit)) {
				continue // two capitals among capitals are no form of company
			}
			end := ends[k]
			if s.at(end) == '.' && ends[k]-starts[k] <= 4 && !(s.at(end+1) == ' ' && s.capital(end+2)) {
				end++
			}
			s.add(i, end, Organisation, "org.suffix", 0.8)
			return
		}
	}
	end := ends[n-1]
	// Hane, Inc. and Hane, LLC
	if s.at(end) == ',' && s.at(end+1) == ' ' {
		w := s.nameEnd(end + 2)
		switch s.b[min(end+2, len(s.b)):w] {
		case "Inc", "LLC", "Ltd", "LLP", "Corp", "PLC":
			if s.at(w) == '.' {
				w++
			}
			s.add(i, w, Organisation, "org.suffix", 0.85)
			return
		}
	}
	// Orion S.A., Orion S.p.A., Orion B.V.
	if s.at(end) == ' ' && (s.at(end+1) == 'S' || s.at(end+1) == 'B' || s.at(end+1) == 'N') && s.at(end+2) == '.' {
		switch c := s.at(end + 3); {
		case (c == 'A' || c == 'V') && s.at(end+4) == '.':
			s.add(i, end+5, Organisation, "org.suffix", 0.8)
			return
		case c == 'p' && s.at(end+4) == '.' && s.at(end+5) == 'A':
			s.add(i, end+6, Organisation, "org.suffix", 0.8)
			return
		}
	}
	if n == 1 && know[0]&isOrgAfter != 0 && s.at(end) == ' ' && (s.at(end+1) == 'o' && s.at(end+2) == 'f' || s.at(end+1) == 'f' && s.at(end+2) == 'o' && s.at(end+3) == 'r') {
		p := end + 4
		if s.b[end+1] == 'f' {
			p++
		}
		if s.capital(p) {
			w := s.nameEnd(p)
			for range 2 {
				if s.at(w) == ' ' && s.capital(w+1) && look(s.b[w+1:s.nameEnd(w+1)])&isNoName == 0 {
					w = s.nameEnd(w + 1)
				}
			}
			s.add(i, w, Organisation, "org.of", 0.8)
		}
		return
	}
	if know[0]&isOrgKnown != 0 && know[0]&(isGiven|isNoName) == 0 {
		s.add(i, ends[0], Organisation, "org.known", 0.7)
		return
	}
	// Kling - Bauer and Hauck-Kunde: two surnames that stand for a firm.
	if n == 1 && s.at(end) == ' ' && s.at(end+1) == '-' && s.at(end+2) == ' ' && s.capital(end+3) {
		w := s.nameEnd(end + 3)
		if know[0]&isSurname != 0 && look(s.b[end+3:w])&isSurname != 0 {
			s.add(i, w, Organisation, "org.partners", 0.6)
		}
		return
	}
	// Ziemann, Kunde and Rath
	if n == 1 && know[0]&isSurname != 0 && s.at(end) == ',' && s.at(end+1) == ' ' && s.capital(end+2) {
		w := s.nameEnd(end + 2)
		if look(s.b[end+2:w])&isSurname != 0 && w+5 < len(s.b) && s.b[w:w+5] == " and " && s.capital(w+5) {
			v := s.nameEnd(w + 5)
			if look(s.b[w+5:v])&isSurname != 0 {
				s.add(i, v, Organisation, "org.partners", 0.6)
			}
		} else if w+5 >= len(s.b) {
			s.touched = true
		}
	}
}

// person weighs a run of capitalised words as the name of a person.
func (s *scanner) person(starts, ends []int, know []uint16, prev uint16, pf, pt int) {
	n := len(know)
	// The name starts with a given name, an initial, or with what follows a title.
	titled := prev&isTitle != 0 && pt > pf && s.capital(pf) && starts[0]-pt <= 2
	cued := prev&isCue != 0 || s.says(pf, pt)
	first := 0
	if !titled && !cued {
		for first < n && know[first]&(isGiven|isWeakGiven) == 0 && !(ends[first]-starts[first] == 1) &&
			!(know[first]&isSurname != 0 && first+1 < n && know[first+1]&(isGiven|isWeakGiven) != 0) {
			first++
		}
		if first == n {
			first = 0
		}
	}
	last := n - 1
	for k := first; k < n; k++ {
		if know[k]&(isStreetAfter) != 0 && k > first && know[k]&(isSurname) == 0 {
			return // a street
		}
		if k > first && (know[k]&isOrgAfter != 0 && know[k]&isSurname == 0 || know[k]&isOrgKnown != 0) {
			return
		}
		if k > first+3 {
			last = min(last, first+3)
		}
	}
	score := 0.0
	known := 0
	k0 := know[first]
	switch {
	case k0&isGiven != 0 && k0&(isWeakGiven|isCity|isNoName) == 0:
		score += 2
		known++
	case k0&(isGiven|isWeakGiven) != 0:
		score++
		known++
	case ends[first]-starts[first] == 1 && last > first:
		score += 0.7
	case k0&isSurname != 0 && last > first:
		score += 0.6
		known++
	}
	if last > first {
		kl := know[last]
		switch {
		case kl&isSurname != 0 && kl&isWeakSurname == 0:
			score += 1.4
			known++
		case kl&isSurname != 0:
			score += 1
			known++
		case surnameForm(s.b[starts[last]:ends[last]]):
			score += 0.9
		case kl == 0:
			score += 0.4
		case kl&isGiven != 0:
			score += 0.6
		}
	} else if k0&isSurname != 0 && k0&(isGiven|isWeakSurname|isCity|isNoName) == 0 {
		score += 1.1
		known++
	} else if surnameForm(s.b[starts[first]:ends[first]]) && k0 == 0 {
		score += 0.5
	}
	length := ends[last] - starts[first]
	allCaps := length > 3 && s.b[starts[first]+1] >= 'A' && s.b[starts[first]+1] <= 'Z'
	switch {
	case titled && last-first <= 2:
		score += 2.5
	case cued:
		score += 1.2
	case prev&isAt != 0 && last == first && k0&isCity != 0:
		score--
	}
	if last == first {
		switch {
		case k0&isCity != 0 && !titled && !cued:
			score -= 1
		case ends[first]-starts[first] < 3:
			score--
		}
		if allCaps && !titled {
			score--
		}
	}
	if known == 0 && !titled && !(cued && s.says(pf, pt)) {
		return
	}
	if score < 2 {
		return
	}
	conf := 0.6 + 0.08*(score-2)
	s.add(starts[first], ends[last], Person, "person.name", min(conf, 0.95))
}

// says reports whether the words before say that a name follows: "name is", "name:", "I am".
func (s *scanner) says(pf, pt int) bool {
	if pt <= pf {
		return false
	}
	w := s.b[pf:pt]
	if s.b[pt] == ':' && look(w)&isCue != 0 {
		return true
	}
	if w == "is" || w == "ist" || w == "est" || w == "es" || w == "am" {
		f, t := s.wordBefore(pf)
		switch word := s.b[f:t]; word {
		case "name", "Name", "nom", "nombre", "nome", "I", "called":
			return true
		}
	}
	return false
}

// surnameForm knows the endings of surnames.
func surnameForm(w string) bool {
	if len(w) < 5 {
		return false
	}
	if !surnameEnds.none(w) {
		for _, e := range surnameEnds.list {
			if len(w) > len(e)+1 && w[len(w)-len(e):] == e {
				return true
			}
		}
	}
	return w[0] == 'M' && w[1] == 'c' || w[1] == '\'' && (w[0] == 'O' || w[0] == 'D')
}

var surnameEnds = newEndings("son", "sen", "ski", "sky", "ska", "ová", "ova", "ov", "ev", "eva", "enko", "chuk", "ian", "yan", "ini", "elli", "etti", "mann", "berg", "stein", "opoulos", "akis", "idis", "vić", "vic", "escu", "wicz", "czyk", "shvili", "ez", "man", "ley", "ton", "ham", "sson", "quist", "strom", "dottir", "wala", "oglu", "bauer", "meyer", "meier", "hofer", "inger", "dez", "ault", "eau", "ard")
