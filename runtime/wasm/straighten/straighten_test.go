package straighten

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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

// runner returns a function that runs the module and returns what it prints and how it ends.
func runner(t testing.TB, module []byte) func(args ...string) string {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		var out bytes.Buffer
		m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStdout(&out).WithStderr(&out).
			WithArgs(append([]string{"guest"}, args...)...).WithSysWalltime().WithSysNanotime().WithSysNanosleep())
		if err != nil {
			out.WriteString(err.Error())
		}
		if m != nil {
			m.Close(ctx)
		}
		return address.ReplaceAllString(out.String(), "0x")
	}
}

// address is what a trace of a panic's stack has that may differ: goroutines take turns by the clock.
var address = regexp.MustCompile(`(?:0x[0-9a-f]+|goroutine \d+)`)

func TestModule_ComputesTheSame(t *testing.T) {
	module := build(t)
	straight, err := Module(module)
	if err != nil {
		t.Fatal(err)
	}
	compiled, straightened := runner(t, module), runner(t, straight)
	for seed := range 9 { // panics, recoveries, goroutines, deep stacks, garbage: see the guest
		arg := strconv.Itoa(seed)
		want := compiled(arg)
		if got := straightened(arg); got != want || len(want) < 100 {
			t.Errorf("%s straightened:\n%s\nas compiled:\n%s", arg, got, want)
		}
	}
	if again, err := Module(module); err != nil || !bytes.Equal(again, straight) {
		t.Errorf("a second time it is another module (%v)", err)
	}
}

// The compiler's functions have the form that this package knows, and their loops become loops.
func TestModule_FindsTheLoopsOfGoCode(t *testing.T) {
	r := &reader{b: build(t), pos: 8}
	functions, loops, entangled := 0, 0, 0
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
			top := f.layout()
			if top == nil {
				entangled++
				continue
			}
			var count func(*item)
			count = func(i *item) {
				for _, c := range i.items {
					if c.loop {
						loops++
					}
					count(c)
				}
			}
			count(top)
		}
	}
	t.Logf("%d functions with jumps, %d loops; %d functions left alone", functions, loops, entangled)
	if functions < 500 || loops < 500 || entangled > functions/100 {
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
