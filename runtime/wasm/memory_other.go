//go:build !linux

package wasm

// On other systems memory comes from the Go heap and snapshots are copied.

func reserve(n uint64) ([]byte, error) { return make([]byte, n), nil }
func release([]byte)                   {}

func discard(b []byte) error {
	clear(b)
	return nil
}

// ownPages and their watch have no use without mapped snapshots.
type ownPages struct{}

func (m *linearMemory) watch() bool { return false }
func (m *linearMemory) watched()    {}
func (m *linearMemory) unwatched()  {}

// image is the memory of an instance as it was after its initialization.
type image struct {
	size int
	data []byte
}

func newImage(memory []byte) (*image, error) {
	return &image{size: len(memory), data: append([]byte(nil), memory...)}, nil
}

func (img *image) install(m *linearMemory) error {
	copy(m.region, img.data)
	return nil
}

func (img *image) restore(m *linearMemory) (int, error) {
	return copy(m.region, img.data), discard(m.region[img.size:max(m.high, uint64(img.size))])
}

func (img *image) close() {}
