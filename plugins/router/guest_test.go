package router

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

func TestGuest_RoutesAsNatively(t *testing.T) {
	settings := map[string]string{"rules": "contains=invoice -> model=big\ncode=true -> tier=large"}
	r := router(t, settings)
	g := plugintest.Load(t, "wasm", settings)
	for _, text := range []string{
		"", "hello", "what is 17*23", "Fasse die Rechnung zusammen, bitte: " + strings.Repeat("und die ", 300), hardQuestion, "my INVOICE",
		"要約して \"quoted\"\n", "wie spät ist es?",
	} {
		req := ask(text)
		req.Tools = []string{"calculator", "clock"}
		d := r.Route(req)
		if got, want := plugintest.Call(t, g, "route", req), string(d.AppendJSON(nil)); got != want {
			t.Errorf("%.20q: %s, natively %s", text, got, want)
		}
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	m := plugintest.Manifest(t)
	if stated, builtin := router(t, m.Config), router(t, nil); !reflect.DeepEqual(stated, builtin) {
		t.Errorf("%+v, built in %+v", stated, builtin)
	}
}

func BenchmarkGuest(b *testing.B) {
	g := plugintest.Load(b, "wasm", nil)
	for _, c := range []struct{ name, text string }{
		{"empty", ""},
		{"short", "How do I reset the password of my account?"},
		{"long", strings.Repeat("The station lifts storm water from the lower basin. ", 40)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := ask(c.text).AppendJSON(nil)
			fuel := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				res, err := g.Call(b.Context(), wasm.Call{Export: "route", Input: in})
				if err != nil {
					b.Fatal(err)
				}
				fuel = res.Fuel
			}
			b.ReportMetric(float64(fuel), "fuel/op")
		})
	}
}
