package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inFiles says which files below dir hold the bytes.
func inFiles(t *testing.T, dir, needle string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the store goes on, and removes files of its own
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(b, []byte(needle)) {
			found = append(found, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRewrite_LeavesNoByteOfWhatWasDeleted(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := s.Documents()
	secret := strings.Repeat("the bluebird flies at midnight; ", 20)
	put := func(tenant, name, value string) {
		t.Helper()
		if err := d.Put(tenant, []Pair{{[]byte(name), []byte(value)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 { // through several tables
		put("acme", fmt.Sprint("k", i), strings.Repeat(fmt.Sprint("value ", i, " "), 500))
	}
	put("acme", "secret", secret)
	put("acme", "over", secret)
	put("acme", "over", "harmless")
	var key [32]byte
	if err := s.Cache().Put(t.Context(), "acme", key, []byte("kept"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Traces().Put(t.Context(), "acme", "req_1", document([]byte(`{"id":1}`)), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete("acme", [][]byte{[]byte("secret")}); err != nil {
		t.Fatal(err)
	}
	if len(inFiles(t, dir, secret[:64])) == 0 {
		t.Fatal("the deleted bytes are gone before: the test shows nothing")
	}
	if err := s.Rewrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := inFiles(t, dir, secret[:64]); len(found) > 0 {
		t.Errorf("deleted bytes in %v", found)
	}
	check := func() {
		t.Helper()
		if names, err := d.Names("acme", nil); err != nil || len(names) != 2001 {
			t.Errorf("%d records, %v", len(names), err)
		}
		if v, ok, err := d.Get("acme", []byte("over")); err != nil || !ok || string(v) != "harmless" {
			t.Errorf("%q, %t, %v", v, ok, err)
		}
		if e, ok, err := s.Cache().Get(t.Context(), "acme", key); err != nil || !ok || string(e.Value) != "kept" {
			t.Errorf("%q, %t, %v", e.Value, ok, err)
		}
		if r, err := s.Check(t.Context()); err != nil || !r.OK() || r.Traces != 1 {
			t.Errorf("%v, %v", r, err)
		}
	}
	check()
	put("acme", "k0", "after")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d = s.Documents()
	check()
	if v, _, _ := d.Get("acme", []byte("k0")); string(v) != "after" {
		t.Errorf("written after: %q", v)
	}
}

// An end of the process between any two steps leaves the old files or the new ones.
func TestOpen_EndsARewrite(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string){
		"next is half written": func(t *testing.T, dir string) {
			_ = os.MkdirAll(filepath.Join(dir, folderNext), 0o700)
			_ = os.WriteFile(filepath.Join(dir, folderNext, "MANIFEST"), []byte("half"), 0o600)
		},
		"old is moved away": func(t *testing.T, dir string) {
			_ = os.CopyFS(filepath.Join(dir, folderNext), os.DirFS(filepath.Join(dir, folderNow)))
			_ = os.Rename(filepath.Join(dir, folderNow), filepath.Join(dir, folderOld))
		},
		"old is not removed": func(t *testing.T, dir string) {
			_ = os.CopyFS(filepath.Join(dir, folderOld), os.DirFS(filepath.Join(dir, folderNow)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Documents().Put("acme", []Pair{{[]byte("a"), []byte("b")}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			leave(t, dir)
			if s, err = Open(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if v, ok, err := s.Documents().Get("acme", []byte("a")); err != nil || !ok || string(v) != "b" {
				t.Errorf("%q, %t, %v", v, ok, err)
			}
			for _, f := range []string{folderNext, folderOld} {
				if _, err := os.Stat(filepath.Join(dir, f)); err == nil {
					t.Errorf("%s is left", f)
				}
			}
		})
	}
}

func TestRedact_KeepsTheChainWhole(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 10 {
		if err := s.Traces().Put(t.Context(), "acme", fmt.Sprint("req_", i), document(fmt.Appendf(nil, `{"text":"secret %d"}`, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	n, err := s.Traces().Redact("acme", func(doc []byte) ([]byte, bool) {
		if bytes.Contains(doc, []byte("secret 3")) || bytes.Contains(doc, []byte("secret 7")) {
			return []byte(`{}`), true
		}
		return nil, false
	})
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	for id, want := range map[string]string{"req_3": "{}", "req_4": `{"text":"secret 4"}`} {
		if doc, ok, err := s.Traces().Get(t.Context(), id); err != nil || !ok || string(doc) != want {
			t.Errorf("%s: %s, %t, %v", id, doc, ok, err)
		}
	}
	if err := s.Traces().Put(t.Context(), "acme", "req_10", document([]byte(`{}`)), nil); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(t.Context()); err != nil || !r.OK() || r.Traces != 11 {
		t.Errorf("%v, %v", r, err)
	}
}
