package router

import (
	"strconv"
	"strings"
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Bounds of how much of the last user message is looked at, in bytes. Task words and code are searched at its front
// and as far from its end: an instruction stands before or after what it is about. A guest looks at about 10 MB/s.
const (
	maxLook     = 1 << 10
	maxLanguage = 400 // some sixty words
)

// features are what the request looks like. All but tokens are of the last user message.
type features struct {
	chars      int     // code points
	tokens     int     // of all messages, a rough estimate on the high side
	task       string  // empty: none found
	language   string  // ISO 639-1, empty: not sure
	code       bool    // contains program text
	complexity float64 // 0 to 1
	domain     string  // empty: none
	sensitive  bool    // speaks of what people keep to themselves
	text       string
}

// look takes a request's features.
func look(messages []sdk.Message) features {
	var f features
	last := ""
	for i := range messages {
		f.tokens += len(messages[i].Content)/3 + 4
		if messages[i].Role == "user" {
			last = messages[i].Content
		}
	}
	f.text = last
	f.chars = utf8.RuneCountInString(last)
	head, tail := ends(last)
	f.code = hasCode(head) || hasCode(tail)
	head, tail = strings.ToLower(head), strings.ToLower(tail)
	if f.task = taskOf(head); f.task == "" {
		f.task = taskOf(tail)
	}
	f.language = languageOf(head[:min(len(head), maxLanguage)])
	var w signs
	signsOf(head, &w)
	signsOf(tail, &w)
	f.domain, f.sensitive = w.domain(), w.sensitive
	f.complexity = f.score(&w, last, len(messages))
	return f
}

// ends returns the first and the last maxLook bytes of s, and an empty tail where s is shorter than that.
func ends(s string) (head, tail string) {
	if len(s) <= maxLook {
		return s, ""
	}
	return s[:maxLook], s[max(maxLook, len(s)-maxLook):]
}

// score rates how much the request asks of a model: what its words ask for, then length, code, and the number of
// questions and steps. Borders between tiers are crossed by what several signs say together, not by one alone.
func (f *features) score(w *signs, text string, messages int) float64 {
	head, _ := ends(text)
	parts := strings.Count(head, "?") + strings.Count(head, "\n- ") + strings.Count(head, "\n1. ") + strings.Count(head, "\n2. ")
	c := w.base(f.chars) +
		0.12*min(float64(f.chars)/8000, 1) +
		0.16*min(float64(max(parts-1, 0))/4, 1) +
		0.05*min(float64(messages)/20, 1)
	if f.code {
		c += 0.12
	}
	if f.task == classify || f.task == extract {
		c = min(c, 0.3) // whatever it is about, the answer is short
	}
	return max(min(float64(int(c*100+0.5))/100, 1), 0)
}

// String tells the features without any of the text.
func (f features) String() string {
	b := make([]byte, 0, 96)
	b = append(b, "task "...)
	b = append(b, orNone(f.task)...)
	b = append(b, ", language "...)
	b = append(b, orNone(f.language)...)
	if f.code {
		b = append(b, ", code"...)
	}
	if f.domain != "" {
		b = append(append(b, ", domain "...), f.domain...)
	}
	if f.sensitive {
		b = append(b, ", sensitive"...)
	}
	b = append(b, ", "...)
	b = strconv.AppendInt(b, int64(f.chars), 10)
	b = append(b, " chars, complexity "...)
	b = strconv.AppendFloat(b, f.complexity, 'f', 2, 64)
	return string(b)
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
