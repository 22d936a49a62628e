package sdk_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/wasm"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// store is a key-value store that refuses the value "big" as too large, "much" for the quota and "broken" without reason.
type store map[string][]byte

func (s store) functions() []wasm.HostFunction {
	i64 := []wasm.ValueType{wasm.I64}
	return []wasm.HostFunction{
		{Name: "ledge_kv_get", Params: i64, Results: i64, Func: func(_ context.Context, c *wasm.HostCall, stack []uint64) error {
			key, err := c.Read(stack[0])
			v, ok := s[string(key)]
			if stack[0] = 0; err != nil || !ok {
				return err
			}
			stack[0], err = c.Write(v)
			return err
		}},
		{Name: "ledge_kv_set", Params: []wasm.ValueType{wasm.I64, wasm.I64, wasm.I64}, Results: i64, Func: func(_ context.Context, c *wasm.HostCall, stack []uint64) error {
			key, err := c.Read(stack[0])
			if err != nil {
				return err
			}
			var v []byte
			if stack[1] != 0 { // 0: no bytes
				if v, err = c.Read(stack[1]); err != nil {
					return err
				}
			}
			if stack[2] != 60 {
				return errors.New("another time to live than the guest gave")
			}
			status, refused := map[string]uint64{"much": 1, "big": 2, "broken": 3}[string(v)]
			if !refused {
				s[string(key)] = append([]byte(nil), v...)
			}
			stack[0] = status
			return nil
		}},
		{Name: "ledge_kv_delete", Params: i64, Results: i64, Func: func(_ context.Context, c *wasm.HostCall, stack []uint64) error {
			key, err := c.Read(stack[0])
			delete(s, string(key))
			stack[0] = 0
			return err
		}},
	}
}

func TestGuest(t *testing.T) {
	kv := store{}
	g := plugintest.Load(t, "testdata/guest", map[string]string{"greeting": "grüße"}, kv.functions()...)

	judge := func(text string) (sdk.Verdict, wasm.Result, error) {
		in := (&sdk.GuardRequest{Stage: sdk.StageInput, Text: text, Start: 1}).AppendJSON(nil)
		res, err := g.Call(t.Context(), wasm.Call{Export: "guard", Input: in})
		var v sdk.Verdict
		if err == nil {
			err = v.ParseJSON(res.Output)
		}
		return v, res, err
	}

	t.Run("errors and panics fail the one call and say why", func(t *testing.T) {
		for text, want := range map[string]string{
			"error": "cannot judge this", "panic": "panic: lost the plot", "index": "slice bounds out of range", "nil": "assignment to entry in nil map",
		} {
			if _, _, err := judge(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			if v, _, err := judge("fine"); err != nil || v.Verdict != sdk.Allow {
				t.Errorf("the call after %s: %+v, %v", text, v, err)
			}
		}
	})
	t.Run("a request that is not JSON fails with its offset", func(t *testing.T) {
		_, err := g.Call(t.Context(), wasm.Call{Export: "guard", Input: []byte(`{"text":1}`)})
		if err == nil || !strings.Contains(err.Error(), "expected a string at byte 8") {
			t.Error(err)
		}
	})
	t.Run("config", func(t *testing.T) {
		if v, _, err := judge("config"); err != nil || v.Reason != "grüße" {
			t.Errorf("%+v, %v", v, err)
		}
	})
	t.Run("log", func(t *testing.T) {
		_, res, err := judge("log")
		var got []string
		for _, l := range res.Logs {
			if l.Level >= slog.LevelInfo {
				got = append(got, l.Level.String()+" "+l.Text)
			}
		}
		if err != nil || strings.Join(got, ", ") != "INFO a fact, WARN a worry, ERROR a fault" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("key-value store", func(t *testing.T) {
		for _, c := range []struct{ command, want string }{
			{"get a", "nothing there"}, {"set a höhe", "done"}, {"get a", "höhe"}, {"set a much", "quota"}, {"set a big", "too large"},
			{"set a broken", "store failed"}, {"get a", "höhe"}, {"delete a", "done"}, {"delete a", "done"}, {"get a", "nothing there"},
			{"set e ", "done"}, {"get e", "nothing there"}, // an empty value cannot be told from none
		} {
			in := (&sdk.ToolRequest{Params: sdk.ToolParams{Name: c.command}}).AppendJSON(nil)
			res, err := g.Call(t.Context(), wasm.Call{Export: "call", Input: in})
			got := string(res.Output)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%s: %s, want %s", c.command, got, c.want)
			}
		}
	})
}

// The plugin in the README builds and does what it says.
func TestReadme_ExampleWorks(t *testing.T) {
	doc, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```go\n")
	source, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no Go example in the README")
	}
	dir, err := os.MkdirTemp("testdata", "readme") // inside the module, for the imports
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	g := plugintest.Load(t, dir, nil)
	for text, want := range map[string]string{
		"about project bluebird": `{"verdict":"block","reason":"names a secret project"}`, "hello": `{"verdict":"allow"}`,
	} {
		if got := plugintest.Call(t, g, "guard", &sdk.GuardRequest{Stage: sdk.StageInput, Text: text}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
