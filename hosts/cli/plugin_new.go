package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/sdk"
)

// scaffold is what a new plugin in one language consists of, beside plugin.yaml and its cases.
type scaffold struct {
	files  map[string]string // name in the new folder to name in sdk.Files
	memory string
}

var scaffolds = map[string]scaffold{
	"go":             {map[string]string{"main.go": "templates/go/main.go.txt"}, "64MiB"},
	"rust":           {map[string]string{"plugin.rs": "templates/rust/plugin.rs", "ledge.rs": "rust/ledge.rs"}, "16MiB"},
	"c":              {map[string]string{"plugin.c": "templates/c/plugin.c", "ledge.h": "c/ledge.h"}, "4MiB"},
	"assemblyscript": {map[string]string{"plugin.ts": "templates/assemblyscript/plugin.ts", "ledge.ts": "assemblyscript/ledge.ts"}, "16MiB"},
}

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func newPluginNewCommand() *cobra.Command {
	var language, sdkDir string
	c := &cobra.Command{
		Use:   "new DIR",
		Short: "Start a plugin: source, plugin.yaml and test cases that pass",
		Long: "Make a folder with a small guard that builds and passes its cases as it is: change it from there.\n" +
			"The folder's name becomes the plugin's. Nothing is downloaded.",
		Example: "  ledge plugin new bluebird --language c\n  ledge plugin build bluebird\n  ledge plugin test bluebird\n" +
			"  ledge plugin new bluebird --language go --sdk ../ledge   # against a checkout of Ledge",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, ok := scaffolds[language]
			if !ok {
				return usagef("--language %q: known are %s", language, strings.Join(languageNames(), ", "))
			}
			if sdkDir != "" && language != "go" {
				return usagef("--sdk is for --language go; in %s the SDK is a file of the plugin", language)
			}
			return newPlugin(c.OutOrStdout(), args[0], language, s, sdkDir)
		},
	}
	c.Flags().StringVar(&language, "language", "go", "language of the source: "+strings.Join(languageNames(), ", "))
	c.Flags().StringVar(&sdkDir, "sdk", "", "for go: a checkout of Ledge to take the SDK from")
	return c
}

func languageNames() []string {
	var names []string
	for n := range scaffolds {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func newPlugin(out io.Writer, dir, language string, s scaffold, sdkDir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := filepath.Base(abs)
	if !pluginName.MatchString(name) {
		return usagef("%q does not do as a plugin's name: lower-case letters, digits and hyphens, a letter first", name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is there and not empty; nothing was changed", dir)
	}
	files := map[string]string{"plugin.yaml": "templates/plugin.yaml", "testdata/cases.jsonl": "templates/cases.jsonl"}
	for to, from := range s.files {
		files[to] = from
	}
	for to, from := range files {
		b, err := fs.ReadFile(sdk.Files, from)
		if err != nil {
			return err
		}
		text := strings.NewReplacer("{{NAME}}", name, "{{MEMORY}}", s.memory).Replace(string(b))
		if err := writeNew(filepath.Join(dir, to), text); err != nil {
			return err
		}
	}
	if language == "go" {
		mod := "module " + name + "\n\ngo 1.24\n"
		if sdkDir != "" {
			if sdkDir, err = filepath.Abs(sdkDir); err != nil {
				return err
			}
			mod += "\nrequire github.com/ledge-run/ledge v0.0.0\n\nreplace github.com/ledge-run/ledge => " + sdkDir + "\n"
		}
		if err := writeNew(filepath.Join(dir, "go.mod"), mod); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s is a plugin in %s. Next:\n", dir, language)
	if language == "go" && sdkDir == "" {
		fmt.Fprintf(out, "  (cd %s && go get github.com/ledge-run/ledge@latest)\n", dir)
	}
	_, err = fmt.Fprintf(out, "  ledge plugin build %s\n  ledge plugin test %s\n", dir, dir)
	return err
}

func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
