package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Types of JSON values, as bits. An integer is a number, too.
const (
	typeNull = 1 << iota
	typeBool
	typeNumber
	typeInteger
	typeString
	typeArray
	typeObject
	typeAll = 1<<iota - 1
)

var typeBits = map[string]int{"null": typeNull, "boolean": typeBool, "number": typeNumber | typeInteger, "integer": typeInteger, "string": typeString,
	"array": typeArray, "object": typeObject}

// shape is a conjunction of keywords.
type shape struct {
	parts  []part
	types  int
	enum   []any // nil: anything
	number numberSpec
	text   textSpec

	properties []string // in order
	required   map[string]bool
	minProps   int
	maxProps   int // -1: no limit
	minItems   int
	maxItems   int
	rest       *part // what properties must be that no part names; nil: anything
}

func (c *schemaCompiler) gather(flat []part) (*shape, error) {
	s := &shape{parts: flat, types: typeAll, text: textSpec{max: -1}, required: map[string]bool{}, maxProps: -1, maxItems: -1}
	for i := range flat {
		if err := s.add(&flat[i]); err != nil {
			return nil, err
		}
	}
	s.number.integer = s.types&typeNumber == 0
	if s.enum != nil {
		var kept []any
		for _, v := range s.enum {
			ok, err := s.allows(v)
			if err != nil {
				return nil, err
			}
			if ok {
				kept = append(kept, v)
			}
		}
		s.enum = append([]any{}, kept...)
	}
	return s, nil
}

func (s *shape) add(p *part) error {
	o := p.raw.(*object)
	for _, k := range o.keys {
		if err := s.keyword(p, k, o.m[k]); err != nil {
			var known *SchemaError
			if errors.As(err, &known) {
				return err
			}
			return p.errorf("%s: %v", k, err)
		}
	}
	return nil
}

func (s *shape) keyword(p *part, k string, v any) error {
	raise := func(n *int) error {
		i, err := count(v)
		*n = max(*n, i)
		return err
	}
	lower := func(n *int) error {
		i, err := count(v)
		if *n < 0 || i < *n {
			*n = i
		}
		return err
	}
	switch k {
	case "type":
		return s.setTypes(v)
	case "nullable":
		if v == true {
			return errors.New(`it is not JSON Schema; write "type": [..., "null"]`)
		}
	case "enum":
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return errors.New("it is no array with elements")
		}
		s.meetEnum(list)
	case "const":
		s.meetEnum([]any{v})
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return s.bound(p, k, v)
	case "minLength":
		return raise(&s.text.min)
	case "maxLength":
		return lower(&s.text.max)
	case "pattern":
		text, ok := v.(string)
		if !ok {
			return errors.New("it is no string")
		}
		s.text.patterns = append(s.text.patterns, text)
	case "format":
		return s.format(p, v)
	case "contentEncoding":
		if v != "base64" {
			return fmt.Errorf("the encoding %s cannot be enforced; base64 can", short(v))
		}
		s.text.patterns = append(s.text.patterns, formats["byte"])
	case "unevaluatedProperties":
		return s.closeProperties(p, v)
	case "minItems":
		return raise(&s.minItems)
	case "maxItems":
		return lower(&s.maxItems)
	case "minProperties":
		return raise(&s.minProps)
	case "maxProperties":
		return lower(&s.maxProps)
	case "uniqueItems":
		if v == true {
			if n, err := count(p.raw.(*object).m["maxItems"]); err != nil || n > 1 {
				return errors.New("that items differ cannot be enforced")
			}
		}
	case "required":
		list, ok := v.([]any)
		if !ok {
			return errors.New("it is no array of strings")
		}
		for _, name := range list {
			text, ok := name.(string)
			if !ok {
				return errors.New("it is no array of strings")
			}
			s.name(text)
			s.required[text] = true
		}
	case "properties":
		props, ok := v.(*object)
		if !ok {
			return errors.New("it is no object")
		}
		for _, name := range props.keys {
			s.name(name)
		}
	}
	return nil // annotations, and what is read where it is needed
}

// name enters a property, in the order of the schema: properties before what only required names.
func (s *shape) name(name string) {
	if !slices.Contains(s.properties, name) {
		s.properties = append(s.properties, name)
	}
}

