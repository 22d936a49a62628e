package secretsguard

import "github.com/ledge-run/ledge/plugins/internal/text"

// match is a range of the folded text that is a secret.
type match struct {
	start, end int
	entity     string
	rule       string
	confidence float64
}

// scanner looks at each word of a text. touched says that the answer depended on what follows the text.
type scanner struct {
	f       text.Folded
	b       string
	final   bool
	generic bool
	touched bool
	open    int // from here on matches may be incomplete
	found   []match
	depth   int
}

func (s *scanner) at(i int) byte {
	if i >= len(s.b) {
		s.touched = true
		return 0
	}
	return s.b[i]
}

// add notes a match. What may still grow is left for later, until it is longer than can be held.
func (s *scanner) add(m match) {
	if s.touched && !s.final {
		if len(s.b)-m.start <= MaxHold {
			s.open = min(s.open, m.start)
			return
		}
		if m.end < len(s.b) && s.rest(m.end) {
			m.end = len(s.b)
		}
	}
	s.found = append(s.found, m)
}

func (s *scanner) rest(i int) bool { return i >= len(s.b)-1 }

// settled are the matches in order, overlapping ones joined under the surer name.
func (s *scanner) settled() []match {
	out := s.found[:0]
	for i := 1; i < len(s.found); i++ {
		for j := i; j > 0 && s.found[j].start < s.found[j-1].start; j-- {
			s.found[j], s.found[j-1] = s.found[j-1], s.found[j]
		}
	}
	for _, m := range s.found {
		if n := len(out); n > 0 && m.start < out[n-1].end {
			o := &out[n-1]
			o.end = max(o.end, m.end)
			if m.confidence > o.confidence {
				o.entity, o.rule, o.confidence = m.entity, m.rule, m.confidence
			}
			continue
		}
		out = append(out, m)
	}
	return out
}

func (s *scanner) run() {
	b := s.b
	for i := 0; i < len(b); {
		var j int
		var tells bool
		if i, j, tells = next(b, i); i == len(b) {
			break
		}
		switch c := b[i]; {
		case j > i:
			s.wordAt(i, j, tells)
			i = j
		case c == '-' && i+4 < len(b) && b[i:i+5] == "-----" && (i == 0 || b[i-1] != '-'):
			i = s.pem(i)
		case c == '-' && i+5 > len(b) && !s.final:
			s.open = min(s.open, i)
			i++
		case c == ':' && i+2 < len(b) && b[i+1] == '/' && b[i+2] == '/':
			s.credentials(i)
			i += 3
		default:
			i++
		}
	}
	// The last run without white space may still become something.
	if !s.final {
		k := len(b)
		for k > 0 && len(b)-k < MaxHold && b[k-1] > ' ' {
			k--
		}
		s.open = min(s.open, k)
	}
}

// next returns the first word from index i on that wordAt has to look at, or the place of a sign, with end == start. A
// word tells if it may be the name of a secret. next makes no calls: what is in use across one is kept in memory in a guest.
func next(text string, from int) (start, end int, tells bool) {
	b, i := text, uint(from)
	size := uint(len(b))
	for i < size {
		c := b[i]
		if inWord[c] == 0 {
			if c == '-' || c == ':' {
				return int(i), int(i), false
			}
			i++
			continue
		}
		j, last, hit := i, uint32(none), uint32(0)
		for j < size {
			v := inWord[b[j]]
			if v == 0 {
				break
			}
			j++
			if v == underscore {
				continue // api_key, pass_word
			}
			last = last<<5&0x7fff | uint32(v)
			hit |= trigrams[last>>5&1023] >> (last & 31)
		}
		n := j - i
		tells = hit&1 != 0 || last&1023 == 'p'&31<<5|'w'&31 || n <= 5 && last&0x7fff == 'p'&31<<10|'i'&31<<5|'n'&31
		if n >= 16 || tells {
			return int(i), int(j), tells
		}
		if i+2 < size {
			h := uint32(c)*961 ^ uint32(b[i+1])*31 ^ uint32(b[i+2])
			if starting[h>>5&127]>>(h&31)&1 != 0 {
				return int(i), int(j), false
			}
		}
		if j < size && (b[j] == '.' && n >= 5 && (c == 'h' || c == 'd' || c == 'o') || b[j] == ' ' && (n == 5 || n == 6) && c|0x20 == 'b') {
			return int(i), int(j), false // a webhook, Basic and Bearer
		}
		i = j
	}
	return int(i), int(i), false
}

