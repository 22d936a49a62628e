package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

func newRouteCommand() *cobra.Command {
	var site siteFlags
	var admin, route string
	var asJSON bool
	c := &cobra.Command{
		Use:     "route TEXT",
		Short:   "Explain how a request would be routed, without answering it",
		Long:    "Ask a route's router about a text. A running appliance is asked; when none runs, one is assembled in process.",
		Example: "  ledge route 'Summarise this contract in three points'\n  ledge route --route support --json 'what is 17*23'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := site.appliance(c.Context(), admin)
			if err != nil {
				return err
			}
			text := strings.Join(args, " ")
			out := &pipeline.Explanation{}
			err = askAdmin(c.Context(), cfg, "POST", "/admin/v1/route", map[string]string{"route": route, "text": text}, out)
			if errors.Is(err, errNotRunning) {
				var rt *runtime.Runtime
				if rt, err = runtime.New(c.Context(), cfg, runtime.Options{}); err != nil {
					return err
				}
				out, err = rt.RouteText(c.Context(), route, text)
				err = errors.Join(err, rt.Close(c.Context()))
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), out)
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "route       %s\nmodel       %s\ntier        %s\nmax tokens  %d\nconfidence  %.2f\nreason      %s\nrouter      %s, %s\n",
				out.Route, out.Model, out.Tier, out.MaxTokens, out.Confidence, out.Reason, out.Router, time.Duration(out.DurationUS)*time.Microsecond)
			if out.Sensitive {
				fmt.Fprintln(w, "sensitive   yes: no remote model without a rule")
			}
			for _, e := range out.Examples {
				fmt.Fprintf(w, "like        %s %.2f\n", e.Name, e.Score)
			}
			for _, call := range out.ToolCalls {
				fmt.Fprintf(w, "tool        %s %s\n", call.Name, call.Arguments)
			}
			return nil
		},
	}
	site.register(c)
	c.Flags().StringVar(&route, "route", "default", "`ROUTE` whose router is asked")
	c.Flags().StringVar(&admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}
