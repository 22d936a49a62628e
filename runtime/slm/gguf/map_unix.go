//go:build unix

package gguf

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFile maps a regular file read-only.
func mapFile(path string) ([]byte, func() error, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() == 0 {
		return nil, func() error { return nil }, nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map %s: %w", path, err)
	}
	return b, func() error { return unix.Munmap(b) }, nil
}

// Want tells the system that a part of the file's bytes is read next: it is brought in at once, where the system can do
// that, and not a few pages at a time.
func (f *File) Want(part []byte) {
	if from, to := f.pages(part, false); from < to {
		populate(f.bytes[from:to])
	}
}

// Drop tells the system that a part of the file's bytes is not needed in memory for now. They can still be read.
func (f *File) Drop(part []byte) {
	if from, to := f.pages(part, true); from < to {
		_ = unix.Madvise(f.bytes[from:to], unix.MADV_DONTNEED) // only advice
	}
}

// pages returns where the pages of a part of the file are: those wholly inside it, or all that it touches.
func (f *File) pages(part []byte, inside bool) (from, to uintptr) {
	page := uintptr(os.Getpagesize())
	all, first := uintptr(unsafe.Pointer(unsafe.SliceData(f.bytes))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	if first < all || first+uintptr(len(part)) > all+uintptr(len(f.bytes)) {
		return 0, 0 // no part of this file: memory that is not mapped would be lost
	}
	from, to = first-all, first-all+uintptr(len(part))
	if inside {
		return (from + page - 1) &^ (page - 1), to &^ (page - 1)
	}
	return from &^ (page - 1), min((to+page-1)&^(page-1), uintptr(len(f.bytes)))
}
