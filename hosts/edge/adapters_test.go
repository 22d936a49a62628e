package edge

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// writeFile makes a file in a folder of its own.
func writeFile(t *testing.T, name string, write func(io.Writer) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func withAdapters(t *testing.T) options {
	file := func(seed uint64) string {
		return writeFile(t, "lora.gguf", func(w io.Writer) error { return slmtest.Tiny.WriteAdapter(w, seed) })
	}
	return func(c *config.Config) {
		c.Adapters = map[string]config.Adapter{"legal": {File: file(1)}, "medical": {File: file(2), Base: "tiny"}}
		r := c.Routes["default"]
		r.Models = []string{"medical", "local"}
		r.Router = config.Stage{}
		c.Routes["clinic"] = r
	}
}

func TestAdapters_AreModelsOfTheirOwn(t *testing.T) {
	dir, model, adapters := dataDir(t), tinyModel(t), withAdapters(t)
	id := func(c *config.Config) { c.Model.ID = "tiny" }
	a := open(t, dir, withModel(model), id, adapters)
	list := string(a.get(a.api.URL + "/v1/models").body)
	for _, name := range []string{"tiny", "legal", "medical", "clinic"} {
		if !strings.Contains(list, `"`+name+`"`) {
			t.Errorf("%s is not listed: %s", name, list)
		}
	}
	// All after the same cached question: an answer of one must not come from another's place in the cache.
	answers := map[string]string{}
	for _, name := range []string{"tiny", "legal", "medical", "tiny:legal", "tiny:medical", "clinic"} {
		r := a.post("/v1/chat/completions", ask("Once upon a time", "model", name))
		if r.status != 200 {
			t.Fatalf("%s: %d %s", name, r.status, r.body)
		}
		answers[name] = r.text()
	}
	if answers["tiny"] == answers["legal"] || answers["legal"] == answers["medical"] || answers["tiny"] == answers["medical"] {
		t.Errorf("adapters change nothing: %q", answers)
	}
	if answers["tiny:legal"] != answers["legal"] || answers["tiny:medical"] != answers["medical"] || answers["clinic"] != answers["medical"] {
		t.Errorf("names of one adapter differ: %q", answers)
	}
	for _, name := range []string{"tiny:nosuch", "other:legal", ":legal", "legal:medical", "tiny:"} {
		if r := a.post("/v1/chat/completions", ask("x", "model", name)); r.status != 404 || r.code() != "model_not_found" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := a.post("/v1/chat/completions", ask("Once upon a time", "model", "legal")); r.header.Get("X-Ledge-Cache") != "hit" || r.text() != answers["legal"] {
		t.Errorf("the same question again: %v %s", r.header, r.body)
	}
}

func TestPrefixCache_SurvivesARestart(t *testing.T) {
	dir, model := dataDir(t), tinyModel(t)
	question := strings.Repeat("once upon a time in the ", 20)
	for i, disk := range []config.Size{1 << 20, 1 << 20, 0} {
		a := open(t, dir, withModel(model), func(c *config.Config) { c.Model.PrefixDisk = &disk })
		r := a.post("/v1/chat/completions", ask(question, "max_tokens", 2+i)) // never a cached answer
		if r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if i == 0 {
			for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
				if files, _ := filepath.Glob(filepath.Join(dir, "prefix", "*", "*.kv")); len(files) > 0 {
					break
				}
			}
		}
		for _, s := range a.rt.EngineStats() {
			if got := s.ReusedTokens > 0; got != (i == 1) {
				t.Errorf("start %d: %d tokens were reused", i, s.ReusedTokens)
			}
		}
		a.stop()
	}
}
