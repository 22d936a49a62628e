package chunker

import "unsafe"

// load reads 8 bytes, the first as the lowest; there must be as many from i on. The compiler does not make one load of
// encoding/binary's eight here, as it does elsewhere; WebAssembly loads from any address.
func load(b []byte, i int) uint64 {
	_ = b[i+7]
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}
