package erasure

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWindows_FindAnyRunOf64Bytes(t *testing.T) {
	text := strings.Repeat("0123456789 abcdefghij klmnopqrst uvwxyz; ", 6) + "and an end that is like no other part of this text, really."
	w := NewWindows([]string{text, "short"})
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	end := len(text)
	write("start", text[:64])
	write("middle", "\x00\xff"+strings.Repeat("x", 1000)+text[31:95]+"tail")
	write("end", "x"+text[end-64:])
	write("less", text[:63]+"#"+text[64:end-64]+"#") // its middle has runs
	write("too short", text[end-63:])
	write("nothing", strings.Repeat("nothing of it ", 100))
	write("empty", "")
	scan, err := w.ScanFolder(t.Context(), dir)
	if err != nil || !slices.Equal(scan.Found, []string{"end", "less", "middle", "start"}) || scan.Files != 7 {
		t.Errorf("%+v, %v", scan, err)
	}
	if !w.In("abc"+text[10:80]) || w.In(text[:63]) {
		t.Error("In disagrees")
	}
	w.Except(text[end-80:])
	if scan, _ := w.ScanFolder(t.Context(), dir); slices.Contains(scan.Found, "end") || !slices.Contains(scan.Found, "start") || w.Shared() != 17 {
		t.Errorf("%+v, %d shared", scan, w.Shared())
	}
}

func TestLog_KeepsEntriesAndPassesOverACutLine(t *testing.T) {
	l := Log{filepath.Join(t.TempDir(), "sub", "log")}
	if list, err := l.Entries(); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	a, b := NewEntry(time.Now(), "acme", "ann", []string{"doc_1"}), NewEntry(time.Now(), "acme", "", []string{"doc_2"})
	for _, e := range []Entry{a, b} {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	raw, _ := os.ReadFile(l.Path)
	if strings.Contains(string(raw), "ann") {
		t.Error("the log names the subject")
	}
	if err := os.WriteFile(l.Path, append(raw, `{"id":"era`...), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := l.Entries()
	if err != nil || len(list) != 2 || list[0].ID != a.ID || list[0].Subject != SubjectHash("acme", "ann") || list[1].Documents[0] != "doc_2" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := os.WriteFile(l.Path, append([]byte("broken\n"), raw...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Entries(); err == nil {
		t.Error("a broken line inside was passed over")
	}
}
