//go:build unix

package kernel

import "golang.org/x/sys/unix"

// mapMemory returns memory outside Go's heap, in large pages where the system has them: the weights are read from end to
// end, and each page's address must be looked up.
func mapMemory(n int) (memory []byte, release func() error, err error) {
	const large = 2 << 20
	b, err := unix.Mmap(-1, 0, (n+large-1)/large*large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	adviseLarge(b)
	return b[:n], func() error { return unix.Munmap(b) }, nil
}
