package secretsguard

import "github.com/ledge-run/ledge/plugins/internal/text"

// name says what kind of secret a name announces.
type name uint8

const (
	notName  name = iota
	password      // chosen by a person: short and plain is possible
	key           // made by a machine: long and random
)

// secretName says what the name that contains the word [i, j) announces. Names are words joined by - _ . or by case.
func secretName(b string, i, j int) name {
	var buf [64]byte
	if j-i > len(buf) || j-i < 3 {
		return notName
	}
	w := buf[:0]
	for k := i; k < j; k++ {
		if c := b[k]; c != '_' {
			w = append(w, lowerByte(c))
		}
	}
	s := string(w)
	if contains(s, "pass") && (contains(s, "password") || contains(s, "passwd") || contains(s, "passphrase") || contains(s, "passwort")) ||
		contains(s, "kennwort") || contains(s, "senha") || contains(s, "contrasena") || contains(s, "motdepasse") {
		if !endsAny(s, "policy", "hash", "field", "length", "reset") {
			return password
		}
	}
	switch s {
	case "pwd", "pass", "passcode", "psw", "dbpass", "userpass", "mypass", "dbpwd", "dbpassw", "pw", "rootpw", "rootpass", "smtppass", "mysqlpwd", "userpw", "adminpw", "pin":
		return password
	}
	if contains(s, "secret") || contains(s, "credential") ||
		follows(s, "key", "api", "access", "private", "encryption", "signing", "account", "consumer", "service", "master", "auth", "license", "session", "instrumentation", "storage", "admin", "subscription") ||
		follows(s, "token", "auth", "access", "refresh", "bot", "api", "session", "bearer", "csrf") {
		if !endsAny(s, "id", "name", "arn") {
			return key
		}
	}
	if s == "token" || endsWith(s, "token") && len(s) < 32 || s == "auth" || s == "apisecret" {
		return key
	}
	if (s == "key" || s == "id") && i > 4 { // "api key", "access-key", "API Key"
		k := i - 1
		if b[k] == ' ' || b[k] == '-' || b[k] == '.' {
			e := k
			for k > 0 && kinds[b[k-1]]&alnum != 0 {
				k--
			}
			switch lowerWord(b[k:e]) {
			case "api", "access", "secret", "private", "encryption", "auth", "signing", "master", "account", "license", "service", "ssh", "deploy":
				if s == "key" {
					return key
				}
			}
		}
	}
	return notName
}

// value looks for what a name announces: name = value, "name": "value", name is value, <name>value, --name value.
func (s *scanner) value(i, j int, kind name) {
	b := s.b
	k := j
	limit := j + 48
	// The name may go on: password_for_db = ..., secret-key, secrets.
	for k < len(b) && k < limit && (kinds[b[k]]&(alnum|dash) != 0) {
		k++
	}
	if k > j && endsAny(b[j:k], "id", "name", "file", "path", "length", "hash", "field", "type", "url", "uri", "policy", "expiry", "count", "manager", "limit") {
		return
	}
	assigned, spaces, quoted, said := false, 0, byte(0), false
	cli := i >= 2 && b[i-1] == '-'
	for k < len(b)+1 && k-j < 64 {
		c := s.at(k)
		switch {
		case c == ' ' || c == '\t':
			spaces++
			if spaces > 4 && !assigned {
				return
			}
		case c == '\n' && assigned && spaces == 0, c == '\\':
		case c == '=' || c == ':' || c == '>' && (assigned || xmlTag(b, i)):
			assigned = true
		case c == '"' || c == '\'' || c == '`':
			quoted = c
			if assigned {
				k++
				goto value
			}
			quoted = 0
		case c == ']' || c == ')':
			if assigned {
				return
			}
		case c == '(' || c == '[':
			if !assigned || c == '[' {
				return
			}
			return
		case c == 0:
			s.openFrom(k)
			return
		case assigned:
			goto value
		case kinds[c]&alnum != 0 && spaces > 0 && !said:
			e := k
			for e < len(b) && kinds[b[e]]&alnum != 0 {
				e++
			}
			w := lowerWord(b[k:e])
			switch w {
			case "is", "was", "ist", "est", "es", "to", "zu", "are":
				said = true
				if w == "to" && kind != password {
					return
				}
				k = e
				continue
			case "for", "of", "und", "and":
				return
			}
			if cli {
				goto value
			}
			if kind == key && e-k >= 20 {
				goto value
			}
			return
		case said:
			goto value
		default:
			return
		}
		k++
	}
	return
value:
	from := k
	if quoted != 0 {
		for k-from < 512 && s.at(k) != quoted && s.at(k) != '\n' && s.at(k) != 0 {
			k++
		}
		if s.at(k) != quoted && !s.touched {
			return
		}
	} else {
		for k-from < 2048 && s.at(k) > ' ' && !has("\"'`<>;,)}]&|\\", s.b[k]) {
			k++
		}
		for k > from && has(".,:", b[k-1]) {
			k--
		}
		if k < len(b) && (b[k] == '(' || b[k] == '[') {
			return
		}
	}
	v := b[from:k]
	if s.touched && !s.final && len(b)-from <= MaxHold {
		s.open = min(s.open, from)
		return
	}
	if conf := secretValue(v, kind, quoted != 0, said); conf > 0 {
		entity := "SECRET"
		if kind == password {
			entity = "PASSWORD"
		}
		s.add(match{from, k, entity, "assigned." + map[name]string{password: "password", key: "key"}[kind], conf})
	}
}

