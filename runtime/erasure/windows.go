// Package erasure keeps the log of what was erased, and looks for erased text in files.
//
// It knows nothing of what files and documents are. Start reading at [Windows] and [Log].
package erasure

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Window is the length of the runs of bytes that are looked for.
const Window = 64

// Windows holds every run of Window bytes of some texts, and finds them in files.
type Windows struct {
	filter []uint64 // bits of hashes
	set    map[uint64]struct{}
	except map[uint64]struct{}
}

// multiplier of the rolling hash, and its power for the byte that leaves the window.
const multiplier = 0x9e3779b97f4a7c15 | 1

var leaving = func() uint64 {
	p := uint64(1)
	for range Window {
		p *= multiplier
	}
	return p
}()

const filterBits = 24

// NewWindows returns the windows of texts. Texts shorter than a window have none.
func NewWindows(texts []string) *Windows {
	w := &Windows{filter: make([]uint64, 1<<filterBits/64), set: map[uint64]struct{}{}, except: map[uint64]struct{}{}}
	for _, t := range texts {
		roll(t, func(h uint64) {
			w.set[h] = struct{}{}
			w.filter[(h>>40)%(1<<filterBits)/64] |= 1 << ((h >> 40) % 64)
		})
	}
	return w
}

// Len is the number of different windows.
func (w *Windows) Len() int { return len(w.set) }

// Except leaves out what another text, which stays, has as well.
func (w *Windows) Except(text string) {
	roll(text, func(h uint64) {
		if w.has(h) {
			w.except[h] = struct{}{}
		}
	})
}

// Shared is the number of windows that were left out.
func (w *Windows) Shared() int { return len(w.except) }

func (w *Windows) has(h uint64) bool {
	if w.filter[(h>>40)%(1<<filterBits)/64]>>((h>>40)%64)&1 == 0 {
		return false
	}
	_, ok := w.set[h]
	return ok
}

func roll(text string, each func(h uint64)) {
	var h uint64
	for i := range len(text) {
		h = h*multiplier + uint64(text[i]) + 1
		if i >= Window {
			h -= leaving * (uint64(text[i-Window]) + 1)
		}
		if i >= Window-1 {
			each(h)
		}
	}
}

// In says whether a text has one of the windows.
func (w *Windows) In(text string) (found bool) {
	roll(text, func(h uint64) {
		if !found && w.has(h) {
			if _, stays := w.except[h]; !stays {
				found = true
			}
		}
	})
	return found
}

// Scan is what a look through files found.
type Scan struct {
	Files int      `json:"files"`
	Bytes int64    `json:"bytes"`
	Found []string `json:"found"` // files that hold a window, by path below the folder
}

// ScanFolder reads every file below dir, to its last byte.
func (w *Windows) ScanFolder(ctx context.Context, dir string) (Scan, error) {
	s := Scan{Found: []string{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone in the meantime
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, found, err := w.scanFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		s.Files++
		s.Bytes += n
		if found {
			rel, relErr := filepath.Rel(dir, path)
			s.Found, err = append(s.Found, rel), errors.Join(err, relErr)
		}
		return err
	})
	return s, err
}

func (w *Windows) scanFile(path string) (n int64, found bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	var h uint64
	var ring [Window]byte
	for ; ; n++ {
		c, err := r.ReadByte()
		if err == io.EOF {
			return n, found, nil
		}
		if err != nil {
			return n, found, err
		}
		h = h*multiplier + uint64(c) + 1
		if n >= Window {
			h -= leaving * (uint64(ring[n%Window]) + 1)
		}
		ring[n%Window] = c
		if n >= Window-1 && !found && w.has(h) {
			_, stays := w.except[h]
			found = !stays
		}
	}
}
