// Package tracecontext reads, keeps and writes the context of distributed traces as W3C Trace Context (Level 1, REC of
// 23 November 2021) defines it: the headers traceparent and tracestate.
//
// It knows nothing of HTTP servers or spans. Start reading at [Parse].
package tracecontext

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Context is a span's place in a trace. The zero value is none.
type Context struct {
	Trace  [16]byte
	Span   [8]byte
	Parent [8]byte // the span above; zero: there is none
	Flags  byte    // as sent; bit 0: sampled
	State  string  // of other tracing systems, passed on as it is
}

// Sampled says whether spans of the trace are kept.
func (c *Context) Sampled() bool { return c.Flags&1 != 0 }

// maxState bounds what is passed on of a tracestate, in bytes; the standard asks for 512 at least.
const maxState = 512

// Parse reads the headers of a request. Where traceparent is not as the standard says there is no context, and a new trace
// begins; a tracestate that is too long or holds anything but printable ASCII is dropped by itself.
func Parse(traceparent string, tracestate []string) (Context, bool) {
	var c Context
	// version "-" trace-id "-" parent-id "-" trace-flags; later versions may append fields.
	if len(traceparent) < 55 || traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-' {
		return c, false
	}
	var version, flags [1]byte
	if !unhex(version[:], traceparent[:2]) || version[0] == 0xff || !unhex(c.Trace[:], traceparent[3:35]) ||
		!unhex(c.Span[:], traceparent[36:52]) || !unhex(flags[:], traceparent[53:55]) {
		return Context{}, false
	}
	if rest := traceparent[55:]; version[0] == 0 && rest != "" || rest != "" && rest[0] != '-' {
		return Context{}, false
	}
	if c.Trace == [16]byte{} || c.Span == [8]byte{} {
		return Context{}, false
	}
	c.Flags = flags[0] & 1 // of version 00; what later ones mean is not known here
	state := strings.Join(tracestate, ",")
	if len(state) <= maxState && !strings.ContainsFunc(state, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.State = state
	}
	return c, true
}

// unhex reads lower-case hexadecimal digits; others are no value of the standard.
func unhex(out []byte, text string) bool {
	for i := range text {
		if c := text[i]; c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(out, []byte(text))
	return err == nil
}

// New begins a trace.
func New(sampled bool) Context {
	var c Context
	binary.BigEndian.PutUint64(c.Trace[:8], rand.Uint64())
	binary.BigEndian.PutUint64(c.Trace[8:], rand.Uint64()|1) // never zero
	c.Span = NewSpan()
	if sampled {
		c.Flags = 1
	}
	return c
}

// NewSpan returns an id for a span.
func NewSpan() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}

// Child is the context of a span below this one.
func (c Context) Child() Context {
	c.Parent, c.Span = c.Span, NewSpan()
	return c
}

// Traceparent is the header that names this span as the parent of what is asked with it.
func (c *Context) Traceparent() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Span[:])
	b = append(b, '-')
	return string(hex.AppendEncode(b, []byte{c.Flags}))
}

// key is where a context holds what it is part of.
type key struct{}

// With returns a context of a span.
func With(ctx context.Context, c *Context) context.Context { return context.WithValue(ctx, key{}, c) }

// From is the span that a context is of; nil: none.
func From(ctx context.Context) *Context {
	c, _ := ctx.Value(key{}).(*Context)
	return c
}
