package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SchemaError is a schema that cannot be enforced. Path is a JSON pointer into it.
type SchemaError struct{ Path, Message string }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("json_schema: at %s: %s", "#"+e.Path, e.Message)
}

// JSON matches any JSON object; with value, any JSON value.
func JSON(value bool) (*Grammar, error) {
	if value {
		return Compile(Form{Content: &Source{KindSchema, "true"}})
	}
	return Compile(Form{Content: &Source{Kind: KindObject}})
}

// Schema compiles a JSON Schema (draft 2020-12, and what 7 writes otherwise). Every text that the grammar lets through is
// an instance of the schema. Properties come in the order of the schema, then additional ones, which are written only
// where additionalProperties asks for them or there are no properties. What cannot be enforced is a *SchemaError.
func Schema(doc []byte) (*Grammar, error) {
	return Compile(Form{Content: &Source{KindSchema, string(doc)}})
}

// schemaSource returns what matches the instances of a schema, with no white space around them.
func schemaSource(b *builder, doc string) (expr, error) {
	v, err := parseJSON([]byte(doc))
	if err != nil {
		return nil, &SchemaError{"", err.Error()}
	}
	c := &schemaCompiler{b: b, rules: map[string]int{}, ids: map[*object]int{}}
	c.index(v)
	return c.compile([]part{{raw: v}})
}

// space is the white space between tokens of JSON. It ends: a model that likes line breaks would never stop else.
func (b *builder) space() expr {
	return b.once("space", func() expr {
		return exprRepeat{exprAlt{literal(" "), exprSeq{literal("\n"), exprRepeat{oneOf(" \t"), 0, 20}}}, 0, 1}
	})
}

// part is one schema of a conjunction: all of it, its own keywords only, or a choice of sub-schemas.
type part struct {
	raw    any
	path   string
	own    bool      // the keywords beside $ref, allOf, anyOf, oneOf
	choice []any     // one of these
	one    bool      // exactly one
	chain  []*object // the schemas that this one applies with, outermost first
}

type schemaCompiler struct {
	b     *builder
	names schemaNames
	rules map[string]int // by the parts of a conjunction
	ids   map[*object]int
	work  int
}

// maxSchemaWork bounds the sub-schemas looked at.
const maxSchemaWork = 1 << 14

func (p *part) errorf(format string, args ...any) error {
	return &SchemaError{p.path, fmt.Sprintf(format, args...)}
}

func (p *part) below(raw any, steps ...any) part {
	path := p.path
	for _, s := range steps {
		path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(fmt.Sprint(s))
	}
	return part{raw: raw, path: path}
}

// refused are keywords that ask for something which cannot be enforced here.
var refused = []string{"not", "if", "then", "else", "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies",
	"contains", "minContains", "maxContains", "unevaluatedItems", "$dynamicRef", "$recursiveRef", "contentSchema"}

// flatten takes a conjunction apart into schemas' own keywords and choices. none: one of the parts is false.
func (c *schemaCompiler) flatten(parts []part) (flat []part, none bool, err error) {
	work := slices.Clone(parts)
	seen := map[*object]bool{}
	for len(work) > 0 {
		p := work[0]
		work = work[1:]
		if c.work++; c.work > maxSchemaWork {
			return nil, false, p.errorf("%v: more than %d sub-schemas once references are followed", ErrLimit, maxSchemaWork)
		}
		if p.own || p.choice != nil {
			if o, ok := p.raw.(*object); !p.own || !ok || !seen[o] {
				flat = append(flat, p)
				if p.own {
					seen[o] = true
				}
			}
			continue
		}
		switch raw := p.raw.(type) {
		case bool:
			if !raw {
				return nil, true, nil
			}
		case *object:
			if slices.Contains(p.chain, raw) {
				return nil, false, p.errorf("$ref goes round in a circle without consuming anything")
			}
			if seen[raw] {
				continue
			}
			for _, k := range refused {
				if v, ok := raw.m[k]; ok {
					return nil, false, p.errorf("the keyword %s cannot be enforced here (its value is %s)", k, short(v))
				}
			}
			seen[raw] = true
			chain := append(slices.Clone(p.chain), raw)
			flat = append(flat, part{raw: raw, path: p.path, own: true, chain: chain})
			if ref, ok := raw.m["$ref"]; ok {
				target, err := c.resolve(&p, ref)
				if err != nil {
					return nil, false, err
				}
				target.chain = chain
				work = append(work, target)
			}
			if v, ok := raw.m["allOf"]; ok {
				list, ok := v.([]any)
				if !ok {
					return nil, false, p.errorf("allOf is no array")
				}
				for i, s := range list {
					sub := p.below(s, "allOf", i)
					sub.chain = chain
					work = append(work, sub)
				}
			}
			for _, k := range []string{"anyOf", "oneOf"} {
				if v, ok := raw.m[k]; ok {
					list, ok := v.([]any)
					if !ok || len(list) == 0 {
						return nil, false, p.errorf("%s is no array of schemas", k)
					}
					sub := p.below(nil, k)
					sub.choice, sub.one, sub.chain = list, k == "oneOf", chain
					flat = append(flat, sub)
				}
			}
		default:
			return nil, false, p.errorf("a schema is an object or a boolean, not %s", short(raw))
		}
	}
	return flat, false, nil
}

