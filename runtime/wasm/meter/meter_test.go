package meter

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// realModules are the modules that ship with the reference Extism host: C, Rust, TinyGo, Go, Haskell.
func realModules(t testing.TB) map[string][]byte {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/extism/go-sdk").Output()
	if err != nil {
		t.Skip("the module extism/go-sdk is not there")
	}
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "wasm", "*.wasm"))
	modules := make(map[string][]byte)
	for _, f := range files {
		if modules[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return modules
}

// valid says whether the engine accepts a module. The interpreter compiles fastest.
func valid(module []byte) error {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(ctx)
	_, err := rt.CompileModule(ctx, module)
	return err
}

func TestRewrite_RealModulesStayValid(t *testing.T) {
	for name, module := range realModules(t) {
		out, err := Rewrite(module)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := valid(out.Module); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, _ := Rewrite(module); !bytes.Equal(again.Module, out.Module) {
			t.Errorf("%s: rewriting twice gives two modules", name)
		}
		if _, err := Rewrite(out.Module); !errors.Is(err, ErrReserved) {
			t.Errorf("%s: a rewritten module was accepted: %v", name, err)
		}
		if strings.Contains(name, "_std") && (out.SegmentsIn < 1000 || out.SegmentsOut > 100) {
			t.Errorf("%s: %d data segments became %d", name, out.SegmentsIn, out.SegmentsOut)
		}
	}
}

func TestRewrite_IndicesStayRight(t *testing.T) {
	i32 := []byte{0x7f}
	m := Build()
	imp := m.Import("env", "ten", nil, i32)
	m.Table(2, 2)
	m.Memory(1, 1)
	m.Data(0, []byte{1, 2})
	m.Data(1, []byte{3, 4}) // overlaps, and wins
	m.Data(5000, []byte{5})
	g := m.Global64(5)
	two := m.Func(nil, i32, 0, Const32(2))
	start := m.Func(nil, nil, 0, GlobalGet(g), Const64(1), Op(0x7c), GlobalSet(g))
	early := m.Func(i32, i32, 0, Op(0x02, 0x40), Get(0), Op(0x0d, 0), Const32(99), Op(0x0f, 0x0b), Const32(1), Invoke(two), Op(0x6a)) // 99 for 0, else 3
	pair := m.Func(nil, []byte{0x7f, 0x7f}, 0, Invoke(two), Invoke(two))
	m.Elem(0, imp, two)
	m.Start(start)
	m.Export("run", m.Func(nil, i32, 0,
		Const32(0), Op(0x11, 0, 0), // 10, by the table
		Invoke(two), Op(0x6a), // 12
		Const32(0), Invoke(early), Op(0x6a), Const32(1), Invoke(early), Op(0x6a), // 114
		GlobalGet(g), Op(0xa7), Op(0x6a), // 120
		Const32(1), Op(0x2d, 0, 0), Op(0x6a), // 123
		Const32(5000), Op(0x2d, 0, 0), Op(0x6a), // 128
		Invoke(pair), Op(0x6a), Op(0x6a))) // 132
	out, err := Rewrite(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if out.SegmentsIn != 3 || out.SegmentsOut != 2 {
		t.Errorf("%d segments became %d", out.SegmentsIn, out.SegmentsOut)
	}
	for name, module := range map[string][]byte{"original": m.Bytes(), "metered": out.Module} {
		ctx := context.Background()
		rt := wazero.NewRuntime(ctx)
		defer rt.Close(ctx)
		ticks := 0
		_, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() int32 { return 10 }).Export("ten").Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rt.NewHostModuleBuilder(TickModule).NewFunctionBuilder().WithFunc(func(n int64) int64 { ticks++; return 3 }).Export(TickName).Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		mod, err := rt.Instantiate(ctx, module)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res, err := mod.ExportedFunction("run").Call(ctx)
		if err != nil || res[0] != 132 {
			t.Errorf("%s: got %v, %v", name, res, err)
		}
		if name == "metered" {
			if ticks == 0 {
				t.Error("the host was never asked for fuel")
			}
			if g, ok := mod.ExportedGlobal(out.Globals[0]).(api.MutableGlobal); !ok || g.Get() != 6 {
				t.Error("the guest's global is not exported to the host")
			}
		}
	}
}

// FuzzRewrite: never panics, and a valid module stays valid.
func FuzzRewrite(f *testing.F) {
	m := Build()
	m.Memory(1, 2)
	m.Data(3, []byte("abc"))
	m.Export("run", m.Func(nil, []byte{0x7f}, 2, Loop(Const32(1), Op(0x0d, 1)), Const32(0), Const32(1), Const32(2), Op(0xfc, 11, 0), Const32(1)))
	f.Add(m.Bytes())
	for name, module := range realModules(f) {
		if len(module) < 4000 {
			f.Add(module)
			_ = name
		}
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		out, err := Rewrite(module)
		if err != nil || valid(module) != nil {
			return
		}
		if err := valid(out.Module); err != nil {
			t.Errorf("valid before, not after: %v", err)
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	module := realModules(b)["count_vowels_std.wasm"]
	b.SetBytes(int64(len(module)))
	for b.Loop() {
		if _, err := Rewrite(module); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRewrite_LoopsComputeTheSame runs loops of every kind, left and continued from inside each other in every way, with
// fuel in slices so small that nearly every charge asks for more; nothing but the results may tell.
func TestRewrite_LoopsComputeTheSame(t *testing.T) {
	i32 := []byte{0x7f}
	m := Build()
	m.Memory(1, 1)
	add := m.Func([]byte{0x7f, 0x7f}, i32, 0, Get(0), Get(1), Op(0x6a)) // a leaf
	// Nested loops, of which the innermost leaves or continues any of them by a br_table.
	m.Export("table", m.Func(nil, i32, 0,
		Op(0x02, 0x40),
		Op(0x03, 0x40), Op(0x03, 0x40), Op(0x03, 0x40),
		Const32(0), Const32(0), Op(0x28, 2, 0), Const32(7), Invoke(add), Op(0x36, 2, 0),
		Const32(4), Const32(4), Op(0x28, 2, 0), Const32(1), Op(0x6a), Op(0x36, 2, 0),
		Const32(4), Op(0x28, 2, 0), Const32(500), Op(0x4b, 0x0d, 3),
		Const32(4), Op(0x28, 2, 0), Const32(4), Op(0x70), Op(0x0e, 3, 0, 1, 2, 3),
		Op(0x0b), Op(0x0b), Op(0x0b), Op(0x0b),
		Const32(0), Op(0x28, 2, 0)))
	// A loop with a result, and a return out of two loops.
	m.Export("result", m.Func(nil, i32, 0,
		Op(0x03, 0x7f), Op(0x03, 0x7f),
		Const32(8), Const32(8), Op(0x28, 2, 0), Const32(3), Op(0x6a), Op(0x36, 2, 0),
		Const32(8), Op(0x28, 2, 0), Const32(40), Op(0x48, 0x0d, 0),
		Const32(8), Op(0x28, 2, 0), Const32(70), Op(0x48, 0x0d, 1),
		Const32(8), Op(0x28, 2, 0), Const32(90), Op(0x4b, 0x04, 0x40), Const32(8), Op(0x28, 2, 0), Op(0x0f, 0x0b),
		Const32(8), Op(0x28, 2, 0), Op(0x0b), Const32(1000), Op(0x6a), Op(0x0b)))
	// More loops around each other than are left to ask for fuel.
	deep := concat(Const32(12), Const32(12), Op(0x28, 2, 0), Const32(1), Op(0x6a), Op(0x36, 2, 0),
		Const32(12), Op(0x28, 2, 0), Const32(3), Op(0x70, 0x0d, 12))
	for range 12 {
		deep = concat(Op(0x03, 0x40), deep, Const32(12), Op(0x28, 2, 0), Const32(300), Op(0x48, 0x0d, 0), Op(0x0b))
	}
	m.Export("deep", m.Func(nil, i32, 0, Op(0x02, 0x40), deep, Op(0x0b), Const32(12), Op(0x28, 2, 0)))
	module := m.Bytes()
	out, err := Rewrite(module)
	if err != nil {
		t.Fatal(err)
	}
	run := func(module []byte, slice int64) (results []uint64) {
		ctx := context.Background()
		rt := wazero.NewRuntime(ctx)
		defer rt.Close(ctx)
		if _, err := rt.NewHostModuleBuilder(TickModule).NewFunctionBuilder().WithFunc(func(int64) int64 { return slice }).Export(TickName).Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
		mod, err := rt.Instantiate(ctx, module)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"table", "result", "deep"} {
			res, err := mod.ExportedFunction(name).Call(ctx)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			results = append(results, res[0])
		}
		return results
	}
	want := run(module, 0)
	for _, slice := range []int64{0, 1, 17, 1000} {
		if got := run(out.Module, slice); !slices.Equal(got, want) {
			t.Errorf("in slices of %d: %v, want %v", slice, got, want)
		}
	}
}

func concat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
