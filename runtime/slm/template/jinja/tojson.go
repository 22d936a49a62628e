package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// filterToJSON is json.dumps(v, ensure_ascii=False, ...), as transformers defines the filter: a space after
// colon and comma, no HTML escapes, keys in their order.
func filterToJSON(r *run, v any, a *arguments) any {
	w := &jsonWriter{r: r, item: ", ", key: ": ", sorted: truth(a.get(3, "sort_keys", false))}
	switch in := a.get(1, "indent", nil).(type) {
	case nil:
	case string:
		w.indent = in
	default:
		w.indent = strings.Repeat(" ", int(max(0, min(integer(in), 64))))
	}
	w.ascii = truth(a.get(0, "ensure_ascii", false))
	w.lines = w.indent != ""
	if w.lines {
		w.item = ","
	}
	if s, ok := a.get(2, "separators", nil).(*list); ok && len(s.items) == 2 {
		w.item, w.key = text(s.items[0]), text(s.items[1])
	}
	w.value(v, 0)
	return w.b.String()
}

type jsonWriter struct {
	r                 *run
	b                 strings.Builder
	item, key, indent string
	lines             bool
	sorted, ascii     bool
}

func (w *jsonWriter) value(v any, depth int) {
	w.r.enter()
	defer w.r.leave()
	before := w.b.Len()
	switch v := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		fmt.Fprintf(&w.b, "%t", v)
	case int64:
		fmt.Fprintf(&w.b, "%d", v)
	case float64:
		w.b.WriteString(strings.NewReplacer("inf", "Infinity", "nan", "NaN").Replace(floatRepr(v)))
	case string:
		w.str(v)
	case *list:
		w.group("[", "]", len(v.items), depth, func(i int) { w.value(v.items[i], depth+1) })
		return
	case *Dict:
		keys := v.keys
		if w.sorted {
			keys = slices.Clone(keys)
			slices.SortStableFunc(keys, w.r.order)
		}
		w.group("{", "}", len(keys), depth, func(i int) {
			k, ok := keys[i].(string)
			if !ok {
				k = jsonKey(w.r, keys[i])
			}
			w.str(k)
			w.b.WriteString(w.key)
			w.value(v.values[keys[i]], depth+1)
		})
		return
	default:
		fail("template: %s cannot be written as JSON", typeName(v))
	}
	w.r.use(w.b.Len() - before)
}

func jsonKey(r *run, k any) string {
	switch k {
	case nil:
		return "null"
	case true:
		return "true"
	case false:
		return "false"
	}
	return r.str(k)
}

func (w *jsonWriter) group(open, end string, n, depth int, each func(i int)) {
	w.b.WriteString(open)
	for i := range n {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.newline(depth + 1)
		each(i)
	}
	if n > 0 {
		w.newline(depth)
	}
	w.b.WriteString(end)
}

func (w *jsonWriter) newline(depth int) {
	if w.lines {
		w.r.use(1 + depth*len(w.indent))
		w.b.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) str(s string) {
	w.b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(c)
		case c == '\n':
			w.b.WriteString(`\n`)
		case c == '\r':
			w.b.WriteString(`\r`)
		case c == '\t':
			w.b.WriteString(`\t`)
		case c == '\b':
			w.b.WriteString(`\b`)
		case c == '\f':
			w.b.WriteString(`\f`)
		case c < 0x20 || w.ascii && c > 0x7e && c < 0x10000:
			fmt.Fprintf(&w.b, `\u%04x`, c)
		case w.ascii && c >= 0x10000:
			c -= 0x10000
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			w.b.WriteRune(c)
		}
	}
	w.b.WriteByte('"')
}
