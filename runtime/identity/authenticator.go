package identity

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Options say which credentials are taken.
type Options struct {
	Keys         *Keys         // nil: no API keys
	JWT          *JWT          // nil: no tokens
	Certificates *Certificates // nil: no client certificates
	Revoked      string        // file of what no longer counts; empty: none
	Log          *slog.Logger  // nil: discard
	Now          func() time.Time
}

// Authenticator tells who a credential belongs to. It is safe for concurrent use.
type Authenticator struct {
	o       Options
	tokens  *tokens
	revoked *watched[revocations]
}

// Credential is what a request carries. Where both are set the bearer counts.
type Credential struct {
	Bearer      string            // an API key or a token
	Certificate *x509.Certificate // of the client, verified by TLS against the configured authority
}

// Refusal is the error of a credential that does not count. Code is for metrics; the message may be shown.
type Refusal struct{ Code, Message string }

func (r *Refusal) Error() string { return r.Message }

func refuse(code, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// New reads the files that the options name; one that cannot be read is an error.
func New(o Options) (*Authenticator, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{o: o}
	var err error
	if o.JWT != nil {
		if a.tokens, err = newTokens(o.JWT, o.Log); err != nil {
			return nil, err
		}
	}
	if o.Revoked != "" {
		if a.revoked, err = watch(o.Revoked, o.Log, parseRevocations); err != nil {
			return nil, fmt.Errorf("revocation list: %w", err)
		}
	}
	return a, nil
}

// Authenticate returns whose the credential is, or a *Refusal.
func (a *Authenticator) Authenticate(c Credential) (Identity, error) {
	who, marks, err := a.identify(c)
	if err != nil {
		return Identity{}, err
	}
	if a.revoked != nil {
		gone := a.revoked.get()
		for _, mark := range append(marks, "subject:"+who.Tenant+"/"+who.Subject, "tenant:"+who.Tenant) {
			if gone[mark] {
				return Identity{}, refuse("revoked", "the credential was revoked")
			}
		}
	}
	return who, nil
}

// identify returns who, and the names under which the credential may have been revoked.
func (a *Authenticator) identify(c Credential) (Identity, []string, error) {
	now := a.o.Now()
	switch {
	case strings.HasPrefix(c.Bearer, keyPrefix) && a.o.Keys != nil:
		who, err := a.o.Keys.verify(c.Bearer, now)
		return who, []string{"key:" + who.Key}, err
	case strings.Count(c.Bearer, ".") == 2 && a.tokens != nil:
		return a.tokens.verify(c.Bearer, now)
	case c.Bearer != "":
		return Identity{}, nil, refuse("unknown_key", "the API key is not known here")
	case c.Certificate != nil && a.o.Certificates != nil:
		return a.o.Certificates.identify(c.Certificate)
	}
	return Identity{}, nil, refuse("missing", "no credential was sent; send an API key as Authorization: Bearer KEY")
}

// revocations are names of credentials that no longer count: key:ID, jti:ID, cert:SERIAL in hexadecimal,
// subject:TENANT/SUBJECT, tenant:TENANT.
type revocations map[string]bool

var revocable = []string{"key:", "jti:", "cert:", "subject:", "tenant:"}

func parseRevocations(b []byte) (revocations, error) {
	out := revocations{}
	for i, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		known := false
		for _, kind := range revocable {
			known = known || strings.HasPrefix(line, kind) && len(line) > len(kind)
		}
		if !known {
			return nil, fmt.Errorf("line %d: %q is none of %s", i+1, line, strings.Join(revocable, "ID, ")+"TENANT")
		}
		if serial, ok := strings.CutPrefix(line, "cert:"); ok {
			line = "cert:" + strings.ToLower(strings.TrimLeft(strings.ReplaceAll(serial, ":", ""), "0"))
		}
		out[line] = true
	}
	return out, nil
}

// Certificates says what a client certificate means: its organisation is the tenant, its common name the subject, and
// its organisational units are groups. What it may do is the same for all.
type Certificates struct {
	Tenant    string // of certificates without an organisation; empty: refuse them
	Roles     []string
	Clearance string
}

func (c *Certificates) identify(cert *x509.Certificate) (Identity, []string, error) {
	who := Identity{Tenant: c.Tenant, Subject: cert.Subject.CommonName, Roles: c.Roles, Groups: cert.Subject.OrganizationalUnit, Clearance: c.Clearance}
	if o := cert.Subject.Organization; len(o) > 1 {
		return Identity{}, nil, refuse("certificate", "the client certificate names %d organisations", len(o))
	} else if len(o) == 1 {
		who.Tenant = o[0]
	}
	if who.Subject == "" {
		return Identity{}, nil, refuse("certificate", "the client certificate has no common name")
	}
	if err := who.check(); err != nil {
		return Identity{}, nil, refuse("certificate", "the client certificate does not tell who its owner is: %v", err)
	}
	return who, []string{"cert:" + cert.SerialNumber.Text(16)}, nil
}

// Check says whether the roles and the clearance are known ones.
func (c *Certificates) Check() error {
	return (&Identity{Tenant: "any", Roles: c.Roles, Clearance: c.Clearance}).check()
}
