package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type methodFunc = func(r *run, recv any, a *arguments) any

func methodOf(v any, name string) methodFunc {
	switch v.(type) {
	case string:
		return stringMethods[name]
	case *Dict:
		return dictMethods[name]
	case *list:
		return listMethods[name]
	}
	return nil
}

// onString makes a method of a string; what it reads is metered here, what it makes below.
func onString(f func(r *run, s string, a *arguments) any) methodFunc {
	return func(r *run, recv any, a *arguments) any {
		s := recv.(string)
		r.use(len(s))
		v := f(r, s, a)
		if out, ok := v.(string); ok {
			r.use(len(out))
		}
		return v
	}
}

func onRunes(ok func(rune) bool) methodFunc {
	return onString(func(_ *run, s string, _ *arguments) any {
		for _, c := range s {
			if !ok(c) {
				return false
			}
		}
		return s != ""
	})
}

func trimmer(left, right bool) methodFunc {
	return onString(func(_ *run, s string, a *arguments) any { return trim(s, a.get(0, "chars", nil), left, right) })
}

func trim(s string, chars any, left, right bool) string {
	is := unicode.IsSpace
	if set, ok := chars.(string); ok {
		is = func(c rune) bool { return strings.ContainsRune(set, c) }
	}
	if left {
		s = strings.TrimLeftFunc(s, is)
	}
	if right {
		s = strings.TrimRightFunc(s, is)
	}
	return s
}

// affix checks a prefix or suffix, or a tuple of them.
func affix(has func(s, affix string) bool) methodFunc {
	return onString(func(r *run, s string, a *arguments) any {
		v := a.need(0, "startswith")
		if l, ok := v.(*list); ok {
			for _, x := range l.items {
				if has(s, text(x)) {
					return true
				}
			}
			return false
		}
		return has(s, text(v))
	})
}

func text(v any) string {
	s, ok := v.(string)
	if !ok {
		fail("template: %s where a string is wanted", typeName(v))
	}
	return s
}

func find(index func(s, sub string) int) methodFunc {
	return onString(func(_ *run, s string, a *arguments) any {
		i := index(s, text(a.need(0, "find")))
		if i < 0 {
			return int64(-1)
		}
		return int64(utf8.RuneCountInString(s[:i]))
	})
}

// found is find where not finding is an error.
func found(index func(s, sub string) int) methodFunc {
	f := find(index)
	return func(r *run, recv any, a *arguments) any {
		i := f(r, recv, a)
		if i == int64(-1) {
			fail("template: substring not found")
		}
		return i
	}
}

var stringMethods = map[string]methodFunc{
	"strip":      trimmer(true, true),
	"lstrip":     trimmer(true, false),
	"rstrip":     trimmer(false, true),
	"startswith": affix(strings.HasPrefix),
	"endswith":   affix(strings.HasSuffix),
	"find":       find(strings.Index),
	"rfind":      find(strings.LastIndex),
	"index":      found(strings.Index),
	"rindex":     found(strings.LastIndex),
	"isdigit":    onRunes(unicode.IsDigit),
	"isalpha":    onRunes(unicode.IsLetter),
	"isspace":    onRunes(unicode.IsSpace),
	"isalnum":    onRunes(func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }),
	"islower":    onString(func(_ *run, s string, _ *arguments) any { return cased(s, unicode.IsUpper, unicode.IsLower) }),
	"isupper":    onString(func(_ *run, s string, _ *arguments) any { return cased(s, unicode.IsLower, unicode.IsUpper) }),
	"upper":      onString(func(_ *run, s string, _ *arguments) any { return strings.ToUpper(s) }),
	"lower":      onString(func(_ *run, s string, _ *arguments) any { return strings.ToLower(s) }),
	"title":      onString(func(_ *run, s string, _ *arguments) any { return titleCase(s) }),
	"capitalize": onString(func(_ *run, s string, _ *arguments) any { return capitalize(s) }),
	"split":      onString(split),
	"rsplit":     onString(rsplit),
	"splitlines": onString(func(r *run, s string, a *arguments) any {
		keep := truth(a.get(0, "keepends", false))
		l := &list{}
		for s != "" {
			line, rest, found := strings.Cut(s, "\n")
			s = rest
			if keep && found {
				line += "\n"
			} else {
				line = strings.TrimSuffix(line, "\r")
			}
			l.items = append(l.items, line)
		}
		r.use(16 * len(l.items))
		return l
	}),
	"replace": onString(func(r *run, s string, a *arguments) any {
		return r.replace(s, text(a.need(0, "replace")), text(a.need(1, "replace")), a.int(2, "count", -1))
	}),
	"count": onString(func(_ *run, s string, a *arguments) any {
		return int64(strings.Count(s, text(a.need(0, "count"))))
	}),
	"join": onString(func(r *run, s string, a *arguments) any {
		return r.join(r.iterate(a.need(0, "join")), s, text)
	}),
	"removeprefix": onString(func(_ *run, s string, a *arguments) any {
		return strings.TrimPrefix(s, text(a.need(0, "removeprefix")))
	}),
	"removesuffix": onString(func(_ *run, s string, a *arguments) any {
		return strings.TrimSuffix(s, text(a.need(0, "removesuffix")))
	}),
	"partition": onString(func(_ *run, s string, a *arguments) any {
		sep := separator(a.need(0, "partition"))
		before, after, found := strings.Cut(s, sep)
		if !found {
			sep = ""
		}
		return &list{items: []any{before, sep, after}, tuple: true}
	}),
	"rpartition": onString(func(_ *run, s string, a *arguments) any {
		sep := separator(a.need(0, "rpartition"))
		i := strings.LastIndex(s, sep)
		if i < 0 {
			return &list{items: []any{"", "", s}, tuple: true}
		}
		return &list{items: []any{s[:i], sep, s[i+len(sep):]}, tuple: true}
	}),
	"format": onString(func(r *run, s string, a *arguments) any { return r.format(s, a) }),
}

