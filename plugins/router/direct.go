package router

import (
	"slices"
	"strings"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// maxDirect bounds a message that may be a plain sum or a question for the time, in bytes.
const maxDirect = 200

// directCalls returns the call that answers the last message, where that is nothing but a sum or a question for the
// time, its tool is on offer, and it was not asked yet.
func directCalls(req *sdk.RouteRequest) []sdk.ToolCall {
	if len(req.Messages) == 0 {
		return nil
	}
	last := &req.Messages[len(req.Messages)-1]
	if last.Role != "user" || len(last.Content) > maxDirect {
		return nil
	}
	text := normalise(last.Content)
	if slices.Contains(req.Tools, "calculator") {
		if sum, ok := plainSum(text); ok {
			args := append(sdk.AppendString([]byte(`{"expression":`), sum), '}')
			return []sdk.ToolCall{{ID: "route_1", Name: "calculator", Arguments: string(args)}}
		}
	}
	if slices.Contains(req.Tools, "clock") && slices.Contains(timeQuestions, text) {
		return []sdk.ToolCall{{ID: "route_1", Name: "clock", Arguments: "{}"}}
	}
	return nil
}

// normalise makes one line in lower case, with single spaces, ASCII apostrophes and nothing of the punctuation around.
func normalise(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	s = strings.ReplaceAll(s, "\u2019", "'")
	return strings.Trim(s, " ?!.=:¿¡\u2026")
}

// sumPhrases may stand before a sum; the longer of two that begin alike comes first.
var sumPhrases = []string{
	"please", "what is the result of", "what is", "what's", "whats", "calculate", "compute", "work out", "evaluate", "solve", "how much is",
	"bitte", "was ist", "was ergibt", "wie viel ist", "wieviel ist", "berechne", "rechne",
	"combien font", "combien fait", "calcule", "cuánto es", "cuanto es", "calcula", "quanto fa", "quanto é", "calcola",
}

// spoken maps words between numbers to operators.
var spoken = strings.NewReplacer(
	" divided by ", "/", " geteilt durch ", "/", " divisé par ", "/", " dividido por ", "/", " dividido entre ", "/",
	" multiplied by ", "*", " times ", "*", " mal ", "*", " fois ", "*", " por ", "*", " x ", "*",
	" plus ", "+", " más ", "+", " minus ", "-", " moins ", "-", " menos ", "-",
	"×", "*", "·", "*", "÷", "/", "−", "-",
)

// sumNames are the functions and constants that a sum may hold.
var sumNames = []string{"sqrt", "abs", "min", "max", "round", "floor", "ceil", "log", "ln", "exp", "sin", "cos", "tan", "pi"}

// plainSum returns the arithmetic expression that text, which is normalised, consists of. Dates, phone numbers and
// single numbers are none.
func plainSum(text string) (string, bool) {
	for again := true; again; {
		again = false
		for _, p := range sumPhrases {
			if rest, ok := strings.CutPrefix(text, p); ok && rest != "" && (rest[0] == ' ' || rest[0] == ':') {
				text = strings.TrimLeft(rest, " :")
				again = true
				break
			}
		}
	}
	text = spoken.Replace(text)
	operators, spaced, names, depth := 0, false, 0, 0
	kinds := [256]int{}
	operand := false // the last thing read was one
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= '0' && c <= '9' || c == '.':
			operand = true
		case c >= 'a' && c <= 'z':
			n := i
			for n < len(text) && text[n] >= 'a' && text[n] <= 'z' {
				n++
			}
			if !(text[i:n] == "x" && operand && n < len(text) && text[n] >= '0' && text[n] <= '9') { // 17x23
				if !slices.Contains(sumNames, text[i:n]) {
					return "", false
				}
				names++
				operand = true
				i = n
				continue
			}
			text = text[:i] + "*" + text[n:]
			continue
		case strings.IndexByte("+-*/%^", c) >= 0:
			if operand {
				operators++
				kinds[c]++
				operand = false
			}
			spaced = spaced || i > 0 && text[i-1] == ' '
		case c == '(':
			depth++
			operand = false
		case c == ')':
			if depth--; depth < 0 {
				return "", false
			}
			operand = true
		case c == ' ' || c == ',' && depth > 0:
		default:
			return "", false
		}
		i++
	}
	if depth != 0 || !operand || operators == 0 && names == 0 || !strings.ContainsAny(text, "0123456789") {
		return "", false
	}
	if !spaced && depth == 0 && operators == kinds['-']+kinds['/'] && (kinds['-'] >= 2 || kinds['/'] >= 2) {
		return "", false // 2024-11-24, 030-123-456, 1/2/2024
	}
	return strings.TrimSpace(text), true
}

// timeQuestions are asked of the clock, as normalise leaves them.
var timeQuestions = []string{
	"what time is it", "what time is it now", "what is the time", "what's the time", "what is the current time", "current time",
	"what day is it", "what day is it today", "what day is today", "what is the date", "what's the date", "what is the date today",
	"what is today's date", "what's today's date", "what date is it", "what date is it today", "current date",
	"wie spät ist es", "wieviel uhr ist es", "wie viel uhr ist es", "welcher tag ist heute", "welches datum ist heute", "welches datum haben wir heute",
	"quelle heure est-il", "quel jour sommes-nous", "quelle est la date d'aujourd'hui",
	"qué hora es", "que hora es", "qué día es hoy", "qué fecha es hoy", "che ore sono", "que horas são",
}
