package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginNew_BuildsAndPassesItsCases starts a plugin in each language that can be built here, builds it as it is and
// runs its cases; then breaks a case, and the command must fail.
func TestPluginNew_BuildsAndPassesItsCases(t *testing.T) {
	for language := range scaffolds {
		t.Run(language, func(t *testing.T) {
			for _, tc := range toolchains {
				if tc.language == language && !installed(tc.tools[0]) {
					t.Skipf("%s is not installed", tc.tools[0])
				}
			}
			dir := filepath.Join(t.TempDir(), "blue-bird")
			args := []string{"plugin", "new", dir, "--language", language}
			if language == "go" {
				checkout, _ := filepath.Abs("../..")
				args = append(args, "--sdk", checkout)
			}
			if out, err := ledgeCommand(t, args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := ledgeCommand(t, args...); err == nil {
				t.Error("a second time over the first")
			}
			if out, err := ledgeCommand(t, "plugin", "test", dir); err == nil || !strings.Contains(out+err.Error(), "plugin build") {
				t.Errorf("tested before it was built: %s, %v", out, err)
			}
			if out, err := ledgeCommand(t, "plugin", "build", dir); err != nil {
				if language == "rust" && strings.Contains(err.Error(), "target may not be installed") {
					t.Skip("the target wasm32-unknown-unknown is not installed")
				}
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := ledgeCommand(t, "plugin", "test", dir)
			if err != nil || !strings.Contains(out, "5 of 5 cases passed") {
				t.Errorf("%v\n%s", err, out)
			}
			cases := filepath.Join(dir, "wrong.jsonl")
			if err := os.WriteFile(cases, []byte(`{"export":"guard","input":{"text":"bluebird"},"expect":{"verdict":"allow"}}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := ledgeCommand(t, "plugin", "test", dir, "--cases", cases); err == nil || !strings.Contains(out, "FAIL") {
				t.Errorf("a wrong case: %s, %v", out, err)
			}
		})
	}
}

func installed(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

func TestPluginBuild_SaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := ledgeCommand(t, "plugin", "build", dir); err == nil || !strings.Contains(err.Error(), "plugin new") {
		t.Errorf("without a manifest: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte("name: x\nhooks: [guard]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledgeCommand(t, "plugin", "build", dir); err == nil || !strings.Contains(err.Error(), "plugin.c") {
		t.Errorf("without a source: %v", err)
	}
}

// ledgeCommand returns what a command printed, and an error with what it complained of when it failed.
func ledgeCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Main(args, strings.NewReader(""), &out, &errs); status != 0 {
		return out.String(), fmt.Errorf("status %d: %s", status, errs.String())
	}
	return out.String(), nil
}
