//go:build !unix

package kernel

func mapMemory(n int) (memory []byte, release func() error, err error) {
	return make([]byte, n), func() error { return nil }, nil
}
