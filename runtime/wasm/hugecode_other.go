//go:build !linux

package wasm

func collapseCode() {}
