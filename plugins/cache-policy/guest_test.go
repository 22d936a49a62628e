package cachepolicy

import (
	"reflect"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestGuest_PlansAsNatively(t *testing.T) {
	settings := map[string]string{"ttl": "1h", "max_bytes": "100"}
	p := policy(t, settings)
	g := plugintest.Load(t, "wasm", settings)
	for name, change := range map[string]func(*sdk.CacheRequest){
		"cached":      func(*sdk.CacheRequest) {},
		"tools":       func(r *sdk.CacheRequest) { r.ToolsDigest = "x" },
		"temperature": func(r *sdk.CacheRequest) { r.Temperature = 0.1 },
		"unicode":     func(r *sdk.CacheRequest) { r.Messages[1].Content = "grüße \"日本\"\x00\n\u2028" },
	} {
		r := request()
		change(r)
		plan := p.Plan(r)
		if got, want := plugintest.Call(t, g, "cache", r), string(plan.AppendJSON(nil)); got != want {
			t.Errorf("%s: %s, natively %s", name, got, want)
		}
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	m := plugintest.Manifest(t)
	if stated, builtin := policy(t, m.Config), policy(t, nil); !reflect.DeepEqual(stated, builtin) {
		t.Errorf("%+v, built in %+v", stated, builtin)
	}
}
