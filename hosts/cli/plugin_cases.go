package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// pluginCase is one line of a plugin's test cases.
type pluginCase struct {
	Name   string            `json:"name"`
	Export string            `json:"export"`
	Input  json.RawMessage   `json:"input"` // a string is the input itself, anything else its JSON
	Config map[string]string `json:"config"`
	Expect json.RawMessage   `json:"expect"` // the output must hold it: members of objects may be left out
	Output *string           `json:"output"` // the output byte for byte
	Error  wasm.Code         `json:"error"`  // the call must fail with the code
}

// caseResult is one document of ledge plugin test --json.
type caseResult struct {
	Name       string `json:"name"`
	OK         bool   `json:"ok"`
	Why        string `json:"why,omitempty"`
	DurationUS int64  `json:"duration_us"`
	Fuel       uint64 `json:"fuel"`
}

func newPluginTestCommand() *cobra.Command {
	var cases string
	var granted []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "test [DIR|FILE.wasm]",
		Short: "Run a plugin's test cases in the sandbox, under the limits of its manifest",
		Long: "Run the cases in testdata/*.jsonl beside the module, one JSON document a line:\n" +
			"  {\"name\", \"export\", \"input\", \"config\": {}, and one of \"expect\", \"output\", \"error\"}\n" +
			"input: a string as it is, anything else as JSON. expect: what the output must hold; members may be left out.\n" +
			"output: the output exactly. error: the code of the error that the call must end with.\n" +
			"The plugin gets the store and the clock that its manifest asks for; HTTP is refused. Exit status 1: a case failed.",
		Example: "  ledge plugin test bluebird\n  ledge plugin test bluebird.wasm --cases more.jsonl --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			where := "."
			if len(args) > 0 {
				where = args[0]
			}
			module, dir, m, err := pluginUnderTest(where)
			if err != nil {
				return err
			}
			list, err := readCases(dir, cases)
			if err != nil {
				return err
			}
			asks, err := capability.ParseGrants(m.Capabilities)
			if err != nil {
				return err
			}
			if asks.Has("kv") && !slices.Contains(granted, "kv") {
				granted = append(granted, "kv")
			}
			o, err := pluginOptions(m.Name, m, nil, granted)
			if err != nil {
				return err
			}
			o.PreciseClock = asks.Has("clock")
			for name, functions := range map[string][]wasm.HostFunction{"slm": capability.SLM(nil), "search": capability.Search(nil)} {
				if asks.Has(name) {
					o.Functions = append(o.Functions, capability.Denied(name, functions)...) // an appliance lends them
				}
			}
			o.Config = m.Config
			o.Limits = wasm.Limits{Timeout: time.Duration(m.Limits.Timeout), MemoryBytes: uint64(m.Limits.Memory), Fuel: m.Limits.Fuel,
				OutputBytes: int(m.Limits.Output), StackBytes: int(m.Limits.Stack), LogBytes: int(m.Limits.Log),
				KVBytes: int(m.Limits.KV), VarBytes: int(m.Limits.Vars), HTTPBytes: int(m.Limits.HTTP), HostCalls: m.Limits.HostCalls}
			results, err := runCases(c.Context(), module, o, list)
			if err != nil {
				return err
			}
			failed := 0
			for _, r := range results {
				if !r.OK {
					failed++
				}
				if !asJSON {
					verdict := "ok  "
					if !r.OK {
						verdict = "FAIL"
					}
					fmt.Fprintf(c.OutOrStdout(), "%s  %s  (%d us, %d fuel)\n", verdict, r.Name, r.DurationUS, r.Fuel)
					if r.Why != "" {
						fmt.Fprintf(c.OutOrStdout(), "      %s\n", r.Why)
					}
				}
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), results)
			} else {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%d of %d cases passed\n", len(results)-failed, len(results))
			}
			if err == nil && failed > 0 {
				return exitError(1)
			}
			return err
		},
	}
	c.Flags().StringVar(&cases, "cases", "", "file of cases (default testdata/*.jsonl beside the module)")
	c.Flags().StringArrayVar(&granted, "grant", nil, "capability to grant beside those of the manifest; may be repeated")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// pluginUnderTest reads a module with its manifest, or one inferred from what it exports.
