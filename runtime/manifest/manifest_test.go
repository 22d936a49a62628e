package manifest

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	m, err := Parse([]byte("name: g\nhooks: [guard, tools]\ncapabilities: [kv]\nlimits: {timeout: 20ms, memory: 8MiB}\nconfig: {a: \"1\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !m.Offers("guard") || m.Offers("route") || m.Limits.Timeout.D() != 20*time.Millisecond || m.Config["a"] != "1" {
		t.Errorf("got %+v", m)
	}
	if err := m.CheckExports([]string{"guard", "describe"}); err == nil || !strings.Contains(err.Error(), `"call"`) {
		t.Errorf("a missing export was not named: %v", err)
	}
}

func TestParse_Faults(t *testing.T) {
	for src, want := range map[string]string{
		"":                         "name is missing",
		"name: x\n":                "hooks lists none",
		"name: x\nhooks: [fly]\n":  `unknown hook "fly"`,
		"name: x\nhook: [guard]\n": "2 | hook",
		"name: x\nhooks: [guard]\nlimits: {instances: -1}\n": "negative",
		"name: " + strings.Repeat("x", 70000):                "more than",
	} {
		if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v lacks %q", src, err, want)
		}
	}
}

func TestInfer_FromExports(t *testing.T) {
	m, err := Infer("p", []string{"memory", "call", "describe", "route"})
	if err != nil || strings.Join(m.Hooks, " ") != "route tools" {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := Infer("p", []string{"_start"}); err == nil {
		t.Error("a module without a hook passed")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: g\nhooks: [guard]\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if m, err := Parse(src); err == nil && (m.Name == "" || len(m.Hooks) == 0) {
			t.Error("an incomplete manifest passed")
		}
	})
}
