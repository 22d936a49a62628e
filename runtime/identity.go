package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
)

// Identity is who asks; see [identity.Identity].
type Identity = identity.Identity

// openIdentity reads the API keys and, where the configuration asks for credentials, what they are verified with.
func (r *Runtime) openIdentity(ctx context.Context) (err error) {
	if r.keys, err = identity.OpenKeys(ctx, r.store.Meta()); err != nil {
		return err
	}
	cfg := r.cfg.Auth
	if !cfg.Required() {
		return nil
	}
	o := identity.Options{Keys: r.keys, Revoked: cfg.Revoked, Log: r.log}
	if !cfg.Keys {
		o.Keys = nil
	}
	if j := cfg.JWT; j != nil {
		o.JWT = &identity.JWT{JWKS: j.JWKS, Issuer: j.Issuer, Audience: j.Audience, Leeway: j.Leeway.D(), TenantClaim: j.Claims.Tenant,
			RolesClaim: j.Claims.Roles, GroupsClaim: j.Claims.Groups, ClearanceClaim: j.Claims.Clearance, Tenant: j.Tenant, Roles: j.Roles}
	}
	if c := cfg.Certificates; c != nil {
		o.Certificates = &identity.Certificates{Tenant: c.Tenant, Roles: c.Roles, Clearance: c.Clearance}
	}
	if r.auth, err = identity.New(o); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// Authenticate returns who a credential belongs to, or an *openai.Error. Where the configuration asks for none, everyone
// is the default tenant's and may do everything.
func (r *Runtime) Authenticate(c identity.Credential) (Identity, error) {
	if r.auth == nil {
		return identity.Anyone(), nil
	}
	who, err := r.auth.Authenticate(c)
	var refused *identity.Refusal
	if errors.As(err, &refused) {
		code := "invalid_api_key"
		if refused.Code == "missing" {
			code = "missing_credential"
		}
		return Identity{}, &openai.Error{Status: http.StatusUnauthorized, Type: openai.TypeInvalidRequest, Code: code, Message: refused.Message, Cause: err}
	}
	return who, err
}

// AsksForCredentials says whether callers must say who they are.
func (r *Runtime) AsksForCredentials() bool { return r.auth != nil }

// Keys are the API keys of this appliance.
func (r *Runtime) Keys() *identity.Keys { return r.keys }

// mayName refuses a route or model that the caller's credential does not open. It is not told from one that does not
// exist: what others may use is none of its business.
func mayName(who *Identity, name string) error {
	if who.MayName(name) {
		return nil
	}
	return openai.ModelNotFound(name)
}
