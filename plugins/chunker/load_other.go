//go:build !wasm

package chunker

import "encoding/binary"

// load reads 8 bytes, the first as the lowest; there must be as many from i on.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
