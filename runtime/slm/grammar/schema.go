package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
