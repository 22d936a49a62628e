package edge

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/modelstore"
)

func TestInstalledModel_IsServedByItsNameAndManner(t *testing.T) {
	dir := dataDir(t)
	path := tinyModel(t)
	file := filepath.Join(filepath.Dir(path), "Modelfile")
	text := "FROM " + path + "\nSYSTEM Speak softly.\nPARAMETER temperature 0\nPARAMETER num_predict 3\nPARAMETER num_ctx 256\n" +
		"TEMPLATE \"\"\"{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}\"\"\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := modelstore.New(dir)
	if _, err := s.Import(context.Background(), modelstore.Import{Path: file, Name: "soft"}); err != nil {
		t.Fatal(err)
	}
	a := open(t, dir, withModel("soft"))
	if r := a.get(a.api.URL + "/v1/models"); !strings.Contains(string(r.body), `"soft"`) {
		t.Errorf("models: %s", r.body)
	}
	body := map[string]any{"model": "soft", "messages": []map[string]string{{"role": "user", "content": "the time"}}}
	first, second := a.post("/v1/chat/completions", body), a.post("/v1/chat/completions", body)
	if first.status != 200 || !strings.Contains(string(first.body), `"completion_tokens":3`) || first.text() != second.text() {
		t.Errorf("%d %s\n%s", first.status, first.body, second.body)
	}
	// [system] Speak softly. [user] the time: more tokens than the words of the client alone.
	plain := open(t, dataDir(t), withModel(path))
	if r := plain.post("/v1/chat/completions", ask("the time")); promptTokens(t, r) >= promptTokens(t, first) {
		t.Errorf("the manifest's system message or template was not used: %s", first.body)
	}
	if err := s.Remove("soft"); !errors.Is(err, modelstore.ErrInUse) {
		t.Errorf("removed while it is served: %v", err)
	}
	a.stop()
	if err := s.Remove("soft"); err != nil {
		t.Errorf("after the appliance stopped: %v", err)
	}
}

func promptTokens(t *testing.T, r reply) int {
	t.Helper()
	var c struct {
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
	}
	if err := json.Unmarshal(r.body, &c); err != nil {
		t.Fatal(err)
	}
	return c.Usage.PromptTokens
}
