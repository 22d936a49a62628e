package edge

import (
	"net/http"

	"github.com/ledge-run/ledge/runtime/openai"
)

// maxHandovers bounds a list of requests that people are to answer.
const maxHandovers = 1000

// handovers answers with the requests that people are to answer.
func (s *Server) handovers(w http.ResponseWriter, r *http.Request) {
	docs, err := s.Runtime.Store().Handovers().List(r.Context(), s.tenantOf(r), maxHandovers)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"handovers": emptyNotNull(docs)})
}

// handoverDone takes a request out that a person has answered.
func (s *Server) handoverDone(w http.ResponseWriter, r *http.Request) {
	found, err := s.Runtime.Store().Handovers().Done(r.Context(), s.tenantOf(r), r.PathValue("request"))
	switch {
	case err != nil:
		writeError(w, err)
	case !found:
		writeError(w, &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "handover_not_found",
			Message: "no request of this id waits for a person"})
	default:
		writeJSON(w, http.StatusOK, map[string]string{"done": r.PathValue("request")})
	}
}
