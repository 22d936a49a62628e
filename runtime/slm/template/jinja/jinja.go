// Package jinja renders Jinja templates, the part of the language that models' chat templates use, with the
// settings of Hugging Face transformers (trim_blocks and lstrip_blocks on, loop controls, tojson without HTML
// escapes, mutating methods absent). The measure is equality with Python's jinja2.
//
// A template comes with a model file, so it is hostile until shown otherwise: it reads nothing but the values
// given to Render, and steps, bytes and nesting are limited (see Limits), so that every render ends quickly
// or in an error. The package knows nothing of messages or models.
//
// Start with Parse and Render here; lex.go, parse.go and statement.go read a template, value.go has the
// values, eval.go and exec.go run it, filters.go, tests.go and methods.go are the library.
//
// Source: https://jinja.palletsprojects.com/en/stable/templates/
package jinja

import (
	"errors"
	"fmt"
	"maps"
)

// Limits of one template and one render. Chat templates of real models are below 64 KiB and take some
// thousand steps.
const (
	MaxSource  = 512 << 10 // bytes of a template
	maxNesting = 150       // of expressions, statements and calls
	maxSteps   = 1 << 20   // nodes evaluated
	maxBytes   = 32 << 20  // bytes of strings and lists made or searched, in all
	maxOutput  = 16 << 20
)

// ErrLimit is wrapped by the error of a render that was stopped at a limit.
var ErrLimit = errors.New("template exceeds its limits")

// Raised is the error of a template that called raise_exception.
type Raised struct{ Message string }

func (r *Raised) Error() string { return "template: " + r.Message }

// Template is immutable and safe for concurrent use.
type Template struct {
	body []node
}

// Func is a function that a template can call. kwargs may be nil.
type Func func(args []any, kwargs map[string]any) (any, error)

// Parse reads a template. Errors give the line.
func Parse(source string) (t *Template, err error) {
	defer recoverError(&err)
	if len(source) > MaxSource {
		return nil, fmt.Errorf("template has %d bytes; at most %d are accepted", len(source), MaxSource)
	}
	p := &parser{tokens: lex(source)}
	return &Template{body: p.parseBody()}, nil
}

// Render runs the template over vars: nil, bool, int, int64, float64, string, []any, map[string]any (whose
// keys are then sorted), *Dict, json.RawMessage (whose order is kept) and Func. Values are not modified.
func (t *Template) Render(vars map[string]any) (out string, err error) {
	defer recoverError(&err)
	r := &run{}
	r.globals = &scope{vars: maps.Clone(globals)}
	for k, v := range vars {
		r.globals.vars[k] = r.fromGo(v, 0)
	}
	r.execBody(t.body, &scope{parent: r.globals, vars: map[string]any{}})
	return r.out.String(), nil
}

// failure carries an error up the stack of the recursive descent and the tree walk, as text/template does.
type failure struct{ err error }

func fail(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}

func recoverError(err *error) {
	switch p := recover().(type) {
	case nil:
	case failure:
		*err = p.err
	default:
		// A fault of this package; the process and the other requests must not pay for it.
		*err = fmt.Errorf("template: internal error: %v", p)
	}
}
