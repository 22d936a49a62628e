package edge

import (
	"net/http"

	"github.com/ledge-run/ledge/runtime/openai"
)

// embed answers POST /v1/embeddings.
func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var req openai.EmbeddingRequest
	_, err := s.body(w, r, &req)
	id := s.beginDirect(w, r)
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "embedding", err))
		return
	}
	out, err := s.Runtime.Embeddings(r.Context(), id, s.identity(r), &req)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("X-Ledge-Model", out.Model)
	writeJSON(w, http.StatusOK, out)
}

// rerank answers POST /v1/rerank.
func (s *Server) rerank(w http.ResponseWriter, r *http.Request) {
	var req openai.RerankRequest
	_, err := s.body(w, r, &req)
	id := s.beginDirect(w, r)
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "rerank", err))
		return
	}
	out, err := s.Runtime.Rerank(r.Context(), id, s.identity(r), &req)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("X-Ledge-Model", out.Model)
	writeJSON(w, http.StatusOK, out)
}

// beginDirect sets the headers of an answer that takes no route.
func (s *Server) beginDirect(w http.ResponseWriter, r *http.Request) (id string) {
	id = s.begin(w, r, "")
	w.Header().Set("X-Ledge-Route", "none")
	return id
}
