package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/plugins"
)

func runChunk(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	if _, _, err := plugins.Builtin("chunker"); err != nil {
		t.Skip(err)
	}
	var out, errs bytes.Buffer
	status = Main(append([]string{"chunk"}, args...), strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func TestChunk_PrintsRangesAndHeadings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	if err := os.WriteFile(file, []byte("# One\ntext\n## Two\nmore \xff text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runChunk(t, "", file, "--json")
	var got []struct {
		Start, End int
		Heading    []string
	}
	if err := json.Unmarshal([]byte(out), &got); status != 0 || err != nil {
		t.Fatalf("status %d, %v, %s%s", status, err, out, errs)
	}
	if len(got) != 2 || got[0].End != 11 || got[1].Start != 11 || got[1].End != 30 || strings.Join(got[1].Heading, ">") != "One>Two" {
		t.Errorf("%+v", got)
	}
	if status, out, _ := runChunk(t, "", file); status != 0 || out != "0-11\tOne\t# One text\n11-30\tOne > Two\t## Two more ? text\n" {
		t.Errorf("%d: %q", status, out)
	}
}

func TestChunk_ReadsStandardInput(t *testing.T) {
	status, out, errs := runChunk(t, strings.Repeat("ü", 250), "-", "--strategy", "fixed", "--size", "100", "--overlap", "50", "--json")
	var got []struct{ Start, End int }
	if err := json.Unmarshal([]byte(out), &got); status != 0 || err != nil || len(got) != 4 || got[3].Start != 300 || got[3].End != 500 {
		t.Errorf("status %d, %v, %s%s", status, err, out, errs)
	}
	if status, out, _ := runChunk(t, "", "-", "--json"); status != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("the empty document: %d, %q", status, out)
	}
}

func TestChunk_CutsABigDocument(t *testing.T) {
	text := strings.Repeat("The station lifts storm water from the lower basin. ", 100_000) // 5 MB
	status, out, errs := runChunk(t, text, "-", "--json")
	var got []struct{ Start, End int }
	if err := json.Unmarshal([]byte(out), &got); status != 0 || err != nil || len(got) < 5000 || got[len(got)-1].End != len(text) {
		t.Errorf("status %d, %v, %d chunks, %s", status, err, len(got), errs)
	}
}

func TestChunk_RefusesWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-", "--strategy", "magic"}, {"-", "--size", "0"}, {"-", "--size", "10", "--overlap", "10"}, {"-", "--overlap", "-1"}, {}, {"a", "b"},
	} {
		if status, out, errs := runChunk(t, "x", args...); status != 2 || out != "" || errs == "" {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
	}
	if status, _, errs := runChunk(t, "", filepath.Join(t.TempDir(), "none")); status != 1 || errs == "" {
		t.Errorf("a missing file: status %d, %q", status, errs)
	}
}
