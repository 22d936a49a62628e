package modelstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func model(t testing.TB, name string, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	shape := slmtest.Tiny
	shape.Seed = seed
	if err := shape.Write(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != "lock" {
			out = append(out, filepath.Base(path))
		}
		return nil
	})
	return out
}

func TestStore_ImportsListsAndRemoves(t *testing.T) {
	data := t.TempDir()
	s := New(data)
	path := model(t, "My Model.gguf", 1)
	var done int64
	m, err := s.Import(context.Background(), Import{Path: path, Progress: func(d, _ int64) { done = d }})
	if err != nil || m.Name != "my-model" || m.Architecture != "llama" || done != m.Bytes {
		t.Fatalf("%+v, %d bytes reported, %v", m, done, err)
	}
	if _, err := s.Import(context.Background(), Import{Path: path}); !errors.Is(err, ErrExists) {
		t.Errorf("again: %v", err)
	}
	// The same file under another name takes no room, and stays while either name is there.
	if _, err := s.Import(context.Background(), Import{Path: path, Name: "other"}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(); err != nil || len(all) != 2 || all[0].Name != "my-model" || len(files(t, data)) != 3 {
		t.Errorf("%v %v %v", all, files(t, data), err)
	}
	if err := s.Remove("my-model"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Blob(m.Digest)); err != nil {
		t.Errorf("the file went with one of its names: %v", err)
	}
	if err := s.Remove("other"); err != nil || len(files(t, data)) != 0 {
		t.Errorf("%v, left: %v", err, files(t, data))
	}
	if err := s.Remove("other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the source: %v", err)
	}
}

func TestStore_KeepsAModelInUse(t *testing.T) {
	s := New(t.TempDir())
	if _, err := s.Import(context.Background(), Import{Path: model(t, "a.gguf", 1)}); err != nil {
		t.Fatal(err)
	}
	_, release, err := s.Use("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("a"); !errors.Is(err, ErrInUse) {
		t.Errorf("removed while in use: %v", err)
	}
	if _, err := s.Import(context.Background(), Import{Path: model(t, "b.gguf", 2), Name: "a", Replace: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("replaced while in use: %v", err)
	}
	release()
	if err := s.Remove("a"); err != nil {
		t.Error(err)
	}
}

func TestStore_LeavesNothingOfAnImportThatFails(t *testing.T) {
	data := t.TempDir()
	s := New(data)
	good := model(t, "good.gguf", 1)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		in   Import
		says string
	}{
		"truncated":    {context.Background(), Import{Path: write("cut.gguf", string(b[:len(b)/2]))}, "GGUF"},
		"no model":     {context.Background(), Import{Path: write("x.txt", "hello there")}, "instruction"},
		"short":        {context.Background(), Import{Path: write("s.txt", "x")}, "fewer than 4"},
		"missing":      {context.Background(), Import{Path: filepath.Join(dir, "nothing.gguf")}, "no such file"},
		"a directory":  {context.Background(), Import{Path: dir}, "regular file"},
		"bad name":     {context.Background(), Import{Path: good, Name: "../../etc/x"}, "no name"},
		"canceled":     {canceled, Import{Path: good}, "canceled"},
		"bad adapter":  {context.Background(), Import{Path: write("Modelfile", "FROM "+good+"\nADAPTER nothing.gguf")}, "adapter"},
		"from nowhere": {context.Background(), Import{Path: write("Modelfile2", "FROM nothing.gguf"), Name: "n"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Import(tc.ctx, tc.in); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %q in it", err, tc.says)
			}
			if left := files(t, data); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestStore_ReadsAModelfile(t *testing.T) {
	path := model(t, "base.gguf", 1)
	file := filepath.Join(filepath.Dir(path), "Modelfile")
	if err := os.WriteFile(file, []byte("# mine\nfrom base.gguf\nSYSTEM \"\"\"You are\n  brief.\"\"\"\nPARAMETER temperature 0.5\nPARAMETER stop \"\\n\\n\"\nparameter stop END\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(t.TempDir())
	if _, err := s.Import(context.Background(), Import{Path: file, Name: "brief"}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Get("brief")
	if err != nil || m.System != "You are\n  brief." || *m.Parameters.Temperature != 0.5 || strings.Join(m.Parameters.Stop, "|") != "\n\n|END" {
		t.Errorf("%+v %v", m, err)
	}
}

func TestParseModelfile_NamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "no FROM",
		"FROM a\nFROM b":                        "line 2: FROM  appears twice",
		"FROM a\nMESSAGE user hi":               "line 2",
		"FROM a\nPARAMETER heat 3":              "no parameter",
		"FROM a\nPARAMETER temperature 9":       "from 0 to 2",
		"FROM a\nPARAMETER temperature NaN":     "from 0 to 2",
		"FROM a\nPARAMETER num_ctx 0":           "at least 1",
		"FROM a\n\nSYSTEM \"\"\"never\nclosed":  "line 3",
		"FROM a\nSYSTEM":                        "no value",
		"FROM a\nSYSTEM \"\"\"x\"\"\" y":        "follows",
		"FROM \xff":                             "UTF-8",
		"FROM a\n" + strings.Repeat("#", 1<<21): "more than",
	} {
		if _, err := ParseModelfile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: error %v, want %q in it", text, err, want)
		}
	}
}

func FuzzModelfile(f *testing.F) {
	f.Add("FROM a.gguf\nSYSTEM \"\"\"x\ny\"\"\"\nPARAMETER top_k 5\nTEMPLATE \"{{ x }}\"")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := ParseModelfile(text); err == nil && m.From == "" {
			t.Error("no FROM and no error")
		}
	})
}
