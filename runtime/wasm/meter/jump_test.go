package meter

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// places returns run(steps, place) -> i64: a function as Go compiles it, of n places that each change the result and
// jump to others, ahead, back, or to a number that there is not.
func places(r *rand.Rand, n int) []byte {
	m := Build()
	m.Memory(1, 1)
	body := [][]byte{Op(0x03, 0x40)} // loop
	for range n {
		body = append(body, Op(0x02, 0x40)) // block
	}
	labels := append(Op(0x0e), U(n-1)...)
	for i := range n {
		labels = append(labels, U(i)...)
	}
	body = append(body, Get(1), labels)
	for k := range n {
		jump := func(nest int) []byte {
			to := r.IntN(n+2) - 1
			local := 1
			if r.IntN(8) == 0 {
				local = 2 // not the one that the br_table goes by
			}
			b := append(Const32(to), Set(local)...)
			if r.IntN(8) == 0 {
				b = append(b, 0x01) // nop
			}
			return append(append(b, 0x0c), U(n-1-k+nest)...)
		}
		body = append(body, Op(0x0b), // end: place k
			Get(3), Const64(31), Op(0x7e), Const64(int64(k+1)), Op(0x7c), Set(3),
			Get(0), Const32(1), Op(0x6b), Op(0x22, 0), Op(0x45), Op(0x04, 0x40), Get(3), Op(0x0f), Op(0x0b)) // enough
		if r.IntN(2) == 0 {
			body = append(body, Get(3), Const64(int64(2+r.IntN(3))), Op(0x82), Op(0x50), Op(0x04, 0x40), jump(1), Op(0x0b)) // if
		}
		if r.IntN(4) == 0 {
			body = append(body, Op(0x03, 0x40), Get(3), Const64(7), Op(0x7c), Op(0x22, 3), Const64(3), Op(0x82), Op(0x50), Op(0x0d, 0), jump(1), Op(0x0b)) // an inner loop
		} else if r.IntN(3) == 0 {
			body = append(body, jump(0))
		}
	}
	body = append(body, Op(0x0b), Get(3))
	f := m.Func([]byte{0x7f, 0x7f, 0x7f, 0x7e}, []byte{0x7e}, 0, body...)
	m.Export("run", f)
	return m.Bytes()
}

func TestRewrite_JumpsLeadWhereTheyLed(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(ctx)
	ticks := 0
	_, err := rt.NewHostModuleBuilder(TickModule).NewFunctionBuilder().WithFunc(func(int64) int64 { ticks++; return 100 }).Export(TickName).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	straight := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		module := places(r, 2+r.IntN(20))
		out, err := Rewrite(module)
		if err != nil {
			t.Fatal(err)
		}
		var results [2][]uint64
		for i, b := range [][]byte{module, out.Module} {
			mod, err := rt.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithName(""))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for place := range uint64(5) {
				res, err := mod.ExportedFunction("run").Call(ctx, 50, place, 0, 0)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				results[i] = append(results[i], res[0])
			}
			mod.Close(ctx)
		}
		for place, want := range results[0] {
			if got := results[1][place]; got != want {
				t.Errorf("seed %d, place %d: %d became %d", seed, place, want, got)
			}
		}
		straight += out.Jumps
	}
	if straight < 300 || ticks == 0 {
		t.Errorf("%d jumps became straight, %d asks for fuel", straight, ticks)
	}
}
