package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/residency"
	"github.com/ledge-run/ledge/runtime/state"
)

func newCheckCommand() *cobra.Command {
	var site siteFlags
	var admin string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and verify every record of the state",
		Long: "Check the configuration, print what each stage does when its plugin fails and what an offline appliance reaches, and verify every record of the state\n" +
			"against its checksum and the traces against their chain. What the models on this device take is listed beside\n" +
			"what they may take together. A running appliance checks itself; when none runs, the state directory is read.",
		Example: "  ledge check\n  ledge check -c ledge.yaml --data /var/lib/ledge --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := site.appliance(c.Context(), admin)
			if err != nil {
				return err
			}
			if err := runtime.CheckPlugins(cfg); err != nil {
				return err
			}
			var report state.Report
			err = askAdmin(c.Context(), cfg, "POST", "/admin/v1/check", nil, &report)
			if errors.Is(err, errNotRunning) {
				var store *state.Store
				if store, err = offline(cfg); err == nil {
					report, err = store.Check(c.Context())
					err = errors.Join(err, store.Close())
				}
			}
			if err != nil {
				return err
			}
			models, err := residents(c.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), map[string]any{"failure_modes": failureModes(cfg), "models": models, "state": report,
					"offline": runtime.OfflineOf(cfg)})
			} else {
				printCheck(c.OutOrStdout(), cfg, models, report)
			}
			if err == nil && !report.OK() {
				return exitError(1)
			}
			return err
		},
	}
	site.register(c)
	c.Flags().StringVar(&admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// failureMode says what a stage of a route does when its plugin fails.
type failureMode struct {
	Route   string `json:"route"`
	Stage   string `json:"stage"`
	Plugin  string `json:"plugin"`
	OnError string `json:"on_error"`
}

func failureModes(cfg *config.Config) []failureMode {
	out := []failureMode{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		r := cfg.Routes[name]
		add := func(stage string, list ...config.Stage) {
			for _, s := range list {
				if s.Plugin != "" {
					out = append(out, failureMode{name, stage, s.Plugin, s.OnError})
				}
			}
		}
		add("guard.input", r.Guards.Input...)
		add("route", r.Router)
		add("cache", config.Stage{Plugin: r.Cache.Plugin, OnError: "open"})
		add("guard.tool", r.Guards.Tool...)
		for _, t := range r.Tools {
			add("tool", config.Stage{Plugin: t, OnError: "open"})
		}
		if r.Cascade != nil {
			add("judge", r.Cascade.Judges...)
		}
		add("guard.answer", r.Guards.Answer...)
		add("guard.output", r.Guards.Output...)
	}
	return out
}

// memoryUse is what the models on this device take of what they may take together, in bytes.
type memoryUse struct {
	Memory int64                `json:"memory"` // 0: no limit
	Models []runtime.LocalModel `json:"models"`
}

// residents asks the running appliance for its models, or plans them.
func residents(ctx context.Context, cfg *config.Config) (memoryUse, error) {
	var m memoryUse
	err := askAdmin(ctx, cfg, "GET", "/admin/v1/models", nil, &m)
	if errors.Is(err, errNotRunning) {
		m.Models, m.Memory, err = runtime.PlanModels(cfg)
	}
	return m, err
}

func (m memoryUse) print(w io.Writer) {
	limit := "without a limit"
	if m.Memory > 0 {
		limit = "of " + residency.Bytes(m.Memory)
	}
	fmt.Fprintf(w, "models, in memory %s:\n", limit)
	for _, model := range m.Models {
		state := model.State
		if model.Pinned {
			state += ", pinned"
		}
		fmt.Fprintf(w, "  %-24s %-20s %s\n", model.Name, state, model.Need)
	}
	if len(m.Models) == 0 {
		fmt.Fprintln(w, "  none on this device")
	}
}

func printCheck(w io.Writer, cfg *config.Config, models memoryUse, report state.Report) {
	fmt.Fprintln(w, "when a plugin fails:")
	for _, m := range failureModes(cfg) {
		what := "the request goes on without it"
		if m.OnError == "closed" {
			what = "the request is refused"
		}
		fmt.Fprintf(w, "  %-12s %-13s %-16s %s\n", m.Route, m.Stage, m.Plugin, what)
	}
	models.print(w)
	if off := runtime.OfflineOf(cfg); off != nil {
		fmt.Fprintln(w, "offline:", describeOffline(off))
	}
	fmt.Fprintln(w, "state:", report)
}
