package straighten

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

func build(t testing.TB) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// run returns what the module prints and how it ends.
func run(t testing.TB, module []byte, args ...string) string {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	var out bytes.Buffer
	_, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStdout(&out).WithStderr(&out).WithArgs(append([]string{"guest"}, args...)...))
	if err != nil {
		out.WriteString(err.Error())
	}
	return out.String()
}

func TestModule_ComputesTheSame(t *testing.T) {
	module := build(t)
	straight, err := Module(module)
	if err != nil {
		t.Fatal(err)
	}
	want := run(t, module)
	if got := run(t, straight); got != want || len(want) < 100 {
		t.Errorf("straightened:\n%s\nas compiled:\n%s", got, want)
	}
	if again, err := Module(module); err != nil || !bytes.Equal(again, straight) {
		t.Errorf("a second time it is another module (%v)", err)
	}
}

// Most functions take the form, and few jumps go through the table.
func TestModule_FindsTheLoopsOfGoCode(t *testing.T) {
	r := &reader{b: build(t), pos: 8}
	functions, loops, dissolved := 0, 0, 0
	for r.pos < len(r.b) {
		id := r.byte()
		body := r.take(r.u32())
		if id != codeSection {
			continue
		}
		code := &reader{b: body}
		for range code.u32() {
			f := parse(code.take(code.u32()))
			if f == nil {
				continue
			}
			functions++
			var count func([]*loop)
			count = func(list []*loop) {
				for _, l := range list {
					if l.dissolved {
						dissolved++
					} else {
						loops++
					}
					count(l.inner)
				}
			}
			count(f.loops())
		}
	}
	t.Logf("%d functions, %d loops of their own, %d by the table", functions, loops, dissolved)
	if functions < 500 || loops < 200 {
		t.Error("the compiler's output has another form than this package knows")
	}
}

func TestModule_LeavesOthersAlone(t *testing.T) {
	for _, bad := range []string{"", "\x00asm", "\x00asm\x02\x00\x00\x00", "\x00asm\x01\x00\x00\x00\x0a\x05\x01", "\x00asm\x01\x00\x00\x00\x0a\x02\x01\x09"} {
		if _, err := Module([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	// (func (param i32) (loop (block (block (br_table 0 1 (local.get 0))) (drop (local.get 0)))))
	other := []byte("\x00asm\x01\x00\x00\x00\x0a\x17\x01\x15\x00\x03\x40\x02\x40\x02\x40\x20\x00\x0e\x01\x00\x01\x0b\x20\x00\x1a\x0b\x0b\x0b\x0b")
	out, err := Module(other)
	if err != nil || !bytes.Equal(out, other) {
		t.Errorf("% x, %v", out, err)
	}
}

func FuzzModule(f *testing.F) {
	f.Add([]byte("\x03\x40\x02\x40\x02\x40\x20\x00\x0e\x01\x00\x01\x0b\x20\x01\x04\x40\x41\x01\x21\x00\x0c\x02\x0b\x0b\x41\x00\x21\x00\x0c\x00\x0b\x0b"))
	f.Fuzz(func(t *testing.T, body []byte) {
		body = append([]byte{0}, body...)
		code := append(appendU32([]byte{1}, uint32(len(body))), body...)
		module := append(appendU32(append([]byte("\x00asm\x01\x00\x00\x00"), 1, 5, 1, 0x60, 1, 0x7f, 0, 3, 2, 1, 0, codeSection), uint32(len(code))), code...)
		out, err := Module(module)
		if err != nil {
			return
		}
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		defer r.Close(ctx)
		if m, err := r.CompileModule(ctx, module); err == nil { // what is valid stays so
			m.Close(ctx)
			if m, err = r.CompileModule(ctx, out); err != nil {
				t.Fatalf("% x became % x: %v", module, out, err)
			}
			m.Close(ctx)
		}
	})
}
