package outputguard

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// schema is a JSON Schema (draft 2020-12) as far as answers need it: other keywords are refused, and not passed over.
type schema struct {
	never      bool // the schema false
	types      []string
	enum       []any
	properties map[string]*schema
	required   []string
	additional *schema // nil: anything
	items      *schema
	bounds     map[string]float64
}

// maxDepth bounds how deep schemas and answers nest.
const maxDepth = 64

func parseSchema(text string) (*schema, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	return readSchema(v, 0)
}

func readSchema(v any, depth int) (*schema, error) {
	if depth > maxDepth {
		return nil, errors.New("it nests too deep")
	}
	if b, ok := v.(bool); ok {
		return &schema{never: !b}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("a schema is an object, true or false")
	}
	s := &schema{bounds: map[string]float64{}}
	for key, v := range m {
		var err error
		ok := true
		switch key {
		case "$schema", "$id", "title", "description", "examples", "default", "$comment":
		case "type":
			switch t := v.(type) {
			case string:
				s.types = []string{t}
			case []any:
				s.types, ok = texts(t)
			default:
				ok = false
			}
			for _, t := range s.types {
				ok = ok && slices.Contains([]string{"null", "boolean", "object", "array", "number", "integer", "string"}, t)
			}
		case "enum":
			s.enum, ok = v.([]any)
		case "const":
			s.enum = []any{v}
		case "required":
			var list []any
			if list, ok = v.([]any); ok {
				s.required, ok = texts(list)
			}
		case "properties":
			var p map[string]any
			if p, ok = v.(map[string]any); ok {
				s.properties = map[string]*schema{}
				for name, v := range p {
					if s.properties[name], err = readSchema(v, depth+1); err != nil {
						return nil, errors.New(name + ": " + err.Error())
					}
				}
			}
		case "additionalProperties":
			s.additional, err = readSchema(v, depth+1)
		case "items":
			s.items, err = readSchema(v, depth+1)
		case "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems":
			s.bounds[key], ok = v.(float64)
		default:
			return nil, errors.New("the keyword " + strconv.Quote(key) + " is not supported")
		}
		if err != nil {
			return nil, errors.New(key + ": " + err.Error())
		}
		if !ok {
			return nil, errors.New("the value of " + strconv.Quote(key) + " is of the wrong kind")
		}
	}
	return s, nil
}

func texts(list []any) (out []string, ok bool) {
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// check says why an answer is no instance.
func (s *schema) check(answer string) error {
	d := json.NewDecoder(bytes.NewReader([]byte(answer)))
	var v any
	if err := d.Decode(&v); err != nil {
		return errors.New("it is no JSON")
	}
	if d.More() {
		return errors.New("something follows the JSON document")
	}
	return s.instance(v, "$", 0)
}

func (s *schema) instance(v any, at string, depth int) error {
	wrong := func(what string) error { return errors.New(at + " " + what) }
	if s.never {
		return wrong("must not be there")
	}
	if depth > maxDepth {
		return wrong("nests too deep")
	}
	kind := ""
	switch v := v.(type) {
	case nil:
		kind = "null"
	case bool:
		kind = "boolean"
	case string:
		kind = "string"
		if err := s.bound("Length", utf8.RuneCountInString(v)); err != "" {
			return wrong(err)
		}
	case float64:
		kind = "number"
		if v == float64(int64(v)) && slices.Contains(s.types, "integer") {
			kind = "integer"
		}
		if least, ok := s.bounds["minimum"]; ok && v < least {
			return wrong("is below the minimum")
		}
		if most, ok := s.bounds["maximum"]; ok && v > most {
			return wrong("is above the maximum")
		}
	case []any:
		kind = "array"
		if err := s.bound("Items", len(v)); err != "" {
			return wrong(err)
		}
		for i, e := range v {
			if s.items != nil {
				if err := s.items.instance(e, at+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		kind = "object"
		for _, name := range s.required {
			if _, ok := v[name]; !ok {
				return wrong("lacks " + strconv.Quote(name))
			}
		}
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names) // so that the first fault is always the same
		for _, name := range names {
			p := s.properties[name]
			if p == nil {
				p = s.additional
			}
			if p != nil {
				if err := p.instance(v[name], at+"."+name, depth+1); err != nil {
					return err
				}
			}
		}
	}
	if len(s.types) > 0 && !slices.Contains(s.types, kind) {
		return wrong("is of the type " + kind + ", not " + strings.Join(s.types, " or "))
	}
	if s.enum != nil && !slices.ContainsFunc(s.enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		return wrong("is none of the values that are allowed")
	}
	return nil
}

func (s *schema) bound(of string, n int) string {
	if least, ok := s.bounds["min"+of]; ok && float64(n) < least {
		return "is too short"
	}
	if most, ok := s.bounds["max"+of]; ok && float64(n) > most {
		return "is too long"
	}
	return ""
}
