package wasm

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

func noop() []byte {
	m := Build()
	m.Memory(1, 1)
	m.Export("run", m.Func(none, none, 0))
	return m.Bytes()
}

func BenchmarkCall_NoOp(b *testing.B) { benchCall(b, noop(), "run", "") }
func BenchmarkCall_Echo64(b *testing.B) {
	benchCall(b, echo(), "run", "0123456789012345678901234567890123456789012345678901234567890123")
}

func benchCall(b *testing.B, module []byte, export, input string) {
	p := load(b, newHost(b, Options{}), module, PluginOptions{Preload: true, Limits: Limits{Timeout: time.Second}})
	call := Call{Export: export, Input: []byte(input), Untimed: true}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Call(context.Background(), call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRaw_NoOp is the engine alone: the floor for BenchmarkCall_NoOp.
func BenchmarkRaw_NoOp(b *testing.B) { benchRaw(b, noop()) }

// The loop alone, metered and not: what fuel costs at worst.

func spin() []byte {
	m := Build()
	m.Export("run", m.Func(none, none, 1, countTo(1_000_000)))
	return m.Bytes()
}

func BenchmarkRaw_TightLoop(b *testing.B)  { benchRaw(b, spin()) }
func BenchmarkCall_TightLoop(b *testing.B) { benchCall(b, spin(), "run", "") }

func benchRaw(b *testing.B, module []byte) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, engineConfig())
	defer rt.Close(ctx)
	mod, err := rt.Instantiate(ctx, module)
	if err != nil {
		b.Fatal(err)
	}
	f := mod.ExportedFunction("run")
	var stack [1]uint64
	b.ReportAllocs()
	for b.Loop() {
		if err := f.CallWithStack(ctx, stack[:]); err != nil {
			b.Fatal(err)
		}
	}
}
