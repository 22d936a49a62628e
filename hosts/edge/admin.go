package edge

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
)

// Admin is the handler of the administration address. Unless AdminCredentials is set it asks for none and so belongs on
// loopback; requests that a browser sends on behalf of another site are refused. Where credentials are asked for, an
// administrator sees its own tenant, an operator everything.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	operator := func(method, path string, h http.HandlerFunc) {
		route(mux, method, path, s.needs(identity.RoleOperator, h))
	}
	operator("GET", "/metrics", promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{}).ServeHTTP)
	operator("GET", "/admin/v1/status", s.status)
	operator("GET", "/admin/v1/models", s.localModels)
	operator("GET", "/admin/v1/plugins", s.plugins)
	operator("POST", "/admin/v1/plugins/{name}/reload", s.reload)
	operator("POST", "/admin/v1/route", s.explain)
	operator("POST", "/admin/v1/check", s.check)
	route(mux, "GET", "/admin/v1/requests", s.needs(identity.RoleAdmin, s.traces))
	route(mux, "GET", "/admin/v1/requests/{id}", s.needs(identity.RoleAdmin, s.trace))
	route(mux, "GET", "/admin/v1/review", s.needs(identity.RoleAdmin, s.reviews))
	methods(mux, "/admin/v1/review/{id}", map[string]http.HandlerFunc{
		"GET": s.needs(identity.RoleAdmin, s.review), "POST": s.needs(identity.RoleAdmin, s.decide)})
	route(mux, "GET", "/admin/v1/usage", s.needs(identity.RoleAdmin, s.usage))
	route(mux, "DELETE", "/admin/v1/cache", s.needs(identity.RoleAdmin, s.purge))
	route(mux, "DELETE", "/admin/v1/cache/{request}", s.needs(identity.RoleAdmin, s.evict))
	operator("GET", "/admin/v1/limits", s.limits)
	route(mux, "GET", "/admin/v1/handovers", s.needs(identity.RoleAdmin, s.handovers))
	route(mux, "DELETE", "/admin/v1/handovers/{request}", s.needs(identity.RoleAdmin, s.handoverDone))
	methods(mux, "/admin/v1/keys", map[string]http.HandlerFunc{
		"GET": s.needs(identity.RoleAdmin, s.keys), "POST": s.needs(identity.RoleAdmin, s.addKey)})
	route(mux, "DELETE", "/admin/v1/keys/{id}", s.needs(identity.RoleAdmin, s.revokeKey))
	s.documentRoutes(mux)
	mux.HandleFunc("/", notFound)
	if s.AdminCredentials {
		return s.recovered(s.authenticated(mux))
	}
	return s.recovered(sameSite(s.local(mux)))
}

// status answers with what serves.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	dir, err := filepath.Abs(s.Runtime.DataDir()) // who asks may be in another folder
	if err != nil {
		dir = s.Runtime.DataDir()
	}
	out := map[string]any{"version": s.Version, "data": dir, "degraded": emptyNotNull(s.Runtime.Degraded()), "models": s.Runtime.Models(identity.Anyone())}
	if models := s.Runtime.LocalModels(); len(models) > 0 {
		out["model"] = map[string]any{"id": models[0].Name, "info": models[0].Info}
	}
	writeJSON(w, http.StatusOK, out)
}

// localModels answers with the models on this device, what they take and what they do.
func (s *Server) localModels(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"memory": s.Runtime.ModelMemory(), "models": emptyNotNull(s.Runtime.LocalModels())})
}

// trace answers with the decision trace of one request.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	doc, ok, err := s.Runtime.Store().Traces().Get(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		writeError(w, err)
	case !ok || !s.ownTrace(r, doc):
		writeError(w, &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "trace_not_found",
			Message: "there is no trace of the request " + r.PathValue("id") + "; it was never made here, or its retention ended"})
	default:
		writeJSON(w, http.StatusOK, json.RawMessage(doc))
	}
}

// ownTrace says whether a trace is of a tenant that the caller may look at.
func (s *Server) ownTrace(r *http.Request, doc []byte) bool {
	var t struct{ Tenant string }
	tenant := s.tenantOf(r)
	return tenant == "" || json.Unmarshal(doc, &t) == nil && t.Tenant == tenant
}

// maxTraces bounds a list of traces.
const maxTraces = 1000

// traces answers with the latest decision traces, newest first.
func (s *Server) traces(w http.ResponseWriter, r *http.Request) {
	limit := 50
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxTraces {
			writeError(w, openai.Invalid("limit", "invalid_value", "limit must be a number from 1 to %d", maxTraces))
			return
		}
		limit = n
	}
	docs, err := s.Runtime.Store().Traces().Recent(r.Context(), s.tenantOf(r), limit)
	if err != nil {
		writeError(w, err)
		return
	}
	out := make([]json.RawMessage, len(docs))
	for i, d := range docs {
		out[i] = d
	}
	writeJSON(w, http.StatusOK, map[string]any{"requests": out})
}

// plugins answers with what is loaded and what it uses.
func (s *Server) plugins(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		Name    string   `json:"name"`
		Version string   `json:"version,omitempty"`
		Source  string   `json:"source"`
		Digest  string   `json:"digest"`
		Hooks   []string `json:"hooks"`
		Stats   any      `json:"stats"`
	}
	out := []entry{}
	for _, p := range s.Runtime.Plugins() {
		m := p.Manifest()
		out = append(out, entry{p.Name(), m.Version, p.Source(), p.Digest(), m.Hooks, p.Stats()})
	}
	writeJSON(w, http.StatusOK, map[string]any{"plugins": out})
}

// reload replaces a plugin by what its source holds now.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := s.Runtime.Reload(r.Context(), r.PathValue("name")); err != nil {
		writeError(w, &openai.Error{Status: http.StatusUnprocessableEntity, Type: openai.TypeInvalidRequest, Code: "reload_failed", Message: err.Error()})
		return
	}
	s.plugins(w, r)
}

// explain dry-runs a route's router for a text.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Route string `json:"route"`
		Text  string `json:"text"`
	}
	if _, err := s.body(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	out, err := s.Runtime.RouteText(r.Context(), req.Route, req.Text)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// check verifies every record of the state.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	report, err := s.Runtime.Store().Check(r.Context())
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}

// limits answers with what the limits have counted.
func (s *Server) limits(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"limits": s.Runtime.LimitCounts()})
}

// purge empties a tenant's cache; an operator's that the query names, or the default tenant's.
func (s *Server) purge(w http.ResponseWriter, r *http.Request) {
	tenant := s.tenantOf(r)
	if tenant == "" {
		tenant = s.identity(r).Tenant
	}
	if err := s.Runtime.Store().Cache().Purge(r.Context(), tenant); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// evict drops the stored answer that one request was given or left behind.
func (s *Server) evict(w http.ResponseWriter, r *http.Request) {
	err := s.Runtime.Evict(r.Context(), s.tenantOf(r), r.PathValue("request"))
	if errors.Is(err, runtime.ErrNoAnswer) {
		err = &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "not_found", Message: err.Error()}
	}
	if err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
