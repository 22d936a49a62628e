package extism

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func TestKernel_RefusesHandlesOutsideLiveBlocks(t *testing.T) {
	k := &Kernel{}
	k.Begin(nil)
	a, b := k.Alloc(16), k.Alloc(5)
	k.Free(a)
	for _, off := range []uint64{0, 1, a, a + 8, b + 8, 1 << 32, 1<<32 + b, ^uint64(0), ^uint64(7)} {
		if _, err := k.load64(off); !errors.Is(err, ErrHandle) {
			t.Errorf("load at %#x: %v", off, err)
		}
		if err := k.store64(off, 1); !errors.Is(err, ErrHandle) {
			t.Errorf("store at %#x: %v", off, err)
		}
		if k.Length(off) != 0 {
			t.Errorf("length at %#x is %d", off, k.Length(off))
		}
	}
	if err := k.store64(b+1, 1); !errors.Is(err, ErrHandle) {
		t.Errorf("a store over the end of a block: %v", err)
	}
	if k.Length(b) != 5 {
		t.Errorf("length %d", k.Length(b))
	}
}

func TestKernel_BlocksAreZeroAndBounded(t *testing.T) {
	k := &Kernel{Reserve: func(n uint64) bool { return n <= 1<<10 }}
	for range 3 {
		k.Begin(nil)
		off := k.Alloc(512)
		view, err := k.Read(off)
		if err != nil || !bytes.Equal(view, make([]byte, 512)) {
			t.Fatalf("%v, %v", view, err)
		}
		copy(view, "secret")
		if k.Alloc(512) != 0 {
			t.Error("more than the limit")
		}
		k.End()
	}
}

// FuzzKernel runs a script of operations; whatever the guest does, the host stands, and blocks never overlap.
func FuzzKernel(f *testing.F) {
	f.Add([]byte{0, 9, 0, 9, 1, 0, 0, 3, 2, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		k := &Kernel{VarBytes: 1 << 10, Reserve: func(n uint64) bool { return n < 1<<20 }, Config: map[string]string{"k": "v"}}
		k.Begin([]byte("some input"))
		fs := Functions()
		live := []uint64{0, base}
		for script = script[:min(len(script), 1500)]; len(script) > 2; {
			fn := fs[int(script[0])%len(fs)]
			var stack [2]uint64
			for i := range stack {
				stack[i] = live[int(script[i+1])%len(live)] + uint64(int8(script[i+1]))
				if fn.Name == "alloc" {
					stack[i] = uint64(binary.LittleEndian.Uint16(script[1:]))
				}
			}
			script = script[3:]
			if err := fn.Call(k, stack[:]); err == nil && fn.Name == "alloc" {
				live = append(live, stack[0])
			}
		}
		_, _, end := k.Output(), k.GuestError(), uint64(0)
		for i, b := range k.blocks {
			if b.start != end || b.length > b.size || b.start+b.size > uint64(len(k.arena)) {
				t.Fatalf("block %d: %+v after %d", i, b, end)
			}
			end = b.start + b.size
		}
		k.End()
	})
}
