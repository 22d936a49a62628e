package edge

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/state"
)

// usage answers GET /admin/v1/usage: from, to (days in UTC, both included), by (columns), tenant (an operator's choice),
// recount=true (from the traces), format=csv.
func (s *Server) usage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	by, from, to, err := UsageQuery(q.Get("by"), q.Get("from"), q.Get("to"))
	if err != nil {
		writeError(w, err)
		return
	}
	lines, err := s.Runtime.Usage(r.Context(), s.tenantOf(r), from, to, q.Get("recount") == "true")
	if err != nil {
		writeError(w, err)
		return
	}
	lines = runtime.SumUsage(lines, by)
	if q.Get("format") == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		_ = runtime.WriteUsage(w, lines, by) // a client that left needs no answer
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"from": from.Format(state.DayFormat), "to": to.Format(state.DayFormat), "usage": lines})
}

// UsageQuery reads what usage is asked for; empty are tenant and model, the first of this month, and today.
func UsageQuery(columns, first, last string) (by []string, from, to time.Time, err error) {
	by = []string{"tenant", "model"}
	if columns != "" {
		by = strings.Split(columns, ",")
	}
	for _, c := range by {
		if !slices.Contains(runtime.UsageColumns, c) {
			return nil, from, to, openai.Invalid("by", "invalid_value", "by: %q is not one of %s", c, strings.Join(runtime.UsageColumns, ", "))
		}
	}
	to = time.Now().UTC()
	from = to.AddDate(0, 0, 1-to.Day())
	for _, d := range []struct {
		name, value string
		day         *time.Time
	}{{"from", first, &from}, {"to", last, &to}} {
		if d.value == "" {
			continue
		}
		if *d.day, err = time.Parse(state.DayFormat, d.value); err != nil {
			return nil, from, to, openai.Invalid(d.name, "invalid_value", "%s: %q is not a day; write it as 2006-01-31", d.name, d.value)
		}
	}
	return by, from, to, nil
}
