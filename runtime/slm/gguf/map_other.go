//go:build !unix

package gguf

import "os"

// mapFile reads the file into memory where there is no memory map.
func mapFile(path string) ([]byte, func() error, error) {
	b, err := os.ReadFile(path)
	return b, func() error { return nil }, err
}

// Drop does nothing where there is no memory map.
func (f *File) Drop([]byte) {}

// Want does nothing where there is no memory map.
func (f *File) Want([]byte) {}

// DropAll does nothing where there is no memory map.
func (f *File) DropAll() {}
