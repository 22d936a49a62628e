package httpwasm

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Memory is the guest's memory; api.Memory of wazero is one.
type Memory interface {
	Read(offset, n uint32) ([]byte, bool)
}

// Function is one import of the ABI.
type Function struct {
	Name            string
	Params, Results []byte // value types of the binary format
	// Call reads its parameters from stack and leaves its result there. An error stops the guest.
	Call func(h Host, m Memory, stack []uint64) error
}

// guest is what a function works on. Its first error sticks.
type guest struct {
	Host
	mem Memory
	s   []uint64
	x   *Exchange
	err error
}

// Functions lists all imports of the ABI.
func Functions() []Function {
	const i32, i64 = 0x7f, 0x7e
	one, long := []byte{i32}, []byte{i64}
	is := func(n int) []byte { return slices.Repeat([]byte{i32}, n) }
	def := func(name string, params int, results []byte, f func(g *guest)) Function {
		return Function{name, is(params), results, func(h Host, m Memory, stack []uint64) error {
			g := &guest{Host: h, mem: m, s: stack}
			f(g)
			return g.err
		}}
	}
	// Most functions need a request.
	on := func(f func(g *guest)) func(g *guest) {
		return func(g *guest) {
			if g.x = g.Exchange(); g.x == nil {
				g.fail("there is no request yet")
				return
			}
			f(g)
		}
	}
	return []Function{
		def("enable_features", 1, one, func(g *guest) {
			f := g.Features()
			*f |= uint32(g.s[0]) & supported
			g.s[0] = uint64(*f)
		}),
		def("get_config", 2, one, func(g *guest) { g.give(g.HTTPConfig()) }),
		def("log_enabled", 1, one, func(g *guest) { g.s[0] = enabled(int32(g.s[0])) }),
		def("log", 3, nil, func(g *guest) {
			if level := int32(g.s[0]); enabled(level) != 0 {
				if text := g.bytes(1); g.err == nil {
					g.err = g.HTTPLog(int(level), text)
				}
			}
		}),
		def("get_method", 2, one, on(func(g *guest) { g.give([]byte(g.x.Method)) })),
		def("set_method", 2, nil, on((*guest).setMethod)),
		def("get_uri", 2, one, on(func(g *guest) { g.give([]byte(g.x.URI)) })),
		def("set_uri", 2, nil, on((*guest).setURI)),
		def("get_protocol_version", 2, one, on(func(g *guest) { g.give([]byte(g.x.Protocol)) })),
		def("get_header_names", 3, long, on((*guest).headerNames)),
		def("get_header_values", 5, long, on((*guest).headerValues)),
		def("set_header_value", 5, nil, on(func(g *guest) { g.header("set", true, http.Header.Set) })),
		def("add_header_value", 5, nil, on(func(g *guest) { g.header("add", true, http.Header.Add) })),
		def("remove_header", 3, nil, on(func(g *guest) {
			g.header("remove", false, func(h http.Header, name, _ string) { h.Del(name) })
		})),
		def("read_body", 3, long, on((*guest).readBody)),
		def("write_body", 3, nil, on((*guest).writeBody)),
		def("get_status_code", 0, one, on(func(g *guest) {
			if g.s[0] = uint64(g.x.Response.Status); g.s[0] == 0 {
				g.s[0] = http.StatusOK
			}
		})),
		def("set_status_code", 1, nil, on((*guest).setStatus)),
		def("get_source_addr", 2, one, on(func(g *guest) { g.give([]byte(g.x.Source)) })),
	}
}

// enabled says whether a level is logged: info, warn and error are; debug and none are not.
func enabled(level int32) uint64 {
	if level >= 0 && level < 3 {
		return 1
	}
	return 0
}

func (g *guest) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf(format, args...)
	}
}

