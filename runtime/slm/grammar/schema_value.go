package grammar

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

func searchRegexp(p string) (*regexp.Regexp, error) {
	if _, err := parseRegex(p); err != nil {
		return nil, err
	}
	return regexp.Compile(p)
}

// anyValue matches any JSON value.
func (c *schemaCompiler) anyValue() expr {
	b := c.b
	r, ok := b.shared["value"]
	if !ok {
		r = b.declare("value")
		b.shared["value"] = r
		free, _ := b.jsonString(textSpec{max: -1})
		list, _ := c.list([]expr{exprCall(r)}, 0, -1)
		b.define(r, exprAlt{literal("null"), literal("true"), literal("false"), b.anyNumber(), free, list, c.anyObject()})
	}
	return exprCall(r)
}

func (c *schemaCompiler) anyObject() expr {
	return c.b.once("object", func() expr {
		key, _ := c.b.jsonString(textSpec{max: -1})
		sep := exprSeq{literal(","), c.b.space()}
		return c.braces(exprGraph{[]graphState{
			{accept: true, edges: []graphEdge{{exprSeq{key, c.colon(), c.anyValue()}, 1}}},
			{accept: true, edges: []graphEdge{{exprSeq{sep, key, c.colon(), c.anyValue()}, 1}}},
		}})
	})
}

func (c *schemaCompiler) colon() expr { return exprSeq{literal(":"), c.b.space()} }

func (c *schemaCompiler) braces(members expr) expr {
	return exprSeq{literal("{"), c.b.space(), members, c.b.space(), literal("}")}
}

// list matches an array: items[i] is the i-th, the last of them all that follow. hi -1: no limit.
func (c *schemaCompiler) list(items []expr, lo, hi int) (expr, error) {
	if hi >= 0 && hi < lo {
		return exprNone{}, nil
	}
	b := c.b
	states := len(items) // the last one loops
	if states < lo+1 {
		states = lo + 1
	}
	if hi >= 0 {
		states = hi + 1
	}
	if states > maxCount {
		return nil, fmt.Errorf("%w: arrays of more than %d items", ErrLimit, maxCount)
	}
	more := make([]expr, len(items)) // with the comma before it
	for i, e := range items {
		more[i] = exprSeq{literal(","), b.space(), e}
		if states > 8 && b.err == nil {
			more[i] = b.rule("item", more[i])
		}
	}
	var g exprGraph
	for i := range states {
		s := graphState{accept: i >= lo}
		e := more[min(i, len(items)-1)]
		if i == 0 {
			e = items[0]
		}
		switch {
		case i+1 < states:
			s.edges = []graphEdge{{e, i + 1}}
		case hi < 0 && i == 0: // one state only: the first item goes to a second
			s.edges = []graphEdge{{e, 1}}
			g.states = append(g.states, s)
			s = graphState{accept: true, edges: []graphEdge{{more[len(items)-1], 1}}}
		case hi < 0:
			s.edges = []graphEdge{{e, i}}
		}
		g.states = append(g.states, s)
	}
	return exprSeq{literal("["), b.space(), g, b.space(), literal("]")}, b.err
}

