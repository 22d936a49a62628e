package edge

import (
	"net/http"

	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// traced makes a request part of the distributed trace that its headers name, or begins one where spans are exported, and
// tells the client which it became (the traceresponse header of W3C Trace Context, Level 2).
func (s *Server) traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var own tracecontext.Context
		sent := r.Header["Traceparent"]
		from, ok := tracecontext.Context{}, false
		if len(sent) == 1 {
			from, ok = tracecontext.Parse(sent[0], r.Header["Tracestate"])
		}
		switch {
		case ok:
			own = from.Child()
		case s.Spans != nil:
			own = s.Spans()
		default:
			next.ServeHTTP(w, r)
			return
		}
		w.Header()["Traceresponse"] = []string{own.Traceparent()}
		next.ServeHTTP(w, r.WithContext(tracecontext.With(r.Context(), &own)))
	})
}
