package cli

import (
	"fmt"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/pipeline"
)

func newHandoverCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "handover",
		Short: "Requests that went to a person because no model was sure",
		Long: "Requests of routes with a cascade whose last tier is a person (cascade.human) wait here, with the question, the best answer\n" +
			"that was not accepted, and why. They stay as long as decision traces do, or until they are done. A running appliance is asked.",
		Example: "  ledge handover ls\n  ledge handover show req_e0abfb8d65145882f10b9bb1\n  ledge handover done req_e0abfb8d65145882f10b9bb1",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newHandoverList(), newHandoverShow(), newHandoverDone())
	return c
}

// handoverFlags are those of each of its verbs.
type handoverFlags struct {
	site   siteFlags
	admin  string
	asJSON bool
}

func (f *handoverFlags) register(c *cobra.Command) *cobra.Command {
	f.site.register(c)
	c.Flags().StringVar(&f.admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return c
}

func (f *handoverFlags) ask(c *cobra.Command, method, path string, out any) error {
	cfg, err := f.site.appliance(c.Context(), f.admin)
	if err != nil {
		return err
	}
	return askAdmin(c.Context(), cfg, method, path, nil, out)
}

func (f *handoverFlags) list(c *cobra.Command) ([]pipeline.Handover, error) {
	var answer struct{ Handovers []pipeline.Handover }
	err := f.ask(c, "GET", "/admin/v1/handovers", &answer)
	slices.SortFunc(answer.Handovers, func(a, b pipeline.Handover) int { return a.Time.Compare(b.Time) })
	return answer.Handovers, err
}

func newHandoverList() *cobra.Command {
	var f handoverFlags
	return f.register(&cobra.Command{Use: "ls", Short: "List them, the oldest first", Args: cobra.NoArgs, Example: "  ledge handover ls --json",
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := f.list(c)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"handovers": list})
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "REQUEST\tTIME\tTENANT\tROUTE\tREASON")
			for _, h := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.ID, h.Time.Format(time.DateTime), h.Tenant, h.Route, h.Reason)
			}
			return w.Flush()
		}})
}

func newHandoverShow() *cobra.Command {
	var f handoverFlags
	return f.register(&cobra.Command{Use: "show REQUEST", Short: "Show what was asked, and the best answer that was not accepted", Args: cobra.ExactArgs(1),
		Example: "  ledge handover show req_e0abfb8d65145882f10b9bb1",
		RunE: func(c *cobra.Command, args []string) error {
			list, err := f.list(c)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(h pipeline.Handover) bool { return h.ID == args[0] })
			if i < 0 {
				return fmt.Errorf("no request %s waits for a person; ledge handover ls lists those that do", args[0])
			}
			h := list[i]
			if f.asJSON {
				return printJSON(c.OutOrStdout(), h)
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "request  %s\ntime     %s\ntenant   %s %s\nroute    %s\nreason   %s\n", h.ID, h.Time.Format(time.DateTime), h.Tenant, h.Subject, h.Route, h.Reason)
			for _, m := range h.Messages {
				fmt.Fprintf(w, "\n%s:\n%s\n", m.Role, m.Content)
			}
			if h.Attempt != "" {
				fmt.Fprintf(w, "\nnot accepted:\n%s\n", h.Attempt)
			}
			return nil
		}})
}

func newHandoverDone() *cobra.Command {
	var f handoverFlags
	return f.register(&cobra.Command{Use: "done REQUEST", Short: "Take a request out that was answered", Args: cobra.ExactArgs(1),
		Example: "  ledge handover done req_e0abfb8d65145882f10b9bb1",
		RunE: func(c *cobra.Command, args []string) error {
			var done map[string]string
			if err := f.ask(c, "DELETE", "/admin/v1/handovers/"+url.PathEscape(args[0]), &done); err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(c.OutOrStdout(), done)
			}
			return nil
		}})
}
