package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

func newPluginCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin",
		Short: "Start, build, test and look into a plugin, or call it in the sandbox",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
		Args:  cobra.NoArgs,
	}
	c.AddCommand(newPluginNewCommand(), newPluginBuildCommand(), newPluginTestCommand(), newPluginInspectCommand(), newPluginCallCommand())
	return c
}

// pluginCall is one result of ledge plugin call --json.
type pluginCall struct {
	Output     string       `json:"output"`
	Error      *pluginError `json:"error"`
	DurationUS int64        `json:"duration_us"`
	Fuel       uint64       `json:"fuel"`
	MemoryPeak uint64       `json:"memory_peak_bytes"`
	Logs       []pluginLog  `json:"logs"`
}

type pluginError struct {
	Code    wasm.Code `json:"code"`
	Message string    `json:"message"`
}

type pluginLog struct {
	Level  string `json:"level"`
	Source string `json:"source"`
	Text   string `json:"text"`
}

func newPluginCallCommand() *cobra.Command {
	var input, memory string
	var settings, granted []string
	var timeout time.Duration
	var fuel uint64
	var asJSON, jsonl bool
	c := &cobra.Command{
		Use:   "call FILE FUNC",
		Short: "Call one export of a plugin in the sandbox",
		Long: "Call one export of a plugin in the sandbox, under limits and with nothing but what is granted here.\n" +
			"FILE is a module (.wasm) or an Extism manifest (.json), whose config, timeout and memory hold where no flag says else.\n" +
			"An http-wasm filter is called by its export handle_request, with a request and the response behind it as JSON:\n" +
			"{\"request\":{\"method\",\"uri\",\"headers\",\"body\"},\"response\":{\"status\",\"headers\",\"body\"}}; handle_response is called as well.\n" +
			"The output goes to standard output, log lines and the error to standard error. Exit status 1: a call failed.",
		Example: "  ledge plugin call guard.wasm guard --input '{\"stage\":\"input\",\"text\":\"hi\"}' --json\n" +
			"  ledge plugin call tools.wasm call --input @request.json --timeout 50ms --memory 16MiB\n" +
			"  ledge plugin call fetch.wasm run --grant 'http=GET https://example.com' --timeout 5s\n" +
			"  ledge plugin call guard.wasm guard --jsonl --input - < requests.jsonl",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			module, m, err := readPlugin(args[0])
			if err != nil {
				return err
			}
			o, err := pluginOptions(args[0], m, settings, granted)
			if err != nil {
				return err
			}
			o.Limits = wasm.Limits{Timeout: timeout, Fuel: fuel}
			if m != nil {
				o.Limits.MemoryBytes = uint64(m.Limits.Memory)
				o.Limits.VarBytes, o.Limits.HTTPBytes = int(m.Limits.Vars), int(m.Limits.HTTP)
				for _, l := range m.Linked {
					o.Linked = append(o.Linked, wasm.LinkedModule(l))
				}
				if t := m.Limits.Timeout.D(); t > 0 && !c.Flags().Changed("timeout") {
					o.Limits.Timeout = t
				}
				for k, v := range m.Config {
					if _, set := o.Config[k]; !set {
						o.Config[k] = v
					}
				}
			}
			if memory != "" {
				size, err := config.ParseSize(memory)
				if err != nil || size <= 0 {
					return usagef("--memory %q is not a size; write for example 16MiB", memory)
				}
				o.Limits.MemoryBytes = uint64(size)
			}
			if timeout <= 0 {
				return usagef("--timeout %v is not a time; write for example 100ms", timeout)
			}
			in, err := readInput(input, c.InOrStdin())
			if err != nil {
				return err
			}
			inputs := [][]byte{in}
			if jsonl {
				if inputs, err = lines(in); err != nil {
					return err
				}
			}
			p := &printer{out: c.OutOrStdout(), err: c.ErrOrStderr(), json: asJSON, lines: jsonl}
			return callPlugin(c.Context(), module, o, args[1], inputs, p)
		},
	}
	f := c.Flags()
	f.StringVar(&input, "input", "", "input: text, @FILE, or - for standard input")
	f.BoolVar(&jsonl, "jsonl", false, "call once for each line of the input; print one JSON document a line")
	f.StringArrayVar(&settings, "config", nil, "configuration the plugin may read, as KEY=VALUE; may be repeated")
	f.DurationVar(&timeout, "timeout", wasm.DefaultTimeout, "time limit of a call")
	f.Uint64Var(&fuel, "fuel", 0, "fuel limit of a call, about one unit per instruction; 0 for the default")
	f.StringVar(&memory, "memory", "", "memory limit, for example 16MiB (default 32MiB)")
	f.StringArrayVar(&granted, "grant", nil, "capability to grant: kv (kept in memory for this command), clock, or http=RULE such as 'http=GET,POST https://api.example.com/v1'; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// readPlugin reads a module, or an Extism manifest with its module; the manifest is nil for the former.
func readPlugin(file string) ([]byte, *manifest.Manifest, error) {
	b, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(file, ".json") {
		return b, nil, err
	}
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	m, module, err := manifest.ParseExtism(b, name, filepath.Dir(file))
	return module, m, err
}

// pluginOptions are what the command line grants and, where there is a manifest that asks for HTTP, no more than it asks for.
func pluginOptions(file string, m *manifest.Manifest, settings, granted []string) (wasm.PluginOptions, error) {
	o := wasm.PluginOptions{Name: strings.TrimSuffix(filepath.Base(file), ".wasm"), Config: make(map[string]string)}
	for _, s := range settings {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return o, usagef("--config %q is not KEY=VALUE", s)
		}
		o.Config[k] = v
	}
	grants, err := capability.ParseGrants(granted)
	if err != nil {
		return o, usagef("--grant: %v", err)
	}
	for _, name := range []string{"slm", "search"} {
		if grants.Has(name) {
			return o, usagef("--grant %s: models and documents are lent by an appliance; put the plugin on a route of ledge serve", name)
		}
	}
	if grants.Has("kv") {
		o.Functions = append(o.Functions, capability.KV(&capability.MemoryStore{})...)
	}
	o.PreciseClock = grants.Has("clock")
	egress := capability.HTTP(grants)
	if m != nil && len(m.Capabilities) > 0 {
		asks, err := capability.ParseGrants(m.Capabilities)
		if err != nil {
			return o, err
		}
		egress = capability.HTTP(asks, grants)
	}
	if egress != nil {
		o.HTTP = egress.HTTP
	}
	return o, nil
}

