package wasm

import (
	"encoding/binary"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's page map has 64 bits for each page of the process: whether it is there, whether it is swapped out, and
// whether it still is a page of the mapped file. A page of a private mapping that was ever written is a copy, so it is
// there or swapped out, and not the file's. See https://docs.kernel.org/admin-guide/mm/pagemap.html.
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// pages is an open page map; it is never closed once it is known to be good.
type pages struct {
	*os.File
	fd uintptr
}

// pageMap is the open page map of this process, or nil where there is none that tells the truth.
var pageMap = sync.OnceValue(func() *pages {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil
	}
	p := &pages{f, f.Fd()}
	if !tellsTruth(p) {
		f.Close()
		return nil
	}
	return p
})

// tellsTruth tries the page map on a private mapping with an untouched, a read and a written page.
func tellsTruth(f *pages) bool {
	page := os.Getpagesize()
	fd, err := unix.MemfdCreate("ledge-pagemap", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Ftruncate(fd, int64(3*page)) != nil {
		return false
	}
	b, err := unix.Mmap(fd, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(b) }()
	b[2*page] = b[page] + 1
	e := make([]byte, 3*8)
	if !readPageMap(f, b, e) || own(e) || own(e[8:]) || !own(e[16:]) {
		return false
	}
	var found []int
	_, ok := scanPages(f, b, func(from, to int) bool { found = append(found, from, to); return true })
	scans.Store(ok && slices.Equal(found, []int{2 * page, 3 * page}))
	return true
}

// scans says that the kernel lists pages by itself (Linux 6.7), which is faster than reading the whole map.
var scans atomic.Bool

// scanRequest is the kernel's struct pm_scan_arg.
type scanRequest struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, results                          uint64
}

type scanRange struct{ start, end, _ uint64 } // the last: categories

const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)
	scanFile    = 1 << 2     // categories of pages
	scanPresent = 1 << 3
	scanSwapped = 1 << 4
)

var scanBuffers = sync.Pool{New: func() any { return new([64]scanRange) }}

// scanPages is eachOwn by the kernel's own search. It returns false, and whether that was f's wish, if it did not get
// to the end.
func scanPages(file *pages, b []byte, f func(from, to int) bool) (stopped, ok bool) {
	found := scanBuffers.Get().(*[64]scanRange)
	defer scanBuffers.Put(found)
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	page := uint64(os.Getpagesize())
	end := base + (uint64(len(b))+page-1)/page*page
	for at := base; at < end; {
		r := scanRequest{start: at, end: end, vec: uint64(uintptr(unsafe.Pointer(found))), vecLen: uint64(len(found)),
			inverted: scanFile, mask: scanFile, anyOf: scanPresent | scanSwapped, results: scanPresent}
		r.size = uint64(unsafe.Sizeof(r))
		// Microseconds at most: the scheduler need not hear of it.
		n, _, errno := unix.RawSyscall(unix.SYS_IOCTL, file.fd, pagemapScan, uintptr(unsafe.Pointer(&r)))
		if errno != 0 || r.walkEnd <= at {
			return false, false
		}
		for _, x := range found[:n] {
			if !f(int(x.start-base), min(int(x.end-base), len(b))) {
				return true, false
			}
		}
		at = r.walkEnd
	}
	return false, true
}

func own(entry []byte) bool {
	e := binary.LittleEndian.Uint64(entry)
	return e&pageSwapped != 0 || e&(pagePresent|pageOfFile) == pagePresent
}

// readPageMap fills entries with those of the pages from the start of b, which lies at the start of a page.
func readPageMap(f *pages, b, entries []byte) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) / uintptr(os.Getpagesize()) * 8
	n, err := f.ReadAt(entries, int64(at))
	return err == nil && n == len(entries)
}

// pageMapChunk is how many pages are asked for at once.
const pageMapChunk = 512

var pageMapBuffers = sync.Pool{New: func() any { return new([pageMapChunk * 8]byte) }}

// eachOwn calls f for each run of pages of b, a private mapping of a file, that were ever written. It returns false
// when f did, or when the kernel does not say.
func eachOwn(b []byte, f func(from, to int) bool) bool {
	file := pageMap()
	if file == nil {
		return false
	}
	if scans.Load() {
		if stopped, ok := scanPages(file, b, f); ok || stopped {
			return ok
		}
		scans.Store(false) // and what was found so far is found again
	}
	page := os.Getpagesize()
	buffer := pageMapBuffers.Get().(*[pageMapChunk * 8]byte)
	defer pageMapBuffers.Put(buffer)
	start := -1 // of the present run
	for at := 0; at < len(b); {
		n := min(pageMapChunk, (len(b)-at+page-1)/page)
		if !readPageMap(file, b[at:], buffer[:8*n]) {
			return false
		}
		for i := range n {
			switch mine := own(buffer[8*i:]); {
			case mine && start < 0:
				start = at + i*page
			case !mine && start >= 0:
				if !f(start, at+i*page) {
					return false
				}
				start = -1
			}
		}
		at += n * page
	}
	return start < 0 || f(start, len(b))
}
