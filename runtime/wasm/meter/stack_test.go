package meter

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

// recursive returns a module of n functions that call each other at random, by name and by the table, in loops and
// outside, behind conditions and not, and a global that counts the calls that are open. run never ends.
func recursive(r *rand.Rand, n int) []byte {
	m := Build()
	m.Memory(1, 1)
	m.Table(n, n)
	open := m.Global64(0)
	count := func(by int64) []byte { return concat(GlobalGet(open), Const64(by), Op(0x7c), GlobalSet(open)) }
	nothing := m.Type(nil, nil)
	for i := range n {
		body := [][]byte{count(1)}
		for range r.IntN(6) {
			to := r.IntN(n)
			call := Invoke(to)
			if r.IntN(3) == 0 {
				call = concat(Const32(to), Op(0x11), U(nothing), Op(0))
			}
			switch r.IntN(4) {
			case 0: // never made
				call = concat(Const32(0), Op(0x04, 0x40), call, Op(0x0b))
			case 1: // in a loop
				call = concat(Op(0x03, 0x40), call, Op(0x0b))
			}
			body = append(body, call)
		}
		body = append(body, Invoke((i+1)%n), count(-1))
		m.Elem(i, m.Func(nil, nil, r.IntN(20), body...))
	}
	m.Export("run", n-1)
	m.ExportGlobal("open", open)
	return m.Bytes()
}

func TestRewrite_NoCallGraphEscapesTheStackLimit(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	overflow := errors.New("overflow")
	_, err := rt.NewHostModuleBuilder(TickModule).NewFunctionBuilder().WithFunc(func(counter int64) int64 {
		if counter == TickStackOverflow {
			panic(overflow)
		}
		return 1 << 40
	}).Export(TickName).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		out, err := Rewrite(recursive(r, 1+r.IntN(8)))
		if err != nil {
			t.Fatal(err)
		}
		mod, err := rt.InstantiateWithConfig(ctx, out.Module, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		_, err = mod.ExportedFunction("run").Call(ctx)
		if !errors.Is(err, overflow) {
			t.Errorf("seed %d: ended with %v", seed, err)
		}
		const leastFrame = 128
		if open := int64(mod.ExportedGlobal("open").Get()); open < 1000 || open > StackBytes/leastFrame+16 {
			t.Errorf("seed %d: %d calls were open", seed, open)
		}
		mod.Close(ctx)
	}
}
