package chunker

import "unsafe"

// load reads 8 bytes, the first as the lowest; there must be as many from i on. The compiler does not make one load of
// encoding/binary's eight here, as it does elsewhere; WebAssembly loads from any address. That they are there is checked
// where the same code runs natively, and beyond its own memory no guest reads.
func load(b []byte, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}
