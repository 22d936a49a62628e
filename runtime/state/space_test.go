package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFullDisk_KeepsTracesUntilThereIsRoom(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	s.db.space.free = func(string) (int64, bool) { return minFree - 1, true }
	if err := s.Traces().Put(ctx, "t", "1", document([]byte("one")), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Traces().flush(); !errors.Is(err, ErrFull) {
		t.Errorf("flush: %v", err)
	}
	if doc, ok, err := s.Traces().Get(ctx, "1"); err != nil || !ok || string(doc) != "one" {
		t.Errorf("the trace that waits: %q %t %v", doc, ok, err)
	}
	if err := s.Meta().Put(ctx, "a", []byte("b")); !errors.Is(err, ErrFull) {
		t.Errorf("another record: %v", err)
	}
	s.db.space.free = freeBytes
	if r, err := s.Check(ctx); err != nil || !r.OK() || r.Traces != 1 {
		t.Errorf("with room: %v, %v", r, err)
	}
}

// Writing to a page of a mapped log that has no block on the disk ends the process when the disk is full.
func TestFullDisk_LogsHaveTheirBlocksBeforeTheyAreWritten(t *testing.T) {
	dir := t.TempDir()
	if _, ok := freeBytes(dir); !ok {
		t.Skip("this system does not allocate blocks")
	}
	s := open(t, dir, Options{})
	if err := s.Meta().Put(ctx, "a", []byte("b")); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, folderNow, "*.mem"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, path := range logs {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := blocksOf(info); got >= 0 && got < info.Size() {
			t.Errorf("%s: %d bytes, %d on the disk", filepath.Base(path), info.Size(), got)
		}
	}
}
