package tools

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/ledge-run/ledge/plugins/plugintest"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestGuest_AnswersAsNatively(t *testing.T) {
	s := servlet(t, "")
	g := plugintest.Load(t, "wasm", nil)
	list := s.Describe()
	if got, want := plugintest.Call(t, g, "describe", nil), string(list.AppendJSON(nil)); got != want {
		t.Errorf("describe: %s, natively %s", got, want)
	}
	for _, expression := range []string{"17*23", "2^64", "1/3", "sin(1)+ln(2)*exp(0.5)", "round(pi,3)", "9^9^9", "(", "-0.1e-9", "sqrt(2)^2", "tan(1)"} {
		req := &sdk.ToolRequest{Method: "tools/call", Params: sdk.ToolParams{Name: Calculator, Arguments: append(sdk.AppendString([]byte(`{"expression":`), expression), '}')}}
		r := s.Call(req)
		if got, want := plugintest.Call(t, g, "call", req), string(r.AppendJSON(nil)); got != want {
			t.Errorf("%s: %s, natively %s", expression, got, want)
		}
	}
	req := &sdk.ToolRequest{Params: sdk.ToolParams{Name: Clock, Arguments: sdk.Raw(`{"time_zone":"+01:00"}`)}}
	got := plugintest.Call(t, g, "call", req)
	m := regexp.MustCompile(`"text":"([^ ]+\+01:00) \([A-Z][a-z]+day\)"`).FindStringSubmatch(got)
	if m == nil {
		t.Fatal(got)
	}
	at, err := time.Parse(time.RFC3339, m[1])
	if d := time.Since(at); err != nil || d < -time.Minute || d > time.Minute {
		t.Errorf("the guest's clock says %s: %v, %v", m[1], d, err)
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	m := plugintest.Manifest(t)
	stated, err := New(func(k string) (string, bool) { v, ok := m.Config[k]; return v, ok }, nil)
	builtin := servlet(t, "")
	builtin.Now = nil
	if err != nil || !reflect.DeepEqual(stated, builtin) {
		t.Errorf("%+v, %v, built in %+v", stated, err, builtin)
	}
}