// inWord has the number of each letter, from 1 on, whatever its case; none for digits, 0 for what is in no word.
var inWord = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case kinds[c]&(upper|lower) != 0:
			t[c] = uint8(c) & 31
		case kinds[c]&digit != 0:
			t[c] = none
		}
	}
	t['_'] = underscore
	return
}()

const (
	underscore = 30
	none       = 31
)

// trigrams has a bit for the first three letters of each word that tells of a secret: most words have none of them.
var trigrams = func() (t [1024]uint32) {
	for _, w := range [...]string{"pass", "pwd", "psw", "secret", "senha", "token", "key", "auth", "credential", "kennwort", "contrasena", "motdepasse"} {
		t[uint32(w[0]&31)<<5|uint32(w[1]&31)] |= 1 << (w[2] & 31)
	}
	for c := 'a'; c <= 'z'; c++ { // as in dbpwx
		t['p'&31<<5|'w'&31] |= 1 << (c & 31)
	}
	return
}()

// starting has a bit for the hash of the first three bytes of each format.
var starting = func() (t [128]uint32) {
	put := func(a, b, c byte) {
		h := uint32(a)*961 ^ uint32(b)*31 ^ uint32(c)
		t[h>>5&127] |= 1 << (h & 31)
	}
	for _, f := range formats {
		if len(f.prefix) > 2 {
			put(f.prefix[0], f.prefix[1], f.prefix[2])
			continue
		}
		for c := range 256 {
			if kinds[c]&f.set != 0 {
				put(f.prefix[0], f.prefix[1], byte(c))
			}
		}
	}
	put('e', 'y', 'J') // JSON web tokens
	put('e', 'y', 'K')
	return
}()

// wordAt looks at the word [i, j): a key of a known format, a token, or, where it tells, a name whose value is secret.
func (s *scanner) wordAt(i, j int, tells bool) {
	b := s.b
	s.touched = j == len(b)
	if i+2 < len(b) && (i == 0 || b[i-1] != '-' && b[i-1] != '.' || i > 1 && kinds[b[i-2]]&alnum == 0) {
		list := byFirst[b[i]]
		for k := range list {
			f := &list[k]
			if i+len(f.prefix) <= len(b) && b[i+1] == f.prefix[1] && b[i:i+len(f.prefix)] == f.prefix {
				if s.format(i, f) {
					return
				}
			}
		}
	}
	if b[i] == 'e' && j-i >= 10 && b[i+1] == 'y' && (b[i+2] == 'J' || b[i+2] == 'K') && s.jwt(i) {
		return
	}
	if b[i]|0x20 == 'b' && s.authorization(i, j) {
		return
	}
	s.hook(i, j)
	if s.generic && j-i >= 2 {
		k := notName
		if tells {
			k = secretName(b, i, j)
		}
		if k != notName {
			s.value(i, j, k)
		} else if j-i >= 20 {
			s.entropy(i, j)
		}
	}
	if s.depth == 0 && j-i >= 16 {
		s.encoded(i, j)
	}
}

// format tries one known format at index i.
func (s *scanner) format(i int, f *format) bool {
	from := i + len(f.prefix)
	j := from
	for j-from < f.most+1 && kinds[s.at(j)]&f.set != 0 {
		j++
	}
	for j > from && (kinds[s.b[j-1]]&(dot|dash) != 0 || s.b[j-1] == '=' && f.set&other == 0) {
		j-- // punctuation after it
	}
	if j-from < f.least || j-from > f.most || kinds[s.at(j)]&alnum != 0 {
		return false
	}
	body := s.b[from:j]
	if f.set == word && f.prefix == "sk-" && !hasDigit(body) || f.least >= 10 && (placeholder(body) || text.Entropy(body) < 2.6) {
		return false
	}
	if len(f.prefix) <= 3 && f.least < 60 && (!hasDigit(body) && (f.least < 30 || !mixed(body)) || text.Entropy(body) < 3) {
		return false
	}
	s.add(match{i, j, f.entity, f.rule, 0.97})
	return true
}

