package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is an error in the shape OpenAI clients parse. Status is the HTTP status it travels with.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"message"`
	Type    string `json:"type"`
	Param   string `json:"param"`
	Code    string `json:"code"`
	// RetryAfter, in seconds, is sent as a header when it is above 0.
	RetryAfter int `json:"-"`
	// Headers are sent beside it.
	Headers map[string]string `json:"-"`
	// Cause is for the log and the trace; it never reaches a client.
	Cause error `json:"-"`
}

// Types of errors, as OpenAI names them.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeRateLimit      = "rate_limit_error"
	TypePermission     = "permission_error"
	TypeServer         = "server_error"
	TypePolicy         = "policy_error"
)

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// MarshalJSON writes the envelope {"error": {...}} with null for an absent param or code.
func (e *Error) MarshalJSON() ([]byte, error) {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return json.Marshal(map[string]any{"error": map[string]any{
		"message": e.Message, "type": e.Type, "param": null(e.Param), "code": null(e.Code),
	}})
}

// Invalid returns a 400 for one parameter of the request.
func Invalid(param, code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: TypeInvalidRequest, Param: param, Code: code, Message: fmt.Sprintf(format, args...)}
}

// TooLarge returns the 413 for a request body above limit bytes.
func TooLarge(limit int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Type: TypeInvalidRequest, Code: "request_too_large",
		Message: fmt.Sprintf("the request body is larger than %d bytes", limit)}
}

// ModelNotFound returns the 404 for a name in the model field that is no route's and no model's.
func ModelNotFound(name string) *Error {
	if most := 200; len(name) > most {
		name = name[:most] + "..."
	}
	return &Error{Status: http.StatusNotFound, Type: TypeInvalidRequest, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("the model %q does not exist here; GET /v1/models lists the routes and models", name)}
}

// FieldError is a value of a known field that has the wrong form.
type FieldError struct{ Field, Message string }

func (e *FieldError) Error() string { return e.Message }

// ReadError returns the error for a body that could not be read whole: 413 when it was an http.MaxBytesReader that ran
// over, 408 when it took too long, else 400.
func ReadError(err error) *Error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: http.StatusRequestTimeout, Type: TypeInvalidRequest, Code: "body_timeout", Message: "the request body took too long to arrive", Cause: err}
	}
	return &Error{Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "body_unreadable", Message: "the request body could not be read", Cause: err}
}

// Decode reads one JSON document into v. A fault comes back as an *Error with the status a client expects: 400 for
// malformed JSON and wrong types, naming the field. Unknown fields are accepted.
func Decode(b []byte, v any) error {
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return Invalid("", "invalid_json", "the request body is empty; send a JSON object")
	case !utf8.Valid(b): // JSON text is UTF-8 (RFC 8259, 8.1); what a decoder would put in its place the client did not say
		return Invalid("", "invalid_json", "the request body is not valid JSON: it is not UTF-8")
	}
	if r, ok := v.(*ChatRequest); ok && r.plain(b) {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		var syntax *json.SyntaxError
		var wrong *json.UnmarshalTypeError
		var field *FieldError
		switch {
		case errors.As(err, &field):
			return Invalid(field.Field, "invalid_value", "%s", field.Message)
		case errors.As(err, &wrong):
			if wrong.Field == "" {
				return Invalid("", "invalid_type", "the request body must be a JSON object, not %s", wrong.Value)
			}
			name := fieldPath(wrong.Field)
			if number, ok := strings.CutPrefix(wrong.Value, "number "); ok {
				return Invalid(name, "invalid_type", "%s: %s is not %s, or too large for one", name, number, jsonKind(wrong.Type.Kind().String()))
			}
			return Invalid(name, "invalid_type", "%s: expected %s, got %s", name, jsonKind(wrong.Type.Kind().String()), wrong.Value)
		case errors.As(err, &syntax):
			return Invalid("", "invalid_json", "the request body is not valid JSON: %v at byte %d", syntax, syntax.Offset)
		}
		return Invalid("", "invalid_json", "the request body is not valid JSON: %v", err)
	}
	return nil
}

// fieldPath is a field's path without the Go names of embedded structs, which no client knows. The API's names are lower case.
func fieldPath(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p != "" && 'A' <= p[0] && p[0] <= 'Z' }), ".")
}

// jsonKind names a Go kind as a JSON author would.
func jsonKind(kind string) string {
	switch kind {
	case "int", "int32", "int64":
		return "an integer"
	case "float64":
		return "a number"
	case "bool":
		return "a boolean"
	case "string":
		return "a string"
	case "slice":
		return "an array"
	}
	return "an object"
}
