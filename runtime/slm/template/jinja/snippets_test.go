package jinja

import (
	"encoding/json"
	"os"
	"testing"
)

type snippetFile struct {
	Values   map[string]json.RawMessage
	Snippets []struct{ Template, Want, Error string }
}

func readSnippets(t testing.TB) (snippetFile, map[string]any) {
	t.Helper()
	b, err := os.ReadFile("testdata/snippets.json")
	if err != nil {
		t.Fatal(err)
	}
	var f snippetFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{}
	for k, v := range f.Values {
		vars[k] = v
	}
	return f, vars
}

func render(source string, vars map[string]any) (string, error) {
	t, err := Parse(source)
	if err != nil {
		return "", err
	}
	return t.Render(vars)
}

// The wanted texts are Python's; see testdata/snippets.py.
func TestRender_EqualsPythonJinja2OnSnippets(t *testing.T) {
	f, vars := readSnippets(t)
	if len(f.Snippets) < 300 {
		t.Fatalf("only %d snippets", len(f.Snippets))
	}
	for _, s := range f.Snippets {
		got, err := render(s.Template, vars)
		switch {
		case s.Error != "" && err == nil:
			t.Errorf("%s: got %q, want an error like %s", s.Template, got, s.Error)
		case s.Error == "" && err != nil:
			t.Errorf("%s: %v, want %q", s.Template, err, s.Want)
		case got != s.Want:
			t.Errorf("%s\n got %q\nwant %q", s.Template, got, s.Want)
		}
	}
}