func pluginUnderTest(where string) (module []byte, dir string, m *manifest.Manifest, err error) {
	dir, file := filepath.Dir(where), where
	if st, err := os.Stat(where); err == nil && st.IsDir() {
		dir, file = where, ""
	}
	m, err = readManifest(dir)
	if err != nil {
		if _, missing := os.Stat(filepath.Join(dir, manifest.FileName)); file == "" || !errors.Is(missing, os.ErrNotExist) {
			return nil, "", nil, err
		}
		m = &manifest.Manifest{Name: strings.TrimSuffix(filepath.Base(file), ".wasm")}
	}
	if file == "" {
		file = filepath.Join(dir, m.Name+".wasm")
	}
	module, err = os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%s is not there; build it with: ledge plugin build %s", file, dir)
	}
	return module, dir, m, err
}

func readCases(dir, file string) ([]pluginCase, error) {
	files := []string{file}
	if file == "" {
		files, _ = filepath.Glob(filepath.Join(dir, "testdata", "*.jsonl"))
		if len(files) == 0 {
			return nil, fmt.Errorf("no cases in %s; write some, or name a file with --cases", filepath.Join(dir, "testdata"))
		}
	}
	var list []pluginCase
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for n, line := range bytes.Split(src, []byte("\n")) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			var c pluginCase
			if err := d.Decode(&c); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", f, n+1, err)
			}
			if c.Export == "" || c.Expect == nil && c.Output == nil && c.Error == "" {
				return nil, fmt.Errorf("%s:%d: a case needs export, and one of expect, output or error", f, n+1)
			}
			if c.Name == "" {
				c.Name = fmt.Sprintf("%s:%d", filepath.Base(f), n+1)
			}
			list = append(list, c)
		}
	}
	return list, nil
}

// runCases calls the plugin once for each case. Cases with a configuration of their own get an instance of their own.
func runCases(ctx context.Context, module []byte, o wasm.PluginOptions, list []pluginCase) (results []caseResult, err error) {
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	common, err := h.Load(ctx, module, o)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		p := common
		if len(c.Config) > 0 {
			own := o
			own.Config = maps.Clone(o.Config)
			if own.Config == nil {
				own.Config = map[string]string{}
			}
			maps.Copy(own.Config, c.Config)
			if p, err = h.Load(ctx, module, own); err != nil {
				return nil, err
			}
		}
		input := []byte(c.Input)
		var text string
		if json.Unmarshal(c.Input, &text) == nil {
			input = []byte(text)
		}
		res, failure := p.Call(ctx, wasm.Call{Export: c.Export, Input: input})
		why := c.judge(res, failure)
		results = append(results, caseResult{c.Name, why == "", why, res.Duration.Microseconds(), res.Fuel})
	}
	return results, nil
}

// judge says what is wrong with an outcome, or nothing.
func (c *pluginCase) judge(res wasm.Result, failure error) string {
	var e *wasm.Error
	switch {
	case c.Error != "" && failure == nil:
		return fmt.Sprintf("succeeded with %q; wanted the error %s", res.Output, c.Error)
	case c.Error != "":
		if !errors.As(failure, &e) || e.Code != c.Error {
			return fmt.Sprintf("%v; wanted the error %s", failure, c.Error)
		}
		return ""
	case failure != nil:
		return failure.Error()
	case c.Output != nil && string(res.Output) != *c.Output:
		return fmt.Sprintf("got %q, want %q", res.Output, *c.Output)
	case c.Expect != nil:
		var got, want any
		if err := json.Unmarshal(res.Output, &got); err != nil {
			return fmt.Sprintf("the output is not JSON: %q", res.Output)
		}
		if err := json.Unmarshal(c.Expect, &want); err != nil {
			return err.Error()
		}
		if !holds(got, want) {
			return fmt.Sprintf("got %s, want %s", res.Output, c.Expect)
		}
	}
	return ""
}

// holds says whether got has all of want: objects may have more members, anything else must be equal.
func holds(got, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	g, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for k, v := range w {
		if have, there := g[k]; !there || !holds(have, v) {
			return false
		}
	}
	return true
}
