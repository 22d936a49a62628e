package edge

import (
	"net/http"

	"github.com/ledge-run/ledge/runtime/openai"
)

// models answers GET /v1/models.
func (s *Server) models(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, &openai.ModelList{Object: "list", Data: s.Runtime.Models(s.identity(r))})
}

// model answers GET /v1/models/{id}.
func (s *Server) model(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	for _, m := range s.Runtime.Models(s.identity(r)) {
		if m.ID == id {
			writeJSON(w, http.StatusOK, m)
			return
		}
	}
	writeError(w, openai.ModelNotFound(id))
}

// livez says that the process answers: restarting it would not help a request.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether requests can be answered, and if not why: 503 keeps a balancer from sending any.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	status, answer := http.StatusOK, map[string]any{"status": "ok"}
	if reasons := s.Runtime.Degraded(); len(reasons) > 0 {
		status, answer = http.StatusServiceUnavailable, map[string]any{"status": "degraded", "reasons": reasons}
	}
	if off := s.Runtime.Offline(); off != nil {
		answer["offline"] = true
	}
	writeJSON(w, status, answer)
}