// jwt looks for a JSON web token: three parts of base64url (RFC 7519), the first a JSON object; or two, unsigned.
func (s *scanner) jwt(i int) bool {
	parts, j := 1, i
	last := i
	for parts < 6 && j-i < 16384 {
		c := s.at(j)
		if kinds[c]&word != 0 {
			j++
			continue
		}
		if c == '.' && (kinds[s.at(j+1)]&word != 0 || parts == 2) && j > last {
			parts++
			j++
			last = j
			continue
		}
		break
	}
	if parts < 2 || j-i < 32 || i > 0 && kinds[s.b[i-1]]&alnum != 0 {
		return false
	}
	s.add(match{i, j, "JWT", "jwt", 0.97})
	return true
}

// authorization looks for the value after Bearer or Basic (RFC 6750, RFC 7617).
func (s *scanner) authorization(i, j int) bool {
	w := lowerWord(s.b[i:j])
	if w != "bearer" && w != "basic" || s.at(j) != ' ' {
		return false
	}
	k := j + 1
	for k-j < 4096 && kinds[s.at(k)]&(b64|dot) != 0 || s.at(k) == '~' {
		k++
	}
	v := s.b[j+1 : k]
	if len(v) < 12 || !hasDigit(v) && !mixed(v) || placeholder(v) || text.Entropy(v) < 3 {
		return false
	}
	s.add(match{j + 1, k, "TOKEN", "http." + w, 0.9})
	return true
}

// hook looks for addresses that are themselves secrets: incoming webhooks.
func (s *scanner) hook(i, j int) {
	if j-i < 5 || j-i > 10 || s.b[i] != 'h' && s.b[i] != 'd' && s.b[i] != 'o' || j == len(s.b) || s.b[j] != '.' {
		return
	}
	for _, h := range [...]string{"hooks.slack.com/services/", "hooks.slack.com/workflows/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "outlook.office.com/webhook/"} {
		if i+len(h) <= len(s.b) && s.b[i:i+len(h)] == h {
			k := i + len(h)
			for k-i < 400 && (kinds[s.at(k)]&(b64) != 0 || s.b[min(k, len(s.b)-1)] == '@' && k < len(s.b)) {
				k++
			}
			if k-i-len(h) >= 20 && !placeholder(s.b[i+len(h):k]) {
				s.add(match{i, k, "WEBHOOK", "webhook", 0.95})
			}
		}
	}
}

// pem looks for a private key in its armour (RFC 7468) and returns where to go on. Without its end it goes to the end of
// the text, at most 16 KB.
func (s *scanner) pem(i int) int {
	const begin = "-----BEGIN "
	b := s.b
	if n := len(b) - i; n < len(begin) {
		if b[i:] == begin[:n] && !s.final {
			s.open = min(s.open, i)
		}
		return i + 5
	}
	if b[i:i+len(begin)] != begin {
		return i + 5
	}
	j := i + len(begin)
	for j < len(b) && j-i < 64 && (b[j] >= 'A' && b[j] <= 'Z' || b[j] == ' ' || kinds[b[j]]&digit != 0) {
		j++
	}
	label := b[i+len(begin) : j]
	if j == len(b) && !s.final {
		s.open = min(s.open, i)
		return j
	}
	if !contains(label, "PRIVATE KEY") && !contains(label, "PGP PRIVATE") {
		return j
	}
	body := j
	for j < len(b) && j-i < 16384 {
		if b[j] == '-' && j+9 <= len(b) && b[j:j+9] == "-----END " {
			k := j + 9
			for k < len(b) && b[k] != '\n' && k-j < 80 && !(b[k] == '-' && k+5 <= len(b) && b[k:k+5] == "-----") {
				k++
			}
			k = min(k+5, len(b))
			if k-i < 100 && len(compact(b[body:j])) < 24 {
				return k // an empty armour: documentation
			}
			s.touched = k == len(b)
			s.add(match{i, k, "PRIVATE_KEY", "pem.private-key", 0.99})
			return k
		}
		j++
	}
	if len(compact(b[body:j])) < 24 && s.final {
		return j
	}
	s.touched = true
	s.add(match{i, j, "PRIVATE_KEY", "pem.private-key", 0.9})
	return j
}

