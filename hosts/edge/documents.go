package edge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/search"
)

// maxDocumentBody bounds a submission of documents, in bytes: files travel in base64.
const maxDocumentBody = 128 << 20

// documentRoutes registers what manages documents. Whoever may write a tenant's documents sees all of them; to search as
// any of its users takes its administrator.
func (s *Server) documentRoutes(mux *http.ServeMux) {
	const base = "/admin/v1/documents"
	writer := func(h http.HandlerFunc) http.HandlerFunc { return s.needs(identity.RoleDocsWrite, h) }
	methods(mux, base, map[string]http.HandlerFunc{"GET": writer(s.listDocuments), "POST": writer(s.addDocuments)})
	route(mux, "POST", base+"/search", s.needs(identity.RoleAdmin, s.searchDocuments))
	route(mux, "POST", "/admin/v1/erase", s.needs(identity.RoleAdmin, s.erase))
	route(mux, "POST", base+"/reindex", s.needs(identity.RoleAdmin, s.reindex))
	route(mux, "GET", base+"/jobs", writer(s.listJobs))
	route(mux, "GET", base+"/jobs/{job}", writer(s.job))
	methods(mux, base+"/{id...}", map[string]http.HandlerFunc{"GET": writer(s.document), "DELETE": writer(s.removeDocument), "PATCH": writer(s.changeDocument)})
}

// NewDocument is a file in a submission. Exactly one of Text and Data is given.
type NewDocument struct {
	Name           string     `json:"name"`
	MediaType      string     `json:"media_type,omitempty"`
	Text           string     `json:"text,omitempty"`
	Data           []byte     `json:"data,omitempty"` // base64
	Owner          string     `json:"owner,omitempty"`
	Classification string     `json:"classification,omitempty"`
	Groups         []string   `json:"groups,omitempty"`
	Purposes       []string   `json:"purposes,omitempty"`
	Approved       *bool      `json:"approved,omitempty"` // absent: true
	Expires        time.Time  `json:"expires,omitzero"`
	Modified       time.Time  `json:"modified,omitzero"`
	Cut            ingest.Cut `json:"cut,omitzero"`
}

// rule is the document's, with the defaults of the site where it says nothing.
func (d *NewDocument) rule(defaults search.Rule) search.Rule {
	r := search.Rule{Classification: d.Classification, Groups: d.Groups, Purposes: d.Purposes, Approved: defaults.Approved, Expires: d.Expires}
	if r.Classification == "" {
		r.Classification = defaults.Classification
	}
	if d.Approved != nil {
		r.Approved = *d.Approved
	}
	return r
}

// Sources are the files of a submission, with the site's rule where they say nothing.
func Sources(docs []NewDocument, defaults search.Rule) []ingest.Source {
	out := make([]ingest.Source, len(docs))
	for i := range docs {
		d := &docs[i]
		out[i] = ingest.Source{Name: d.Name, MediaType: d.MediaType, Owner: d.Owner, Rule: d.rule(defaults), Modified: d.Modified, Cut: d.Cut, Data: d.Data}
		if d.Text != "" {
			out[i].Data = []byte(d.Text)
			if d.Data != nil {
				out[i].Fault = errors.New("it has both text and data; give one of them")
			}
		}
	}
	return out
}

// tenant is whose documents a request of the administration is about.
func (s *Server) tenant(r *http.Request) string {
	if t := s.tenantOf(r); t != "" {
		return t
	}
	return s.identity(r).Tenant
}

// addDocuments accepts files; they become documents in the background.
func (s *Server) addDocuments(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Documents []NewDocument `json:"documents"`
	}
	if _, err := readBody(w, r, &req, maxDocumentBody); err != nil {
		writeError(w, err)
		return
	}
	files := Sources(req.Documents, s.Runtime.DefaultRule())
	job, err := s.Runtime.Ingest().Submit(s.tenant(r), files)
	if err != nil {
		writeError(w, openai.Invalid("documents", "invalid_value", "%v", err))
		return
	}
	writeJSON(w, http.StatusAccepted, job)
}

func (s *Server) listDocuments(w http.ResponseWriter, r *http.Request) {
	docs, err := s.Runtime.Library().List(s.tenant(r))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"documents": emptyNotNull(docs)})
}

func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) {
	jobs, err := s.Runtime.Ingest().Jobs(s.tenant(r))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"jobs": emptyNotNull(jobs)})
}

// job answers with the progress of a job and what became of each file.
func (s *Server) job(w http.ResponseWriter, r *http.Request) {
	job, err := s.Runtime.Ingest().Job(s.tenant(r), r.PathValue("job"))
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, job)
}

func (s *Server) document(w http.ResponseWriter, r *http.Request) {
	doc, err := s.Runtime.Library().Get(s.tenant(r), r.PathValue("id"))
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, doc)
}

