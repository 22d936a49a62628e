package edge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/ledge-run/ledge/runtime/openai"
)

// errInternal hides what a client has no use for; the trace and the log have it.
var errInternal = &openai.Error{Status: http.StatusInternalServerError, Type: openai.TypeServer, Code: "internal_error",
	Message: "the request failed inside the appliance; its decision trace and the log tell why"}

// statusClientClosed is the status of a request whose client left.
const statusClientClosed = 499

// clientError is the error as a client may see it.
func clientError(err error) *openai.Error {
	var shown *openai.Error
	switch {
	case errors.As(err, &shown):
		return shown
	case errors.Is(err, context.Canceled):
		return &openai.Error{Status: statusClientClosed, Type: openai.TypeServer, Code: "client_closed", Message: "the client closed the request"}
	case errors.Is(err, context.DeadlineExceeded):
		return &openai.Error{Status: http.StatusGatewayTimeout, Type: openai.TypeServer, Code: "timeout", Message: "the request took too long"}
	}
	return errInternal
}

// writeError answers with an error in the shape of the request's dialect.
func writeError(w http.ResponseWriter, err error) {
	e := clientError(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="ledge"`)
	}
	writeJSON(w, e.Status, dialectOf(w).refusal(e))
}

// writeJSON answers with one JSON document.
func writeJSON(w http.ResponseWriter, status int, v any) {
	doc, err := json.Marshal(v)
	if err != nil {
		status, doc = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer could not be encoded","type":"server_error","param":null,"code":"internal_error"}}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(doc, '\n')) // a client that left needs no answer
}
