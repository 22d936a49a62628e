package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// filled returns a state directory with traces and answers, in tables.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		if err := s.Traces().Put(ctx, "t", fmt.Sprint(i), document(fmt.Appendf(nil, "trace %d %s", i, strings.Repeat("x", 300))), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// tables are the files of a kind in a state directory.
func tables(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, folderNow, pattern))
	if err != nil || len(list) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return list
}

// A damaged directory is refused with the next step, or opened, and then Check finds what is not there any more. In no
// case does the process end or a file go.
func TestOpen_DamagedFilesLoseNothingUnnoticed(t *testing.T) {
	whole := filled(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, pattern := range []string{"*.sst", badger.ManifestFilename, "KEYREGISTRY"} {
		for round := range 10 {
			dir := copyOf(t, whole)
			file := tables(t, dir, pattern)[0]
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			what := []string{"cut", "flipped", "overwritten", "emptied", "removed"}[round%5]
			at := rng.IntN(len(b))
			switch what {
			case "cut":
				err = os.Truncate(file, int64(at))
			case "flipped":
				b[at] ^= 1 << rng.IntN(8)
				err = os.WriteFile(file, b, 0o600)
			case "overwritten":
				for i := at; i < min(at+64, len(b)); i++ {
					b[i] = byte(rng.Uint32())
				}
				err = os.WriteFile(file, b, 0o600)
			case "emptied":
				err = os.Truncate(file, 0)
			case "removed":
				err = os.Remove(file)
			}
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s %s at %d of %d", filepath.Base(file), what, at, len(b))
			s, err := Open(dir, Options{})
			if err != nil {
				if !strings.Contains(err.Error(), "backup") {
					t.Errorf("%s: the error has no next step: %v", name, err)
				}
				if pattern != "*.sst" && len(tables(t, dir, "*.sst")) != len(tables(t, whole, "*.sst")) {
					t.Errorf("%s: tables were removed", name)
				}
				continue
			}
			r, err := s.Check(ctx)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r.OK() && r.Traces != 400 {
				t.Errorf("%s: %d traces are left, and nothing is found", name, r.Traces)
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCheck_FindsThatTheOldestTracesAreGone(t *testing.T) {
	dir := filled(t)
	old := t.TempDir()
	if s, err := Open(old, Options{}); err != nil {
		t.Fatal(err)
	} else if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// An empty database in the place of the one with 400 traces.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, folderNow)), os.Rename(filepath.Join(old, folderNow), filepath.Join(dir, folderNow))); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := open(t, dir, Options{Now: func() time.Time { return now }})
	_ = s.Traces().Put(ctx, "t", "new", document([]byte("new")), nil)
	for range 2 {
		if r, err := s.Check(ctx); err != nil || r.OK() || r.Missing != 400 {
			t.Errorf("got %v, %v", r, err)
		}
		if err := s.Traces().retain(); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(DefaultTraceRetention + time.Hour) // the gap is as old as what lies behind it
	if err := s.Traces().retain(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(ctx); err != nil || !r.OK() || r.Traces != 0 {
		t.Errorf("after the retention: %v, %v", r, err)
	}
}

func TestCheck_FindsThatNoAnchorWitnessesTheEnd(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"flipped": func(path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				b[len(b)/2] ^= 4
				err = os.WriteFile(path, b, 0o600)
			}
			return err
		},
	} {
		dir := filled(t)
		if err := damage(filepath.Join(dir, anchorFile)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it is not forgotten by a restart
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.Check(ctx); err != nil || r.Broken != 1 || len(r.Found) != 1 || !strings.Contains(r.Found[0], "anchor") {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
