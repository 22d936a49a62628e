package capability

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Rule allows HTTP requests. A request must match all of it.
type Rule struct {
	Scheme  string   // http or https
	Host    string   // lower case; "*.example.com" is any name below example.com
	Port    string   // as a number
	Path    string   // this path and what is below it; "/" for all
	Methods []string // upper case
	Reach   Reach
}

// ParseRule reads a rule as a grant states it: [METHOD,...] URL [private|any], for example
//
//	https://api.example.com/v1              GET and HEAD of /v1 and what is below it
//	GET,POST https://*.example.com          any path on any name below example.com
//	POST http://10.0.0.5:9000/scan private  addresses of the site are allowed
func ParseRule(text string) (Rule, error) {
	bad := func(why string) (Rule, error) {
		return Rule{}, fmt.Errorf("http rule %q: %s; write for example: GET,POST https://api.example.com/v1", text, why)
	}
	fields := strings.Fields(text)
	r := Rule{Methods: []string{http.MethodGet, http.MethodHead}}
	if len(fields) > 1 && !strings.Contains(fields[0], "://") {
		r.Methods = strings.Split(strings.ToUpper(fields[0]), ",")
		for _, m := range r.Methods {
			if m == "" || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || m == http.MethodConnect || m == http.MethodTrace {
				return bad("the method " + m + " cannot be granted")
			}
		}
		fields = fields[1:]
	}
	if len(fields) == 2 {
		switch fields[1] {
		case "private":
			r.Reach = Private
		case "any":
			r.Reach = Any
		default:
			return bad("after the URL comes private, any, or nothing")
		}
		fields = fields[:1]
	}
	if len(fields) != 1 {
		return bad("it is not [METHODS] URL [private|any]")
	}
	u, err := url.Parse(fields[0])
	if err != nil {
		return bad(err.Error())
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return bad("it has a query, a fragment or a user")
	}
	if err := r.target(u); err != nil {
		return bad(err.Error())
	}
	if strings.Contains(strings.TrimPrefix(r.Host, "*."), "*") || r.Host == "*." {
		return bad("* stands for a whole name at the start only, as in *.example.com")
	}
	return r, nil
}

// target fills scheme, host, port and path from a URL, in the form in which they are compared.
func (r *Rule) target(u *url.URL) error {
	r.Scheme = strings.ToLower(u.Scheme)
	if r.Scheme != "http" && r.Scheme != "https" {
		return fmt.Errorf("the scheme %q is neither http nor https", u.Scheme)
	}
	r.Host = strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if r.Host == "" || strings.ContainsFunc(r.Host, func(c rune) bool { return c <= ' ' || c > '~' || c == '%' }) {
		return fmt.Errorf("the host %q is not a plain name; write international names as xn--", u.Hostname())
	}
	if r.Port = u.Port(); r.Port == "" {
		r.Port = map[string]string{"http": "80", "https": "443"}[r.Scheme]
	}
	// What a server makes of dots and of hidden separators is its own affair, so no rule on paths could hold for them.
	escaped := strings.ToLower(u.EscapedPath())
	for _, s := range []string{"%2f", "%5c", "%2e", "\\", "%00", "//"} {
		if strings.Contains(escaped, s) {
			return fmt.Errorf("the path %q holds %q", u.EscapedPath(), s)
		}
	}
	if r.Path = path.Clean("/" + u.Path); strings.Contains(u.Path, "..") && r.Path != u.Path {
		return fmt.Errorf("the path %q leads upwards", u.Path)
	}
	return nil
}

// match says whether the rule allows a request to what target says.
func (r *Rule) match(method string, target *Rule) bool {
	host := r.Host == target.Host
	if below, ok := strings.CutPrefix(r.Host, "*"); ok {
		host = strings.HasSuffix(target.Host, below) && len(target.Host) > len(below)
	}
	return host && r.Scheme == target.Scheme && r.Port == target.Port && slices.Contains(r.Methods, method) &&
		(r.Path == "/" || r.Path == target.Path || strings.HasPrefix(target.Path, r.Path+"/"))
}