// alternatives are the sub-schemas of a choice.
func (p *part) alternatives() []part {
	var out []part
	for i, s := range p.choice {
		sub := p.below(s, i)
		sub.chain = p.chain
		out = append(out, sub)
	}
	return out
}

// key names a conjunction: equal keys are the same schemas.
func (c *schemaCompiler) key(flat []part) string {
	var keys []string
	for _, p := range flat {
		if o, ok := p.raw.(*object); ok {
			if c.ids[o] == 0 {
				c.ids[o] = len(c.ids) + 1
			}
			keys = append(keys, strconv.Itoa(c.ids[o]))
		} else {
			keys = append(keys, p.path)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// compile returns what matches all parts. Conjunctions are rules, so that schemas may refer to themselves.
func (c *schemaCompiler) compile(parts []part) (expr, error) {
	flat, none, err := c.flatten(parts)
	if err != nil {
		return nil, err
	}
	if none {
		return exprNone{}, nil
	}
	if len(flat) == 0 {
		return c.anyValue(), nil
	}
	key := c.key(flat)
	if r, ok := c.rules[key]; ok {
		return exprCall(r), nil
	}
	r := c.b.declare(flat[0].path)
	c.rules[key] = r
	e, err := c.conjunction(flat)
	if err == nil {
		err = c.b.err
	}
	if err != nil {
		var known *SchemaError
		if !errors.As(err, &known) {
			err = &SchemaError{flat[0].path, err.Error()}
		}
		return nil, err
	}
	c.b.define(r, e)
	return exprCall(r), nil
}

func (c *schemaCompiler) conjunction(flat []part) (expr, error) {
	at := slices.IndexFunc(flat, func(p part) bool { return p.choice != nil })
	if at < 0 {
		s, err := c.gather(flat)
		if err != nil {
			return nil, err
		}
		return c.value(s)
	}
	choice := flat[at]
	rest := slices.Delete(slices.Clone(flat), at, at+1)
	alts := choice.alternatives()
	if choice.one {
		for i := range alts {
			for j := range i {
				if !c.empty(append(slices.Clone(rest), alts[i], alts[j]), 0) {
					return nil, choice.errorf("oneOf: the alternatives %d and %d may both fit; that they do not cannot be shown. Use anyOf, or give each a property with a const of its own", j, i)
				}
			}
		}
	}
	var out exprAlt
	for _, a := range alts {
		e, err := c.compile(append(slices.Clone(rest), a))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

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

// empty says that certainly nothing fits all parts. It may say false of an empty conjunction.
func (c *schemaCompiler) empty(parts []part, depth int) bool {
	flat, none, err := c.flatten(parts)
	if none || err != nil || depth > 8 {
		return none
	}
	at := slices.IndexFunc(flat, func(p part) bool { return p.choice != nil })
	if at >= 0 {
		rest := slices.Delete(slices.Clone(flat), at, at+1)
		for _, a := range flat[at].alternatives() {
			if !c.empty(append(slices.Clone(rest), a), depth+1) {
				return false
			}
		}
		return true
	}
	s, err := c.gather(flat)
	if err != nil {
		return false
	}
	if s.enum != nil {
		return len(s.enum) == 0
	}
	left := s.types
	if s.number.empty() {
		left &^= typeNumber | typeInteger
	}
	if s.text.max >= 0 && s.text.max < s.text.min {
		left &^= typeString
	}
	if s.maxItems >= 0 && s.maxItems < s.minItems {
		left &^= typeArray
	}
	for _, name := range s.properties {
		if s.required[name] && c.empty(s.property(name), depth+1) {
			left &^= typeObject
		}
	}
	return left == 0
}

// short shows a value in an error.
func short(v any) string {
	switch v := v.(type) {
	case *object:
		return "an object"
	case []any:
		return "an array"
	case string:
		return strconv.Quote(clip(v))
	}
	return clip(fmt.Sprint(v))
}
