//go:build !wasm

package hook

import "encoding/binary"

// word reads 8 bytes, the first as the lowest; there must be as many from i on.
func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
