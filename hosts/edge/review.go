package edge

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/review"
)

// maxReviews bounds a list of items.
const maxReviews = 1000

// reviews answers with what guards stopped, newest first.
func (s *Server) reviews(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := 50
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxReviews {
			writeError(w, openai.Invalid("limit", "invalid_value", "limit must be a number from 1 to %d", maxReviews))
			return
		}
		limit = n
	}
	status := q.Get("status")
	switch status {
	case "", review.Open, review.Approved, review.Overturned:
	default:
		writeError(w, openai.Invalid("status", "invalid_value", "status must be open, approved or overturned"))
		return
	}
	items, err := s.Runtime.Reviews().List(s.tenantOf(r), status, limit)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": items})
}

// review answers with one item.
func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	item, err := s.Runtime.Reviews().Get(s.tenantOf(r), r.PathValue("id"))
	if err != nil {
		writeError(w, reviewError(err))
		return
	}
	writeJSON(w, http.StatusOK, item)
}

// ReviewDecision is what a person says of an item.
type ReviewDecision struct {
	Decision string `json:"decision"` // approved: the guard was right; overturned: it was not
	Note     string `json:"note,omitempty"`
	Text     string `json:"text,omitempty"` // that was stopped, where the route does not keep it
}

// maxNote bounds a note, in bytes.
const maxNote = 500

// decide settles one item.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	var d ReviewDecision
	if _, err := s.body(w, r, &d); err != nil {
		writeError(w, err)
		return
	}
	if d.Decision != review.Approved && d.Decision != review.Overturned {
		writeError(w, openai.Invalid("decision", "invalid_value", "decision must be approved or overturned"))
		return
	}
	if len(d.Note) > maxNote {
		writeError(w, openai.Invalid("note", "invalid_value", "note may have %d bytes", maxNote))
		return
	}
	who := s.identity(r)
	by := cmp.Or(who.Subject, who.Key, "operator")
	item, err := s.Runtime.Reviews().Decide(s.tenantOf(r), r.PathValue("id"), d.Decision, d.Text, review.Decision{By: by, Time: time.Now().UTC(), Note: d.Note})
	if err != nil {
		writeError(w, reviewError(err))
		return
	}
	writeJSON(w, http.StatusOK, item)
}

func reviewError(err error) error {
	switch {
	case errors.Is(err, review.ErrNotFound):
		return &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "not_found", Message: err.Error()}
	case errors.Is(err, review.ErrText):
		return openai.Invalid("text", "invalid_value", "%s", err.Error())
	}
	return err
}
