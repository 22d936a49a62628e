// Package plugintest runs a plugin as a guest in the sandbox, so that its tests can hold the guest against the same
// logic run natively. It builds the guest from source: no test sees a stale module.
package plugintest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
	"github.com/ledge-run/ledge/runtime/wasm/straighten"
)

// Build compiles the main package in dir for the sandbox and returns the module.
func Build(t testing.TB, dir string) []byte {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("%s holds no Go source (%v)", dir, err)
	}
	for _, file := range sources { // what a test reads is part of what its cached result depends on
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", dir, err, msg)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if module, err = straighten.Module(module); err != nil { // as those that are built in
		t.Fatal(err)
	}
	return module
}

// Manifest reads ./plugin.yaml.
func Manifest(t testing.TB) *manifest.Manifest {
	t.Helper()
	doc, err := os.ReadFile(manifest.FileName)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Load builds the guest in dir and loads it with generous limits; it is gone when the test ends.
func Load(t testing.TB, dir string, config map[string]string, functions ...wasm.HostFunction) *wasm.Plugin {
	t.Helper()
	h, err := wasm.New(t.Context(), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.WithoutCancel(t.Context())) })
	p, err := h.Load(t.Context(), Build(t, dir), wasm.PluginOptions{
		Name:      filepath.Base(dir),
		Config:    config,
		Functions: functions,
		Limits:    wasm.Limits{Timeout: 30 * time.Second, MemoryBytes: 256 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Request is what a hook takes.
type Request interface{ AppendJSON(b []byte) []byte }

// Call calls an export that must succeed and returns its output as it is.
func Call(t testing.TB, p *wasm.Plugin, export string, req Request) string {
	t.Helper()
	var in []byte
	if req != nil {
		in = req.AppendJSON(nil)
	}
	res, err := p.Call(t.Context(), wasm.Call{Export: export, Input: in})
	if err != nil {
		t.Fatalf("%s: %v", export, err)
	}
	return string(res.Output)
}
