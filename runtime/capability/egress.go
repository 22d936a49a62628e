package capability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/ledge-run/ledge/runtime/airgap"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Bounds on what one request of a plugin may move.
const (
	MaxRequestBytes        = 1 << 20
	MaxResponseBytes       = 4 << 20
	MaxResponseHeaderBytes = 64 << 10
	MaxRedirects           = 5
	connectTimeout         = 5 * time.Second
)

// Egress is the capability http: requests to where rules allow. Each hop of a redirect is checked like the first, and
// the address that a name resolves to is checked when it is dialled, so that no name can turn into another machine
// afterwards. It uses no proxy and keeps no connection, no cookie and no credential between requests. It is safe for
// concurrent use.
type Egress struct {
	// Rules are lists of which each must allow a request: what the plugin asks, what the site grants. No list: nothing
	// is allowed.
	Rules [][]Rule
	// Resolver finds addresses; nil takes the system's, or what the gap allows of it.
	Resolver *net.Resolver
	// Gap says what may be dialled at all; nil: everything.
	Gap *airgap.Gap
}

type reachKey struct{}

// HTTP makes a request of a plugin; it is a [wasm.PluginOptions.HTTP].
func (e *Egress) HTTP(ctx context.Context, _ *wasm.HostCall, r *wasm.HTTPRequest) (*wasm.HTTPResponse, error) {
	if len(r.Body) > MaxRequestBytes {
		return nil, refuse(wasm.CodeHTTPLimit, nil, "the body has %d bytes; at most %d are allowed", len(r.Body), MaxRequestBytes)
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, refuse(wasm.CodeHTTPFailed, err, "%v", err)
	}
	header := make(http.Header)
	for name, value := range r.Headers {
		if !hopByHop[http.CanonicalHeaderKey(name)] {
			header.Set(name, value)
		}
	}
	transport := &http.Transport{ // no Proxy: none is taken from the environment
		DialContext:       e.dialer().DialContext,
		DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: MaxResponseHeaderBytes,
	}
	defer transport.CloseIdleConnections()
	method, body := r.Method, r.Body
	for hop := 0; ; hop++ {
		if hop > MaxRedirects {
			return nil, refuse(wasm.CodeHTTPLimit, nil, "redirected more than %d times", MaxRedirects)
		}
		res, err := e.hop(ctx, transport, method, u, header, body)
		if err != nil {
			return nil, err
		}
		next, err := redirect(res, u)
		if err != nil || next == nil {
			if err == nil {
				return answer(res)
			}
			res.Body.Close()
			return nil, err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusTemporaryRedirect && res.StatusCode != http.StatusPermanentRedirect && method != http.MethodHead {
			method, body = http.MethodGet, nil
			header.Del("Content-Type")
		}
		if next.Scheme != u.Scheme || !strings.EqualFold(next.Host, u.Host) { // secrets were for the first host
			for name := range header {
				if !harmless[name] {
					header.Del(name)
				}
			}
		}
		u = next
	}
}

// hopByHop are headers that belong to the connection or decide who is asked; harmless those that another host may see.
var (
	hopByHop = map[string]bool{"Host": true, "Connection": true, "Proxy-Connection": true, "Proxy-Authorization": true, "Keep-Alive": true,
		"Te": true, "Trailer": true, "Transfer-Encoding": true, "Content-Length": true, "Upgrade": true}
	harmless = map[string]bool{"Accept": true, "Accept-Language": true, "Content-Type": true, "User-Agent": true}
)

func (e *Egress) hop(ctx context.Context, t *http.Transport, method string, u *url.URL, header http.Header, body []byte) (*http.Response, error) {
	reach, err := e.allow(method, u)
	if err != nil {
		return nil, refuse(wasm.CodeCapabilityDenied, err, "%s %s: %v", method, u.Redacted(), err)
	}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, reachKey{}, reach), method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, refuse(wasm.CodeHTTPFailed, err, "%v", err)
	}
	req.Header = header.Clone()
	res, err := t.RoundTrip(req)
	if err == nil {
		return res, nil
	}
	if airgap.Refused(err) {
		return nil, refuse(wasm.CodeCapabilityDenied, err, "%s %s: %v", method, u.Redacted(), err)
	}
	var denied *addressError
	if errors.As(err, &denied) {
		return nil, refuse(wasm.CodeCapabilityDenied, err, "%s %s: %v", method, u.Redacted(), denied.err)
	}
	return nil, refuse(wasm.CodeHTTPFailed, err, "%s %s: %v", method, u.Redacted(), err)
}

