package tracecontext

import (
	"context"
	"strings"
	"testing"
)

const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParse_TakesWhatTheStandardAllows(t *testing.T) {
	for header, ok := range map[string]bool{
		good:                      true,
		good[:53] + "00":          true,
		"cc" + good[2:] + "-what": true,
		"cc" + good[2:]:           true,
		good + "-what":            false,
		"cc" + good[2:] + ".what": false,
		"ff" + good[2:]:           false,
		"0x" + good[2:]:           false,
		strings.ToUpper(good):     false,
		good[:3] + strings.Repeat("0", 32) + good[35:]:  false,
		good[:36] + strings.Repeat("0", 16) + good[52:]: false,
		good[:54]:                          false,
		"":                                 false,
		" " + good:                         false,
		strings.Replace(good, "-", "_", 1): false,
		good[:53] + "zz":                   false,
	} {
		c, got := Parse(header, nil)
		if got != ok {
			t.Errorf("%q: %t", header, got)
		}
		if !got && c != (Context{}) {
			t.Errorf("%q left %+v", header, c)
		}
	}
}

func TestContext_IsPassedOn(t *testing.T) {
	c, ok := Parse(good, []string{"rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE"})
	if !ok || !c.Sampled() || c.State != "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE" || c.Traceparent() != good {
		t.Fatalf("%+v %s", c, c.Traceparent())
	}
	child := c.Child()
	if child.Trace != c.Trace || child.Parent != c.Span || child.Span == c.Span || child.State != c.State {
		t.Errorf("%+v", child)
	}
	if again, ok := Parse(child.Traceparent(), nil); !ok || again.Span != child.Span {
		t.Errorf("%s", child.Traceparent())
	}
	if got := From(With(context.Background(), &child)); got != &child || From(context.Background()) != nil {
		t.Error("a context lost its span")
	}
	if c, _ := Parse(good, []string{"a=" + strings.Repeat("x", 600)}); c.State != "" {
		t.Error("a state without bound")
	}
	if c, _ := Parse(good, []string{"a=b\r\nEvil: 1"}); c.State != "" {
		t.Error("a state with a line of its own")
	}
	if n := New(false); n.Sampled() || n.Trace == New(false).Trace {
		t.Errorf("%+v", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good, "a=b")
	f.Add("01"+good[2:]+"-x", "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		c, ok := Parse(parent, []string{state})
		if !ok {
			return
		}
		again, ok := Parse(c.Traceparent(), []string{c.State})
		if !ok || again != c {
			t.Errorf("%q became %q", parent, c.Traceparent())
		}
	})
}
