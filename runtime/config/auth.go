package config

import (
	"net"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/identity"
)

// TLS makes the API, and an administration address that is not loopback, speak TLS. The files are read again when they
// change.
type TLS struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"` // certificates of the authorities that client certificates are held against
}

// Auth says who may ask. Without it nobody is asked on loopback, and other addresses are refused.
type Auth struct {
	Keys         bool          `yaml:"keys"` // API keys are taken
	JWT          *JWT          `yaml:"jwt"`
	Certificates *Certificates `yaml:"certificates"`
	Revoked      string        `yaml:"revoked"` // file that lists what no longer counts

	// Off: the configuration says "auth: none", so that any address may be served without credentials.
	Off bool `yaml:"-"`
	set bool
}

// JWT says which tokens are taken.
type JWT struct {
	JWKS     string   `yaml:"jwks"`
	Issuer   string   `yaml:"issuer"`
	Audience string   `yaml:"audience"`
	Leeway   Duration `yaml:"leeway"`
	Claims   Claims   `yaml:"claims"`
	Tenant   string   `yaml:"tenant"` // of tokens without the claim
	Roles    []string `yaml:"roles"`  // of tokens without the claim
}

// Claims names the claims that tell who a token belongs to.
type Claims struct {
	Tenant    string `yaml:"tenant"`
	Roles     string `yaml:"roles"`
	Groups    string `yaml:"groups"`
	Clearance string `yaml:"clearance"`
}

// Certificates says what a client certificate opens.
type Certificates struct {
	Tenant    string   `yaml:"tenant"` // of certificates without an organisation
	Roles     []string `yaml:"roles"`
	Clearance string   `yaml:"clearance"`
}

// UnmarshalYAML reads "none", null, or what is asked for.
func (a *Auth) UnmarshalYAML(decode func(any) error) error {
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	switch v {
	case nil:
		*a = Auth{}
		return nil
	case "none":
		*a = Auth{Off: true}
		return nil
	}
	type plain Auth
	p := plain{Keys: true}
	if err := decode(&p); err != nil {
		return err
	}
	*a = Auth(p)
	a.set = true
	return nil
}

// Required says whether callers must say who they are.
func (a *Auth) Required() bool { return a.set }

// Require turns the asking for API keys on, for programs that build their configuration.
func (a *Auth) Require() { a.Keys, a.set, a.Off = true, true, false }

func (c *Config) validateAuth(add func(path, format string, args ...any)) {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		add("tls", "give both cert and key, or none")
	}
	if c.TLS.ClientCA != "" && c.TLS.Cert == "" {
		add("tls.client_ca", "client certificates need cert and key to be set")
	}
	a := &c.Auth
	if !a.set {
		return
	}
	if !a.Keys && a.JWT == nil && a.Certificates == nil {
		add("auth", "takes no credential at all; turn keys on, or configure jwt or certificates")
	}
	roles := func(path string, list []string) {
		for _, r := range list {
			if !slices.Contains(identity.Roles, r) {
				add(path, "%q is not one of %s", r, strings.Join(identity.Roles, ", "))
			}
		}
	}
	if j := a.JWT; j != nil {
		for _, must := range []struct{ path, value, what string }{{"auth.jwt.jwks", j.JWKS, "a file of public keys (JWKS)"},
			{"auth.jwt.issuer", j.Issuer, "the iss of the tokens"}, {"auth.jwt.audience", j.Audience, "the aud that the tokens have for this appliance"}} {
			if must.value == "" {
				add(must.path, "must be set: %s", must.what)
			}
		}
		roles("auth.jwt.roles", j.Roles)
	}
	if p := a.Certificates; p != nil {
		if c.TLS.ClientCA == "" {
			add("auth.certificates", "needs tls.client_ca, which client certificates are held against")
		}
		roles("auth.certificates.roles", p.Roles)
		if p.Clearance != "" && !slices.Contains(identity.Clearances, p.Clearance) {
			add("auth.certificates.clearance", "%q is not one of %s", p.Clearance, strings.Join(identity.Clearances, ", "))
		}
	}
}

// Loopback says whether an address can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
