package edge

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
)

// NewKey is the answer to a key that was made: the only time its text is seen.
type NewKey struct {
	identity.Key
	Text string `json:"key"`
}

// keys answers with the tenant's API keys.
func (s *Server) keys(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"keys": s.Runtime.Keys().List(s.tenantOf(r))})
}

// addKey makes an API key. Who is no operator makes keys of its own tenant, with no more roles than it has.
func (s *Server) addKey(w http.ResponseWriter, r *http.Request) {
	var key identity.Key
	if _, err := s.body(w, r, &key); err != nil {
		writeError(w, err)
		return
	}
	who := s.identity(r)
	if key.Tenant == "" {
		key.Tenant = who.Tenant
	}
	if !who.Has(identity.RoleOperator) {
		for _, role := range key.Roles {
			if !who.Has(role) {
				writeError(w, forbidden("an administrator cannot make a key with the role "+role))
				return
			}
		}
		if outside := slices.ContainsFunc(key.Models, func(m string) bool { return !who.MayName(m) }); outside || len(key.Models) == 0 && len(who.Models) > 0 {
			writeError(w, forbidden("an administrator cannot make a key for routes and models that its own does not open"))
			return
		}
		if key.Tenant != who.Tenant {
			writeError(w, forbidden("an administrator makes keys of its own tenant only"))
			return
		}
	}
	key, text, err := s.Runtime.Keys().Add(r.Context(), key, time.Now())
	if err != nil {
		writeError(w, openai.Invalid("", "invalid_value", "the key was not made: %v", err))
		return
	}
	s.Log.Info("API key made", "key", key.ID, "tenant", key.Tenant, "roles", key.Roles, "by", who.Subject)
	writeJSON(w, http.StatusCreated, NewKey{key, text})
}

// revokeKey ends an API key.
func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request) {
	who := s.identity(r)
	id := r.PathValue("id")
	if key, ok := s.Runtime.Keys().Get(id); ok && key.Tenant != who.Tenant && !who.Has(identity.RoleOperator) {
		id = "" // another tenant's: it does not exist
	}
	key, err := s.Runtime.Keys().Revoke(r.Context(), id, time.Now())
	if errors.Is(err, identity.ErrUnknownKey) {
		err = &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "key_not_found", Message: err.Error()}
	}
	if err != nil {
		writeError(w, err)
		return
	}
	s.Log.Info("API key revoked", "key", key.ID, "tenant", key.Tenant, "by", who.Subject)
	writeJSON(w, http.StatusOK, key)
}

func forbidden(message string) error {
	return &openai.Error{Status: http.StatusForbidden, Type: openai.TypePermission, Code: "insufficient_permissions", Message: message}
}
