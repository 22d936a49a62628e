package edge

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
)

// callerKey is where a request's context holds who asks.
type callerKey struct{}

// authenticated establishes who asks before anything else is read of the request, and refuses whom it does not know.
func (s *Server) authenticated(next http.Handler) http.Handler {
	if !s.Runtime.AsksForCredentials() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.Runtime.Authenticate(credential(r))
		if err != nil {
			var refused *identity.Refusal
			if errors.As(err, &refused) && s.Metrics != nil {
				s.Metrics.refusals.WithLabelValues(refused.Code).Inc()
			}
			s.begin(w, r, "")
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, &who)))
	})
}

// credential finds what the caller sent: OpenAI's header, or those of Anthropic's and Azure's clients, or the
// certificate that TLS verified.
func credential(r *http.Request) identity.Credential {
	c := identity.Credential{Certificate: verifiedCertificate(r)}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		c.Bearer = strings.TrimSpace(token)
	}
	for _, h := range []string{"X-Api-Key", "Api-Key"} {
		if c.Bearer == "" {
			c.Bearer = strings.TrimSpace(r.Header.Get(h))
		}
	}
	return c
}

func verifiedCertificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// identity is who asks. A request that did not pass [Server.authenticated] where it had to is nobody's.
func (s *Server) identity(r *http.Request) runtime.Identity {
	if who, ok := r.Context().Value(callerKey{}).(*runtime.Identity); ok {
		return *who
	}
	if s.Runtime.AsksForCredentials() {
		return runtime.Identity{}
	}
	return identity.Anyone()
}

// needs refuses callers without a role.
func (s *Server) needs(role string, h http.HandlerFunc) http.HandlerFunc {
	if !s.Runtime.AsksForCredentials() {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) {
		who := s.identity(r)
		if !who.Has(role) {
			s.begin(w, r, "")
			writeError(w, &openai.Error{Status: http.StatusForbidden, Type: openai.TypePermission, Code: "insufficient_permissions",
				Message: "the credential does not have the role " + role + ", which " + r.Method + " " + r.URL.Path + " needs"})
			return
		}
		h(w, r)
	}
}

// local makes whoever reaches an open administration address its operator.
func (s *Server) local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := identity.Anyone()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, &who)))
	})
}

// tenantOf is whose records an administrator's request is about: its own tenant's, or for an operator those that the
// query names; empty: everyone's.
func (s *Server) tenantOf(r *http.Request) string {
	who := s.identity(r)
	if who.Has(identity.RoleOperator) {
		return r.URL.Query().Get("tenant")
	}
	return who.Tenant
}
