package wasm

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// withoutRoom makes all writes for the engine fail, as on a full disk.
func withoutRoom(t *testing.T, h *Host) (undo func()) {
	away := h.cache.scratch + "-away"
	if err := os.Rename(h.cache.scratch, away); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(away, h.cache.scratch); err != nil {
			t.Fatal(err)
		}
	}
}

func entries(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "*.aot"))
	return len(files)
}

func TestCache_PluginsWorkWithoutOne(t *testing.T) {
	ctx := context.Background()
	key := bytes.Repeat([]byte{7}, 32)
	answers := func(t *testing.T, p *Plugin) {
		t.Helper()
		if res, err := p.Call(ctx, Call{Export: "run", Input: []byte("ok")}); err != nil || string(res.Output) != "ok" {
			t.Fatalf("%q, %v", res.Output, err)
		}
	}
	t.Run("no directory", func(t *testing.T) {
		var log bytes.Buffer
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h := newHost(t, Options{CacheDir: filepath.Join(file, "wasm"), CacheKey: key, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		p := load(t, h, echo(), PluginOptions{})
		answers(t, p)
		if p.Rest() || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("code that would have to be compiled again was dropped, or not one warning:\n%s", log.String())
		}
	})
	t.Run("no room", func(t *testing.T) {
		var log bytes.Buffer
		dir := t.TempDir()
		h := newHost(t, Options{CacheDir: dir, CacheKey: key, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		cached := load(t, h, single(func(*Module) [][]byte { return nil }), PluginOptions{})
		if _, err := cached.Call(ctx, Call{Export: "run"}); err != nil || entries(dir) != 1 {
			t.Fatalf("%d entries, %v", entries(dir), err)
		}
		if !cached.Rest() {
			t.Fatal("the first plugin's code was not dropped")
		}
		undo := withoutRoom(t, h)
		p := load(t, h, echo(), PluginOptions{})
		answers(t, p)
		if _, err := cached.Call(ctx, Call{Export: "run"}); err != nil {
			t.Errorf("a plugin whose entry is there and cannot be given to the engine: %v", err)
		}
		if _, err := h.Load(ctx, append(chain(1), 99), PluginOptions{}); codeOf(err) != CodeBadModule {
			t.Errorf("a module that is not valid: %v", err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || entries(dir) != 1 {
			t.Errorf("%d warnings, %d entries:\n%s", n, entries(dir), log.String())
		}
		undo()
		p.host.idleCode = 0
		again := load(t, h, chain(2), PluginOptions{}) // finds that there is room again
		if _, err := again.Call(ctx, Call{Export: "run"}); err != nil || entries(dir) != 2 {
			t.Errorf("%d entries, %v", entries(dir), err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".run-*", "*", "*", "*")); len(left) > 0 {
			t.Errorf("left in the engine's directory: %v", left)
		}
	})
	t.Run("directory gone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "wasm")
		h := newHost(t, Options{CacheDir: dir, CacheKey: key, Logger: slog.New(slog.DiscardHandler)})
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		answers(t, load(t, h, echo(), PluginOptions{Limits: Limits{Timeout: time.Second}}))
	})
}