func (s *scanner) openFrom(k int) {
	if !s.final {
		s.open = min(s.open, k)
	}
}

// xmlTag says whether the name at index i stands in <name>.
func xmlTag(b string, i int) bool {
	for k := i - 1; k >= 0 && i-k < 40; k-- {
		if b[k] == '<' {
			return k == 0 || b[k-1] != ':'
		}
		if kinds[b[k]]&word == 0 {
			return false
		}
	}
	return false
}

// secretValue weighs a value that a name announces; 0: it is none.
func secretValue(v string, kind name, quoted, said bool) float64 {
	if len(v) < 4 || placeholder(v) || reference(v) {
		return 0
	}
	classes := 0
	seen := uint16(0)
	symbol := false
	spaces := 0
	for i := range len(v) {
		c := v[i]
		seen |= kinds[c] & (digit | upper | lower)
		if c == ' ' {
			spaces++
		}
		symbol = symbol || kinds[c]&alnum == 0 && c > ' ' && c < 0x7f
	}
	for _, c := range [...]uint16{digit, upper, lower} {
		if seen&c != 0 {
			classes++
		}
	}
	e := text.Entropy(v)
	if kind == key {
		if len(v) < 12 || spaces > 0 || e < 2.9 || seen&digit == 0 && (len(v) < 20 || e < 3.7 || classes < 2 || identifier(v)) {
			return 0
		}
		if len(v) >= 16 && e > 3.2 {
			return 0.85
		}
		return 0.7
	}
	switch {
	case spaces > 0:
		if quoted && spaces <= 5 && len(v) >= 12 && !said {
			return 0.5
		}
		return 0
	case len(v) < 5, len(v) > 128:
		return 0
	case symbol && (seen&digit != 0 || classes >= 2) && !identifier(v):
		return 0.85
	case seen&digit != 0 && classes >= 2:
		return 0.8
	case quoted && !said && len(v) >= 6 && !identifier(v):
		return 0.6
	case classes == 2 && len(v) >= 12 && e > 3.4 && said:
		return 0.6
	case seen == digit && len(v) >= 6 && !said:
		return 0.55
	}
	return 0
}

// entropy looks for a random run of letters and digits with a telling word shortly before it.
func (s *scanner) entropy(i, j int) {
	b := s.b
	for j < len(b) && kinds[b[j]]&b64 != 0 {
		j++
	}
	s.touched = s.touched || j == len(b)
	v := b[i:j]
	if len(v) < 24 || len(v) > 200 || !hasDigit(v) || !mixed(v) || text.Entropy(v) < 4 || placeholder(v) || i > 0 && (b[i-1] == '/' || b[i-1] == '-' || b[i-1] == '.') {
		return
	}
	// sha256-..., data URIs and the like are no secrets
	near := b[max(0, i-48):i]
	var buf [48]byte
	for k := range len(near) {
		buf[k] = lowerByte(near[k])
	}
	ctx := string(buf[:len(near)])
	if contains(ctx, "-----") || contains(ctx, "sha") || contains(ctx, "integrity") || contains(ctx, "hash") || contains(ctx, "digest") || contains(ctx, "checksum") || contains(ctx, "public") {
		return
	}
	for _, w := range [...]string{"key", "token", "secret", "credential", "auth", "password", "aws", "bearer"} {
		if contains(ctx, w) {
			s.add(match{i, j, "SECRET", "entropy.context", 0.65})
			return
		}
	}
}

