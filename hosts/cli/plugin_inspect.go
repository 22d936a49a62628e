package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// pluginReport is what ledge plugin inspect --json prints.
type pluginReport struct {
	Digest   string         `json:"digest"`
	Bytes    int            `json:"bytes"`
	ABI      string         `json:"abi"` // empty when the module does not load
	Exports  []string       `json:"exports"`
	Imports  []string       `json:"imports"` // module.name
	Asks     []string       `json:"asks"`    // capabilities that it imports functions of, or that its manifest asks for
	Memory   uint64         `json:"memory_initial_bytes"`
	Instance uint64         `json:"memory_instance_bytes"` // of an instance that is ready to be called; 0 when there is none
	Metering pluginMetering `json:"metering"`
	Error    *pluginError   `json:"error"` // why it does not load even with every capability granted
}

type pluginMetering struct {
	Bytes    int  `json:"bytes"`
	Growth   int  `json:"growth_percent"` // of the module
	Checks   int  `json:"checks"`         // places where fuel is charged
	Segments int  `json:"data_segments"`
	Merged   int  `json:"data_segments_merged"`
	Restored bool `json:"restored"` // an instance can be brought back to its first state, and need not be thrown away
}

func newPluginInspectCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what a plugin is, what it asks for and whether it loads",
		Long:  "FILE is a module (.wasm) or an Extism manifest (.json).",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			module, m, err := readPlugin(args[0])
			if err != nil {
				return err
			}
			r, err := inspectPlugin(c.Context(), args[0], module, m)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), r)
			} else {
				err = r.print(c.OutOrStdout())
			}
			if err == nil && r.Error != nil {
				return exitError(1)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func inspectPlugin(ctx context.Context, file string, module []byte, m *manifest.Manifest) (r *pluginReport, err error) {
	digest := sha256.Sum256(module)
	r = &pluginReport{Digest: "sha256:" + hex.EncodeToString(digest[:]), Bytes: len(module), Exports: []string{}, Imports: []string{}, Asks: []string{}}
	if info, err := meter.Inspect(module); err == nil {
		r.describe(info)
	}
	if err := r.asksOf(file, m); err != nil {
		return nil, err
	}
	if w, err := meter.Rewrite(module); err == nil {
		r.Metering = pluginMetering{len(w.Module), 100*len(w.Module)/len(module) - 100, w.Checks, w.SegmentsIn, w.SegmentsOut, w.Restorable}
	}
	o, err := pluginOptions(file, m, nil, []string{"kv"})
	if err != nil {
		return nil, err
	}
	o.Functions = append(o.Functions, capability.Denied("slm", capability.SLM(nil))...) // there to load, and not to call
	o.Functions = append(o.Functions, capability.Denied("search", capability.Search(nil))...)
	if m != nil {
		for _, l := range m.Linked {
			o.Linked = append(o.Linked, wasm.LinkedModule(l))
		}
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	p, err := h.Load(ctx, module, o)
	var e *wasm.Error
	switch {
	case errors.As(err, &e):
		r.Error = &pluginError{e.Code, e.Message}
	case err != nil:
		return nil, err
	default:
		if err := p.Warm(ctx, 1); errors.As(err, &e) {
			r.Error = &pluginError{e.Code, "while it was made ready: " + e.Message}
		} else if err != nil {
			return nil, err
		}
		r.Instance = p.Stats().MemoryBytes
	}
	return r, nil
}

func (r *pluginReport) describe(info *meter.Info) {
	r.ABI, r.Memory = wasm.ABIOf(info), uint64(info.MinPages)<<16
	for _, e := range info.Exports {
		if e.Kind == meter.KindFunc {
			r.Exports = append(r.Exports, e.Name)
		}
	}
	for _, i := range info.Imports {
		r.Imports = append(r.Imports, i.Module+"."+i.Name)
		if parts := strings.SplitN(i.Name, "_", 3); len(parts) == 3 && parts[0] == "ledge" {
			r.ask(parts[1])
		}
		if i.Module == extism.Module && i.Name == "http_request" {
			r.ask("http")
		}
	}
}

func (r *pluginReport) ask(capability string) {
	if !slices.Contains(r.Asks, capability) {
		r.Asks = append(r.Asks, capability)
	}
}

// asksOf adds what the manifest asks for: the Extism one, or ours where it lies beside the module, named as the appliance
// looks for it.
func (r *pluginReport) asksOf(file string, m *manifest.Manifest) error {
	if m == nil {
		for _, path := range []string{strings.TrimSuffix(file, ".wasm") + ".yaml", filepath.Join(filepath.Dir(file), manifest.FileName)} {
			doc, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				m, err = manifest.Parse(doc)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			break
		}
	}
	if m == nil {
		return nil
	}
	for _, c := range m.Capabilities {
		r.ask(c)
	}
	ruled := func(c string) bool { return strings.HasPrefix(c, "http=") }
	r.Asks = slices.DeleteFunc(r.Asks, func(c string) bool { return c == "http" && slices.ContainsFunc(m.Capabilities, ruled) })
	return nil
}

func (r *pluginReport) print(w io.Writer) error {
	loads := "yes"
	if r.Error != nil {
		loads = fmt.Sprintf("no, %s: %s", r.Error.Code, r.Error.Message)
	}
	asks := "nothing"
	if len(r.Asks) > 0 {
		asks = strings.Join(r.Asks, ", ")
	}
	_, err := fmt.Fprintf(w, "digest    %s\nsize      %d bytes, %d metered (%+d%%), with %d checks\nabi       %s\nloads     %s\nasks      %s\nmemory    %d bytes at the start, %d when ready\ndata      %d segments, merged into %d\nexports   %s\nimports   %s\n",
		r.Digest, r.Bytes, r.Metering.Bytes, r.Metering.Growth, r.Metering.Checks, r.ABI, loads, asks, r.Memory, r.Instance,
		r.Metering.Segments, r.Metering.Merged, strings.Join(r.Exports, ", "), strings.Join(r.Imports, "\n          "))
	return err
}
