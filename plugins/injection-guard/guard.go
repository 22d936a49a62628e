// Package injectionguard judges whether a text tries to command the model: to override its instructions, to draw them
// out, to talk it out of its limits, to pass for a system message, or to carry data away.
//
// The text is folded (fold.go), so that disguises fall away; its words are looked up in a lexicon of several languages
// (lexicon.go, tokens.go); rules weigh words that stand together (rules.go), markup (markup.go) and what encoded parts
// decode to (decode.go). A linear model over hashed words and pairs (model.go) is a further witness, for turns that no rule
// knows. Words alone weigh nothing: a question about instructions is not an attack.
//
// It judges one text at a time and knows nothing of routes or of what the host does with the verdict. It builds natively
// and as a guest; only package sdk is imported. Start reading at [Guard.Judge].
package injectionguard

import (
	"errors"
	"strconv"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// DefaultThreshold is the score from which on a text is blocked.
const DefaultThreshold = 0.6

// MaxHold is the most bytes that a verdict on the output stage asks the host to hold: an image that is not complete.
const MaxHold = 256

// Guard judges texts. It is immutable and safe for concurrent use.
type Guard struct {
	threshold float64
	action    string
}

// New makes a guard from its configuration: "threshold", a score above 0 and up to 1 (default [DefaultThreshold]), and
// "action", what to do from there on: block (default) or review. config is a look-up such as sdk.Config.
func New(config func(key string) (string, bool)) (*Guard, error) {
	g := &Guard{threshold: DefaultThreshold, action: sdk.Block}
	if v, ok := config("threshold"); ok && v != "" {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil || !(t > 0 && t <= 1) {
			return nil, errors.New("injection-guard: threshold " + strconv.Quote(v) + " is not a number above 0 and up to 1")
		}
		g.threshold = t
	}
	if v, ok := config("action"); ok && v != "" {
		if v != sdk.Block && v != sdk.Review {
			return nil, errors.New("injection-guard: action " + strconv.Quote(v) + " is neither block nor review")
		}
		g.action = v
	}
	return g, nil
}

// Judge scores a text. On the output stage only images that carry data to another host count, and the verdict holds
// what may still become one; on the others everything counts, and text from documents and tools that speaks to the
// model counts more than the same words of a user. Spans are the evidence, ordered by rule. Time is linear in the
// length of the text.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	a := analysis{text: req.Text, stage: req.Stage}
	v := sdk.Verdict{Verdict: sdk.Allow}
	if req.Stage == sdk.StageOutput {
		open := a.images()
		if !req.Final {
			v.Hold = hold(req.Text, open, req.Start)
		}
		a.since(req.Start)
	} else {
		a.recent = recents.Get().(*recent)
		a.run(0)
		recents.Put(a.recent)
	}
	score := a.score()
	if score < g.threshold {
		return v
	}
	v.Verdict = g.action
	v.Reason = "score " + strconv.FormatFloat(score, 'f', 2, 64) + ": " + a.names()
	for _, f := range a.findings {
		v.Spans = append(v.Spans, sdk.Span{Start: f.start, End: f.end, Entity: "INJECTION", Rule: f.rule, Confidence: f.weight})
	}
	return v
}

// finding is evidence: a range of the original text, and how much it weighs, from 0 to 1.
type finding struct {
	rule       string
	weight     float64
	start, end int
}

// analysis collects the findings of one text.
type analysis struct {
	text     string
	stage    string
	folded   folded
	tokens   []token
	seen     uint64 // the classes of all tokens
	best     window // what weighs most by the model
	recent   *recent
	words    int
	meta     int // words of texts about attacks
	apart    int // words of one letter close to each other
	pairs    int // short words one after the other that end in two hexadecimal digits, at most
	rotated  int // words of an attack in rot13
	reversed int // and spelled backwards
	findings []finding
}

// run applies every rule. depth counts the encodings around the text.
func (a *analysis) run(depth int) {
	a.folded.fold(a.text)
	a.scan(a.weights(), nil)
	if a.seen&(override|void|obey|conceal) != 0 && a.seen&(rule|prompt|text|whole) != 0 {
		a.override()
	}
	if a.seen&(reveal|recite|ask) != 0 && a.seen&(rule|prompt|text|whole) != 0 {
		a.exfiltration()
	}
	a.persona()
	if a.seen&(machine|conceal|fresh|grant|yours|action) != 0 {
		a.indirect()
	}
	a.markup()
	a.images()
	a.model()
	if depth < 2 {
		a.decode(depth)
	}
}

// add notes the evidence from token i to token j.
func (a *analysis) add(rule string, weight float64, i, j int) {
	if i > j {
		i, j = j, i
	}
	start, end := a.folded.span(int(a.tokens[i].start), int(a.tokens[j].end))
	a.addRange(rule, weight, start, end)
}

// addRange keeps the heaviest evidence for each rule.
func (a *analysis) addRange(rule string, weight float64, start, end int) {
	weight = min(weight, 0.99)
	for k := range a.findings {
		if f := &a.findings[k]; f.rule == rule {
			if weight > f.weight {
				*f = finding{rule, weight, start, end}
			}
			return
		}
	}
	a.findings = append(a.findings, finding{rule, weight, start, end})
}

// since drops what ended before offset start.
func (a *analysis) since(start int) {
	kept := a.findings[:0]
	for _, f := range a.findings {
		if f.end > start {
			f.start = max(f.start, start)
			kept = append(kept, f)
		}
	}
	a.findings = kept
}

// score takes the rules as independent witnesses.
func (a *analysis) score() float64 {
	doubt := 1.0
	for _, f := range a.findings {
		doubt *= 1 - f.weight
	}
	return 1 - doubt
}

func (a *analysis) names() string {
	out := ""
	for i, f := range a.findings {
		if i > 0 {
			out += ", "
		}
		out += f.rule
	}
	return out
}
