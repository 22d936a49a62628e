package wasm

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// TestImage_RestoresWhateverWasWritten writes at random places of a mapped image and above it, watched, not watched and
// with the watch broken off, with the page map and without, and compares every byte after restoring.
func TestImage_RestoresWhateverWasWritten(t *testing.T) {
	t.Run("as it is here", testImage)
	if pageMap() != nil && scans.Load() {
		scans.Store(false)
		defer scans.Store(true)
		t.Run("reading the map", testImage)
	}
}

// TestOwnPages_WatchNoticesNewPagesOnly writes the same page in call after call, then others; pages that are not written
// any more go back.
func TestOwnPages_WatchNoticesNewPagesOnly(t *testing.T) {
	if !countsFaults() {
		t.Skip("this kernel does not count page faults")
	}
	const size, limit = 1 << 20, 2 << 20
	want := bytes.Repeat([]byte{7}, size)
	img, err := newImage(want)
	if err != nil {
		t.Fatal(err)
	}
	defer img.close()
	m, err := newLinearMemory(limit)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	m.Reallocate(size)
	if err := img.install(m); err != nil {
		t.Fatal(err)
	}
	call := func(at ...int) (known bool) {
		watching := m.watch()
		for _, a := range at {
			m.region[a] = 1
		}
		if watching {
			m.watched()
		}
		known = m.own.known
		if _, err := img.restore(m); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.region[:size], want) {
			t.Fatal("not restored")
		}
		return known
	}
	call(1, 5*pageSize)
	known := false
	for i := 0; i < 20 && !known; i++ { // the runtime may have a page fault of its own
		known = call(1, 5*pageSize)
	}
	if !known {
		t.Error("listed the pages of every call")
	}
	if call(1, 6*pageSize) {
		t.Error("did not notice a page that was written for the first time")
	}
	if n := len(m.own.list); n != 3 {
		t.Errorf("%d pages of its own, want 3", n)
	}
	for range sampleEvery * (sampleIdle + 1) {
		call(1)
	}
	if n := len(m.own.list); n != 1 {
		t.Errorf("%d pages of its own after a long time of writing one", n)
	}
	if call(6 * pageSize) {
		t.Error("did not notice that a page was given back and written again")
	}
}

func testImage(t *testing.T) {
	if pageMap() == nil {
		t.Log("no page map here: every restore maps the image anew")
	}
	r := rand.New(rand.NewPCG(1, 2))
	const size, limit = 3 << 20, 8 << 20
	want := make([]byte, limit)
	for i := range size / 2 { // the rest are zeros, which are holes in the file
		want[i] = byte(r.Uint32())
	}
	img, err := newImage(want[:size])
	if err != nil {
		t.Fatal(err)
	}
	defer img.close()
	m, err := newLinearMemory(limit)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	m.Reallocate(size)
	if err := img.install(m); err != nil {
		t.Fatal(err)
	}
	rounds := []int{0, 1, 3, 50, 1000, 2, 5000, 1, 0}
	for range 60 { // samples
		rounds = append(rounds, r.IntN(5), r.IntN(50))
	}
	for range sampleEvery * (sampleIdle + 2) { // until pages go back
		rounds = append(rounds, 1)
	}
	for round, writes := range rounds {
		high := size + r.IntN(limit-size)
		if round%3 > 0 {
			high = size + r.IntN(keepGrown)
		}
		watching := m.watch()
		if watching && round%7 == 0 {
			m.unwatched()
			watching = false
		}
		m.Reallocate(uint64(high))
		for range writes {
			if m.region[r.IntN(high)]++; round%5 > 0 { // often at the same place
				m.region[r.IntN(4)<<19]++
			}
		}
		if watching {
			m.watched()
		}
		m.size = size
		if _, err := img.restore(m); err != nil {
			t.Fatal(err)
		}
		m.high = m.size
		if kept := len(m.own.list) * pageSize; kept > keepDirty {
			t.Fatalf("round %d: kept %d bytes of its own", round, kept)
		}
		if !bytes.Equal(m.region, want) {
			for i := range want {
				if m.region[i] != want[i] {
					t.Fatalf("round %d: byte %#x (page %d) is %d, want %d", round, i, i/os.Getpagesize(), m.region[i], want[i])
				}
			}
		}
	}
}
