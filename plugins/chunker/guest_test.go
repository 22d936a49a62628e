package chunker

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/wasm"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestGuest_CutsAsNatively(t *testing.T) {
	sample, err := os.ReadFile("testdata/sample.md")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"size": "300", "overlap": "40"}
	c, err := New(func(k string) (string, bool) { v, ok := settings[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	g := plugintest.Load(t, "wasm", settings)
	for _, doc := range []sdk.Document{
		{Text: string(sample), Strategy: Fixed}, {Text: string(sample), Strategy: Recursive}, {Text: string(sample), Name: "a.md"},
		{Text: strings.Repeat(string(sample), 20), Strategy: Markdown, Size: 120, Overlap: 1}, {}, {Text: "日本語。\n\n\u2028x", Size: 2, Overlap: 1},
	} {
		l, err := c.Chunk(&doc)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := plugintest.Call(t, g, "chunk", &doc), string(l.AppendJSON(nil)); got != want {
			t.Errorf("%s %d: %.200s, natively %.200s", doc.Strategy, doc.Size, got, want)
		}
		res, err := g.Call(t.Context(), wasm.Call{Export: "chunk_text", Input: doc.AppendWithText(nil)})
		if want := string(l.AppendJSON(nil)); err != nil || string(res.Output) != want {
			t.Errorf("%s %d, the text beside the JSON: %.200s, %v, natively %.200s", doc.Strategy, doc.Size, res.Output, err, want)
		}
	}
	bad := &sdk.Document{Text: "x", Strategy: "magic"}
	if _, err := g.Call(t.Context(), wasm.Call{Export: "chunk", Input: bad.AppendJSON(nil)}); err == nil || !strings.Contains(err.Error(), "unknown strategy") {
		t.Errorf("an unknown strategy: %v", err)
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	m := plugintest.Manifest(t)
	stated, err := New(func(k string) (string, bool) { v, ok := m.Config[k]; return v, ok })
	builtin, _ := New(noConfig)
	if err != nil || !reflect.DeepEqual(stated, builtin) {
		t.Errorf("%+v, %v, built in %+v", stated, err, builtin)
	}
}
