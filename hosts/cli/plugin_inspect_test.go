package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

func TestPluginInspect_SaysWhatThePluginAsksFor(t *testing.T) {
	m := Build()
	m.Memory(1, 1)
	m.Import(extism.Module, "http_request", []byte{0x7e, 0x7e}, []byte{0x7e})
	m.Import(extism.UserModule, "ledge_kv_get", []byte{0x7e}, []byte{0x7e})
	m.Export("guard", m.Func(nil, []byte{0x7f}, 0, Const32(0)))
	file := filepath.Join(t.TempDir(), "p.wasm")
	if err := os.WriteFile(file, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for manifest, want := range map[string][]string{
		"": {"http", "kv"},
		"name: p\nhooks: [guard]\ncapabilities: [kv, clock?, \"http=GET https://api.example.com/v1\"]\n": {"kv", "clock?", "http=GET https://api.example.com/v1"},
	} {
		if manifest != "" {
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "plugin.yaml"), []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		module, ext, err := readPlugin(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := inspectPlugin(context.Background(), file, module, ext)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.Asks, want) || r.Error != nil {
			t.Errorf("asks %q, want %q; %+v", r.Asks, want, r.Error)
		}
		os.Remove(filepath.Join(filepath.Dir(file), "plugin.yaml"))
	}
}
