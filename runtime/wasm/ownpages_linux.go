package wasm

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownPages are the pages of a mapped snapshot that an instance has to itself, since it once wrote to them. A write to
// any other page is a page fault. So while the thread that runs the guest counts no fault, they are all that the guest
// can have written, and the kernel need not be asked to list them, which takes time in proportion to the whole memory.
type ownPages struct {
	list   []ownPage // in ascending order
	known  bool      // list is complete
	reach  int       // none lies above
	faults uint64    // of the thread when the watch began
	rounds int       // restores
}

type ownPage struct {
	at   int
	idle int // samples in a row that found it unwritten
}

// A page that was written once would be copied back after each call from then on. So now and then it is looked whether
// the call wrote it; one that was not written for sampleEvery*sampleIdle calls goes back to the system.
const (
	sampleEvery = 16
	sampleIdle  = 16
)

var (
	pageSize = os.Getpagesize()
	zeroPage = make([]byte, pageSize)
)

// watch binds the goroutine to its thread and begins to count the thread's page faults. It says whether it did.
func (m *linearMemory) watch() bool {
	known := m.own.known
	m.own.known = false // in case that the watch is broken off
	if !known || !countsFaults() {
		return false
	}
	runtime.LockOSThread()
	m.own.faults = threadFaults()
	return true
}

// watched ends the watch.
func (m *linearMemory) watched() {
	m.own.known = threadFaults() == m.own.faults
	runtime.UnlockOSThread()
}

// unwatched breaks the watch off.
func (m *linearMemory) unwatched() { runtime.UnlockOSThread() }

// threadFaults is how many page faults the thread had; see getrusage(2).
func threadFaults() uint64 {
	var u unix.Rusage
	if _, _, errno := unix.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&u)), 0); errno != 0 {
		return math.MaxUint64 // never: countsFaults has tried it
	}
	return uint64(u.Minflt) + uint64(u.Majflt)
}

// countsFaults says whether the kernel counts each first write to a page of a private mapping, be it untouched, read
// before, or anonymous. There are sandboxes around processes that count nothing.
var countsFaults = sync.OnceValue(func() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const pages = 3
	fd, err := unix.MemfdCreate("ledge-faults", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Ftruncate(fd, int64(pages*pageSize)) != nil {
		return false
	}
	b, err := unix.Mmap(fd, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(b) }()
	anonymous, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(anonymous) }()
	writes := []func(){
		func() { b[0] = 1 },
		func() { b[pageSize] = b[2*pageSize] + 1 },
		func() { b[2*pageSize]++ },
		func() { anonymous[0]++ },
	}
	for _, write := range writes {
		before := threadFaults()
		if write(); threadFaults() == before {
			return false
		}
	}
	return true
})

// find lists the pages anew. It fails when they are more than keepDirty, or the kernel does not say.
func (o *ownPages) find(m *linearMemory) bool {
	o.list = o.list[:0]
	o.known = eachOwn(m.region[:o.reach], func(from, to int) bool {
		for at := from; at < to; at += pageSize {
			o.list = append(o.list, ownPage{at: at})
		}
		return len(o.list)*pageSize <= keepDirty
	})
	return o.known
}

// discardAbove gives the pages from a place on back to the system.
func (o *ownPages) discardAbove(m *linearMemory, from int) error {
	if err := discard(m.region[from:max(from, o.reach)]); err != nil {
		return err
	}
	n := len(o.list)
	for n > 0 && o.list[n-1].at >= from {
		n--
	}
	o.list = o.list[:n]
	o.reach = from
	if from == 0 {
		o.known = true
	}
	return nil
}

// restore makes the pages below high what they are in the image, or zero above it. It returns how many bytes it wrote.
func (o *ownPages) restore(m *linearMemory, img *image, high int) (int, error) {
	o.rounds++
	if o.rounds%sampleEvery == 0 {
		if err := o.sample(m, img); err != nil {
			return 0, err
		}
	}
	done := 0
	for _, p := range o.list {
		if p.at >= high {
			break
		}
		mine := m.region[p.at:min(p.at+pageSize, high)]
		done += len(mine)
		if p.at < img.size {
			mine = mine[copy(mine, img.view[p.at:]):]
		}
		clear(mine)
	}
	return done, nil
}

// sample looks which pages the call has written, and gives those back that were not for long.
func (o *ownPages) sample(m *linearMemory, img *image) error {
	kept := o.list[:0]
	for _, p := range o.list {
		mine := m.region[p.at:min(p.at+pageSize, len(m.region))]
		inside := mine[:min(len(mine), max(0, img.size-p.at))]
		p.idle++
		if !bytes.Equal(inside, img.view[min(p.at, img.size):][:len(inside)]) || !bytes.Equal(mine[len(inside):], zeroPage[len(inside):]) {
			p.idle = 0
		}
		if p.idle < sampleIdle {
			kept = append(kept, p)
		} else if err := discard(mine); err != nil {
			return err
		}
	}
	o.list = kept
	return nil
}
