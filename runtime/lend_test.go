package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
	"github.com/ledge-run/ledge/runtime/wasm"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// borrower is a plugin whose exports pass their input to a function of the host and answer with what that answers:
// call completes, twice, and describe searches.
func borrower() []byte {
	i64 := []byte{0x7e}
	m := Build()
	in := m.Import("extism:host/env", "input_offset", nil, i64)
	length := m.Import("extism:host/env", "length", i64, i64)
	out := m.Import("extism:host/env", "output_set", []byte{0x7e, 0x7e}, nil)
	complete := m.Import("extism:host/user", "ledge_slm_complete", i64, i64)
	query := m.Import("extism:host/user", "ledge_search_query", i64, i64)
	pass := func(f int) int {
		return m.Func(nil, nil, 1, Invoke(in), Invoke(f), Op(0x22, 0), Get(0), Invoke(length), Invoke(out))
	}
	m.Export("call", pass(complete))
	m.Export("describe", pass(query))
	m.Export("route", m.Func(nil, nil, 0, Loop(Invoke(in), Invoke(complete), Drop()))) // asks for ever
	return m.Bytes()
}

func lendingRuntime(t *testing.T, capabilities string, grant ...string) (*Runtime, error) {
	t.Helper()
	dir := t.TempDir()
	model := filepath.Join(dir, "tiny.gguf")
	f, err := os.Create(model)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(slmtest.Tiny.Write(f), f.Close(), os.WriteFile(filepath.Join(dir, "p.wasm"), borrower(), 0o600),
		os.WriteFile(filepath.Join(dir, "p.yaml"), []byte("name: p\nhooks: [tools]\ncapabilities: "+capabilities+"\nlimits: {timeout: 20s, tokens: 200}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data, cfg.Model.File = filepath.Join(dir, "data"), model
	cfg.Plugins = map[string]config.Plugin{"p": {File: filepath.Join(dir, "p.wasm"), Grant: grant}}
	cfg.Routes = map[string]config.Route{"default": {Models: []string{config.Local}}}
	r, err := New(t.Context(), cfg, Options{})
	if err == nil {
		t.Cleanup(func() { r.Close(context.Background()) })
	}
	return r, err
}

func TestLend_ModelWithinTheCallsTokens(t *testing.T) {
	r, err := lendingRuntime(t, "[slm, search]", "slm", "search")
	if err != nil {
		t.Fatal(err)
	}
	call := func(export, input string) (string, error) {
		res, err := r.plugins["p"].Call(t.Context(), wasm.Call{Export: export, Input: []byte(input), Tenant: "default"})
		return string(res.Output), err
	}
	var first struct {
		Text                           string
		PromptTokens, CompletionTokens int
	}
	request := `{"messages":[{"role":"user","content":"Once upon a time"}],"max_tokens":8}`
	out, err := call("call", request)
	if err != nil || json.Unmarshal([]byte(strings.ReplaceAll(out, "_", "")), &first) != nil || first.Text == "" || first.CompletionTokens != 8 || first.PromptTokens == 0 {
		t.Fatalf("%s, %v", out, err)
	}
	if again, err := call("call", request); err != nil || again != out {
		t.Errorf("the same request at temperature 0: %s, %v", again, err)
	}
	for request, want := range map[string]string{
		`{"prompt":"x","messages":[{"role":"user","content":"y"}]}`: "either prompt or messages",
		`{"messages":[{"role":"tool","content":"y"}]}`:              "role",
		`{"prompt":"x","model":"nowhere"}`:                          "no such model",
		`nonsense`:                                                  "JSON",
	} {
		if out, err := call("call", request); err != nil || !strings.Contains(out, `{"error":`) || !strings.Contains(out, want) {
			t.Errorf("%.50s: %s, %v", request, out, err)
		}
	}
	var failed *wasm.Error
	for name, err := range map[string]error{
		"asks for ever":   second(call("route", request)),
		"too long prompt": second(call("call", `{"prompt":"`+strings.Repeat("word ", 300)+`"}`)),
	} {
		if !errors.As(err, &failed) || failed.Code != wasm.CodeTokenLimit {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLend_DocumentsThatTheCallerMayRead(t *testing.T) {
	r, err := lendingRuntime(t, "[slm, search]", "slm", "search")
	if err != nil {
		t.Fatal(err)
	}
	doc := func(name, text string, rule search.Rule) {
		rule.Approved = true
		if err := r.library.Put(t.Context(), "default", &search.Document{Name: name, Rule: rule, Bytes: int64(len(text))}, text, []search.Chunk{{Start: 0, End: len(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	doc("open.txt", "The pump station lifts storm water from the basin.", search.Rule{Classification: "public"})
	doc("secret.txt", "The pump station code is 4711.", search.Rule{Classification: "public", Groups: []string{"operators"}})
	ask := func(ctx context.Context) string {
		res, err := r.plugins["p"].Call(ctx, wasm.Call{Export: "describe", Input: []byte(`{"query":"pump station","k":5}`), Tenant: "default", Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Output)
	}
	if out := ask(t.Context()); out != `{"hits":[]}` {
		t.Errorf("outside a request: %s", out)
	}
	in := func(a search.Access) context.Context { return pipeline.WithAccess(t.Context(), a) }
	if out := ask(in(search.Access{Tenant: "default"})); !strings.Contains(out, "storm water") || strings.Contains(out, "4711") {
		t.Errorf("anyone: %s", out)
	}
	if out := ask(in(search.Access{Tenant: "default", Groups: []string{"operators"}})); !strings.Contains(out, "4711") {
		t.Errorf("an operator: %s", out)
	}
	if out := ask(in(search.Access{Tenant: "other", Groups: []string{"operators"}})); out != `{"hits":[]}` {
		t.Errorf("another tenant: %s", out)
	}
}

func TestLend_MissingGrant(t *testing.T) {
	var failed *wasm.Error
	if _, err := lendingRuntime(t, "[slm, search]", "search"); !errors.As(err, &failed) || failed.Code != wasm.CodeCapabilityDenied {
		t.Errorf("required: %v", err)
	}
	r, err := lendingRuntime(t, `["slm?", search]`, "search")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.plugins["p"].Call(t.Context(), wasm.Call{Export: "call", Input: []byte(`{"prompt":"x"}`)}); !errors.As(err, &failed) || failed.Code != wasm.CodeCapabilityDenied {
		t.Errorf("optional: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
