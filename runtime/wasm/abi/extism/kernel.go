// Package extism implements the host side of the Extism ABI, the imports "extism:host/env", in Go: what extism/go-sdk
// does with a kernel module in WebAssembly beside every plugin. See https://extism.org/docs/concepts/pdk.
//
// A guest and its host exchange bytes through blocks in a memory of the host. The guest names a block by its offset,
// a number that it is free to make up; so every offset is checked: it must lie, with all bytes that are read or
// written, inside one block that is allocated now. The reference lets a guest read and write the whole kernel memory.
// Other differences: vars last for one call, and http_request is refused unless the host lends HTTP.
//
// The package knows nothing of the engine or of limits other than memory; those are its caller's. A [Kernel] serves
// one instance and is not safe for concurrent use. Start reading at [Functions].
package extism

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Module is the name that guests import the functions from; UserModule the one for a host's own functions.
const (
	Module     = "extism:host/env"
	UserModule = "extism:host/user"
)

// Errors that stop a guest.
var (
	ErrHandle   = errors.New("no memory block")
	ErrDenied   = errors.New("not granted")
	ErrVarsFull = errors.New("variable store is full")
	ErrMemory   = errors.New("no memory for a value of the host")
)

const (
	// base is the offset of the first block. Small numbers are refused then, which catches lengths taken for offsets.
	base = 1 << 12
	// blockCost is what a block costs beside its bytes; without it a guest could hold any number of empty ones.
	blockCost = 32
	// keepBytes is how much a kernel keeps between calls.
	keepBytes = 256 << 10
	// fitTries bounds the search for a freed block to use again.
	fitTries = 8
)

// block is a piece of the arena: [start, start+size), of which the guest asked for length bytes.
type block struct {
	start, length, size uint64
	free                bool
}

// Kernel is the state of one instance's ABI: its blocks, input, output, error and vars. Set the exported fields before
// the first call.
type Kernel struct {
	Config map[string]string
	// Reserve asks whether the kernel may hold bytes bytes in all.
	Reserve func(bytes uint64) bool
	// Log takes a line of the guest; level counts from 0, trace, to 4, error. An error stops the guest.
	Log func(level int, text []byte) error
	// HTTP makes a request of the guest; nil refuses it. An error stops the guest.
	HTTP func(*HTTPRequest) (*HTTPResponse, error)
	// Moved counts the bytes that functions copied or cleared, for a caller that looks at the clock by it.
	Moved int

	arena  []byte
	blocks []block // by start, without gaps
	freed  int     // how many of them are free
	last   int     // index of the block that was used last
	held   uint64  // what Reserve was asked for
	peak   uint64

	input       []byte
	inputOffset uint64
	outOff      uint64
	outLen      uint64
	errOff      uint64
	errLen      uint64
	vars        vars
	httpStatus  int
	httpHeaders map[string]string
}

// Begin starts a call with input, which is read until the call ends.
func (k *Kernel) Begin(input []byte) {
	k.input = input
	k.held, k.peak = 0, 0
}

// Rest ends a call that used no function of the ABI.
func (k *Kernel) Rest() { k.input = nil }

// End forgets everything of the call.
func (k *Kernel) End() {
	k.reset()
	k.input = nil
	k.httpStatus, k.httpHeaders = 0, nil
	k.vars.reset()
	if cap(k.arena) > keepBytes {
		k.arena = nil
	}
	if cap(k.blocks) > keepBytes/blockCost {
		k.blocks = nil
	}
}

func (k *Kernel) reset() {
	k.arena, k.blocks = k.arena[:0], k.blocks[:0]
	k.freed, k.last, k.held = 0, 0, 0
	k.inputOffset = 0
	k.outOff, k.outLen, k.errOff, k.errLen = 0, 0, 0, 0
}

// Input is the call's input, a view.
func (k *Kernel) Input() []byte { return k.input }

// SetOutput makes a copy of p the output.
func (k *Kernel) SetOutput(p []byte) error {
	off, err := k.Write(p)
	k.outOff, k.outLen = off, uint64(len(p))
	if err != nil {
		k.outLen = 0
	}
	return err
}

// SetError makes a copy of p the error message; none takes it back.
func (k *Kernel) SetError(p []byte) error {
	off, err := k.Write(p)
	k.errOff, k.errLen = off, uint64(len(p))
	if err != nil {
		k.errLen = 0
	}
	return err
}

// Output is the output that the guest set, a view that the next call overwrites.
func (k *Kernel) Output() []byte { return k.span(k.outOff, k.outLen) }

// GuestError is the error message that the guest set, a view, or nil.
func (k *Kernel) GuestError() []byte { return k.span(k.errOff, k.errLen) }

// Peak is the most bytes that the kernel held during the call.
func (k *Kernel) Peak() uint64 { return k.peak }