// view returns n bytes of the guest's memory from at.
func (g *guest) view(at, n uint32) []byte {
	if n == 0 || g.err != nil {
		return nil
	}
	if g.mem != nil {
		if b, ok := g.mem.Read(at, n); ok {
			g.Moved(int(n))
			return b
		}
	}
	g.fail("%d bytes at %#x are outside the memory", n, at)
	return nil
}

// bytes returns the bytes that parameters i and i+1 name, a view.
func (g *guest) bytes(i int) []byte { return g.view(uint32(g.s[i]), uint32(g.s[i+1])) }

// give writes b where the first two parameters have room for it, and returns its length in any case.
func (g *guest) give(b []byte) {
	if at, limit := uint32(g.s[0]), uint32(g.s[1]); uint64(len(b)) <= uint64(limit) {
		copy(g.view(at, uint32(len(b))), b)
	}
	g.s[0] = uint64(uint32(len(b)))
}

// giveAll writes strings with a zero after each where parameters i and i+1 have room for all, and returns how many they
// are in the upper and how many bytes in the lower half.
func (g *guest) giveAll(i int, all []string) {
	n := 0
	for _, s := range all {
		n += len(s) + 1
	}
	if uint64(n) <= uint64(uint32(g.s[i+1])) {
		b := g.view(uint32(g.s[i]), uint32(n))
		for _, s := range all {
			if len(b) > 0 {
				b = b[copy(b, s):]
				b[0], b = 0, b[1:]
			}
		}
	}
	g.s[0] = uint64(len(all))<<32 | uint64(uint32(n))
}

// spend takes n bytes of what the guest may write.
func (g *guest) spend(n int) {
	if g.x.written += n; g.x.written > g.x.Limit && g.err == nil {
		g.err = fmt.Errorf("%w: more than %d bytes of headers and bodies", ErrTooMuch, g.x.Limit)
	}
}

func (g *guest) beforeNext(what string) {
	if g.x.after {
		g.fail("%s cannot be changed after the next handler", what)
	}
}

// responseOpen fails where the response has gone out already.
func (g *guest) responseOpen(what string) {
	if g.x.after && *g.Features()&BufferResponse == 0 {
		g.fail("%s cannot be read or changed after the next handler, unless buffer_response is enabled", what)
	}
}

func (g *guest) setMethod() {
	g.beforeNext("the method")
	method := string(g.bytes(0))
	if g.err == nil && !httpguts.ValidHeaderFieldName(method) { // both are tokens
		g.fail("%q is not a method", clip(method))
	}
	if g.spend(len(method)); g.err == nil {
		g.x.Method = method
	}
}

func (g *guest) setURI() {
	g.beforeNext("the URI")
	uri := string(g.bytes(0))
	if uri == "" {
		uri = "/"
	}
	if u, err := url.ParseRequestURI(uri); g.err == nil && (err != nil || u.Host != "" || !strings.HasPrefix(uri, "/")) {
		g.fail("%q is not the path and query of a URI", clip(uri))
	}
	if g.spend(len(uri)); g.err == nil {
		g.x.URI = uri
	}
}

func (g *guest) setStatus() {
	g.responseOpen("the status")
	status := uint32(g.s[0])
	if status < 200 || status > 599 {
		g.fail("%d is not a status from 200 to 599", status)
	}
	if g.err == nil {
		g.x.Response.Status = int(status)
	}
}

// headers returns those of the kind that the first parameter names; nil for trailers, of which there are none.
func (g *guest) headers() (kind uint32, h http.Header) {
	switch kind = uint32(g.s[0]); kind {
	case kindRequest:
		return kind, g.x.Header
	case kindResponse:
		return kind, g.x.Response.Header
	case kindRequestTrailers, kindResponseTrailers:
		return kind, nil
	}
	g.fail("unknown kind of headers %d", kind)
	return kind, nil
}

