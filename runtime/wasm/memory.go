package wasm

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

// linearMemory is the memory of one instance, outside the Go heap where the system allows it. Its address space is
// reserved up to the plugin's limit, so that growing never moves it, and given back by Free. After Free nothing may
// touch the memory: a stray read would crash the process. So instances are closed only by whoever holds them.
type linearMemory struct {
	region []byte          // reserved; its end is the limit
	size   uint64          // what the guest has of it
	high   uint64          // the most that it had since the last restore
	denied bool            // the guest was refused memory
	mapped bool            // the snapshot's pages are mapped copy-on-write at the start of region
	own    ownPages        // of a mapped one
	peers  []*linearMemory // of linked modules, which count against the same limit
	extra  uint64          // bytes of ABI blocks, which count against the same limit
}

var _ experimental.LinearMemory = (*linearMemory)(nil)

// newLinearMemory reserves limit bytes.
func newLinearMemory(limit uint64) (*linearMemory, error) {
	region, err := reserve(limit)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", limit, err)
	}
	return &linearMemory{region: region}, nil
}

// Reallocate sets the size, which may shrink it; nil means no.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size+m.extra+m.others() > uint64(len(m.region)) {
		m.denied = true
		return nil
	}
	m.size = size
	m.high = max(m.high, size)
	return m.region[:size:len(m.region)]
}

// others is what the linked modules have.
func (m *linearMemory) others() (n uint64) {
	for _, p := range m.peers {
		n += p.size + p.extra
	}
	return n
}

// refused says whether the guest was refused memory, or a linked module.
func (m *linearMemory) refused() bool {
	for _, p := range m.peers {
		if p.denied {
			return true
		}
	}
	return m.denied
}

// reserveExtra asks for n bytes of ABI blocks in all.
func (m *linearMemory) reserveExtra(n uint64) bool {
	if m.size+n+m.others() > uint64(len(m.region)) {
		m.denied = true
		return false
	}
	m.extra = n
	return true
}

// Free gives the memory back. It may be called more than once.
func (m *linearMemory) Free() {
	if m.region != nil {
		release(m.region)
		m.region, m.size = nil, 0
	}
}
