package edge

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
)

// preflightAge is how long a browser may remember what a page may send, in seconds.
const preflightAge = "600"

// answerHeaders are what pages may read of an answer beside its body.
const answerHeaders = "X-Ledge-Request-Id, X-Ledge-Route, X-Ledge-Model, X-Ledge-Cache, Retry-After"

// pages answers web pages of the origins that the site allows (Cross-Origin Resource Sharing), and refuses those of others:
// a page that somebody on this device looks at could else use what asks for no credentials on loopback, also by a name that
// a rebound DNS entry gives it.
func (s *Server) pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		switch {
		case origin != "" && s.allows(origin):
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
			h.Set("Access-Control-Expose-Headers", answerHeaders)
			if asked := r.Header.Get("Access-Control-Request-Method"); r.Method == http.MethodOptions && asked != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
				h.Set("Access-Control-Max-Age", preflightAge)
				if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
					h.Set("Access-Control-Allow-Private-Network", "true")
				}
				w.WriteHeader(http.StatusNoContent)
				return
			}
		case foreign(origin, r.Host):
			refuseOrigin(w, "pages of "+origin+" may not use this appliance; its operator can list them under origins")
			return
		case !s.Runtime.AsksForCredentials() && overLoopback(r) && !s.knows(r.Host):
			refuseOrigin(w, "this appliance asks for no credentials and so answers on loopback to localhost and addresses only; "+
				"its operator can list the page's address under origins, or switch auth on")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// allows reports whether pages of an origin may use the API.
func (s *Server) allows(origin string) bool {
	return slices.Contains(s.Origins, "*") || slices.ContainsFunc(s.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// knows reports whether a host is this device by an address or as localhost, or is that of an allowed origin.
func (s *Server) knows(host string) bool {
	return !named(host) || slices.ContainsFunc(s.Origins, func(o string) bool {
		u, err := url.Parse(o)
		return o == "*" || err == nil && strings.EqualFold(u.Host, host)
	})
}

// sameSite refuses requests that came from another origin, or by a name that only a rebound DNS entry would give us.
func sameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if named(r.Host) || foreign(r.Header.Get("Origin"), r.Host) {
			refuseOrigin(w, "the administration API answers only to its own address")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuseOrigin(w http.ResponseWriter, message string) {
	writeError(w, &openai.Error{Status: http.StatusForbidden, Type: openai.TypePermission, Code: "forbidden_origin", Message: message})
}

// named reports whether a Host header holds a name other than localhost. HTTP/1.0 clients may send none; browsers always do.
func named(host string) bool {
	if host == "" {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return !strings.EqualFold(host, "localhost") && net.ParseIP(host) == nil
}

// foreign reports whether an Origin header, if there is one, is not that of the host itself.
func foreign(origin, host string) bool {
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, host)
}

// overLoopback reports whether a request came to a loopback address.
func overLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}
