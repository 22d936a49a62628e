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
	if b := f.pages(part, false); len(b) > 0 {
		populate(b)
	}
}

// Drop tells the system that a part of the file's bytes is not needed in memory for now. They can still be read.
func (f *File) Drop(part []byte) {
	if b := f.pages(part, true); len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_DONTNEED) // only advice
	}
}

// DropAll is Drop of the whole file.
func (f *File) DropAll() {
	f.Drop(f.bytes)
	for _, p := range f.parts {
		f.Drop(p.bytes)
	}
}

// pages returns a part of the file in whole pages: those inside it, or all that it touches. Of other memory than the
// file's it returns none: what is not mapped would be lost.
func (f *File) pages(part []byte, inside bool) []byte {
	if f.unmap == nil {
		return nil
	}
	if b := wholePages(f.bytes, part, inside); b != nil {
		return b
	}
	for _, p := range f.parts {
		if b := wholePages(p.bytes, part, inside); b != nil {
			return b
		}
	}
	return nil
}

func wholePages(all, part []byte, inside bool) []byte {
	page := uintptr(os.Getpagesize())
	begin, first := uintptr(unsafe.Pointer(unsafe.SliceData(all))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	if first < begin || first+uintptr(len(part)) > begin+uintptr(len(all)) {
		return nil
	}
	from, to := first-begin, first-begin+uintptr(len(part))
	if inside {
		from += page - 1
	} else {
		to = min(to+page-1, uintptr(len(all)))
	}
	if from &^= page - 1; to < uintptr(len(all)) {
		to &^= page - 1
	}
	if from >= to {
		return nil
	}
	return all[from:to]
}
