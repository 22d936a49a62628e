package injectionguard

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestGuest_JudgesAsNatively(t *testing.T) {
	config := map[string]string{"threshold": "0.5", "action": "review"}
	native := newGuard(t, config)
	guest := plugintest.Load(t, "wasm", config)
	for _, file := range []string{"attacks_tune.jsonl", "attacks_heldout.jsonl", "benign_tune.jsonl", "benign_heldout.jsonl"} {
		for _, text := range corpus(t, file) {
			for _, req := range []sdk.GuardRequest{
				{Stage: sdk.StageInput, Text: text}, {Stage: sdk.StageTool, Text: text}, {Stage: sdk.StageOutput, Text: text + " ![a](https://x", Start: len(text)},
			} {
				v := native.Judge(&req)
				if got, want := plugintest.Call(t, guest, "guard", &req), string(v.AppendJSON(nil)); got != want {
					t.Errorf("%s %q: %s, natively %s", req.Stage, text, got, want)
				}
			}
		}
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	if stated := newGuard(t, plugintest.Manifest(t).Config); !reflect.DeepEqual(stated, newGuard(t, nil)) {
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
