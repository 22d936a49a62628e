package jinja

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A template comes with a model file: each of these would hang or kill a process without limits.
func TestRender_StopsRunawayTemplates(t *testing.T) {
	chain := strings.Repeat("x ~ ", 5000) + "x"
	cases := map[string]string{
		"huge range":            "{% for i in range(10**9) %}x{% endfor %}",
		"huge range as list":    "{{ range(1000000000) | list | length }}",
		"huge negative range":   "{{ range(0, -1000000000, -1) | length }}",
		"nested loops":          "{% for a in range(5000) %}{% for b in range(5000) %}{% for c in range(5000) %}{% endfor %}{% endfor %}{% endfor %}",
		"loop filter":           "{% for a in range(9000) %}{% for b in range(9000) if b < 0 %}{% endfor %}{% endfor %}",
		"string doubling":       "{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"list doubling":         "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"shared list printed":   "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
		"shared list compared":  "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
		"shared list to JSON":   "{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
		"string times number":   "{{ 'x' * 10**15 }}",
		"list times number":     "{{ ([1] * 10**15) | length }}",
		"replace":               "{% set x = 'a' * 100000 %}{{ x.replace('', x) }}",
		"join":                  "{{ ('x' * 100000).join(range(100000)) }}",
		"indent":                "{{ ('\\n' * 100000) | indent(100000) }}",
		"JSON indent":           "{{ range(100000) | list | tojson(indent='x' * 10000) }}",
		"format width":          "{{ '%99999s' % 'x' }}" + strings.Repeat("{{ '%99999s' % 'x' }}", 5000),
		"recursive macro":       "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"mutual recursion":      "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
		"exponential recursion": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
		"recursive loop":        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"output":                "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x }}{% endfor %}",
		"searching":             "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ 'b' in x }}{% endfor %}",
		"characters":            "{% set x = 'a' * 10000000 %}{% for c in x %}{% endfor %}",
		"concatenation chain":   "{% set x = 'a' * 1000000 %}{{ " + chain + " }}",
		"long operator chain":   "{{ " + strings.Repeat("1+", 60000) + "1 }}",
		"deep brackets":         "{{ " + strings.Repeat("[", 100000),
		"deep parentheses":      "{{ " + strings.Repeat("(", 100000),
		"deep not":              "{{ " + strings.Repeat("not ", 50000) + "1 }}",
		"deep minus":            "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"deep if":               strings.Repeat("{% if 1 %}", 20000),
		"deep subscript":        "{{ " + strings.Repeat("a[", 50000),
		"map in map":            "{{ range(1000)|map('map','map')|list }}",
	}
	for name, source := range cases {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			out, err := render(source, nil)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("rendered %d bytes, want an error", len(out))
			}
			if took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 600 {
				t.Errorf("allocated %d MB in all", mb)
			}
			t.Logf("%v, %d MB allocated: %.80v", took, (after.TotalAlloc-before.TotalAlloc)>>20, err)
		})
	}
}

func TestRender_LimitErrorsAreRecognisable(t *testing.T) {
	_, err := render("{% for i in range(10**9) %}{% endfor %}", nil)
	if !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want ErrLimit", err)
	}
	var raised *Raised
	if _, err := render("{{ raise_exception('no ' ~ 1) }}", nil); !errors.As(err, &raised) || raised.Message != "no 1" {
		t.Errorf("got %v, want Raised", err)
	}
}

func TestParse_RefusesOtherTemplates(t *testing.T) {
	for _, s := range []string{"{% include '/etc/passwd' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% from 'x' import y %}"} {
		if _, err := Parse(s); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := Parse(strings.Repeat("x", MaxSource+1)); err == nil {
		t.Error("an oversized template was accepted")
	}
}

func TestParse_ErrorsNameTheLine(t *testing.T) {
	for source, want := range map[string]string{
		"a\nb\n{{ 1 + }}":         "line 3",
		"a\n{% if x %}\nb":        "line 3",
		"{% for x in y %}\n{% }}": "line 2",
		"\n\n{{ x | zz }}":        "line 3",
	} {
		if _, err := Parse(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", source, err, want)
		}
	}
}

func TestRender_IsConcurrent(t *testing.T) {
	tm, err := Parse("{% set ns = namespace(c=0) %}{% for x in xs %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}")
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{"xs": []any{1, 2, 3}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if out, err := tm.Render(vars); err != nil || out != "6" {
					t.Errorf("got %q, %v", out, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzRender(f *testing.F) {
	file, vars := readSnippets(f)
	for _, s := range file.Snippets {
		f.Add(s.Template)
	}
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		_, err := render(source, vars)
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("took %v", took)
		}
	})
}
