package wasm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFixed maps the file copy-on-write over b, which is part of a reservation of ours.
func mapFixed(b []byte, fd int) error {
	_, err := unix.MmapPtr(fd, 0, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}