// value matches the values of a shape.
func (c *schemaCompiler) value(s *shape) (expr, error) {
	if s.enum != nil {
		var out exprAlt
		for _, v := range s.enum {
			out = append(out, c.constant(v))
		}
		return out, nil
	}
	var out exprAlt
	for _, t := range []struct {
		bits int
		make func(*shape) (expr, error)
	}{
		{typeNull, func(*shape) (expr, error) { return literal("null"), nil }},
		{typeBool, func(*shape) (expr, error) { return exprAlt{literal("true"), literal("false")}, nil }},
		{typeNumber | typeInteger, func(s *shape) (expr, error) { return c.b.jsonNumber(s.number) }},
		{typeString, func(s *shape) (expr, error) { return c.b.jsonString(s.text) }},
		{typeArray, c.array},
		{typeObject, c.object},
	} {
		if s.types&t.bits == 0 {
			continue
		}
		e, err := t.make(s)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// constant matches one value.
func (c *schemaCompiler) constant(v any) expr {
	switch v := v.(type) {
	case nil:
		return literal("null")
	case bool:
		return literal(fmt.Sprint(v))
	case json.Number:
		return literal(string(v))
	case string:
		return literal(quote(v))
	case []any:
		out := exprSeq{literal("["), c.b.space()}
		for i, e := range v {
			if i > 0 {
				out = append(out, literal(","), c.b.space())
			}
			out = append(out, c.constant(e))
		}
		return append(out, c.b.space(), literal("]"))
	}
	o := v.(*object)
	var out exprSeq
	for i, k := range o.keys {
		if i > 0 {
			out = append(out, literal(","), c.b.space())
		}
		out = append(out, literal(quote(k)), c.colon(), c.constant(o.m[k]))
	}
	return c.braces(out)
}

// array matches the arrays of a shape.
func (c *schemaCompiler) array(s *shape) (expr, error) {
	longest := 0
	for _, p := range s.parts {
		longest = max(longest, len(prefixOf(p.raw.(*object))))
	}
	if s.maxItems >= 0 {
		longest = min(longest, s.maxItems)
	}
	if longest > 1<<10 {
		return nil, fmt.Errorf("prefixItems: %w", ErrLimit)
	}
	var items []expr
	limit := s.maxItems
	for i := 0; i <= longest; i++ {
		var all []part
		for _, p := range s.parts {
			o := p.raw.(*object)
			prefix := prefixOf(o)
			rest, ok := o.m["items"]
			if _, old := rest.([]any); old {
				rest, ok = o.m["additionalItems"]
			}
			switch {
			case i < len(prefix):
				all = append(all, p.below(prefix[i], "prefixItems", i))
			case ok:
				all = append(all, p.below(rest, "items"))
			}
		}
		if c.empty(all, 0) {
			if limit < 0 || limit > i {
				limit = i
			}
			items = append(items, exprNone{})
			break
		}
		e, err := c.compile(all)
		if err != nil {
			return nil, err
		}
		items = append(items, e)
	}
	return c.list(items, s.minItems, limit)
}

// prefixOf is the schemas of the first items; draft 7 has them in items.
func prefixOf(o *object) []any {
	if list, ok := o.m["prefixItems"].([]any); ok {
		return list
	}
	list, _ := o.m["items"].([]any)
	return list
}

// property is what a property must be: the conjunction of all parts that speak of it.
func (s *shape) property(name string) []part {
	var out []part
	for _, p := range s.parts {
		o := p.raw.(*object)
		if props, ok := o.m["properties"].(*object); ok {
			if sub, ok := props.m[name]; ok {
				out = append(out, p.below(sub, "properties", name))
				continue
			}
		}
		if extra, ok := o.m["additionalProperties"]; ok {
			out = append(out, p.below(extra, "additionalProperties"))
		}
	}
	if s.rest != nil && len(out) == 0 {
		out = append(out, *s.rest)
	}
	return out
}

// closeProperties takes the keyword unevaluatedProperties: properties that no part of the same schema speaks of are not
// written but where they are required. What other schemas of a conjunction name the keyword does not see; these are
// refused.
func (s *shape) closeProperties(p *part, v any) error {
	if v == true {
		return nil
	}
	for _, q := range s.parts {
		o := q.raw.(*object)
		_, named := o.m["properties"]
		_, more := o.m["additionalProperties"]
		if (named || more) && !slices.Contains(q.chain, p.raw.(*object)) {
			return fmt.Errorf("properties named at #%s, beside the schema that has the keyword, cannot be told from others", q.path)
		}
	}
	rest := p.below(v, "unevaluatedProperties")
	s.rest = &rest
	return nil
}

// additional is what other properties must be, and whether they are to be written at all.
func (s *shape) additional() (all []part, written bool) {
	named, asked := false, false
	for _, p := range s.parts {
		o := p.raw.(*object)
		if props, ok := o.m["properties"].(*object); ok && len(props.keys) > 0 {
			named = true
		}
		if extra, ok := o.m["additionalProperties"]; ok {
			asked = true
			all = append(all, p.below(extra, "additionalProperties"))
		}
	}
	return all, asked || !named && s.rest == nil
}

// object matches the objects of a shape.
func (c *schemaCompiler) object(s *shape) (expr, error) {
	extra, written := s.additional()
	written = written && !c.empty(extra, 0)
	n := len(s.properties)
	comma := exprSeq{literal(","), c.b.space()}
	if written && s.minProps > 1 {
		if s.minProps > n {
			return nil, fmt.Errorf("minProperties: more than there are properties cannot be enforced, since additional ones might repeat")
		}
		written = false // allowed, not needed, and they would count once only if they repeat
	}
	// Each state knows how many properties there are, as far as the schema counts them.
	most := max(1, s.minProps, s.maxProps+1)
	if most*(n+1) > maxCount {
		return nil, fmt.Errorf("minProperties, maxProperties: %w", ErrLimit)
	}
	width := most + 1
	g := exprGraph{states: make([]graphState, (n+1)*width)}
	at := func(i, count int) int { return i*width + min(count, most) }
	fits := func(count int) bool { return s.maxProps < 0 || count <= s.maxProps }
	member := func(key, value expr, count int) expr {
		if count > 0 {
			return exprSeq{comma, key, c.colon(), value}
		}
		return exprSeq{key, c.colon(), value}
	}
	for i, name := range s.properties {
		var value expr
		var err error
		if what := s.property(name); s.required[name] || !c.empty(what, 0) {
			if value, err = c.compile(what); err != nil {
				return nil, err
			}
		}
		for count := range width {
			st := &g.states[at(i, count)]
			if value != nil && fits(count+1) {
				st.edges = append(st.edges, graphEdge{member(literal(quote(name)), value, count), at(i+1, count+1)})
			}
			if !s.required[name] {
				st.edges = append(st.edges, graphEdge{exprEmpty{}, at(i+1, count)})
			}
		}
	}
	var key, value expr
	if written {
		var err error
		if value, err = c.compile(extra); err != nil {
			return nil, err
		}
		key = c.b.rule("key", c.b.otherKey(s.properties))
	}
	for count := range width {
		st := &g.states[at(n, count)]
		st.accept = count >= s.minProps && fits(count)
		if written && fits(count+1) {
			st.edges = append(st.edges, graphEdge{member(key, value, count), at(n, count+1)})
		}
	}
	return c.braces(g), nil
}
