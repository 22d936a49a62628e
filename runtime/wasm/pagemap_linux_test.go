package wasm

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// TestImage_RestoresWhateverWasWritten writes at random places of a mapped image and above it, with the page map and
// without, and compares every byte after restoring.
func TestImage_RestoresWhateverWasWritten(t *testing.T) {
	t.Run("as it is here", testImage)
	if pageMap() != nil && scans.Load() {
		scans.Store(false)
		defer scans.Store(true)
		t.Run("reading the map", testImage)
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
	for round, writes := range []int{0, 1, 3, 50, 1000, 2, 5000, 1, 0} {
		high := size + r.IntN(limit-size)
		m.Reallocate(uint64(high))
		for range writes {
			m.region[r.IntN(high)]++
		}
		m.size = size
		if _, err := img.restore(m); err != nil {
			t.Fatal(err)
		}
		m.high = m.size
		if !bytes.Equal(m.region, want) {
			for i := range want {
				if m.region[i] != want[i] {
					t.Fatalf("round %d: byte %#x (page %d) is %d, want %d", round, i, i/os.Getpagesize(), m.region[i], want[i])
				}
			}
		}
	}
}
