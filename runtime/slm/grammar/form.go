package grammar

import (
	"errors"
	"fmt"
)

// Kinds of sources.
const (
	KindGBNF   = "gbnf"
	KindRegex  = "regex"
	KindObject = "json_object" // any JSON object; it has no text
	KindSchema = "json_schema"
)

// Source is a form in one of the languages.
type Source struct{ Kind, Text string }

// Form is what an answer may be: a content, calls of tools, or either of both.
type Form struct {
	Content *Source
	Calls   *Calls
}

// Calls are calls of tools as a model writes them: Open, a call or a list of them, Close. A call is a JSON object with the
// tool's name under "name" and its arguments, an instance of the tool's schema, under Arguments.
type Calls struct {
	Open, Close string
	List        bool   // [call, call, ...]
	Arguments   string // arguments, or parameters
	Tools       []Tool
}

// Tool is a tool that may be called. Schema is the JSON Schema of its arguments; nil: any object.
type Tool struct {
	Name   string
	Schema []byte
}

// ToolError is a tool whose schema cannot be enforced.
type ToolError struct {
	Tool int // its place in Calls.Tools
	Err  error
}

func (e *ToolError) Error() string { return fmt.Sprintf("tool %d: %v", e.Tool, e.Err) }

func (e *ToolError) Unwrap() error { return e.Err }

// Compile compiles a form. A schema that cannot be enforced is a *SchemaError, within a *ToolError if it is a tool's.
func Compile(f Form) (*Grammar, error) {
	b := newBuilder()
	root := b.declare("text")
	kind := "tool_calls"
	var out exprAlt
	if f.Content != nil {
		kind = f.Content.Kind
		e, err := f.Content.compile(b)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if f.Calls != nil {
		e, err := f.Calls.compile(b)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	b.define(root, out)
	g, err := b.finish(kind, root)
	if errors.Is(err, errNoText) && f.Calls != nil && f.Content == nil { // then none of the tools can be called
		return nil, &ToolError{0, err}
	}
	if err != nil && f.Content != nil {
		switch f.Content.Kind {
		case KindSchema:
			err = &SchemaError{"", err.Error()}
		case KindGBNF:
			err = fmt.Errorf("grammar: %w", err)
		case KindRegex:
			err = fmt.Errorf("regex: %w", err)
		}
	}
	return g, err
}

func (s *Source) compile(b *builder) (expr, error) {
	switch s.Kind {
	case KindGBNF:
		return gbnfSource(b, s.Text)
	case KindRegex:
		return regexSource(b, s.Text)
	case KindObject:
		c := &schemaCompiler{b: b}
		return exprSeq{b.space(), c.anyObject()}, b.err
	case KindSchema:
		e, err := schemaSource(b, s.Text)
		return exprSeq{b.space(), e}, err
	}
	return nil, fmt.Errorf("%q is no kind of grammar", s.Kind)
}

func (c *Calls) compile(b *builder) (expr, error) {
	if len(c.Tools) == 0 {
		return nil, errors.New("no tools to call")
	}
	var alts exprAlt
	for i, t := range c.Tools {
		var args expr = (&schemaCompiler{b: b}).anyObject()
		if len(t.Schema) > 0 {
			var err error
			if args, err = schemaSource(b, string(t.Schema)); err != nil {
				return nil, &ToolError{i, err}
			}
			if args = b.rule("arguments", args); b.err != nil {
				return nil, &ToolError{i, b.err}
			}
		}
		alts = append(alts, exprSeq{literal(quote(t.Name)), literal(","), b.space(), literal(quote(c.Arguments)), literal(":"), b.space(), args})
	}
	call := expr(exprSeq{literal("{"), b.space(), literal(`"name":`), b.space(), alts, b.space(), literal("}")})
	if c.List {
		call = b.rule("call", call)
		call = exprSeq{literal("["), b.space(), call, exprRepeat{exprSeq{literal(","), b.space(), call}, 0, 15}, b.space(), literal("]")}
	}
	out := exprSeq{literal(c.Open), b.space(), call}
	if c.Close != "" {
		out = append(out, b.space(), literal(c.Close))
	}
	return out, b.err
}