// lines cuts input at line ends and leaves empty lines out.
func lines(in []byte) ([][]byte, error) {
	var out [][]byte
	s := bufio.NewScanner(bytes.NewReader(in))
	s.Buffer(nil, len(in)+1)
	for s.Scan() {
		if line := bytes.TrimSpace(s.Bytes()); len(line) > 0 {
			out = append(out, bytes.Clone(line))
		}
	}
	return out, s.Err()
}

func callPlugin(ctx context.Context, module []byte, o wasm.PluginOptions, export string, inputs [][]byte, p *printer) (err error) {
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	plugin, err := h.Load(ctx, module, o)
	if err != nil {
		if e := p.call(wasm.Result{}, err); e != nil {
			return e
		}
		return exitError(1)
	}
	failed := false
	var vars wasm.Vars // last as long as the plugin, as they do in the Extism hosts
	for _, in := range inputs {
		call := func() (wasm.Result, error) {
			return plugin.Call(ctx, wasm.Call{Export: export, Input: in, Vars: &vars})
		}
		if plugin.ABI() == "http-wasm" && export == "handle_request" {
			call = func() (wasm.Result, error) { return callFilter(ctx, plugin, in) }
		}
		res, err := call()
		failed = failed || err != nil
		if err := p.call(res, err); err != nil {
			return err
		}
	}
	if failed {
		return exitError(1)
	}
	return nil
}

// printer prints results of calls.
type printer struct {
	out, err    io.Writer
	json, lines bool
}

func (p *printer) call(res wasm.Result, failure error) error {
	if !p.json && !p.lines {
		for _, l := range res.Logs {
			fmt.Fprintf(p.err, "%s: %s\n", strings.ToLower(levelName(l)), l.Text)
		}
		if failure != nil {
			fmt.Fprintf(p.err, "ledge: %v\n", failure)
		}
		_, err := p.out.Write(res.Output)
		if err == nil && len(res.Output) > 0 && res.Output[len(res.Output)-1] != '\n' {
			_, err = io.WriteString(p.out, "\n")
		}
		return err
	}
	doc := pluginCall{
		Output: string(res.Output), DurationUS: res.Duration.Microseconds(), Fuel: res.Fuel,
		MemoryPeak: res.MemoryPeak, Logs: []pluginLog{},
	}
	for _, l := range res.Logs {
		doc.Logs = append(doc.Logs, pluginLog{levelName(l), l.Source, l.Text})
	}
	if failure != nil {
		doc.Error = &pluginError{Code: wasm.CodeInternal, Message: failure.Error()}
		var e *wasm.Error
		if errors.As(failure, &e) {
			doc.Error.Code, doc.Error.Message = e.Code, e.Message
		}
	}
	if !p.lines {
		return printJSON(p.out, doc)
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

func levelName(l wasm.LogLine) string {
	if l.Level == wasm.LevelTrace {
		return "TRACE"
	}
	return l.Level.String()
}
