//go:build unix && !linux

package gguf

func populate([]byte) {}
