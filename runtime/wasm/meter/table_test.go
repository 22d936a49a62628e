package meter

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// tabled is a module with a table of n elements: functions of two signatures, an imported one, and none at every tenth.
// one(x, i) and two(x, i) call element i as either signature.
func tabled(n int) *Module {
	i32, two := []byte{0x7f}, []byte{0x7f, 0x7f}
	m := Build()
	imported := m.Import("env", "double", i32, i32)
	m.Table(n, n)
	m.Memory(1, 1)
	for i := range n {
		switch {
		case i%10 == 0:
		case i%10 == 1:
			m.Elem(i, imported)
		case i%2 == 0:
			m.Elem(i, m.Func(i32, i32, 0, Get(0), Const32(i), Op(0x6a)))
		default:
			m.Elem(i, m.Func(two, two, 0, Get(1), Get(0), Const32(i), Op(0x6a)))
		}
	}
	m.Export("one", m.Func(two, i32, 0, Get(0), Get(1), Op(0x11, 0, 0))) // the type of the import
	wide := m.Func(two, two, 0, Get(0), Get(1))
	m.Export("two", m.Func(two, i32, 0, Get(0), Const32(7), Get(1), append(Op(0x11), append(U(m.Type(two, two)), 0)...), Op(0x6b)))
	m.Export("wide", wide)
	return m
}

func TestRewrite_FunctionsStandInForALargeTable(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	if _, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(x int32) int32 { return 2 * x }).Export("double").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.NewHostModuleBuilder(TickModule).NewFunctionBuilder().WithFunc(func(int64) int64 { return 1000 }).Export(TickName).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	exported := tabled(n)
	exported.ExportTable("table")
	for name, c := range map[string]struct {
		module  *Module
		standIn bool
	}{"large": {tabled(n), true}, "small": {tabled(100), false}, "exported": {exported, false}} {
		original := c.module.Bytes()
		out, err := Rewrite(original)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.StandIns > 0; got != c.standIn {
			t.Errorf("%s: %d functions stand in for the table", name, out.StandIns)
		}
		was, err := rt.InstantiateWithConfig(ctx, original, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		is, err := rt.InstantiateWithConfig(ctx, out.Module, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		worked := 0
		for _, f := range []string{"one", "two"} {
			for i := range uint64(n + 50) {
				if i >= n+40 {
					i = 1<<32 - 1 - i
				}
				want, wantErr := was.ExportedFunction(f).Call(ctx, 5, i)
				got, gotErr := is.ExportedFunction(f).Call(ctx, 5, i)
				if (wantErr == nil) != (gotErr == nil) || wantErr == nil && want[0] != got[0] {
					t.Fatalf("%s: %s(5, %d) is %v, %v; it was %v, %v", name, f, i, got, gotErr, want, wantErr)
				}
				if wantErr == nil {
					worked++
				}
			}
		}
		if worked < 80 {
			t.Errorf("%s: only %d calls worked", name, worked)
		}
	}
}
