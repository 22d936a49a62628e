package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/quantize"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func tinyModel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := slmtest.Tiny.Write(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func runLedge(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Main(args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

func TestModelQuantize_WritesARunnableFile(t *testing.T) {
	in := tinyModel(t)
	out := filepath.Join(filepath.Dir(in), "q8.gguf")
	status, stdout, stderr := runLedge("model", "quantize", "--model", in, "--type", "q8_0", "-o", out, "--json")
	var got struct {
		Type               string
		SourceBytes, Bytes int64
	}
	if status != 0 || json.Unmarshal([]byte(strings.ReplaceAll(stdout, "source_bytes", "sourcebytes")), &got) != nil || got.Type != "Q8_0" || got.Bytes == 0 || got.Bytes >= got.SourceBytes {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := runLedge("model", "run", "--model", out, "-p", "the", "-n", "4", "--temp", "0"); status != 0 || stdout == "" {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

func TestModelQuantize_LeavesWhatIsThere(t *testing.T) {
	in := tinyModel(t)
	out := filepath.Join(filepath.Dir(in), "there.gguf")
	if err := os.WriteFile(out, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runLedge("model", "quantize", "--model", in, "--type", "Q8_0", "-o", out); status != 1 || !strings.Contains(stderr, "--force") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, _, stderr := runLedge("model", "quantize", "--model", in, "--type", "Q8_0", "-o", in, "--force"); status != 1 || !strings.Contains(stderr, "is the source") {
		t.Errorf("status %d: %s", status, stderr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	recipe, _ := quantize.RecipeOf("Q8_0")
	if _, _, err := quantizeFile(ctx, in, out, true, quantize.Options{Recipe: recipe}); err == nil {
		t.Error("no error after the context's end")
	}
	if b, _ := os.ReadFile(out); string(b) != "mine" {
		t.Errorf("the file became %q", b)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(in), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if status, _, stderr := runLedge("model", "quantize", "--model", in, "--type", "Q8_0", "-o", out, "--force"); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, _, stderr := runLedge("model", "quantize", "--model", in, "--type", "Q7", "-o", out); status != 2 || !strings.Contains(stderr, "Q4_K_M") {
		t.Errorf("status %d: %s", status, stderr)
	}
}
