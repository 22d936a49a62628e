package piiguard

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/wasm"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestGuest_JudgesAsNatively(t *testing.T) {
	const entities = "card=block,ip=allow"
	native := newGuard(t, entities)
	guest := plugintest.Load(t, "wasm", map[string]string{"entities": entities})
	for _, text := range streamTexts(t) {
		for _, req := range []sdk.GuardRequest{
			{Stage: sdk.StageInput, Text: text}, {Stage: sdk.StageOutput, Text: text}, {Stage: sdk.StageOutput, Text: "x " + text, Start: 2, Final: true},
		} {
			v := native.Judge(&req)
			if got, want := plugintest.Call(t, guest, "guard", &req), string(v.AppendJSON(nil)); got != want {
				t.Errorf("%s %q: %s, natively %s", req.Stage, text, got, want)
			}
		}
	}
}

// A policy that cannot be read fails the call: nothing passes unjudged.
func TestGuest_RefusesAPolicyItCannotRead(t *testing.T) {
	guest := plugintest.Load(t, "wasm", map[string]string{"entities": "mail=block"})
	in := (&sdk.GuardRequest{Stage: sdk.StageInput, Text: "x"}).AppendJSON(nil)
	if _, err := guest.Call(t.Context(), wasm.Call{Export: "guard", Input: in}); err == nil || !strings.Contains(err.Error(), "unknown entity") {
		t.Errorf("%v", err)
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	if stated := newGuard(t, plugintest.Manifest(t).Config["entities"]); !reflect.DeepEqual(stated, newGuard(t, "")) {
		t.Errorf("%+v", stated)
	}
}

// BenchmarkGuest4K calls the guest with the text of BenchmarkJudge4K/prose, sandbox, copies and JSON included.
func BenchmarkGuest4K(b *testing.B) {
	guest := plugintest.Load(b, "wasm", nil)
	req := &sdk.GuardRequest{Stage: sdk.StageInput, Text: strings.Repeat("The committee met again in the afternoon to talk about the budget of the next year. ", 50)[:4096]}
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		plugintest.Call(b, guest, "guard", req)
	}
}