func (s *Server) removeDocument(w http.ResponseWriter, r *http.Request) {
	doc, err := s.Runtime.Library().Delete(s.tenant(r), r.PathValue("id"))
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, doc)
}

// changeDocument changes who may read a document. What the request does not name stays.
func (s *Server) changeDocument(w http.ResponseWriter, r *http.Request) {
	doc, err := s.Runtime.Library().Get(s.tenant(r), r.PathValue("id"))
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	rule := doc.Rule
	if _, err := s.body(w, r, &rule); err != nil {
		writeError(w, err)
		return
	}
	if doc, err = s.Runtime.Library().SetRule(s.tenant(r), doc.ID, rule); err != nil {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, doc)
}

// SearchRequest asks for chunks as a user of the tenant would find them.
type SearchRequest struct {
	Query string  `json:"query"`
	K     int     `json:"k,omitempty"`
	Mode  string  `json:"mode,omitempty"`
	Floor float64 `json:"floor,omitempty"`
	MMR   float64 `json:"mmr,omitempty"` // weight of relevance against novelty; 1: no diversity
	// NoRerank leaves the reranker out where there is one.
	NoRerank bool     `json:"no_rerank,omitempty"`
	As       SearchAs `json:"as"`
}

// SearchAs is whose rights a search has. Without any it sees what is public and for everyone.
type SearchAs struct {
	Subject   string   `json:"subject,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Clearance string   `json:"clearance,omitempty"`
	Purpose   string   `json:"purpose,omitempty"`
}

// For is the request as a query among a tenant's documents.
func (r *SearchRequest) For(tenant string) search.Query {
	return search.Query{Text: r.Query, K: r.K, Mode: r.Mode, Floor: r.Floor, MMR: r.MMR, Plain: r.NoRerank,
		Access: search.Access{Tenant: tenant, Subject: r.As.Subject, Groups: r.As.Groups, Clearance: r.As.Clearance, Purpose: r.As.Purpose}}
}

func (s *Server) searchDocuments(w http.ResponseWriter, r *http.Request) {
	var req SearchRequest
	if _, err := s.body(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	result, err := s.Runtime.Library().Search(r.Context(), req.For(s.tenant(r)))
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"hits": emptyNotNull(result.Hits), "readable": result.Allowed, "version": result.Version})
}

// erase removes documents, all that was made of them, and their bytes.
func (s *Server) erase(w http.ResponseWriter, r *http.Request) {
	var req runtime.EraseRequest
	if _, err := s.body(w, r, &req); err != nil {
		writeError(w, err)
		return
	}
	who := s.identity(r)
	operator := who.Has(identity.RoleOperator)
	switch {
	case req.Tenant == "":
		req.Tenant = s.tenant(r)
	case req.Tenant != who.Tenant && !operator:
		writeError(w, forbidden("an administrator erases what is of its own tenant only"))
		return
	}
	if (req.Subject == "") == (req.Document == "") {
		writeError(w, openai.Invalid("subject", "invalid_value", "name either a subject or a document"))
		return
	}
	report, err := s.Runtime.Erase(r.Context(), req)
	if err != nil {
		writeError(w, documentError(err))
		return
	}
	if !operator {
		report.Shared = 0 // it would tell whether another tenant has the same text
	}
	writeJSON(w, http.StatusOK, report)
}

// reindexTurn is how long one request for it works before it answers how far it came; the next one goes on.
const reindexTurn = 20 * time.Second

// Reindexing is how far the making of an index with another embedder is.
type Reindexing struct {
	search.Reindexed
	Finished bool `json:"finished"`
}

// reindex makes the tenant's index anew with the embedder in use, or a part of it.
func (s *Server) reindex(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), reindexTurn)
	defer cancel()
	done, err := s.Runtime.Library().Reindex(ctx, s.tenant(r), nil)
	if err != nil && (r.Context().Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
		writeError(w, documentError(err))
		return
	}
	writeJSON(w, http.StatusOK, Reindexing{done, err == nil})
}

// documentError is an error of the library as a client may see it.
func documentError(err error) error {
	switch {
	case errors.Is(err, search.ErrNotFound):
		return &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "document_not_found", Message: err.Error()}
	case errors.Is(err, ingest.ErrNoJob):
		return &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "job_not_found", Message: err.Error()}
	case errors.Is(err, search.ErrAccess):
		return &openai.Error{Status: http.StatusForbidden, Type: openai.TypePolicy, Code: "access_undecided", Message: err.Error()}
	case errors.Is(err, search.ErrRule):
		return openai.Invalid("classification", "invalid_value", "%v", err)
	case errors.Is(err, search.ErrEmbedder):
		return &openai.Error{Status: http.StatusConflict, Type: openai.TypeInvalidRequest, Code: "embedder_changed", Message: err.Error()}
	}
	return err
}
