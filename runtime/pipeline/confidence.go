package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/openai"
)

// sureness adds up how likely a model's own tokens were to it.
type sureness struct {
	sum float64 // of log-probabilities
	n   int
}

func (s *sureness) note(tokens []openai.TokenLogprob) {
	for _, t := range tokens {
		if !math.IsNaN(t.Logprob) {
			s.sum += max(t.Logprob, -100)
			s.n++
		}
	}
}

// probability is the geometric mean of the tokens' probabilities: e to their mean log-probability.
func (s *sureness) probability() (float64, int) {
	if s.n == 0 {
		return 0, 0
	}
	return min(math.Exp(s.sum/float64(s.n)), 1), s.n
}

// unusable says why an answer answers nothing; empty: it does.
func (x *exchange) unusable(c *cachedChoice) string {
	for _, call := range c.ToolCalls {
		var args map[string]any
		if json.Unmarshal([]byte(call.Function.Arguments), &args) != nil {
			return "the arguments of a tool call are no JSON object"
		}
	}
	if len(c.ToolCalls) > 0 {
		return ""
	}
	text := strings.TrimSpace(c.Text)
	if text == "" {
		return "it is empty"
	}
	if repeats(text) {
		return "it repeats itself"
	}
	if f := x.req.Prompt.Format; f != nil {
		switch f.Kind {
		case "json_object":
			var v map[string]any
			if json.Unmarshal([]byte(text), &v) != nil {
				return "it is no JSON object"
			}
		case "json_schema":
			if err := fitsSchema(f.Source, text); err != nil {
				return "it does not fit the schema"
			}
		}
		return ""
	}
	if phrase := x.refusal(text); phrase != "" {
		return "it begins like a refusal (" + phrase + ")"
	}
	return ""
}

// repeats says that an answer runs in a circle, as small models do when they are lost: four fifths of its words, or of its
// bytes where it has few words, are those that stand a few places before.
func repeats(text string) bool {
	words := strings.Fields(text)
	if len(words) >= loopWords {
		return circles(words)
	}
	return len(text) >= 2*loopWords && circles([]byte(text))
}

// Bounds of what counts as a circle.
const (
	loopWords  = 12 // an answer has at least so many words
	loopPeriod = 8  // and so many are one round, at most
)

func circles[T comparable](list []T) bool {
	for period := 1; period <= loopPeriod && len(list) >= 4*period; period++ {
		same := 0
		for i := period; i < len(list); i++ {
			if list[i] == list[i-period] {
				same++
			}
		}
		if 5*same >= 4*(len(list)-period) {
			return true
		}
	}
	return false
}

// refusals are how answers begin that are none.
var refusals = []string{
	"i'm sorry", "i am sorry", "sorry, ", "i apologize", "i can't ", "i cannot ", "i can not ", "i'm not able", "i am not able", "i'm unable", "i am unable",
	"i don't know", "i do not know", "i'm not sure", "i am not sure", "i have no information", "i don't have", "i do not have", "as an ai", "unfortunately, i",
	"es tut mir leid", "tut mir leid", "entschuldigung", "ich kann nicht", "ich kann das nicht", "ich kann ihnen nicht", "ich weiß nicht", "ich weiß es nicht", "leider kann ich", "leider weiß ich", "ich bin nicht in der lage", "ich bin mir nicht sicher",
	"je suis désolé", "désolé", "je ne peux pas", "je ne sais pas", "je ne suis pas en mesure", "je ne suis pas sûr", "malheureusement, je",
	"lo siento", "no puedo ", "no sé ", "no lo sé", "no estoy seguro", "no tengo información", "lamentablemente, no",
	"mi dispiace", "non posso ", "non lo so", "non sono in grado", "non sono sicuro",
	"desculpe", "sinto muito", "não posso ", "não sei", "não tenho certeza", "infelizmente, não", "het spijt me", "ik kan niet", "ik weet het niet", "ik weet niet",
	"przykro mi", "nie mogę ", "nie wiem", "抱歉", "对不起", "我无法", "我不知道", "很遗憾", "申し訳", "わかりません", "分かりません", "죄송", "모르겠",
}

// refusal is the phrase that an answer begins with which means that it is none. A long answer that excuses itself first
// and then answers is one as well: only its first sentence is looked at where it is short.
func (x *exchange) refusal(text string) string {
	head := strings.ToLower(text[:min(len(text), 200)])
	head = strings.TrimLeft(strings.ReplaceAll(head, "’", "'"), " \n\t\"'*#>-")
	for _, list := range [][]string{x.route.Cascade.Refusals, refusals} {
		for _, phrase := range list {
			if strings.HasPrefix(head, phrase) {
				return strings.TrimSpace(phrase)
			}
		}
	}
	return ""
}

// fitsSchema says whether a document fits a JSON Schema. A schema refers to nothing outside itself.
func fitsSchema(schema, text string) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	if err := c.AddResource("mem:///schema", doc); err != nil {
		return err
	}
	compiled, err := c.Compile("mem:///schema")
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// nowhere loads no schema from anywhere.
type nowhere struct{}

func (nowhere) Load(string) (any, error) {
	return nil, errors.New("a schema may not refer to what lies outside it")
}

// sampleHeat is the temperature of the answers that one is compared with.
const sampleHeat = 0.8

// agreement asks the model again and says how much the answers are alike, from 0 to 1.
func (x *exchange) agreement(answer string, samples int) (float64, error) {
	sum := 0.0
	for i := range samples {
		p := x.prompt(0, 0)
		p.Tools, p.ToolChoice, p.Logprobs, p.Temperature = nil, nil, false, max(p.Temperature, sampleHeat)
		seed := int64(i + 1)
		if p.Seed != nil {
			seed += *p.Seed
		}
		p.Seed = &seed
		var text strings.Builder
		entry, _, err := x.ask(p, func(d Delta) error { text.WriteString(d.Text); return nil }, true)
		entry.Reason = clip("a further answer: "+entry.Reason, maxReason)
		if err != nil {
			if x.ctx.Err() != nil {
				return 0, x.ctx.Err()
			}
			continue // it agrees with nothing
		}
		sum += alike(x.ctx, answer, text.String())
	}
	return sum / float64(samples), nil
}

// alike says how much two answers say the same. Short ones do or do not; of long ones the words are compared, and numbers
// that only one has count against them.
func alike(ctx context.Context, a, b string) float64 {
	x, y := strings.FieldsFunc(strings.ToLower(a), notInWord), strings.FieldsFunc(strings.ToLower(b), notInWord)
	if strings.Join(x, " ") == strings.Join(y, " ") {
		return 1
	}
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	v, err := embedding.Lexical{}.Embed(ctx, []string{a, b})
	if err != nil {
		return 0
	}
	dot := 0.0
	for i := range v[0] {
		dot += float64(v[0][i] * v[1][i])
	}
	if min(len(x), len(y)) < 4 {
		dot /= 2
	}
	if numbersOf(x) != numbersOf(y) {
		dot /= 2
	}
	return max(min(dot, 1), 0)
}

func notInWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// numbersOf are the numbers among words, each once.
func numbersOf(words []string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, w := range words {
		if w[0] >= '0' && w[0] <= '9' && !seen[w] {
			seen[w] = true
			b.WriteString(w + " ")
		}
	}
	return b.String()
}
