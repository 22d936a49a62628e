//go:build !wasm

package hook

func newScanner(b []byte) *scanner { return &scanner{b: b} }
