package grammar

import (
	"net/url"
	"strconv"
	"strings"
)

// schemaNames is what the sub-schemas of a document are called.
type schemaNames struct {
	root any
	late bool                 // draft 2019-09 or later, where $id counts beside $ref
	base map[*object]*url.URL // of a sub-schema's references
	at   map[string]any       // by address, with an anchor behind it for those that have one
}

// Keywords whose value is a schema, a list of schemas, or schemas by name. Elsewhere, as in enum, what looks like a schema
// is data.
var (
	schemaKeywords = []string{"items", "additionalItems", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema"}
	listKeywords = []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	mapKeywords  = []string{"$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"}
)

// index names all sub-schemas.
func (c *schemaCompiler) index(root any) {
	late := true
	if o, ok := root.(*object); ok {
		draft, named := o.m["$schema"].(string)
		_, old := o.m["definitions"]
		_, defs := o.m["$defs"]
		late = !strings.Contains(draft, "draft-0") && (named || defs || !old)
	}
	c.names = schemaNames{root: root, late: late, base: map[*object]*url.URL{}, at: map[string]any{"": root}}
	c.names.add(root, &url.URL{})
}

func (n *schemaNames) add(schema any, base *url.URL) {
	o, ok := schema.(*object)
	if !ok {
		return
	}
	_, refers := o.m["$ref"]
	if id, ok := o.m["$id"].(string); ok && (n.late || !refers) {
		if u, err := base.Parse(id); err == nil {
			if u.Fragment != "" && u.Path == base.Path && u.Opaque == base.Opaque { // an anchor, as draft 7 has it
				n.at[u.String()] = o
			} else {
				u.Fragment = ""
				base = u
				n.at[address(base)] = o
			}
		}
	}
	n.base[o] = base
	for _, k := range []string{"$anchor", "$dynamicAnchor"} {
		if name, ok := o.m[k].(string); ok {
			n.at[address(base)+"#"+name] = o
		}
	}
	for _, k := range schemaKeywords {
		n.add(o.m[k], base)
	}
	for _, k := range listKeywords {
		list, _ := o.m[k].([]any)
		for _, s := range list {
			n.add(s, base)
		}
	}
	for _, k := range mapKeywords {
		if m, ok := o.m[k].(*object); ok {
			for _, name := range m.keys {
				n.add(m.m[name], base)
			}
		}
	}
}

// address is a URL without its fragment.
func address(u *url.URL) string {
	v := *u
	v.Fragment, v.RawFragment = "", ""
	return strings.TrimSuffix(v.String(), "#")
}

// resolve returns the schema that a $ref of p names.
func (c *schemaCompiler) resolve(p *part, ref any) (part, error) {
	text, ok := ref.(string)
	if !ok {
		return part{}, p.errorf("$ref is no string")
	}
	base := c.names.base[p.raw.(*object)]
	if base == nil { // in a place where no schema is expected
		base = &url.URL{}
		if o, ok := c.names.root.(*object); ok {
			base = c.names.base[o]
		}
	}
	u, err := base.Parse(text)
	if err != nil {
		return part{}, p.errorf("$ref %s is no reference: %v", short(ref), err)
	}
	at, known := c.names.at[address(u)]
	if !known {
		return part{}, p.errorf("$ref %s leads outside the schema, where nothing is fetched from; put what it names under $defs", short(ref))
	}
	path := u.Fragment
	if path != "" && path[0] != '/' {
		at, known = c.names.at[address(u)+"#"+path]
		if !known {
			return part{}, p.errorf("$ref %s leads nowhere: there is no such $anchor", short(ref))
		}
		return part{raw: at, path: "#" + path}, nil
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "" || path == "/" {
			break
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch v := at.(type) {
		case *object:
			at, ok = v.m[step]
		case []any:
			i, err := strconv.Atoi(step)
			if ok = err == nil && i >= 0 && i < len(v); ok {
				at = v[i]
			}
		default:
			ok = false
		}
		if !ok {
			return part{}, p.errorf("$ref %s leads nowhere", short(ref))
		}
	}
	if in := address(u); in != "" {
		path = in + "#" + path
	}
	return part{raw: at, path: path}, nil
}
