package wasm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/extism/go-sdk"

	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// TestDifferential_SameAnswersAsReference runs the modules that ship with extism/go-sdk through both hosts.
func TestDifferential_SameAnswersAsReference(t *testing.T) {
	dir := sdkModules()
	if dir == "" {
		t.Skip("the module extism/go-sdk is not there")
	}
	h := newHost(t, Options{})
	config := map[string]string{"thing": "hello", "vowels": "aeiou"}
	for _, c := range []struct{ file, export, input string }{
		{"alloc.wasm", "run_test", ""},
		{"config.wasm", "run_test", ""},
		{"count_vowels.wasm", "count_vowels", "hello world"},
		{"count_vowels.wasm", "count_vowels", ""},
		{"count_vowels_std.wasm", "_start", "Hello World, once more"},
		{"fail.wasm", "run_test", ""},
		{"hello.wasm", "run_test", ""},
		{"hello_haskell.wasm", "testing", "Haskell"},
		{"input_offset.wasm", "input_offset_length", "12345678"},
		{"log.wasm", "run_test", ""},
		{"noop.wasm", "run_test", ""},
		{"replace.wasm", "run_test", "the word"},
		{"println.wasm", "run_test", ""},
		{"http.wasm", "run_test", ""},
		{"http_headers.wasm", "http_get", ""},
		{"var.wasm", "run_test", ""},
		{"exit.wasm", "_start", ""},
		{"fs.wasm", "run_test", ""}, // no files in either host
		{"fs_std.wasm", "run_test", ""},
		{"host.wasm", "run_test", ""},
		{"host_multiple.wasm", "say_green", "John"},
		{"host_multiple.wasm", "say_purple", "Jane"},
		{"lib.wasm", "capitalize", "a word"},
		{"read_write.wasm", "try_read", ""},
		{"read_write.wasm", "try_write", "text"},
		{"std_command.wasm", "_start", "ben"},
	} {
		t.Run(c.file+" "+c.export+" "+c.input, func(t *testing.T) {
			module, err := os.ReadFile(filepath.Join(dir, c.file))
			if err != nil {
				t.Skip(err)
			}
			if info, err := meter.Inspect(module); err != nil || !slices.ContainsFunc(info.Exports, func(e meter.Export) bool { return e.Name == c.export }) {
				t.Fatalf("no export %s: both hosts would agree about nothing", c.export)
			}
			theirs, theirErr := reference(t, module, config, c.export, c.input)
			p := load(t, h, module, PluginOptions{Config: config, Functions: ourUserFunctions, Limits: Limits{Timeout: 5 * time.Second}})
			for range 2 { // the second call on a restored instance
				res, err := p.Call(context.Background(), Call{Export: c.export, Input: []byte(c.input)})
				if (err != nil) != (theirErr != nil) || !bytes.Equal(res.Output, theirs) {
					t.Errorf("we: %q, %v\nthey: %q, %v", res.Output, err, theirs, theirErr)
				}
			}
			if err := p.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDifferential_Vars calls a plugin that adds up in a var, three times in both hosts, then with little room for vars.
func TestDifferential_Vars(t *testing.T) {
	dir := sdkModules()
	if dir == "" {
		t.Skip("the module extism/go-sdk is not there")
	}
	module, err := os.ReadFile(filepath.Join(dir, "count_vowels.wasm"))
	if err != nil {
		t.Skip(err)
	}
	ctx, h := context.Background(), newHost(t, Options{})
	for _, room := range []int{0, -1} {
		m := sdk.Manifest{Wasm: []sdk.Wasm{sdk.WasmData{Data: module}}}
		if room < 0 { // which the reference writes as 0
			m.Memory = &sdk.ManifestMemory{MaxVarBytes: 0}
		}
		theirs, err := sdk.NewPlugin(ctx, m, sdk.PluginConfig{EnableWasi: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close(ctx)
		ours := load(t, h, module, PluginOptions{Limits: Limits{Timeout: time.Second, VarBytes: room}})
		var vars Vars
		for i, text := range []string{"hello", "a e i", "Outer"} {
			_, want, wantErr := theirs.Call("count_vowels", []byte(text))
			res, err := ours.Call(ctx, Call{Export: "count_vowels", Input: []byte(text), Vars: &vars})
			if string(res.Output) != string(want) || (err != nil) != (wantErr != nil) {
				t.Errorf("call %d with room %d: we %q, %v; they %q, %v", i, room, res.Output, err, want, wantErr)
			}
			if room < 0 && err == nil {
				t.Error("set a var where none may be")
			}
		}
		if res, err := ours.Call(ctx, Call{Export: "count_vowels", Input: []byte("hello")}); room == 0 && (err != nil || !strings.Contains(string(res.Output), `"total":2`)) {
			t.Errorf("a call without vars found those of others: %q, %v", res.Output, err)
		}
	}
}

// The functions of the user that host.wasm and host_multiple.wasm import, for both hosts.

var ourUserFunctions = []HostFunction{
	{Name: "mult", Params: []ValueType{I64, I64}, Results: []ValueType{I64}, Quick: true,
		Func: func(_ context.Context, _ *HostCall, s []uint64) error {
			s[0] = uint64(uint32(int32(s[0]) * int32(s[1])))
			return nil
		}},
	ourMessage("hostGreenMessage", "green:"), ourMessage("hostPurpleMessage", "purple:"),
}

func ourMessage(name, prefix string) HostFunction {
	return HostFunction{Name: name, Params: []ValueType{I64}, Results: []ValueType{I64},
		Func: func(_ context.Context, call *HostCall, s []uint64) error {
			text, err := call.Read(s[0])
			if err == nil {
				s[0], err = call.Write(append([]byte(prefix), text...))
			}
			return err
		}}
}

func theirUserFunctions() []sdk.HostFunction {
	ptr := []sdk.ValueType{sdk.ValueTypePTR}
	message := func(name, prefix string) sdk.HostFunction {
		return sdk.NewHostFunctionWithStack(name, func(_ context.Context, p *sdk.CurrentPlugin, s []uint64) {
			text, err := p.ReadString(s[0])
			if err == nil {
				s[0], err = p.WriteString(prefix + text)
			}
			if err != nil {
				panic(err)
			}
		}, ptr, ptr)
	}
	return []sdk.HostFunction{
		sdk.NewHostFunctionWithStack("mult", func(_ context.Context, _ *sdk.CurrentPlugin, s []uint64) {
			s[0] = sdk.EncodeI32(sdk.DecodeI32(s[0]) * sdk.DecodeI32(s[1]))
		}, []sdk.ValueType{sdk.ValueTypePTR, sdk.ValueTypePTR}, ptr),
		message("hostGreenMessage", "green:"), message("hostPurpleMessage", "purple:"),
	}
}

func reference(t *testing.T, module []byte, config map[string]string, export, input string) ([]byte, error) {
	ctx := context.Background()
	p, err := sdk.NewPlugin(ctx, sdk.Manifest{Wasm: []sdk.Wasm{sdk.WasmData{Data: module}}, Config: config},
		sdk.PluginConfig{EnableWasi: true}, theirUserFunctions())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(ctx)
	status, out, err := p.Call(export, []byte(input))
	if err == nil && status != 0 {
		err = &exit{status}
	}
	return out, err
}
