package runtime

import (
	"errors"
	"testing"

	"github.com/ledge-run/ledge/runtime/wasm"
)

func TestOfPlugin_NamesThePluginOnce(t *testing.T) {
	for want, err := range map[string]error{
		"plugin pii: no such file":                  errors.New("no such file"),
		"plugin pii: plugin piix: no":               errors.New("plugin piix: no"),
		"plugin pii exports no hook":                errors.New("plugin pii exports no hook"),
		"plugin pii: bad_module: not a binary":      &wasm.Error{Code: wasm.CodeBadModule, Plugin: "pii", Message: "not a binary"},
		"plugin pii.guard: trap: division by zero":  &wasm.Error{Code: wasm.CodeTrap, Plugin: "pii", Export: "guard", Message: "division by zero"},
		"plugin pii: bad_module: unnamed, so named": &wasm.Error{Code: wasm.CodeBadModule, Message: "unnamed, so named"},
	} {
		if got := ofPlugin("pii", err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