func separator(v any) string {
	s := text(v)
	if s == "" {
		fail("template: empty separator")
	}
	return s
}

func split(r *run, s string, a *arguments) any {
	limit := int(max(min(a.int(1, "maxsplit", -1), 1<<30), -1))
	sep := a.get(0, "sep", nil)
	l := &list{}
	if sep == nil {
		for rest := strings.TrimLeftFunc(s, unicode.IsSpace); rest != ""; {
			end := strings.IndexFunc(rest, unicode.IsSpace)
			if end < 0 || limit >= 0 && len(l.items) == limit {
				if end >= 0 {
					rest = strings.TrimRightFunc(rest, unicode.IsSpace)
				}
				l.items = append(l.items, rest)
				break
			}
			l.items = append(l.items, rest[:end])
			rest = strings.TrimLeftFunc(rest[end:], unicode.IsSpace)
		}
	} else {
		if limit >= 0 {
			limit++
		}
		for _, part := range strings.SplitN(s, separator(sep), limit) {
			l.items = append(l.items, part)
		}
	}
	r.use(16 * len(l.items))
	return l
}

func rsplit(r *run, s string, a *arguments) any {
	limit := a.int(1, "maxsplit", -1)
	sep := a.get(0, "sep", nil)
	if limit < 0 || sep == nil {
		return split(r, s, &arguments{args: []any{sep}})
	}
	var back []any
	for limit > 0 {
		i := strings.LastIndex(s, separator(sep))
		if i < 0 {
			break
		}
		back = append(back, s[i+len(text(sep)):])
		s = s[:i]
		limit--
	}
	l := &list{items: []any{s}}
	for i := len(back) - 1; i >= 0; i-- {
		l.items = append(l.items, back[i])
	}
	r.use(16 * len(l.items))
	return l
}

// replace meters the result before it is made.
func (r *run) replace(s, old, with string, count int64) string {
	n := int64(strings.Count(s, old))
	if count >= 0 {
		n = min(n, count)
	}
	r.useTimes(len(with), n)
	return strings.Replace(s, old, with, int(n))
}

func (r *run) join(items []any, sep string, str func(any) string) string {
	var b strings.Builder
	for i, x := range items {
		if i > 0 {
			b.WriteString(sep)
		}
		s := str(x)
		r.use(len(s) + len(sep))
		b.WriteString(s)
	}
	return b.String()
}

// format is str.format for {}, {0} and {name}, without format specifications.
func (r *run) format(s string, a *arguments) string {
	var b strings.Builder
	auto := 0
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteByte(s[i])
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if s[i] == '}' || end < 0 {
			fail("template: unmatched brace in format")
		}
		field := s[i+1 : i+end]
		s = s[i+end+1:]
		v, ok := a.kwargs[field]
		if !ok {
			at := auto
			if field == "" {
				auto++
			} else if n, isNumber := number(field).(int64); isNumber && digits(field) == len(field) {
				at = int(n)
			} else {
				fail("template: format field %.20q is not supported", field)
			}
			if at < 0 || at >= len(a.args) {
				fail("template: format has no argument %d", at)
			}
			v = a.args[at]
		}
		out := r.str(v)
		r.use(len(out))
		b.WriteString(out)
	}
	return b.String()
}

func capitalize(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(first)) + strings.ToLower(s[n:])
}

func titleCase(s string) string {
	var b strings.Builder
	inWord := false
	for _, c := range s {
		if inWord {
			b.WriteRune(unicode.ToLower(c))
		} else {
			b.WriteRune(unicode.ToTitle(c))
		}
		inWord = unicode.IsLetter(c)
	}
	return b.String()
}

// Methods that change their receiver are absent, as in transformers' sandbox.
var dictMethods = map[string]methodFunc{
	"items": func(r *run, recv any, _ *arguments) any {
		d := recv.(*Dict)
		r.use(64 * len(d.keys))
		l := &list{}
		for _, k := range d.keys {
			l.items = append(l.items, &list{items: []any{k, d.values[k]}, tuple: true})
		}
		return l
	},
	"keys": func(_ *run, recv any, _ *arguments) any { return &list{items: recv.(*Dict).keys} },
	"values": func(r *run, recv any, _ *arguments) any {
		d := recv.(*Dict)
		r.use(16 * len(d.keys))
		l := &list{}
		for _, k := range d.keys {
			l.items = append(l.items, d.values[k])
		}
		return l
	},
	"get": func(r *run, recv any, a *arguments) any {
		if v, ok := recv.(*Dict).values[r.key(a.need(0, "get"))]; ok {
			return v
		}
		return a.get(1, "default", nil)
	},
	"copy": func(r *run, recv any, _ *arguments) any { return dictOfArguments(r, &arguments{args: []any{recv}}) },
}

var listMethods = map[string]methodFunc{
	"count": func(r *run, recv any, a *arguments) any {
		n := int64(0)
		for _, x := range recv.(*list).items {
			if r.equal(x, a.need(0, "count")) {
				n++
			}
		}
		return n
	},
	"index": func(r *run, recv any, a *arguments) any {
		for i, x := range recv.(*list).items {
			if r.equal(x, a.need(0, "index")) {
				return int64(i)
			}
		}
		fail("template: value is not in the list")
		return nil
	},
	"copy": func(_ *run, recv any, _ *arguments) any { return recv },
}
