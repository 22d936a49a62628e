package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/state"
)

func newUsageCommand() *cobra.Command {
	var site siteFlags
	var admin, from, to, columns, tenant string
	var asJSON, asCSV, recount bool
	c := &cobra.Command{
		Use:   "usage",
		Short: "Show what tenants used: requests, tokens, cost",
		Long: "Show what was used, by tenant, route, model, key and day. The counts are written with the decision traces and kept for a\n" +
			"year and a month; --recount makes them anew from the traces that are still kept. Costs are at the prices of the\n" +
			"configuration (prices). A running appliance is asked; when none runs, the state directory is read.",
		Example: "  ledge usage\n  ledge usage --by day,model --from 2026-11-01 --to 2026-11-30 --csv > november.csv\n  ledge usage --by key --tenant acme",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			by, first, last, err := edge.UsageQuery(columns, from, to)
			if err != nil {
				return usageError{err}
			}
			cfg, err := site.appliance(c.Context(), admin)
			if err != nil {
				return err
			}
			lines, err := fetchUsage(c.Context(), cfg, tenant, first, last, by, recount)
			switch {
			case err != nil:
				return err
			case asCSV:
				return runtime.WriteUsage(c.OutOrStdout(), lines, by)
			case asJSON:
				return printJSON(c.OutOrStdout(), map[string]any{"from": first.Format(state.DayFormat), "to": last.Format(state.DayFormat), "usage": lines})
			}
			return listUsage(c.OutOrStdout(), lines, by)
		},
	}
	site.register(c)
	f := c.Flags()
	f.StringVar(&admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	f.StringVar(&from, "from", "", "first `DAY`, in UTC (default the first of this month)")
	f.StringVar(&to, "to", "", "last `DAY` (default today)")
	f.StringVar(&columns, "by", "", "`COLUMNS` to sum up by: "+strings.Join(runtime.UsageColumns, ", ")+" (default tenant,model)")
	f.StringVar(&tenant, "tenant", "", "of one `TENANT` only")
	f.BoolVar(&recount, "recount", false, "count the kept traces again")
	f.BoolVar(&asCSV, "csv", false, "print CSV")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	c.MarkFlagsMutuallyExclusive("csv", "json")
	return c
}

func fetchUsage(ctx context.Context, cfg *config.Config, tenant string, from, to time.Time, by []string, recount bool) ([]state.UsageLine, error) {
	q := url.Values{"from": {from.Format(state.DayFormat)}, "to": {to.Format(state.DayFormat)}, "by": {strings.Join(by, ",")}, "tenant": {tenant}}
	if recount {
		q.Set("recount", "true")
	}
	var answer struct{ Usage []state.UsageLine }
	err := askAdmin(ctx, cfg, "GET", "/admin/v1/usage?"+q.Encode(), nil, &answer)
	if !errors.Is(err, errNotRunning) {
		return answer.Usage, err
	}
	if recount {
		return nil, fmt.Errorf("%w; --recount needs a running appliance, which knows the prices", err)
	}
	store, err := offline(cfg)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	lines, err := store.Traces().Usage(ctx, tenant, from, to)
	return runtime.SumUsage(lines, by), err
}

func listUsage(out io.Writer, lines []state.UsageLine, by []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(by, "\t"))+"\tREQUESTS\tFAILED\tCACHE HITS\tPROMPT TOKENS\tANSWER TOKENS\tSAVED TOKENS\tCOST")
	for i := range lines {
		l := &lines[i]
		names := map[string]string{"day": l.Day, "tenant": l.Tenant, "route": l.Route, "model": l.Model, "key": l.Key}
		for _, c := range by {
			name := names[c]
			if name == "" {
				name = "-"
			}
			fmt.Fprint(w, name, "\t")
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Requests, l.Failed, l.CacheHits, l.PromptTokens, l.CompletionTokens, l.SavedTokens, runtime.Amount(l.Cost))
	}
	return w.Flush()
}
