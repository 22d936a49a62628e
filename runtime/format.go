package runtime

import (
	"encoding/json"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/grammar"
)

// formatOf reads what form a client wants the answer in; nil: any.
func formatOf(f *openai.ResponseFormat, x *openai.Extensions) (*pipeline.Format, error) {
	var found []*pipeline.Format
	if f != nil {
		switch f.Type {
		case "", "text":
		case "json_object":
			found = append(found, &pipeline.Format{Kind: grammar.KindObject, Param: "response_format"})
		case "json_schema":
			format, err := schemaFormat(f.JSONSchema)
			if err != nil {
				return nil, err
			}
			found = append(found, format)
		default:
			return nil, openai.Invalid("response_format.type", "invalid_value", "response_format.type: %q is not one of text, json_object, json_schema", f.Type)
		}
	}
	for _, e := range []struct{ param, kind, source string }{
		{"grammar", grammar.KindGBNF, x.Grammar}, {"regex", grammar.KindRegex, x.Regex}, {"guided_regex", grammar.KindRegex, x.GuidedRegex},
	} {
		if e.source != "" {
			found = append(found, &pipeline.Format{Kind: e.kind, Source: e.source, Param: e.param})
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, openai.Invalid(found[1].Param, "invalid_value", "%s and %s exclude each other", found[0].Param, found[1].Param)
}

func schemaFormat(doc json.RawMessage) (*pipeline.Format, error) {
	var s struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
		Strict *bool           `json:"strict"`
	}
	if err := json.Unmarshal(doc, &s); err != nil {
		return nil, openai.Invalid("response_format.json_schema", "invalid_type", "response_format.json_schema must be an object with name, schema and strict: %v", err)
	}
	if len(s.Schema) == 0 || string(s.Schema) == "null" {
		return nil, openai.Invalid("response_format.json_schema.schema", "missing_required_parameter", "response_format.json_schema.schema is missing")
	}
	return &pipeline.Format{Kind: grammar.KindSchema, Source: string(s.Schema), Strict: s.Strict != nil && *s.Strict, Param: "response_format"}, nil
}