// placeholder says whether a value only stands for one.
func placeholder(v string) bool {
	var buf [64]byte
	n := min(len(v), len(buf))
	run, longest, up := 1, 1, 1
	for i := range n {
		buf[i] = lowerByte(v[i])
		if i > 0 {
			if buf[i] == buf[i-1] {
				run++
			} else {
				run = 1
			}
			longest = max(longest, run)
			if buf[i] == buf[i-1]+1 {
				up++
			} else if up < 8 {
				up = 1
			}
		}
	}
	w := string(buf[:n])
	if longest >= 6 || longest >= 3 && longest*2 > n || up >= 10 || up >= 6 && up*2 > n {
		return true
	}
	for _, p := range [...]string{"example", "placeholder", "changeme", "change-me", "change_me", "your_", "your-", "yourpass", "yourkey", "yourapi", "yoursecret", "yourtoken", "xxxx", "redacted", "dummy", "****", "....", "<", "${", "{{",
		"%(", "insert", "_here", "-here", "todo", "replace", "sample", "fake", "notreal", "my-secret", "mysecret", "my_secret", "1234567890", "abcdefg", "0000000", "foobar", "deadbeef", "lorem", "undefined", "$(", "not-a-real", "aaaaaa", "somesecret", "some-secret", "some_"} {
		if contains(w, p) {
			return true
		}
	}
	switch w {
	case "password", "passwd", "secret", "token", "none", "null", "nil", "true", "false", "string", "required", "optional", "default", "empty", "test", "hidden", "value", "text", "unset", "input", "enabled", "disabled", "no", "yes", "varchar", "correct", "incorrect", "wrong", "expired", "invalid", "missing", "weak", "strong":
		return true
	}
	return false
}

// reference says whether a value is code that fetches one: $NAME, os.environ, config.get, a path.
func reference(v string) bool {
	if v == "" {
		return true
	}
	switch v[0] {
	case '$':
		return len(v) > 1 && (kinds[v[1]]&(upper|lower) != 0 && (identifier(v[1:]) && !hasDigit(v)) || v[1] == '{' || v[1] == '(')
	case '%', '{', '<', '(', '[', '&':
		return v[len(v)-1] == '%' || v[len(v)-1] == '}' || v[len(v)-1] == '>' || v[0] == '&' || v[0] == '(' || v[0] == '['
	case '/':
		return contains(v[1:], "/") && !(hasDigit(v) && mixed(v) && text.Entropy(v) > 4)
	case '~':
		return len(v) > 1 && v[1] == '/'
	}
	for _, p := range [...]string{"os.", "process.env", "env.", "getenv", "config.", "settings.", "request.", "req.", "self.", "this.", "args.", "params.", "http://", "https://", "secrets.", "vault:", "file:", "ref:", "data.", "user.", "body.", "options.", "props.", "form.", "event.", "ctx.", "ENV[", "op://", "arn:", "System."} {
		if len(v) >= len(p) && v[:len(p)] == p {
			return true
		}
	}
	return contains(v, "()") || contains(v, "(") && contains(v, ")") && identifier(v[:1])
}

// identifier says whether a value is a name in code or a plain word: letters, and - _ . between them.
func identifier(v string) bool {
	for i := range len(v) {
		if c := v[i]; kinds[c]&(upper|lower|dash|dot) == 0 {
			return false
		}
	}
	return true
}

func mixed(v string) bool {
	seen := uint16(0)
	for i := range len(v) {
		seen |= kinds[v[i]]
	}
	return seen&upper != 0 && seen&lower != 0
}

func hasDigit(v string) bool {
	for i := range len(v) {
		if kinds[v[i]]&digit != 0 {
			return true
		}
	}
	return false
}

func allDigits(v string) bool {
	for i := range len(v) {
		if kinds[v[i]]&digit == 0 {
			return false
		}
	}
	return len(v) > 0
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i] == sub[0] && s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

// follows says whether the word stands in s after one of the others.
func follows(s, word string, others ...string) bool {
	for i := 1; i+len(word) <= len(s); i++ {
		if s[i] == word[0] && s[i:i+len(word)] == word && endsAny(s[:i], others...) {
			return true
		}
	}
	return false
}

func endsWith(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

func endsAny(s string, list ...string) bool {
	w := lowerWord(s)
	for _, x := range list {
		if endsWith(w, x) {
			return true
		}
	}
	return false
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func lowerWord(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for k := range b {
				b[k] = lowerByte(b[k])
			}
			return string(b)
		}
	}
	return s
}

func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
