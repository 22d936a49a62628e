package bulk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
)

type memory []byte

func (m memory) Read(at, n uint32) ([]byte, bool) {
	if uint64(at)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[at : at+n], true
}

func call(t testing.TB, k *extism.Kernel, m Memory, name string, stack ...uint64) (uint64, error) {
	for _, f := range Functions() {
		if f.Name == name {
			err := f.Call(k, m, stack)
			return stack[0], err
		}
	}
	t.Fatalf("no function %s", name)
	return 0, nil
}

func TestFunctions_CopyWhatTheyShould(t *testing.T) {
	k := &extism.Kernel{}
	k.Begin([]byte("hello world"))
	m := make(memory, 64)
	if n, err := call(t, k, m, "input_read", 6, 0, 64); n != 5 || err != nil || string(m[:5]) != "world" {
		t.Errorf("%d, %v, %q", n, err, m[:5])
	}
	if n, err := call(t, k, m, "input_read", 1<<40, 0, 8); n != 0 || err != nil {
		t.Errorf("beyond the input: %d, %v", n, err)
	}
	if _, err := call(t, k, m, "output_write", 0, 5); err != nil || string(k.Output()) != "world" {
		t.Errorf("%q, %v", k.Output(), err)
	}
	if _, err := call(t, k, m, "output_write", 1, 3); err != nil || string(k.Output()) != "orl" {
		t.Errorf("the second output: %q, %v", k.Output(), err)
	}
	if _, err := call(t, k, m, "output_write", 0, 0); err != nil || len(k.Output()) != 0 {
		t.Errorf("an empty output: %q, %v", k.Output(), err)
	}
	if _, err := call(t, k, m, "error_write", 0, 5); err != nil || string(k.GuestError()) != "world" {
		t.Errorf("%q, %v", k.GuestError(), err)
	}
	block, err := call(t, k, m, "block_new", 0, 5)
	if err != nil || k.Length(block) != 5 {
		t.Fatalf("%#x, %v", block, err)
	}
	if _, err := call(t, k, m, "block_read", block, 32, 5); err != nil || !bytes.Equal(m[32:37], m[:5]) {
		t.Errorf("%q, %v", m[32:37], err)
	}
	if _, err := call(t, k, m, "block_read", block, 32, 6); !errors.Is(err, extism.ErrHandle) {
		t.Errorf("more than the block has: %v", err)
	}
	for _, name := range []string{"output_write", "error_write", "block_new"} {
		if _, err := call(t, k, m, name, 60, 5); err == nil {
			t.Errorf("%s beyond the memory", name)
		}
		if _, err := call(t, k, nil, name, 0, 1); err == nil {
			t.Errorf("%s without a memory", name)
		}
	}
}

// FuzzFunctions calls functions in any order with any numbers: the host stands, and a guest sees its own bytes only.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, script []byte) {
		k := &extism.Kernel{Reserve: func(n uint64) bool { return n < 1<<20 }}
		k.Begin([]byte("some input"))
		m := make(memory, 256)
		blocks := []uint64{0, 1 << 12}
		fs := Functions()
		for len(script) >= 13 {
			fn := fs[int(script[0])%len(fs)]
			s := []uint64{binary.LittleEndian.Uint64(script[1:]), uint64(script[9]), uint64(binary.LittleEndian.Uint16(script[10:]))}
			if script[12]&1 != 0 {
				s[0] = blocks[int(script[1])%len(blocks)] + uint64(int8(script[2]))
			}
			if err := fn.Call(k, m, s); err == nil && fn.Name == "block_new" {
				blocks = append(blocks, s[0])
			}
			script = script[13:]
		}
		if len(k.Output()) > 1<<20 || len(k.GuestError()) > 1<<20 {
			t.Error("more than the memory that the kernel may hold")
		}
		k.End()
	})
}