// credentials looks for user:password@ in an address whose "://" is at index i.
func (s *scanner) credentials(i int) {
	s.touched = false
	j := i + 3
	colonAt := -1
	for j-i < 256 {
		c := s.at(j)
		if c <= ' ' || c == '"' || c == '\'' || c == '/' && colonAt < 0 || c == '<' || c == '>' || c == '?' || c == '#' && colonAt < 0 {
			if c == '?' && colonAt >= 0 && j > colonAt+1 {
				j++
				continue
			}
			return
		}
		if c == ':' && colonAt < 0 {
			colonAt = j
		}
		if c == '/' && colonAt >= 0 {
			if allDigits(s.b[colonAt+1 : j]) {
				return // a port
			}
		}
		if c == '@' {
			break
		}
		j++
	}
	if colonAt < 0 || s.at(j) != '@' || j-colonAt < 2 {
		return
	}
	for k := j + 1; k < len(s.b) && k-i < 256 && s.b[k] > ' ' && s.b[k] != '/' && s.b[k] != '"'; k++ {
		if s.b[k] == '@' {
			j = k // an @ in the password
		}
	}
	if v := s.b[colonAt+1 : j]; placeholder(v) || reference(v) || lowerWord(v) == "password" || lowerWord(v) == "pass" || lowerWord(v) == "token" || lowerWord(v) == "secret" {
		return
	}
	start := i
	for start > 0 && (kinds[s.b[start-1]]&alnum != 0 || s.b[start-1] == '+' || s.b[start-1] == '-' || s.b[start-1] == '.') {
		start--
	}
	end := j + 1
	for end-i < 512 && (kinds[s.at(end)]&(word|dot|colon|other) != 0 || has("?&%,", s.at(end))) {
		end++
	}
	for end > j+1 && has(".,:", s.b[end-1]) {
		end--
	}
	s.add(match{start, end, "CONNECTION_STRING", "url.credentials", 0.95})
}

// encoded looks into base64 that stands for text.
func (s *scanner) encoded(i, j int) {
	b := s.b
	for j < len(b) && (kinds[b[j]]&b64 != 0) {
		j++
	}
	n := j - i
	if n < 24 || n > 8192 || i > 0 && kinds[b[i-1]]&other != 0 && b[i-1] != '=' {
		return
	}
	out := decode(b[i:j])
	if len(out) < 16 {
		return
	}
	printable := 0
	for _, c := range out {
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' {
			printable++
		}
	}
	if printable != len(out) {
		return
	}
	in := scanner{f: text.Folded{S: string(out)}, b: string(out), final: true, generic: s.generic, depth: 1, open: len(out)}
	in.run()
	for _, m := range in.found {
		s.touched = s.touched || j == len(b)
		s.add(match{i, j, m.entity, "base64+" + m.rule, m.confidence * 0.95})
		return
	}
}

func decode(in string) []byte {
	out := make([]byte, 0, len(in)*3/4)
	var acc, bits uint32
	for i := range len(in) {
		c := in[i]
		var v uint32
		switch {
		case c >= 'A' && c <= 'Z':
			v = uint32(c - 'A')
		case c >= 'a' && c <= 'z':
			v = uint32(c-'a') + 26
		case c >= '0' && c <= '9':
			v = uint32(c-'0') + 52
		case c == '+' || c == '-':
			v = 62
		case c == '/' || c == '_':
			v = 63
		default:
			return out
		}
		acc, bits = acc<<6|v, bits+6
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out
}

func compact(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if kinds[s[i]]&b64 != 0 {
			out = append(out, s[i])
		}
	}
	return string(out)
}
