// Package bulk adds to the Extism ABI what it lacks: functions that copy whole ranges between a guest's memory and its
// host, the imports "ledge:host/bulk". The ABI's own functions move 8 bytes a call, so that a guest needs 80 calls to
// read an input of 640 bytes. A plugin that imports them runs on this host only.
//
// The package knows nothing of the engine; its caller lends it the guest's memory and the Extism kernel.
package bulk

import (
	"fmt"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
)

// Module is the name that guests import the functions from.
const Module = "ledge:host/bulk"

// Memory is the guest's memory; api.Memory of wazero is one.
type Memory interface {
	Read(offset, n uint32) ([]byte, bool)
}

// Function is one import of the ABI.
type Function struct {
	Name            string
	Params, Results []byte // value types of the binary format
	// Call reads its parameters from stack and leaves its result there. An error stops the guest.
	Call func(k *extism.Kernel, m Memory, stack []uint64) error
	// Writes says that it may change the guest's memory.
	Writes bool
}

const (
	i32 = 0x7f
	i64 = 0x7e
)

// Functions lists all imports of the ABI.
func Functions() []Function {
	return []Function{
		// input_read(at i64, to i32, n i32) -> i32: copies up to n bytes of the input from at; returns how many.
		{"input_read", []byte{i64, i32, i32}, []byte{i32}, inputRead, true},
		// output_write(from i32, n i32): the output is a copy of n bytes.
		{"output_write", []byte{i32, i32}, nil, func(k *extism.Kernel, m Memory, s []uint64) error {
			return write(m, s[0], s[1], k.SetOutput)
		}, false},
		// error_write(from i32, n i32): so is the error message.
		{"error_write", []byte{i32, i32}, nil, func(k *extism.Kernel, m Memory, s []uint64) error {
			return write(m, s[0], s[1], k.SetError)
		}, false},
		// block_read(block i64, to i32, n i32): copies n bytes from the start of a block.
		{"block_read", []byte{i64, i32, i32}, nil, blockRead, true},
		// block_new(from i32, n i32) -> i64: makes a block of n bytes, or 0 for none.
		{"block_new", []byte{i32, i32}, []byte{i64}, blockNew, false},
	}
}

func view(m Memory, at, n uint64) ([]byte, error) {
	if m != nil {
		if b, ok := m.Read(uint32(at), uint32(n)); ok {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%d bytes at %#x are out of the guest's memory", uint32(n), uint32(at))
}

func inputRead(k *extism.Kernel, m Memory, s []uint64) error {
	to, err := view(m, s[1], s[2])
	if err != nil {
		return err
	}
	n := 0
	if in := k.Input(); s[0] < uint64(len(in)) {
		n = copy(to, in[s[0]:])
	}
	k.Moved += n
	s[0] = uint64(n)
	return nil
}

func write(m Memory, at, n uint64, set func([]byte) error) error {
	b, err := view(m, at, n)
	if err != nil {
		return err
	}
	return set(b)
}

func blockRead(k *extism.Kernel, m Memory, s []uint64) error {
	b, err := k.Read(s[0])
	if err != nil {
		return err
	}
	to, err := view(m, s[1], s[2])
	if err != nil {
		return err
	}
	if len(to) > len(b) {
		return fmt.Errorf("%w of %d bytes at offset %#x: it has %d", extism.ErrHandle, len(to), s[0], len(b))
	}
	k.Moved += copy(to, b)
	return nil
}

func blockNew(k *extism.Kernel, m Memory, s []uint64) error {
	b, err := view(m, s[0], s[1])
	if err != nil {
		return err
	}
	s[0], err = k.Write(b)
	return err
}
