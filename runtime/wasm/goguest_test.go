package wasm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

var goGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "goguest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/goguest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := build.CombinedOutput(); err != nil {
		return msg, err
	}
	return os.ReadFile(out)
})

func buildGoGuest(t testing.TB) []byte {
	b, err := goGuest()
	if err != nil {
		t.Fatalf("build the guest: %v\n%s", err, b)
	}
	return b
}

func TestGoGuest_EachCallIsTheFirst(t *testing.T) {
	p := load(t, newHost(t, Options{}), buildGoGuest(t), PluginOptions{Limits: Limits{Timeout: time.Second, Instances: 2}})
	for range 20 {
		res, err := p.Call(context.Background(), Call{Export: "count", Input: []byte("hello")})
		if err != nil || string(res.Output) != "1HELLO" {
			t.Fatalf("%q, %v", res.Output, err)
		}
		if res, err := p.Call(context.Background(), Call{Export: "work"}); err != nil {
			t.Fatal(err, res.MemoryPeak)
		}
	}
	if s := p.Stats(); s.Discards != 0 {
		t.Errorf("instances were thrown away: %+v", s)
	}
}

func BenchmarkCall_GoGuest(b *testing.B) {
	benchCall(b, buildGoGuest(b), "count", "hello world, how are you")
}
func BenchmarkCall_GoGuestWork(b *testing.B) { benchCall(b, buildGoGuest(b), "work", "") }

// BenchmarkRaw_GoGuestWork is the same work without metering, on one instance that is never restored.
func BenchmarkRaw_GoGuestWork(b *testing.B) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, engineConfig())
	defer rt.Close(ctx)
	if err := instantiateImports(ctx, rt); err != nil {
		b.Fatal(err)
	}
	p := &Plugin{limits: Limits{}.withDefaults()}
	inst := &instance{plugin: p}
	inst.guest.inst = inst
	now := nanotime()
	inst.guest.begin(ctx, "", &p.opening, now, time.Hour)
	code, err := rt.CompileModule(ctx, buildGoGuest(b))
	if err != nil {
		b.Fatal(err)
	}
	mod, err := rt.InstantiateModule(&inst.guest, code, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		b.Fatal(err)
	}
	f := mod.ExportedFunction("work")
	for b.Loop() {
		if _, err := f.Call(&inst.guest); err != nil {
			b.Fatal(err)
		}
	}
}
