package plugins

import (
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

func TestManifests_AreReadAndNamedAfterTheirFolder(t *testing.T) {
	if len(Names()) < 4 {
		t.Fatal(Names())
	}
	for _, name := range Names() {
		doc, err := files.ReadFile(name + "/plugin.yaml")
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(doc)
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Name != name || m.Version == "" || m.Description == "" || m.Limits.Timeout == 0 || m.Limits.Memory == 0 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestBuiltin_ModulesExportWhatTheyPromise(t *testing.T) {
	h, err := wasm.New(t.Context(), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	for _, name := range Names() {
		module, doc, err := Builtin(name)
		if err != nil {
			if !strings.Contains(err.Error(), "run make plugins") {
				t.Error(err)
			}
			t.Logf("left out: %v", err)
			continue
		}
		m, err := manifest.Parse(doc)
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := h.Load(t.Context(), module, wasm.PluginOptions{Name: name})
		if err != nil {
			t.Error(err)
			continue
		}
		if err := m.CheckExports(p.Exports()); err != nil {
			t.Error(err)
		}
	}
}

func TestBuiltin_NamesWhatThereIs(t *testing.T) {
	if _, _, err := Builtin("nonesuch"); err == nil || !strings.Contains(err.Error(), "router") {
		t.Error(err)
	}
	if _, _, err := Builtin("../router"); err == nil {
		t.Error("a path was taken for a name")
	}
}
