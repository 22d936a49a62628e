//go:build wasip1

package sdk

import "unsafe"

// Input, output and memory blocks move whole through the imports "ledge:host/bulk", not 8 bytes a call as in the
// Extism ABI; see runtime/wasm/abi/bulk.

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport ledge:host/bulk input_read
func inputRead(at uint64, to unsafe.Pointer, n uint32) uint32

//go:wasmimport ledge:host/bulk output_write
func outputWrite(from unsafe.Pointer, n uint32)

//go:wasmimport ledge:host/bulk error_write
func errorWrite(from unsafe.Pointer, n uint32)

//go:wasmimport ledge:host/bulk block_new
func blockNew(from unsafe.Pointer, n uint32) uint64

//go:wasmimport ledge:host/bulk block_read
func blockRead(block uint64, to unsafe.Pointer, n uint32)

//go:wasmimport extism:host/env length
func blockLength(block uint64) uint64

//go:wasmimport extism:host/env free
func blockFree(block uint64)

func start(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

func input() []byte {
	n := inputLength()
	b := desk.in[:]
	if n > uint64(len(b)) {
		b = make([]byte, n)
	}
	at, size := start(b[:n])
	return b[:inputRead(0, at, size)]
}

func setOutput(b []byte) { outputWrite(start(b)) }

func setError(msg string) { errorWrite(start([]byte(msg))) }

// block is a memory block of the host, by its offset; 0 is none.
type block uint64

func newBlock(b []byte) block { return block(blockNew(start(b))) }

func (b block) read() []byte {
	p := make([]byte, blockLength(uint64(b)))
	at, n := start(p)
	blockRead(uint64(b), at, n)
	return p
}

func (b block) free() {
	if b != 0 {
		blockFree(uint64(b))
	}
}
