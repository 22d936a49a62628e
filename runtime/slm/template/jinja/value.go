package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The values of the language are nil (none), bool, int64, float64, string, undefined, *list, *Dict,
// *namespace, Func, *method and *macro.

type undefined struct{ name string }

type list struct {
	items []any
	tuple bool
}

// Dict is a dictionary that keeps the order in which keys were set. Keys are scalars.
type Dict struct {
	keys   []any
	values map[any]any
}

// NewDict returns an empty Dict.
func NewDict() *Dict { return &Dict{values: map[any]any{}} }

// Set adds or replaces a value.
func (d *Dict) Set(key string, value any) { d.set(key, value) }

func (d *Dict) set(key, value any) {
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

// namespace is the one mutable value: {% set ns.x = ... %}.
type namespace struct{ vars *Dict }

// method is a function bound to its receiver.
type method struct {
	recv any
	name string
	fn   func(r *run, recv any, a *arguments) any
}

// fromGo converts what a Go program passes in.
func (r *run) fromGo(v any, depth int) any {
	r.step()
	if depth > maxNesting {
		fail("template: value nested deeper than %d: %w", maxNesting, ErrLimit)
	}
	switch v := v.(type) {
	case nil, bool, int64, float64, string, Func, builtin, *list, *namespace, *macro, *method, *loop, undefined:
		return v
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case float32:
		return float64(v)
	case []any:
		l := &list{items: make([]any, len(v))}
		for i := range v {
			l.items[i] = r.fromGo(v[i], depth+1)
		}
		return l
	case []string:
		l := &list{items: make([]any, len(v))}
		for i := range v {
			l.items[i] = v[i]
		}
		return l
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		d := NewDict()
		for _, k := range keys {
			d.set(k, r.fromGo(v[k], depth+1))
		}
		return d
	case *Dict:
		d := NewDict()
		for _, k := range v.keys {
			d.set(k, r.fromGo(v.values[k], depth+1))
		}
		return d
	case json.RawMessage:
		return r.fromJSON(v)
	case json.Number:
		return number(v.String())
	default:
		// A struct, or a type of the caller's: what JSON makes of it.
		b, err := json.Marshal(v)
		if err != nil {
			fail("template: value of type %T: %v", v, err)
		}
		return r.fromJSON(b)
	}
}

// fromJSON decodes one JSON value, keeping the order of object keys.
func (r *run) fromJSON(b []byte) any {
	r.use(len(b))
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v := r.jsonValue(d, 0)
	if d.More() {
		fail("template: more than one JSON value")
	}
	return v
}

func (r *run) jsonValue(d *json.Decoder, depth int) any {
	r.step()
	if depth > maxNesting {
		fail("template: JSON nested deeper than %d: %w", maxNesting, ErrLimit)
	}
	t, err := d.Token()
	if err != nil {
		fail("template: JSON value: %v", err)
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			l := &list{}
			for d.More() {
				l.items = append(l.items, r.jsonValue(d, depth+1))
			}
			r.jsonEnd(d)
			return l
		}
		o := NewDict()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				fail("template: JSON value: %v", err)
			}
			o.set(k, r.jsonValue(d, depth+1))
		}
		r.jsonEnd(d)
		return o
	case json.Number:
		return number(t.String())
	default:
		return t // nil, bool, string
	}
}

func (r *run) jsonEnd(d *json.Decoder) {
	if _, err := d.Token(); err != nil {
		fail("template: JSON value: %v", err)
	}
}

func number(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case undefined:
		return "undefined"
	case bool:
		return "boolean"
	case int64:
		return "integer"
	case float64:
		return "float"
	case string:
		return "string"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *namespace:
		return "namespace"
	}
	return "function"
}

// str is Python's str().
func (r *run) str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	var b strings.Builder
	r.repr(&b, v)
	return b.String()
}

// repr is Python's repr().
func (r *run) repr(b *strings.Builder, v any) {
	r.enter()
	defer r.leave()
	before := b.Len()
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case undefined:
		b.WriteString("Undefined")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		quote(b, v)
	case *list:
		open, end := "[", "]"
		if v.tuple {
			open, end = "(", ")"
			if len(v.items) == 1 {
				end = ",)"
			}
		}
		b.WriteString(open)
		for i, x := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(b, x)
		}
		b.WriteString(end)
		return
	case *Dict:
		b.WriteString("{")
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(b, k)
			b.WriteString(": ")
			r.repr(b, v.values[k])
		}
		b.WriteString("}")
		return
	case *namespace:
		b.WriteString("<Namespace>") // its values could contain it
	default:
		b.WriteString("<function>")
	}
	r.use(b.Len() - before)
}

// floatRepr is Python's shortest representation.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a >= 1e16 || a < 1e-4) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func quote(b *strings.Builder, s string) {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b.WriteRune(q)
	for _, c := range s {
		switch {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			fmt.Fprintf(b, `\U%08x`, c)
		}
	}
	b.WriteRune(q)
}

// iterate returns the elements of v: of a list, the keys of a dict, the characters of a string.
func (r *run) iterate(v any) []any {
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *Dict:
		return v.keys
	case string:
		r.use(len(v) * 16)
		items := make([]any, 0, utf8.RuneCountInString(v))
		for _, c := range v {
			items = append(items, string(c))
		}
		return items
	}
	fail("template: %s cannot be iterated", typeName(v))
	return nil
}

func (r *run) length(v any) int {
	switch v := v.(type) {
	case string:
		r.use(len(v))
		return utf8.RuneCountInString(v)
	case *list:
		return len(v.items)
	case *Dict:
		return len(v.keys)
	case undefined:
		return 0
	}
	fail("template: %s has no length", typeName(v))
	return 0
}
