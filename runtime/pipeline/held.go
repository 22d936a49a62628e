package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/ledge-run/ledge/runtime/hook"
)

// Held is a text that a guard stopped, for the queue of reviews.
type Held struct {
	Stage   string // that the guard was asked at
	Plugin  string
	Digest  string
	Verdict string
	Reason  string
	Spans   []hook.Span
	Hash    string // SHA-256 of the text, in hexadecimal
	Bytes   int
	Text    string // empty unless the route keeps it
}

// maxHeld bounds what one request puts before a person.
const maxHeld = 20

// hold notes that a guard stopped a text.
func (x *exchange) hold(plugin, digest, asked, text string, v *hook.Verdict) {
	t := x.trace
	if len(t.Held) >= maxHeld {
		return
	}
	sum := sha256.Sum256([]byte(text))
	h := Held{Stage: asked, Plugin: plugin, Digest: digest, Verdict: v.Verdict, Reason: clip(v.Reason, maxReason),
		Spans: slices.Clone(v.Spans[:min(len(v.Spans), maxHeld)]), Hash: hex.EncodeToString(sum[:]), Bytes: len(text)}
	for i := range h.Spans {
		sp := &h.Spans[i]
		sp.Entity, sp.Rule, sp.Replacement = clip(sp.Entity, 64), clip(sp.Rule, 64), ""
	}
	if x.route.KeepText && plugin != leakName { // the prompt is the site's, and whoever looks need not be
		h.Text = text
	}
	t.Held = append(t.Held, h)
}
