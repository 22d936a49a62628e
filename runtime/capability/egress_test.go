package capability

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/wasm"
)

func rules(t *testing.T, texts ...string) []Rule {
	t.Helper()
	var out []Rule
	for _, s := range texts {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func code(err error) wasm.Code {
	var e *wasm.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestCheckAddress(t *testing.T) {
	for text, needs := range map[string]Reach{
		"1.1.1.1": Public, "2606:4700::1111": Public, "64:ff9b::101:101": Public, "::ffff:1.1.1.1": Public,
		"127.0.0.1": Private, "::1": Private, "10.0.0.1": Private, "172.31.0.1": Private, "192.168.1.1": Private, "100.64.0.1": Private,
		"::ffff:10.0.0.1": Private, "64:ff9b::a00:1": Private, "2002:a00:1::": Private, "fd12::1": Private, "::ffff:127.0.0.1": Private,
		"169.254.169.254": Any, "::ffff:169.254.169.254": Any, "64:ff9b::a9fe:a9fe": Any, "fe80::1%eth0": Any, "0.0.0.0": Any, "::": Any,
		"fd00:ec2::254": Any, "100.100.100.200": Any, "168.63.129.16": Any, "224.0.0.1": Any, "255.255.255.255": Any, "64:ff9b:1::1": Any,
		"::7f00:1": Any, "2001::1": Any,
	} {
		for reach := Public; reach <= Any; reach++ {
			if err := CheckAddress(netip.MustParseAddr(text), reach); (err == nil) != (reach >= needs) {
				t.Errorf("%s with reach %d: %v", text, reach, err)
			}
		}
	}
}

func TestRule_Matches(t *testing.T) {
	e := Egress{Rules: [][]Rule{rules(t, "GET,POST https://api.example.com/v1", "http://*.example.org:8080")}}
	for request, want := range map[string]bool{
		"GET https://api.example.com/v1": true, "POST https://API.example.com.:443/v1/chat?q=1": true, "GET https://api.example.com/v1/": true,
		"GET http://a.b.example.org:8080/x": true, "HEAD http://a.example.org:8080": true,
		"DELETE https://api.example.com/v1": false, "GET https://api.example.com/v10": false, "GET https://api.example.com/": false,
		"GET http://api.example.com/v1": false, "GET https://api.example.com:444/v1": false, "GET https://evil.com/v1": false,
		"GET https://api.example.com/v1/../admin": false, "GET https://api.example.com/v1/%2e%2e/admin": false, "GET https://api.example.com/v1%2f..%2fadmin": false,
		"GET https://api.example.com@evil.com/v1": false, "GET https://user@api.example.com/v1": false, "GET http://example.org:8080/": false,
		"GET http://evilexample.org:8080/": false, "POST http://a.example.org:8080/": false, "GET ftp://api.example.com/v1": false, "GET file:///etc/passwd": false,
		"GET https://api.example.com/v1//x": false, "GET https://аpi.example.com/v1": false,
	} {
		method, target, _ := strings.Cut(request, " ")
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.allow(method, u); (err == nil) != want {
			t.Errorf("%s: %v", request, err)
		}
	}
	for _, bad := range []string{"", "example.com", "GET", "CONNECT https://a", "https://a b c", "https://*", "https://a*b.com", "https://a?x=1", "ftp://a", "https://u@a"} {
		if r, err := ParseRule(bad); err == nil {
			t.Errorf("%q was taken as %+v", bad, r)
		}
	}
}

func get(t *testing.T, e *Egress, url string, headers map[string]string) (*wasm.HTTPResponse, error) {
	t.Helper()
	return e.HTTP(t.Context(), nil, &wasm.HTTPRequest{Method: "GET", URL: url, Headers: headers})
}

func TestEgress_ChecksEveryHop(t *testing.T) {
	var secrets atomic.Int32
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" {
			secrets.Add(1)
		}
		fmt.Fprint(w, "internal")
	}))
	defer denied.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.Header().Set("X-Answer", "1")
			fmt.Fprint(w, "hello "+r.Header.Get("X-Key")+r.Host)
		case "/out":
			http.Redirect(w, r, denied.URL+"/secret", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/within":
			http.Redirect(w, r, "/ok", http.StatusSeeOther)
		case "/big":
			w.Write(make([]byte, MaxResponseBytes+1))
		}
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", denied.URL) // a proxy would see everything
	e := &Egress{Rules: [][]Rule{rules(t, server.URL+" private")}}
	if res, err := get(t, e, server.URL+"/within", map[string]string{"x-key": "k", "host": "evil"}); err != nil || res.Status != 200 ||
		string(res.Body) != "hello k"+strings.TrimPrefix(server.URL, "http://") || res.Headers["x-answer"] != "1" {
		t.Errorf("%+v, %v", res, err)
	}
	for path, want := range map[string]wasm.Code{"/out": wasm.CodeCapabilityDenied, "/loop": wasm.CodeHTTPLimit, "/big": wasm.CodeHTTPLimit} {
		if _, err := get(t, e, server.URL+path, nil); code(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	both := &Egress{Rules: [][]Rule{rules(t, server.URL+" private", denied.URL+" private")}}
	if res, err := get(t, both, server.URL+"/out", map[string]string{"Authorization": "Bearer x", "X-Key": "k"}); err != nil || string(res.Body) != "internal" || secrets.Load() != 0 {
		t.Errorf("%+v, %v; %d secrets went to another host", res, err, secrets.Load())
	}
	if _, err := get(t, &Egress{Rules: [][]Rule{rules(t, server.URL)}}, server.URL+"/ok", nil); code(err) != wasm.CodeCapabilityDenied {
		t.Errorf("loopback without the grant: %v", err)
	}
	if _, err := get(t, &Egress{Rules: [][]Rule{rules(t, server.URL+" private"), rules(t, "https://elsewhere.example")}}, server.URL+"/ok", nil); code(err) != wasm.CodeCapabilityDenied {
		t.Errorf("granted and not asked for: %v", err)
	}
}

// TestEgress_RefusesNamesThatTurn: a DNS server that answers with addresses of the site is found out at the dial.
func TestEgress_RefusesNamesThatTurn(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1"} {
		e := &Egress{Rules: [][]Rule{rules(t, "http://rebind.example:80")}, Resolver: fakeDNS(t, netip.MustParseAddr(address))}
		if _, err := get(t, e, "http://rebind.example/", nil); code(err) != wasm.CodeCapabilityDenied || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
	mapped := &Egress{Rules: [][]Rule{rules(t, "http://[::ffff:10.0.0.1]")}}
	if _, err := get(t, mapped, "http://[::ffff:10.0.0.1]/", nil); code(err) != wasm.CodeCapabilityDenied {
		t.Errorf("mapped: %v", err)
	}
}

// fakeDNS answers every question for an IPv4 address with a.
func fakeDNS(t *testing.T, a netip.Addr) *net.Resolver {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12 // the question
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			if end > n {
				continue
			}
			reply := append([]byte(nil), buf[:end]...)
			reply[2], reply[3] = 0x81, 0x80
			reply[6], reply[7], reply[8], reply[9], reply[10], reply[11] = 0, 0, 0, 0, 0, 0
			if buf[end-3] == 1 { // A
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, a.AsSlice()...)
			}
			conn.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

func FuzzParseRule(f *testing.F) {
	f.Add("GET,POST https://*.example.com:8443/v1 private", "https://a.example.com:8443/v1/x")
	f.Add("https://api.example.com/v1", "https://api.example.com/v1/../admin")
	f.Fuzz(func(t *testing.T, rule, target string) {
		r, err := ParseRule(rule)
		if err != nil {
			return
		}
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		if _, err := (&Egress{Rules: [][]Rule{{r}}}).allow("GET", u); err == nil && !strings.HasPrefix(strings.TrimPrefix(r.Host, "*"), ".") && !strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), r.Host) {
			t.Errorf("%q lets %q through", rule, target)
		}
	})
}