func (g *guest) headerNames() {
	kind, h := g.headers()
	names := make([]string, 0, len(h)+1)
	for name := range maps.Keys(h) {
		if !strings.HasPrefix(name, http.TrailerPrefix) && (kind != kindRequest || !g.x.Hidden[name]) {
			names = append(names, strings.ToLower(name))
		}
	}
	if kind == kindRequest && g.x.Host != "" {
		names = append(names, "host")
	}
	slices.Sort(names)
	g.giveAll(1, names)
}

func (g *guest) headerName() string {
	name := string(g.bytes(1))
	if g.err == nil && !httpguts.ValidHeaderFieldName(name) {
		g.fail("%q is not the name of a header", clip(name))
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

func (g *guest) headerValues() {
	kind, h := g.headers()
	name := g.headerName()
	switch values := h.Values(name); {
	case g.err != nil:
	case kind == kindRequest && name == "Host":
		g.giveAll(3, []string{g.x.Host})
	case kind == kindRequest && g.x.Hidden[name]:
		g.giveAll(3, nil)
	default:
		g.giveAll(3, values)
	}
}

// header changes one header.
func (g *guest) header(verb string, hasValue bool, change func(h http.Header, name, value string)) {
	kind, h := g.headers()
	name, value := g.headerName(), ""
	if hasValue {
		value = string(g.bytes(3))
	}
	switch {
	case g.err != nil:
		return
	case !httpguts.ValidHeaderFieldValue(value):
		g.fail("the value of header %q holds a character that cannot be sent", clip(name))
	case kind == kindRequest:
		g.beforeNext("request headers")
		if g.x.Hidden[name] {
			g.fail("cannot %s header %q, which this plugin was not granted", verb, name)
		}
	case kind == kindResponse:
		g.responseOpen("response headers")
	default:
		g.fail("trailers are not supported, as enable_features says")
	}
	if g.spend(len(name) + len(value)); g.err != nil {
		return
	}
	if kind == kindRequest && name == "Host" {
		if g.x.Host = value; value == "" {
			g.fail("the host cannot be removed")
		}
		return
	}
	change(h, name, value)
}

// body returns the body that the first parameter names.
func (g *guest) body() (kind uint32, body *[]byte) {
	switch kind = uint32(g.s[0]); kind {
	case kindRequest:
		return kind, &g.x.Body
	case kindResponse:
		return kind, &g.x.Response.Body
	}
	g.fail("unknown kind of body %d", kind)
	return kind, nil
}

func (g *guest) readBody() {
	kind, body := g.body()
	switch {
	case g.err != nil:
		return
	case uint32(g.s[2]) == 0:
		g.err = errors.New("read_body with room for nothing")
		return
	case kind == kindResponse:
		g.responseOpen("the response's body")
	case g.x.after && *g.Features()&BufferRequest == 0:
		g.fail("the request's body cannot be read after the next handler, unless buffer_request is enabled")
	}
	to := g.bytes(1)
	if g.err != nil {
		return
	}
	if !g.x.reading[kind] {
		g.x.reading[kind], g.x.read[kind] = true, *body
	}
	n := copy(to, g.x.read[kind])
	g.x.read[kind] = g.x.read[kind][n:]
	g.s[0] = uint64(uint32(n))
	if n < len(to) {
		g.s[0] |= 1 << 32 // the end
	}
}

// writeBody replaces the body by the first bytes that are written, and appends the others.
func (g *guest) writeBody() {
	kind, body := g.body()
	if g.err != nil {
		return
	}
	if kind == kindRequest {
		g.beforeNext("the request's body")
	} else {
		g.responseOpen("the response's body")
	}
	b := g.bytes(1)
	if g.spend(len(b)); g.err != nil {
		return
	}
	if !g.x.writing[kind] {
		g.x.writing[kind] = true
		*body = nil // a copy: what was there may be the caller's, or be read on
	}
	*body = append(*body, b...)
}

// clip bounds what an error quotes of a guest.
func clip(s string) string { return s[:min(len(s), 64)] }
