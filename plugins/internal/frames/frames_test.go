package frames

import (
	"slices"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		rest string
	}{
		{"[a|b] c", []string{"a", "b"}, " c"},
		{"[a|[b|c] d|]", []string{"a", "[b|c] d", ""}, ""},
		{"[]", []string{""}, ""},
	} {
		options, after, ok := Options(c.text, 0)
		if !ok || !slices.Equal(options, c.want) || c.text[after:] != c.rest {
			t.Errorf("%q: %q, %q, %v", c.text, options, c.text[after:], ok)
		}
	}
	for _, open := range []string{"[a|b", "[a|[b]", "["} {
		if _, _, ok := Options(open, 0); ok {
			t.Errorf("%q is not closed", open)
		}
	}
}
