// Package secretsguard finds credentials in text: keys of known formats, private keys, tokens, connection strings, and
// values that a name before them says are secret. Placeholders, hashes of commits and identifiers are none.
//
// It judges one text at a time and knows nothing of routes. It builds natively and as a guest; only package sdk and the
// guards' shared package text are imported. Start reading at [Guard.Judge], then scan.go; formats.go has the table.
//
// # Streams
//
// On the output stage a match that could still grow is held, at most [MaxHold] bytes of it. One that is longer (a
// private key) is reported up to the end of the text as soon as it is known for one; the host shows its beginning again
// with what follows.
package secretsguard

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/plugins/internal/text"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// MaxHold is the most bytes that a verdict asks the host to hold.
const MaxHold = 256

// Guard judges texts. It is immutable and safe for concurrent use.
type Guard struct {
	action  string
	generic bool
	allow   []string
}

// New makes a guard from its configuration: "action" is redact (default), block or review; "generic" false leaves out
// values that only a name before them makes secret; "allow" lists texts, separated by commas, that are never secrets.
func New(config func(key string) (string, bool)) (*Guard, error) {
	g := &Guard{action: sdk.Redact, generic: true}
	if v, ok := config("action"); ok && v != "" {
		if v != sdk.Redact && v != sdk.Block && v != sdk.Review {
			return nil, errors.New("secrets-guard: action " + strconv.Quote(v) + " is none of redact, block, review")
		}
		g.action = v
	}
	if v, ok := config("generic"); ok && v != "" {
		on, err := strconv.ParseBool(v)
		if err != nil {
			return nil, errors.New("secrets-guard: generic " + strconv.Quote(v) + " is neither true nor false")
		}
		g.generic = on
	}
	if v, _ := config("allow"); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				g.allow = append(g.allow, s)
			}
		}
	}
	return g, nil
}

// Judge finds the secrets of a text. Spans are ordered, do not overlap, and lie at or after req.Start. Time is linear.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	final := req.Stage != sdk.StageOutput || req.Final
	s := scanner{f: text.Fold(req.Text), final: final, generic: g.generic}
	s.b = s.f.S
	s.open = len(s.b)
	s.run()
	v := sdk.Verdict{Verdict: sdk.Allow}
	end := len(req.Text)
	if !final {
		if s.open < len(s.b) {
			end = s.f.Offset(s.open)
		}
		v.Hold = min(len(req.Text)-max(end, req.Start), MaxHold)
		for v.Hold > 0 && v.Hold < len(req.Text) && req.Text[len(req.Text)-v.Hold]&0xc0 == 0x80 {
			v.Hold--
		}
		end = len(req.Text) - v.Hold
	}
	counts := ""
	for _, m := range s.settled() {
		start, stop := s.f.Span(m.start, m.end)
		start, stop = max(start, req.Start), min(stop, end)
		if start >= stop || g.allowed(s.b[m.start:m.end]) {
			continue
		}
		v.Spans = append(v.Spans, sdk.Span{Start: start, End: stop, Entity: m.entity, Rule: m.rule, Confidence: m.confidence, Replacement: "[" + m.entity + "]"})
		if counts != "" {
			counts += ", "
		}
		if len(counts) < 200 {
			counts += m.rule
		}
	}
	if len(v.Spans) > 0 {
		v.Verdict, v.Reason = g.action, counts
	}
	return v
}

func (g *Guard) allowed(s string) bool {
	for _, a := range g.allow {
		if s == a {
			return true
		}
	}
	return false
}
