package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestModelStore_ImportListRemove(t *testing.T) {
	path, data := tinyModel(t), t.TempDir()
	if status, out, errs := runLedge("model", "import", path, "--name", "small", "--data", data); status != 0 || !strings.Contains(out, "--model small") {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	status, out, errs := runLedge("model", "ls", "--data", data, "--json")
	var list []struct{ Name, Digest, Architecture string }
	if err := json.Unmarshal([]byte(out), &list); status != 0 || err != nil || len(list) != 1 || list[0].Name != "small" || list[0].Architecture != "llama" {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if status, _, errs := runLedge("model", "import", path, "--name", "small", "--data", data); status != 1 || !strings.Contains(errs, "--force") {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, _, errs := runLedge("model", "rm", "nothing", "--data", data); status != 1 || !strings.Contains(errs, "ledge model ls") {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, _, errs := runLedge("model", "rm", "small", "--data", data); status != 0 {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, out, _ := runLedge("model", "ls", "--data", data, "--json"); status != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("status %d: %s", status, out)
	}
	if status, _, _ := runLedge("model", "import"); status != 2 {
		t.Errorf("without a file: status %d", status)
	}
}
