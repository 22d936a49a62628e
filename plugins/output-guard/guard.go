// Package outputguard keeps what a model writes in bounds: links lead only to hosts on a list, because an image or a link to
// another host carries away what stands in its address, and a whole answer has a length and a form.
//
// It judges one text at a time and knows nothing of routes. It builds natively and as a guest; only package sdk is imported.
// Start reading at [Guard.Judge]; link.go finds links, schema.go compares with a JSON Schema.
//
// # Streams
//
// A link whose host is not complete is held, at most [MaxHold] bytes of it. One to another host is taken out from its first
// byte on, and as far as it goes: when its end is not there yet, the span reaches the end of the text, and the host shows the
// link again with what follows. Length and form depend on the whole answer (Start is 0 and Final is set).
package outputguard

import (
	"errors"
	"strconv"
	"strings"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// MaxHold is the most bytes that a verdict asks the host to hold.
const MaxHold = 256

// Guard judges texts. It is immutable and safe for concurrent use.
type Guard struct {
	hosts      []string // in lower case; ".example.com" stands for all below it
	any        bool
	linkAction string
	maxBytes   int
	schema     *schema // nil: any form
	action     string
}

// New makes a guard from its configuration, as plugin.yaml describes it: "links", "link_action", "max_bytes", "schema" and
// "action". config is a look-up such as sdk.Config.
func New(config func(key string) (string, bool)) (*Guard, error) {
	g := &Guard{linkAction: sdk.Redact, action: sdk.Block}
	fail := func(parts ...string) error { return errors.New("output-guard: " + strings.Join(parts, "")) }
	if v, ok := config("link_action"); ok && v != "" {
		if v != sdk.Redact && v != sdk.Block && v != sdk.Review {
			return nil, fail("link_action ", strconv.Quote(v), " is none of redact, block, review")
		}
		g.linkAction = v
	}
	if v, ok := config("action"); ok && v != "" {
		if v != sdk.Block && v != sdk.Review {
			return nil, fail("action ", strconv.Quote(v), " is neither block nor review")
		}
		g.action = v
	}
	if v, ok := config("max_bytes"); ok && v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return nil, fail("max_bytes ", strconv.Quote(v), " is not a number from 0 on")
		}
		g.maxBytes = n
	}
	links, _ := config("links")
	for h := range strings.SplitSeq(links, ",") {
		h = strings.ToLower(strings.TrimSpace(h))
		switch {
		case h == "":
			continue
		case h == "*":
			g.any = true
			continue
		case strings.HasPrefix(h, "*."):
			h = h[1:]
		}
		if strings.ContainsAny(h, "/:@*? ") || h == "." {
			return nil, fail("links: ", strconv.Quote(h), " is not a host; write example.com, *.example.com or *")
		}
		g.hosts = append(g.hosts, h)
	}
	if v, _ := config("schema"); v != "" {
		s, err := parseSchema(v)
		if err != nil {
			return nil, fail("schema: ", err.Error())
		}
		g.schema = s
	}
	return g, nil
}

// allowed says whether an answer may link to a host in lower case.
func (g *Guard) allowed(host string) bool {
	host = strings.TrimSuffix(host, ".")
	for _, h := range g.hosts {
		if host == h || h[0] == '.' && len(host) > len(h) && strings.HasSuffix(host, h) {
			return true
		}
	}
	return false
}

// Judge finds the links of a text that lead to other hosts than those on the list; on the output stage, in a whole answer, it
// compares length and form as well. Spans are ordered, do not overlap, and lie at or after req.Start. Time is linear.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	v := sdk.Verdict{Verdict: sdk.Allow}
	if req.Stage == sdk.StageOutput && req.Final && req.Start == 0 {
		if reason := g.form(req.Text); reason != "" {
			v.Verdict, v.Reason = g.action, reason
			return v
		}
	}
	if g.any {
		return v
	}
	stream := req.Stage == sdk.StageOutput && !req.Final
	s := linkScanner{g: g, t: req.Text, final: !stream, open: len(req.Text)}
	s.run()
	start := min(max(req.Start, 0), len(req.Text))
	for _, p := range s.found {
		if p.end > start {
			v.Spans = append(v.Spans, sdk.Span{Start: max(p.start, start), End: p.end, Entity: "LINK", Rule: "link.host", Confidence: 1, Replacement: "[LINK]"})
		}
	}
	if len(v.Spans) > 0 {
		v.Verdict, v.Reason = g.linkAction, "links to hosts that are not listed: "+strconv.Itoa(len(v.Spans))
	}
	if stream {
		v.Hold = min(len(req.Text)-max(s.open, start), MaxHold)
		for v.Hold > 0 && v.Hold < len(req.Text) && req.Text[len(req.Text)-v.Hold]&0xc0 == 0x80 {
			v.Hold--
		}
	}
	return v
}

// form says what is wrong with a whole answer, "" if nothing is.
func (g *Guard) form(answer string) string {
	if g.maxBytes > 0 && len(answer) > g.maxBytes {
		return "the answer has " + strconv.Itoa(len(answer)) + " bytes, and " + strconv.Itoa(g.maxBytes) + " are allowed"
	}
	if g.schema != nil {
		if err := g.schema.check(answer); err != nil {
			return "the answer is no instance of the schema: " + err.Error()
		}
	}
	return ""
}
