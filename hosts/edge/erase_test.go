package edge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
)

// letter is a text of some length whose every line is its own.
func letter(name string, lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "Line %d of the letter of %s tells of the bluebird of %s, number %d, and of %s alone.\n", i, name, name, i*i, name)
	}
	return b.String()
}

// holds says which files below dir hold any 64 bytes in a row of text.
func holds(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	windows := map[string]bool{}
	var begin [1 << 16]bool // hashes of how windows begin
	hash := func(b []byte) uint64 { return binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> 48 }
	for i := 0; i+64 <= len(text); i++ {
		windows[text[i:i+64]] = true
		begin[hash([]byte(text[i:i+8]))] = true
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the appliance runs on, and removes files of its own
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for i := 0; i+64 <= len(b); i++ {
			if begin[hash(b[i:])] && windows[string(b[i:i+64])] {
				found = append(found, path)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestErase_LeavesNoByteAndHoldsForBackups(t *testing.T) {
	dir := dataDir(t)
	withPrompts := func(c *config.Config) {
		c.Trace.Prompts = true
		route := c.Routes["default"]
		route.Retrieve = &config.Retrieve{}
		c.Routes["default"] = route
	}
	a := open(t, dir, withModel(tinyModel(t)), withPrompts)
	ann, bob := letter("Ann", 200), letter("Bob", 50)
	a.addDocuments(NewDocument{Name: "ann.txt", Text: ann, Owner: "ann"}, NewDocument{Name: "bob.txt", Text: bob, Owner: "bob"})
	a.addDocuments(NewDocument{Name: "ann.txt", Text: letter("Ann", 201), Owner: "ann"}) // an older version lies in the files
	ask1 := ask("What does the letter of Ann tell of the bluebird? " + ann[:300])
	if r := a.post("/v1/chat/completions", ask1); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	all := SearchAs{Clearance: "secret"}
	if len(a.searchAs(all, "letter of Ann")) == 0 || len(holds(t, dir, ann)) == 0 {
		t.Fatal("there is nothing to erase")
	}
	a.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	a = open(t, dir, withModel(tinyModel(t)), withPrompts)
	var report runtime.EraseReport
	if r := a.manage("POST", "/admin/v1/erase", runtime.EraseRequest{Subject: "ann"}, &report); r.status != 200 || !report.Erased || len(report.Documents) != 1 || report.Traces != 1 || report.Windows == 0 {
		t.Errorf("%d %s", r.status, r.body)
	}
	gone := func(where string) {
		t.Helper()
		if found := holds(t, dir, ann); len(found) > 0 {
			t.Errorf("%s: erased text in %v", where, found)
		}
		for _, h := range a.searchAs(all, "letter of Ann bluebird") {
			if h.Document == "ann.txt" {
				t.Errorf("%s: found %+v", where, h)
			}
		}
		if len(a.searchAs(all, "letter of Bob bluebird")) == 0 {
			t.Errorf("%s: what was to stay is not found", where)
		}
		if r := a.manage("POST", "/admin/v1/check", nil, nil); r.status != 200 || !strings.Contains(string(r.body), `"damaged":0,"missing":0,"broken":0`) {
			t.Errorf("%s: %s", where, r.body)
		}
	}
	gone("after the erasure")
	a.addDocuments(NewDocument{Name: "ann.txt", Text: "A new letter of the same name, later.", Owner: "ann"})
	a.stop()
	a = open(t, dir, withModel(tinyModel(t)), withPrompts)
	if len(a.searchAs(all, "new letter of the same name")) == 0 {
		t.Error("what came after the erasure went with it")
	}
	a.stop()

	// The whole data directory is put back as it was before.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if len(holds(t, dir, ann)) == 0 {
		t.Fatal("the backup does not hold the text: the test shows nothing")
	}
	a = open(t, dir, withModel(tinyModel(t)), withPrompts)
	gone("after a backup was put back")
	if r := a.manage("POST", "/admin/v1/erase", runtime.EraseRequest{Document: "none"}, nil); r.status != 404 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