// allow returns the least reach that the lists of rules have for a request.
func (e *Egress) allow(method string, u *url.URL) (Reach, error) {
	if u.User != nil {
		return 0, errors.New("a URL with a user is not allowed; use a header")
	}
	var target Rule
	if err := target.target(u); err != nil {
		return 0, err
	}
	if len(e.Rules) == 0 {
		return 0, fmt.Errorf("http is granted without a rule that says where to; grant for example http=%s %s://%s", method, u.Scheme, u.Host)
	}
	reach := Any
	for _, list := range e.Rules {
		best, ok := Public, false
		for _, r := range list {
			if r.match(method, &target) {
				best, ok = max(best, r.Reach), true
			}
		}
		if !ok && len(list) == 0 && e.Gap.Offline() {
			return 0, errors.New("the appliance is offline, and sandbox.ceiling has no rule that says where plugins may go; add for example http=" + method + " " + target.Scheme + "://" + u.Host)
		}
		if !ok {
			return 0, errors.New("no rule allows it; grant for example http=" + method + " " + target.Scheme + "://" + u.Host + target.Path)
		}
		reach = min(reach, best)
	}
	return reach, nil
}

type addressError struct{ err error }

func (e *addressError) Error() string { return e.err.Error() }
func (e *addressError) Unwrap() error { return e.err }

// dialer connects to what the reach of a request and the gap both allow.
func (e *Egress) dialer() *net.Dialer {
	d := e.Gap.Dialer(connectTimeout)
	if e.Resolver != nil {
		d.Resolver = e.Resolver
	}
	d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := e.Gap.Control(ctx, network, address, c); err != nil {
			return &addressError{err}
		}
		return checkDial(ctx, network, address, c)
	}
	return d
}

// checkDial judges the address that is about to be dialled, after names are resolved.
func checkDial(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &addressError{fmt.Errorf("the network %s is not allowed", network)}
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &addressError{err}
	}
	reach, _ := ctx.Value(reachKey{}).(Reach)
	if err := CheckAddress(at.Addr(), reach); err != nil {
		return &addressError{err}
	}
	return nil
}

// redirect returns where a response leads, or nil when it is the answer.
func redirect(res *http.Response, from *url.URL) (*url.URL, error) {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	location := res.Header.Get("Location")
	if location == "" {
		return nil, nil
	}
	next, err := from.Parse(location)
	if err != nil {
		return nil, refuse(wasm.CodeHTTPFailed, err, "redirect: %v", err)
	}
	return next, nil
}

func answer(res *http.Response) (*wasm.HTTPResponse, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxResponseBytes+1))
	if err != nil {
		return nil, refuse(wasm.CodeHTTPFailed, err, "read the response: %v", err)
	}
	if len(body) > MaxResponseBytes {
		return nil, refuse(wasm.CodeHTTPLimit, nil, "the response has more than %d bytes", MaxResponseBytes)
	}
	out := &wasm.HTTPResponse{Status: res.StatusCode, Headers: make(map[string]string, len(res.Header)), Body: body}
	for name, values := range res.Header {
		out.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return out, nil
}

func refuse(code wasm.Code, cause error, format string, args ...any) error {
	return &wasm.Error{Code: code, Message: "http_request: " + fmt.Sprintf(format, args...), Err: cause}
}
