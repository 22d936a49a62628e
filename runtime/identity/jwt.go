package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// JWT says which tokens are taken (RFC 7519) and which claims tell who.
type JWT struct {
	JWKS     string // file of public keys (RFC 7517); read again when it changes
	Issuer   string // iss must be it
	Audience string // aud must contain it
	Leeway   time.Duration

	TenantClaim    string // default tenant
	RolesClaim     string // default roles; scope is read beside it
	GroupsClaim    string // default groups
	ClearanceClaim string // default clearance
	Tenant         string // of tokens without the claim; empty: refuse them
	Roles          []string
}

// Only public-key signatures: a shared secret that verifies could sign as well.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}

// maxToken bounds a token, in bytes; maxKeys the keys of a file.
const (
	maxToken = 16 << 10
	maxKeys  = 64
)

// tokens verifies tokens.
type tokens struct {
	JWT
	keys *watched[[]jose.JSONWebKey]
}

func newTokens(o *JWT, log *slog.Logger) (*tokens, error) {
	t := &tokens{JWT: *o}
	for name, def := range map[*string]string{&t.TenantClaim: "tenant", &t.RolesClaim: "roles", &t.GroupsClaim: "groups", &t.ClearanceClaim: "clearance"} {
		if *name == "" {
			*name = def
		}
	}
	if t.Issuer == "" || t.Audience == "" {
		return nil, errors.New("tokens need an issuer and an audience to be held against")
	}
	var err error
	if t.keys, err = watch(o.JWKS, log, parseJWKS); err != nil {
		return nil, fmt.Errorf("key set %s: %w", o.JWKS, err)
	}
	return t, nil
}

// parseJWKS reads the public keys for signatures. Private and symmetric keys do not belong into such a file.
func parseJWKS(b []byte) ([]jose.JSONWebKey, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, err
	}
	var out []jose.JSONWebKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		if !k.Valid() || !k.IsPublic() {
			return nil, fmt.Errorf("the key %q is not a public key", k.KeyID)
		}
		out = append(out, k)
	}
	if len(out) == 0 || len(out) > maxKeys {
		return nil, fmt.Errorf("it holds %d keys for signatures, not 1 to %d", len(out), maxKeys)
	}
	return out, nil
}

// verify checks signature, times, issuer and audience, and reads who it is.
func (t *tokens) verify(text string, now time.Time) (Identity, []string, error) {
	if len(text) > maxToken {
		return Identity{}, nil, refuse("token", "the token is longer than %d bytes", maxToken)
	}
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil || len(token.Headers) != 1 {
		return Identity{}, nil, refuse("token", "the token is malformed or not signed with a public-key algorithm")
	}
	var std jwt.Claims
	var all map[string]any
	if !t.signed(token, &std, &all) {
		return Identity{}, nil, refuse("token", "the token's signature is not by a key that is known here")
	}
	if std.Expiry == nil {
		return Identity{}, nil, refuse("token", "the token never expires")
	}
	err = std.ValidateWithLeeway(jwt.Expected{Issuer: t.Issuer, AnyAudience: jwt.Audience{t.Audience}, Time: now}, t.Leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return Identity{}, nil, refuse("expired", "the token has expired")
	case err != nil:
		return Identity{}, nil, refuse("token", "the token is not for this appliance or not valid yet")
	}
	who := Identity{Tenant: t.Tenant, Subject: std.Subject, Roles: known(words(all[t.RolesClaim]), words(all["scope"])), Groups: words(all[t.GroupsClaim])}
	if claim, there := all[t.TenantClaim]; there {
		who.Tenant, _ = claim.(string) // of another type: none, which is refused
	}
	if len(who.Roles) == 0 {
		who.Roles = t.Roles
	}
	who.Clearance, _ = all[t.ClearanceClaim].(string)
	if who.Subject == "" {
		return Identity{}, nil, refuse("token", "the token has no subject")
	}
	if err := who.check(); err != nil {
		return Identity{}, nil, refuse("token", "the token does not tell who its owner is: %v", err)
	}
	var marks []string
	if std.ID != "" {
		marks = append(marks, "jti:"+std.ID)
	}
	return who, marks, nil
}

// signed finds the key that made the signature: the one that the token names, else each that fits.
func (t *tokens) signed(token *jwt.JSONWebToken, into ...any) bool {
	h := token.Headers[0]
	for _, k := range t.keys.get() {
		if h.KeyID != "" && k.KeyID != h.KeyID || k.Algorithm != "" && k.Algorithm != h.Algorithm {
			continue
		}
		if token.Claims(k.Key, into...) == nil {
			return true
		}
	}
	return false
}

// words reads a claim that is a list of strings or one string of words.
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// known keeps the roles that mean something here; a token has scopes for others as well.
func known(lists ...[]string) []string {
	var out []string
	for _, role := range Roles {
		for _, list := range lists {
			for _, s := range list {
				if (s == role || s == "ledge:"+role) && (len(out) == 0 || out[len(out)-1] != role) {
					out = append(out, role)
				}
			}
		}
	}
	return out
}