func (s *shape) setTypes(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	types := 0
	for _, t := range list {
		name, _ := t.(string)
		bits, ok := typeBits[name]
		if !ok {
			return fmt.Errorf("%s is no type", short(t))
		}
		types |= bits
	}
	s.types &= types
	return nil
}

func (s *shape) meetEnum(list []any) {
	if s.enum == nil {
		s.enum = append([]any{}, list...)
		return
	}
	s.enum = slices.DeleteFunc(s.enum, func(v any) bool {
		return !slices.ContainsFunc(list, func(w any) bool { return same(v, w) })
	})
}

func (s *shape) bound(p *part, k string, v any) error {
	o := p.raw.(*object)
	if flag, ok := v.(bool); ok && strings.HasPrefix(k, "exclusive") { // draft 4
		if !flag {
			return nil
		}
		return fmt.Errorf("it is a boolean, as in draft 4; give it the bound itself")
	}
	n, ok := v.(json.Number)
	if !ok {
		return errors.New("it is no number")
	}
	r, err := rational(n)
	if err != nil {
		return err
	}
	switch k {
	case "minimum":
		s.number.atLeast(r, o.m["exclusiveMinimum"] == true)
	case "maximum":
		s.number.atMost(r, o.m["exclusiveMaximum"] == true)
	case "exclusiveMinimum":
		s.number.atLeast(r, true)
	case "exclusiveMaximum":
		s.number.atMost(r, true)
	case "multipleOf":
		if r.Sign() <= 0 {
			return errors.New("it is not above 0")
		}
		if s.number.multiple != nil {
			s.number.plusMultiple = append(s.number.plusMultiple, r)
		} else {
			s.number.multiple = r
		}
	}
	return nil
}

// maxCount bounds lengths and counts of a schema; larger ones are refused.
const maxCount = 1 << 17

func count(v any) (int, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, errors.New("it is no number")
	}
	r, err := rational(n)
	if err != nil {
		return 0, err
	}
	if !r.IsInt() || r.Sign() < 0 {
		return 0, errors.New("it is no count")
	}
	if r.Cmp(big.NewRat(maxCount, 1)) > 0 {
		return 0, fmt.Errorf("%w: %s is more than %d", ErrLimit, n, maxCount)
	}
	return int(r.Num().Int64()), nil
}

// allows says whether a value of an enum fits the other keywords.
func (s *shape) allows(v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return s.types&typeNull != 0, nil
	case bool:
		return s.types&typeBool != 0, nil
	case json.Number:
		r, err := rational(v)
		if err != nil {
			return false, err
		}
		n := &s.number
		ok := s.types&typeNumber != 0 || s.types&typeInteger != 0 && r.IsInt()
		if n.lo != nil {
			ok = ok && (r.Cmp(n.lo) > 0 || !n.loEx && r.Cmp(n.lo) == 0)
		}
		if n.hi != nil {
			ok = ok && (r.Cmp(n.hi) < 0 || !n.hiEx && r.Cmp(n.hi) == 0)
		}
		for _, m := range append([]*big.Rat{n.multiple}, n.plusMultiple...) {
			ok = ok && (m == nil || new(big.Rat).Quo(r, m).IsInt())
		}
		return ok, nil
	case string:
		length := utf8.RuneCountInString(v)
		ok := s.types&typeString != 0 && length >= s.text.min && (s.text.max < 0 || length <= s.text.max)
		for _, p := range s.text.patterns {
			re, err := searchRegexp(p)
			if err != nil {
				return false, err
			}
			ok = ok && re.MatchString(v)
		}
		return ok, nil
	case []any:
		for _, p := range s.parts {
			for _, k := range []string{"items", "prefixItems", "minItems", "maxItems"} {
				if _, there := p.raw.(*object).m[k]; there && s.types&typeArray != 0 {
					return false, p.errorf("%s beside an enum with arrays cannot be enforced", k)
				}
			}
		}
		return s.types&typeArray != 0, nil
	}
	for _, p := range s.parts {
		for _, k := range []string{"properties", "required", "additionalProperties", "minProperties", "maxProperties"} {
			if _, there := p.raw.(*object).m[k]; there && s.types&typeObject != 0 {
				return false, p.errorf("%s beside an enum with objects cannot be enforced", k)
			}
		}
	}
	return s.types&typeObject != 0, nil
}
