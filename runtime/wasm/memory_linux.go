package wasm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapThreshold is the size above which an instance maps the snapshot copy-on-write, so that it shares what it never
// writes. At or below, copying all of it back costs no more than asking the kernel which pages were written.
const mapThreshold = 64 << 10

// keepDirty is how many bytes an instance with a mapped snapshot may hold in pages of its own: they are written over after
// each call, since faulting them in again costs ten times as much. Beyond, they go back to the system.
const (
	keepDirty = 4 << 20
	keepGrown = 1 << 20 // of that, above the snapshot's end
)

// zeroRun is the shortest run of zero bytes that a copied snapshot leaves out, and gives back to the system instead.
const zeroRun = 64 << 10

func reserve(n uint64) ([]byte, error) {
	if n == 0 {
		return []byte{}, nil
	}
	page := uint64(os.Getpagesize())
	b, err := unix.Mmap(-1, 0, int((n+page-1)/page*page), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	// Guests are many and small; a huge page each would cost 2 MiB for a few bytes. Failing to say so is no error.
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE)
	return b, nil
}

func release(b []byte) {
	if len(b) > 0 {
		_ = unix.Munmap(b)
	}
}

// discard makes the pages of b what they were when they were mapped: zero, or the snapshot's.
func discard(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return unix.Madvise(b, unix.MADV_DONTNEED)
}

// image is the memory of an instance as it was after its initialization.
type image struct {
	size int
	runs []run  // a copy without long runs of zeros, when small
	file int    // or a memory file, when large; else -1
	view []byte // the file, mapped to be read
}

// run is a part of the memory that is not zero.
type run struct {
	at   int
	data []byte
}

// runsOf copies what is not zero, in pieces of zeroRun.
func runsOf(memory []byte) (runs []run) {
	for at := 0; at < len(memory); at += zeroRun {
		piece := memory[at:min(at+zeroRun, len(memory))]
		if zero(piece) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].at+len(runs[n-1].data) == at {
			runs[n-1].data = append(runs[n-1].data, piece...)
		} else {
			runs = append(runs, run{at, append([]byte(nil), piece...)})
		}
	}
	return runs
}

func newImage(memory []byte) (*image, error) {
	img := &image{size: len(memory), file: -1}
	if len(memory) <= mapThreshold {
		img.runs = runsOf(memory)
		return img, nil
	}
	fd, err := unix.MemfdCreate("ledge-snapshot", unix.MFD_CLOEXEC)
	if err != nil { // not there, or forbidden by a sandbox around us
		img.runs = runsOf(memory)
		return img, nil
	}
	for off := 0; off < len(memory); {
		// Leave holes for zero pages.
		end := min(off+(64<<10), len(memory))
		if !zero(memory[off:end]) {
			n, err := unix.Pwrite(fd, memory[off:end], int64(off))
			if err != nil {
				unix.Close(fd)
				return nil, fmt.Errorf("write snapshot: %w", err)
			}
			end = off + n
		}
		off = end
	}
	if err := unix.Ftruncate(fd, int64(len(memory))); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("size snapshot: %w", err)
	}
	if img.view, err = unix.Mmap(fd, 0, len(memory), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("map snapshot: %w", err)
	}
	img.file = fd
	return img, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// install puts the image at the start of m, whatever was there.
func (img *image) install(m *linearMemory) error {
	if img.file >= 0 {
		if err := mapFixed(m.region[:img.size], img.file); err != nil {
			return fmt.Errorf("map snapshot: %w", err)
		}
		m.mapped, m.own = true, ownPages{}
		m.high = m.size
		return nil
	}
	for _, r := range img.runs {
		copy(m.region[r.at:], r.data)
	}
	return nil
}

// restore makes the first high bytes of m what they were when the image was taken. It returns how many bytes it copied.
func (img *image) restore(m *linearMemory) (int, error) {
	if m.mapped {
		return img.restoreMapped(m)
	}
	copied := 0
	from := 0
	for _, r := range img.runs {
		if err := discard(m.region[from:r.at]); err != nil {
			return 0, err
		}
		copied += copy(m.region[r.at:], r.data)
		from = r.at + len(r.data)
	}
	return copied, discard(m.region[from:max(m.high, uint64(img.size))])
}

// restoreMapped copies back the pages of the image of which the instance has its own, and clears those above it.
func (img *image) restoreMapped(m *linearMemory) (int, error) {
	high := max(int(m.high), img.size)
	m.own.reach = max(m.own.reach, high)
	if high-img.size > keepGrown {
		if err := m.own.discardAbove(m, img.size); err != nil {
			return 0, err
		}
		high = img.size
	}
	if !m.own.known && !m.own.find(m) { // too many, or the kernel does not say
		return 0, m.own.discardAbove(m, 0)
	}
	return m.own.restore(m, img, high)
}

func (img *image) close() {
	if img.file >= 0 {
		_ = unix.Munmap(img.view)
		unix.Close(img.file)
		img.file, img.view = -1, nil
	}
}
