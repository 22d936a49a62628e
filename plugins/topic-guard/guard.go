// Package topicguard keeps texts to topics: what is about a denied one is stopped, as is what users write off the allowed
// ones, and an answer about a topic that asks for it ends with its disclaimer. A topic is a list of phrases.
//
// It judges one text at a time and knows nothing of routes. It builds natively and as a guest; only package sdk and the
// guards' shared package text are imported. Start reading at [Guard.Judge]; config.go reads the lists, match.go finds them.
//
// # Streams
//
// On the output stage a phrase that may still grow is held, at most [MaxHold] bytes. A disclaimer depends on the whole
// answer, so it is added only to text that comes whole (Start is 0 and Final is set), as to the guards of an answer.
package topicguard

import (
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/plugins/internal/text"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// MaxHold is the most bytes that a verdict asks the host to hold.
const MaxHold = 128

// Guard judges texts. It is immutable and safe for concurrent use.
type Guard struct {
	topics []topic
	first  [256][]phrase // by the hash of their first word; prefixes by that of two bytes
	allow  bool          // there are allowed topics
	least  int
	hits   int
	action string
}

// topic is what a text may be about.
type topic struct {
	name           string
	denied, wanted bool
	disclaimer     string
}

// hit is a phrase found in the folded text.
type hit struct{ topic, start, end int }

// Judge finds the topics of a text. A denied one is stopped at every stage, with its phrases as evidence; a user's input
// of [DefaultLeast] words or more that is about no allowed topic is stopped, if there are any. Otherwise a whole answer
// gets the disclaimers it lacks. Spans are ordered and lie at or after req.Start. Time is linear in the text.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	v := sdk.Verdict{Verdict: sdk.Allow}
	f := text.Fold(req.Text)
	stream := req.Stage == sdk.StageOutput && !req.Final
	hits, words, open := g.find(f.S, stream)
	if stream && open < len(f.S) {
		v.Hold = min(len(req.Text)-f.Offset(open), MaxHold, len(req.Text)-min(max(req.Start, 0), len(req.Text)))
		for v.Hold > 0 && v.Hold < len(req.Text) && req.Text[len(req.Text)-v.Hold]&0xc0 == 0x80 {
			v.Hold--
		}
	}
	counts := make([]int, len(g.topics))
	for _, h := range hits {
		counts[h.topic]++
	}
	wanted, stopped := false, ""
	for k, t := range g.topics {
		if counts[k] < g.hits {
			continue
		}
		wanted = wanted || t.wanted
		if t.denied {
			stopped = join(stopped, t.name+" "+strconv.Itoa(counts[k]))
		}
	}
	if stopped != "" {
		for _, h := range hits {
			if t := &g.topics[h.topic]; t.denied && counts[h.topic] >= g.hits {
				start, end := f.Span(h.start, h.end)
				if end > req.Start {
					v.Spans = append(v.Spans, sdk.Span{Start: max(start, req.Start), End: end, Entity: "TOPIC", Rule: "topic." + t.name, Confidence: 1})
				}
			}
		}
		if len(v.Spans) > 0 {
			v.Verdict, v.Reason, v.Hold = g.action, "denied topic: "+stopped, 0
		}
		return v
	}
	if g.allow && !wanted && req.Stage == sdk.StageInput && (req.Role == "user" || req.Role == "") && words >= g.least {
		v.Verdict, v.Reason = g.action, "about none of the allowed topics"
		return v
	}
	if req.Stage == sdk.StageOutput && req.Final && req.Start == 0 {
		g.disclaim(req.Text, f.S, counts, &v)
	}
	return v
}

// disclaim adds, behind the last character, what the answer has to say and does not.
func (g *Guard) disclaim(answer, folded string, counts []int, v *sdk.Verdict) {
	add, names := "", ""
	for k, t := range g.topics {
		if t.disclaimer == "" || counts[k] < g.hits || says(folded, t.disclaimer) {
			continue
		}
		add, names = add+"\n\n"+t.disclaimer, join(names, t.name)
	}
	if add == "" {
		return
	}
	end := len(strings.TrimRight(answer, " \t\r\n"))
	start := end - 1
	for start > 0 && answer[start]&0xc0 == 0x80 {
		start--
	}
	v.Verdict, v.Reason = sdk.Redact, "disclaimer added: "+names
	v.Spans = []sdk.Span{{Start: start, End: end, Entity: "DISCLAIMER", Rule: "topic.disclaimer", Confidence: 1, Replacement: answer[start:end] + add}}
}

// says says whether a text has the words of a sentence, one after the other.
func says(folded, sentence string) bool {
	a, b := words(folded), words(sentence)
	for i := 0; i+len(b) <= len(a); i++ {
		same := true
		for k := 0; same && k < len(b); k++ {
			same = a[i+k] == b[k]
		}
		if same {
			return true
		}
	}
	return false
}

func join(list, s string) string {
	if list == "" {
		return s
	}
	return list + ", " + s
}
