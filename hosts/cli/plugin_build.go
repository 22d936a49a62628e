package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
	"github.com/ledge-run/ledge/runtime/wasm/straighten"
)

// toolchain builds the plugins of one language.
type toolchain struct {
	language, source string // a folder with the file source is of the language
	tools            []string
	install          string
	args             func(tool, out string) []string
	env              []string
}

var toolchains = []toolchain{
	{"go", "main.go", []string{"go"}, "Go from https://go.dev/dl", func(_, out string) []string {
		return []string{"build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, "."}
	}, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}},
	{"rust", "plugin.rs", []string{"rustc"}, "Rust from https://rustup.rs, then: rustup target add wasm32-unknown-unknown", func(_, out string) []string {
		return []string{"--edition", "2021", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib",
			"-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "-o", out, "plugin.rs"}
	}, nil},
	{"c", "plugin.c", []string{"clang"}, "clang and lld of your system", func(_, out string) []string {
		return []string{"--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry", "-o", out, "plugin.c"}
	}, nil},
	{"assemblyscript", "plugin.ts", []string{"asc", "npx"}, "AssemblyScript: npm install assemblyscript", func(tool, out string) []string {
		args := []string{"plugin.ts", "-O3", "--runtime", "stub", "--use", "abort=ledge/abort", "-o", out}
		if tool == "npx" { // finds it in the folder's node_modules, and must not download it
			args = append([]string{"--no-install", "asc"}, args...)
		}
		return args
	}, nil},
}

func newPluginBuildCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a plugin's module with its language's compiler, and check it",
		Long: "Build the plugin in DIR (the present folder) to NAME.wasm in it. The language is told by main.go, plugin.rs,\n" +
			"plugin.c or plugin.ts. The module must meter and export what plugin.yaml promises.",
		Example: "  ledge plugin build bluebird\n  ledge plugin build -o /tmp/bluebird.wasm bluebird",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			m, err := readManifest(dir)
			if err != nil {
				return err
			}
			if output == "" {
				output = filepath.Join(dir, m.Name+".wasm")
			}
			module, err := buildPlugin(c.Context(), dir, output, m)
			if err != nil {
				return err
			}
			digest := sha256.Sum256(module)
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s  %d bytes  sha256:%s\n", output, len(module), hex.EncodeToString(digest[:]))
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "file to write (default NAME.wasm in DIR)")
	return c
}

func readManifest(dir string) (*manifest.Manifest, error) {
	file := filepath.Join(dir, manifest.FileName)
	src, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there; start a plugin with: ledge plugin new DIR", file)
	}
	if err != nil {
		return nil, err
	}
	return manifest.Parse(src)
}

// buildPlugin builds beside the output and moves it into place when it is good.
func buildPlugin(ctx context.Context, dir, output string, m *manifest.Manifest) ([]byte, error) {
	t, tool, err := toolchainOf(dir)
	if err != nil {
		return nil, err
	}
	output, err = filepath.Abs(output)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(output), ".build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "plugin.wasm")
	cmd := exec.CommandContext(ctx, tool, t.args(filepath.Base(tool), file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), t.env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", t.tools[0], err, bytes.TrimSpace(said))
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if t.language == "go" {
		if module, err = straighten.Module(module); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, module, 0o644); err != nil {
			return nil, err
		}
	}
	info, err := meter.Inspect(module)
	if err == nil {
		_, err = meter.Rewrite(module)
	}
	if err != nil {
		return nil, fmt.Errorf("the module does not do as a plugin: %w", err)
	}
	var exported []string
	for _, e := range info.Exports {
		if e.Kind == meter.KindFunc {
			exported = append(exported, e.Name)
		}
	}
	if err := m.CheckExports(exported); err != nil {
		return nil, err
	}
	return module, os.Rename(file, output)
}

// toolchainOf finds the language of a folder and its compiler.
func toolchainOf(dir string) (*toolchain, string, error) {
	var known []string
	for i := range toolchains {
		t := &toolchains[i]
		known = append(known, t.source)
		if _, err := os.Stat(filepath.Join(dir, t.source)); err != nil {
			continue
		}
		for _, tool := range t.tools {
			if path, err := exec.LookPath(tool); err == nil {
				return t, path, nil
			}
		}
		return nil, "", fmt.Errorf("%s is a plugin in %s and %s is not installed; install %s", dir, t.language, t.tools[0], t.install)
	}
	return nil, "", fmt.Errorf("%s has no source that this command builds: one of %s", dir, strings.Join(known, ", "))
}
