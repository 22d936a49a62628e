// Package piiguard finds personal data in text and says what to redact: e-mail addresses, payment cards, IBANs, phone
// numbers, US social security numbers, IP and MAC addresses, and national identity numbers with check digits.
//
// It judges one text at a time and knows nothing of routes, streams or what the host does with the verdict. It builds
// natively and as a guest; only package sdk is imported. Start reading at [Guard.Judge], then scan.go.
//
// # Streams
//
// On the output stage the host shows a window of the stream, and asks again as the stream grows:
//
//	released := 0 // bytes of the original text that have left
//	for each piece { // a piece ends on a character boundary
//		text += piece
//		context := max(0, released-256), moved to a character boundary
//		v := judge(GuardRequest{Stage: output, Text: text[context:], Start: released - context, Final: no piece follows})
//		end := len(text) - v.Hold
//		send(ApplyRedactions(text[released:end], v.Spans shifted by context-released))
//		released = end
//	}
//
// Context is original text, not what was sent in its place. Every span returned lies in [Start, len-Hold): it is
// decided, and nothing that follows can change it. What might still become part of a match is held: Hold is at most
// [MaxHold] bytes, usually the length of the last word. For every way to cut the stream the pieces sent are, joined,
// the redaction of the whole text. The one exception is a chain of matches that overlap over more than MaxHold bytes:
// no byte of it leaves either, but it may be replaced in several parts.
//
// To make that possible the decision about a byte depends on no more than 256 bytes before it and MaxHold after it.
// Hence the one way in which the output stage is narrower than the others: a match disguised with so many invisible
// or wide characters that it takes more than 128 bytes (an address: 224) is found on the other stages only.
package piiguard

import (
	"strconv"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// MaxHold is the most bytes that a verdict asks the host to hold.
const MaxHold = 256

// Guard judges texts by a policy. It is immutable and safe for concurrent use.
type Guard struct{ policy Policy }

// New makes a guard from its configuration, in which "entities" is a policy as [ParsePolicy] reads it. config is a
// look-up such as sdk.Config.
func New(config func(key string) (string, bool)) (*Guard, error) {
	entities, _ := config("entities")
	p, err := ParsePolicy(entities)
	if err != nil {
		return nil, err
	}
	return &Guard{policy: p}, nil
}

// Judge finds the entities that the policy does not allow. The verdict is block if one of them is to be blocked, else
// redact if there are any, else allow. Spans are ordered, do not overlap, and lie at or after req.Start. Time is
// linear in the length of the text.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	stream := req.Stage == sdk.StageOutput
	final := !stream || req.Final
	matches, end := scan(req.Text, final, stream)
	spans, block := g.spans(req.Text, matches)

	start := min(max(req.Start, 0), len(req.Text))
	end = max(end, start)
	spans, end = settle(req.Text, spans, start, end)

	v := sdk.Verdict{Verdict: sdk.Allow, Spans: spans}
	if !final {
		v.Hold = len(req.Text) - end
	}
	if len(spans) == 0 {
		return v
	}
	v.Verdict = sdk.Redact
	for _, s := range spans {
		if block != 0 && block&(1<<entityOf(s.Entity)) != 0 {
			v.Verdict = sdk.Block
		}
	}
	v.Reason = reason(spans)
	return v
}

// spans turns matches, ordered by start, into spans without overlap. block has a bit for each entity that the policy
// blocks, where one was found.
func (g *Guard) spans(text string, matches []match) (spans []sdk.Span, block uint32) {
	for k := range matches {
		m := &matches[k]
		action := g.policy[m.entity]
		if action == ActionAllow {
			continue
		}
		if action == ActionBlock {
			block |= 1 << m.entity
		}
		if n := len(spans); n > 0 && m.start < spans[n-1].End {
			last := &spans[n-1]
			// A stricter action must not hide behind a milder one that starts earlier; nor a surer match.
			end := max(last.End, m.end)
			if action == ActionBlock && block&(1<<entityOf(last.Entity)) == 0 || block == 0 && last.Start == m.start && m.confidence > last.Confidence {
				last.Entity, last.Rule, last.Confidence = entityNames[m.entity], m.rule, m.confidence
				last.Replacement = replacement(action, m.entity, text[last.Start:end])
			} else if end > last.End {
				of := entityOf(last.Entity)
				last.Replacement = replacement(g.policy[of], of, text[last.Start:end])
			}
			last.End = end
			continue
		}
		if spans == nil {
			spans = make([]sdk.Span, 0, len(matches)-k)
		}
		spans = append(spans, sdk.Span{Start: m.start, End: m.end, Entity: entityNames[m.entity], Rule: m.rule, Confidence: m.confidence, Replacement: replacement(action, m.entity, text[m.start:m.end])})
	}
	return spans, block
}

// replacement is what stands for a text that was taken out: its name, a mask, or a wish for a token, which the host
// numbers within the request.
func replacement(a Action, entity Entity, text string) string {
	switch a {
	case ActionToken:
		return tokens[entity]
	case ActionMask:
		return mask(text)
	}
	return labels[entity]
}

// labels and tokens stand for each entity.
var labels, tokens = func() (l, t [entityCount]string) {
	for e, name := range entityNames {
		l[e], t[e] = "["+name+"]", "<"+name+"#>"
	}
	return
}()

// mask hides letters and digits but for the last four of a number, and the first of each word without one.
func mask(text string) string {
	digits := 0
	for i := range len(text) {
		if class[text[i]]&isDigit != 0 {
			digits++
		}
	}
	out := make([]byte, 0, len(text))
	start, seen := true, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 0x80:
			for i+1 < len(text) && text[i+1]&0xc0 == 0x80 {
				i++
			}
			out = append(out, '*')
			start = false
		case class[c]&isDigit != 0:
			if seen++; digits >= 8 && seen > digits-4 {
				out = append(out, c)
			} else {
				out = append(out, '*')
			}
			start = false
		case class[c]&isLetter != 0 && (!start || digits > 0):
			out = append(out, '*')
			start = false
		default:
			start = class[c]&isLetter == 0 && c != '.' && c != '@'
			out = append(out, c)
		}
	}
	return string(out)
}

// settle cuts spans to [start, end) and moves end so that it divides no span, unless that meant to hold more than
// MaxHold bytes.
func settle(text string, spans []sdk.Span, start, end int) ([]sdk.Span, int) {
	for _, s := range spans {
		if s.Start < end && end < s.End {
			end = max(s.Start, start)
		}
	}
	if least := len(text) - MaxHold; end < least {
		end = least
		for end < len(text) && !boundary(text, end) {
			end++
		}
	}
	kept := spans[:0]
	for i := range spans {
		s := &spans[i]
		s.Start, s.End = max(s.Start, start), min(s.End, end)
		if s.Start >= s.End {
			continue
		}
		if len(kept) == i {
			kept = spans[:i+1]
		} else {
			kept = append(kept, *s)
		}
	}
	return kept, end
}

// reason counts what was found: "EMAIL 2, CARD 1".
func reason(spans []sdk.Span) string {
	var counts [entityCount]int
	for _, s := range spans {
		counts[entityOf(s.Entity)]++
	}
	out := ""
	for e, n := range counts {
		if n == 0 {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += entityNames[e] + " " + strconv.Itoa(n)
	}
	return out
}
