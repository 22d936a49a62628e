package router

import (
	"strconv"
	"strings"
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// features are what the request looks like. All but tokens are of the last user message.
type features struct {
	chars      int     // code points
	tokens     int     // of all messages, a rough estimate on the high side
	task       string  // empty: none found
	taskIndex  uint32  // of tasks plus 1, 0: none
	language   string  // ISO 639-1, empty: not sure
	code       bool    // contains program text
	complexity float64 // 0 to 1
	domain     string  // empty: none
	intent     string  // of the example that it is like; empty: none
	sensitive  bool    // speaks of what people keep to themselves
	text       string
}

// look takes a request's features.
func look(messages []sdk.Message) features {
	var f features
	turns := 0
	for i := range messages {
		f.tokens += len(messages[i].Content)/3 + 4
		if messages[i].Role == "user" {
			f.text = messages[i].Content
			turns++
		}
	}
	f.chars = utf8.RuneCountInString(f.text)
	var r reading
	r.read(f.text)
	if f.taskIndex = r.task; r.task > 0 {
		f.task = tasks[r.task-1]
	}
	f.code = r.code(f.text)
	f.language, f.domain, f.sensitive = r.language(), r.domain(), r.sensitive
	f.complexity = r.complexity(f.code, f.chars)
	return f
}

// domain is the field with the most words, empty for none.
func (r *reading) domain() string {
	best, name := 0, ""
	for i, n := range r.domains {
		if n > best {
			best, name = n, domainNames[i]
		}
	}
	return name
}

// language guesses by script, and for the Latin script by stop words. Empty: not sure.
func (r *reading) language() string {
	// A character of these scripts weighs about two Latin letters.
	most, lang := r.latin/2, ""
	for _, s := range [...]struct {
		n    int
		lang string
	}{{r.kana + min(r.han, 8*r.kana), "ja"}, {r.han, "zh"}, {r.hangul, "ko"}, {r.cyrillic, "ru"}, {r.greek, "el"}, {r.arabic, "ar"},
		{r.hebrew, "he"}, {r.devanagari, "hi"}, {r.thai, "th"}} {
		if s.n > most {
			most, lang = s.n, s.lang
		}
	}
	if lang != "" {
		return lang
	}
	best, second := 0, 0
	for i, n := range r.votes {
		switch {
		case n > r.votes[best]:
			best, second = i, r.votes[best]
		case i != best && n > second:
			second = n
		}
	}
	if r.votes[best] < 2 || r.votes[best] == second {
		return ""
	}
	return languages[best]
}

// code says whether there is program text. Without a sign that prose lacks there is none.
func (r *reading) code(text string) bool {
	if !r.signs {
		return false
	}
	if len(text) <= maxHead+maxTail {
		return hasCode(text)
	}
	return hasCode(text[:maxHead]) || hasCode(text[len(text)-maxTail:])
}

// append tells the features without any of the text.
func (f *features) append(b []byte) []byte {
	b = append(append(b, "task "...), orNone(f.task)...)
	b = append(append(b, ", language "...), orNone(f.language)...)
	if f.code {
		b = append(b, ", code"...)
	}
	if f.domain != "" {
		b = append(append(b, ", domain "...), f.domain...)
	}
	if f.intent != "" {
		b = append(append(b, ", intent "...), f.intent[:min(len(f.intent), 64)]...)
	}
	if f.sensitive {
		b = append(b, ", sensitive"...)
	}
	b = strconv.AppendInt(append(b, ", "...), int64(f.chars), 10)
	c := byte(f.complexity*100 + 0.5)
	return append(append(b, " chars, complexity "...), '0'+c/100, '.', '0'+c/10%10, '0'+c%10)
}

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// hasCode says whether there is program text: a fence, or several lines that look like it.
func hasCode(s string) bool {
	if strings.Contains(s, "```") {
		return true
	}
	hits := 0
	for l := range strings.SplitSeq(s, "\n") {
		l = strings.TrimSpace(l)
		if l == "" {
			continue
		}
		switch last := l[len(l)-1]; {
		case last == ';' || last == '{' || l == "}":
			hits++
		case startsLikeCode(l):
			hits++
		}
		if hits >= 2 {
			return true
		}
	}
	return false
}

var codeStarts = []string{
	"func ", "def ", "class ", "import ", "from ", "#include", "public ", "private ", "const ", "let ", "var ", "return ",
	"if (", "for (", "while (", "fn ", "package ", "SELECT ", "INSERT ", "UPDATE ", "CREATE TABLE", "</", "<?", "#!", "$ ", ">>> ",
}

// codeLetters has a bit for each small letter that a member of codeStarts begins with.
var codeLetters = func() (set uint32) {
	for _, s := range codeStarts {
		if s[0] >= 'a' && s[0] <= 'z' {
			set |= 1 << (s[0] - 'a')
		}
	}
	return set
}()

// startsLikeCode asks for a code sign too, for "let us" and "from here" begin sentences.
func startsLikeCode(l string) bool {
	if l[0] >= 'a' && l[0] <= 'z' && codeLetters&(1<<(l[0]-'a')) == 0 {
		return false
	}
	for _, s := range codeStarts {
		if strings.HasPrefix(l, s) {
			return strings.ContainsAny(l, "(){}=<>;:*#$") && !strings.HasSuffix(l, ".")
		}
	}
	return false
}