// span is a piece of the arena that was checked when the guest named it. The block may be free by now.
func (k *Kernel) span(off, n uint64) []byte {
	if n == 0 || off < base || off-base+n > uint64(len(k.arena)) {
		return nil
	}
	return k.arena[off-base : off-base+n]
}

// Alloc returns the offset of a new block of n zero bytes, or 0 when n is 0 or there is no memory.
func (k *Kernel) Alloc(n uint64) uint64 {
	if n == 0 || n > 1<<32 {
		return 0
	}
	size := (n + 7) &^ 7
	k.Moved += int(n)
	if i := k.fit(size); i >= 0 {
		b := &k.blocks[i]
		b.free, b.length = false, n
		k.freed--
		k.last = i
		clear(k.arena[b.start : b.start+b.size])
		return b.start + base
	}
	need := k.held + size + blockCost
	if k.Reserve != nil && !k.Reserve(need) {
		return 0
	}
	k.held = need
	k.peak = max(k.peak, need)
	start := uint64(len(k.arena))
	k.arena = slices.Grow(k.arena, int(size))[:start+size]
	clear(k.arena[start:])
	k.blocks = append(k.blocks, block{start: start, length: n, size: size})
	k.last = len(k.blocks) - 1
	return start + base
}

// fit looks among the youngest blocks for a free one that is large enough and not wasteful.
func (k *Kernel) fit(size uint64) int {
	if k.freed == 0 {
		return -1
	}
	for i := len(k.blocks) - 1; i >= max(0, len(k.blocks)-fitTries); i-- {
		if b := &k.blocks[i]; b.free && b.size >= size && b.size <= 2*size+64 {
			return i
		}
	}
	return -1
}

// Free releases a block. As in the reference, an offset that is no block's start is ignored.
func (k *Kernel) Free(off uint64) {
	i, ok := k.find(off)
	if !ok || k.blocks[i].start+base != off {
		return
	}
	k.blocks[i].free = true
	k.freed++
	for n := len(k.blocks); n > 0 && k.blocks[n-1].free; n-- { // give back from the end
		b := k.blocks[n-1]
		if k.outLen != 0 && k.outOff-base >= b.start || k.errLen != 0 && k.errOff-base >= b.start {
			break // named as output or error: the bytes must stay until the call ends
		}
		k.blocks = k.blocks[:n-1]
		k.arena = k.arena[:b.start]
		k.held -= b.size + blockCost
		k.freed--
	}
	k.last = 0
}

// Length is the length of the block that starts at off, or 0.
func (k *Kernel) Length(off uint64) uint64 {
	i, ok := k.find(off)
	if !ok || k.blocks[i].start+base != off {
		return 0
	}
	return k.blocks[i].length
}

// find returns the index of the live block that off lies in.
func (k *Kernel) find(off uint64) (int, bool) {
	if off < base {
		return 0, false
	}
	at := off - base
	if k.last < len(k.blocks) {
		if b := &k.blocks[k.last]; at >= b.start && at < b.start+b.size {
			return k.last, !b.free
		}
	}
	if at >= uint64(len(k.arena)) {
		return 0, false
	}
	lo, hi := 0, len(k.blocks) // the last block with start <= at
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; k.blocks[mid].start <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	k.last = lo
	return lo, !k.blocks[lo].free
}

// at returns the n bytes from off, which must lie in one live block.
func (k *Kernel) at(off, n uint64) ([]byte, error) {
	i, ok := k.find(off)
	if !ok {
		return nil, fmt.Errorf("%w at offset %#x", ErrHandle, off)
	}
	b := &k.blocks[i]
	at := off - base
	if rest := b.start + b.size - at; n > rest {
		return nil, fmt.Errorf("%w of %d bytes at offset %#x: %d are left of it", ErrHandle, n, off, rest)
	}
	return k.arena[at : at+n], nil
}

// Read returns the bytes of the block that starts at off, a view.
func (k *Kernel) Read(off uint64) ([]byte, error) {
	i, ok := k.find(off)
	if !ok || k.blocks[i].start+base != off {
		return nil, fmt.Errorf("%w starts at offset %#x", ErrHandle, off)
	}
	b := &k.blocks[i]
	return k.arena[b.start : b.start+b.length], nil
}

// Write returns the offset of a new block with the bytes p; 0 for no bytes.
func (k *Kernel) Write(p []byte) (uint64, error) {
	if len(p) == 0 {
		return 0, nil
	}
	off := k.Alloc(uint64(len(p)))
	if off == 0 {
		return 0, fmt.Errorf("%w: %d bytes", ErrMemory, len(p))
	}
	copy(k.arena[off-base:], p)
	return off, nil
}

func (k *Kernel) load64(off uint64) (uint64, error) {
	b, err := k.at(off, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (k *Kernel) store64(off, v uint64) error {
	b, err := k.at(off, 8)
	if err == nil {
		binary.LittleEndian.PutUint64(b, v)
	}
	return err
}
