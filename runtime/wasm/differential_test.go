package wasm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
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
	} {
		t.Run(c.file+" "+c.input, func(t *testing.T) {
			module, err := os.ReadFile(filepath.Join(dir, c.file))
			if err != nil {
				t.Skip(err)
			}
			if info, err := meter.Inspect(module); err != nil || !slices.ContainsFunc(info.Exports, func(e meter.Export) bool { return e.Name == c.export }) {
				t.Fatalf("no export %s: both hosts would agree about nothing", c.export)
			}
			theirs, theirErr := reference(t, module, config, c.export, c.input)
			p := load(t, h, module, PluginOptions{Config: config, Limits: Limits{Timeout: 5 * time.Second}})
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

func reference(t *testing.T, module []byte, config map[string]string, export, input string) ([]byte, error) {
	ctx := context.Background()
	p, err := sdk.NewPlugin(ctx, sdk.Manifest{Wasm: []sdk.Wasm{sdk.WasmData{Data: module}}, Config: config},
		sdk.PluginConfig{EnableWasi: true}, nil)
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
