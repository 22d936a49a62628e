package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/review"
)

// reviewFlags say which appliance, and whose items.
type reviewFlags struct {
	site          siteFlags
	admin, tenant string
	json          bool
}

func (f *reviewFlags) register(c *cobra.Command) {
	f.site.register(c)
	c.Flags().StringVar(&f.admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().StringVar(&f.tenant, "tenant", "", "of one `TENANT` only")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

func newReviewCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "review",
		Short: "Look at what guards stopped, and settle whether they were right",
		Long: "What a guard blocks or holds for review is put into a queue: who asked, when, by which rule, and the SHA-256 of the text.\n" +
			"The text itself is kept only on routes with guards: {keep_text: true}. What is settled can be exported as cases for\n" +
			"`ledge guard eval`, so that a block that was wrong stays found. A running appliance is asked; when none runs, the\n" +
			"state directory is used.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		Args: cobra.NoArgs,
	}
	c.AddCommand(newReviewListCommand(), newReviewShowCommand(), newReviewDecideCommand("approve", review.Approved, "Settle that the guard was right to stop a text"),
		newReviewDecideCommand("overturn", review.Overturned, "Settle that a text should have passed"), newReviewExportCommand())
	return c
}

func newReviewListCommand() *cobra.Command {
	var f reviewFlags
	var status string
	var limit int
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List what guards stopped, newest first",
		Example: "  ledge review ls\n  ledge review ls --status all --limit 200 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkStatus(&status); err != nil {
				return err
			}
			if limit < 1 || limit > 1000 {
				return usagef("--limit %d is not from 1 to 1000", limit)
			}
			items, err := f.list(c.Context(), status, limit)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), items)
			}
			tab := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tab, "ID\tTIME\tTENANT\tSUBJECT\tROUTE\tSTAGE\tGUARD\tVERDICT\tRULES\tSTATUS")
			for _, i := range items {
				fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Time.Local().Format(time.DateTime), i.Tenant, dash(i.Subject), i.Route, i.Stage, i.Plugin, i.Verdict,
					dash(strings.Join(i.Rules(), ",")), i.Status)
			}
			return tab.Flush()
		},
	}
	f.register(c)
	c.Flags().StringVar(&status, "status", review.Open, "open, approved, overturned, or all")
	c.Flags().IntVar(&limit, "limit", 50, "list at most `N` items")
	return c
}

func checkStatus(status *string) error {
	switch *status {
	case "all":
		*status = ""
	case review.Open, review.Approved, review.Overturned:
	default:
		return usagef("--status %q is none of open, approved, overturned, all", *status)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newReviewShowCommand() *cobra.Command {
	var f reviewFlags
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one item with its evidence",
		Example: "  ledge review show rev_18b2c3d4e5f60718616263646566 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			i, err := f.get(c.Context(), args[0])
			if err != nil {
				return err
			}
			return f.show(c.OutOrStdout(), &i)
		},
	}
	f.register(c)
	return c
}

func (f *reviewFlags) show(w io.Writer, i *review.Item) error {
	if f.json {
		return printJSON(w, i)
	}
	fmt.Fprintf(w, "%s  %s  %s\n", i.ID, i.Time.Local().Format(time.DateTime), i.Status)
	fmt.Fprintf(w, "request %s  tenant %s  subject %s  key %s  route %s\n", i.Request, i.Tenant, dash(i.Subject), dash(i.Key), i.Route)
	fmt.Fprintf(w, "%s by %s (%s) at %s: %s\n", i.Verdict, i.Plugin, shortDigest(i.Digest), i.Stage, i.Reason)
	fmt.Fprintf(w, "text of %d bytes, sha256 %s\n", i.Bytes, i.Hash)
	for _, s := range i.Spans {
		quoted := ""
		if 0 <= s.Start && s.Start <= s.End && s.End <= len(i.Text) {
			quoted = fmt.Sprintf(" %q", i.Text[s.Start:s.End])
		}
		fmt.Fprintf(w, "  bytes %d to %d  %s  %s  %.2f%s\n", s.Start, s.End, s.Entity, s.Rule, s.Confidence, quoted)
	}
	if i.Text != "" {
		fmt.Fprintf(w, "\n%s\n", i.Text)
	}
	if d := i.Decision; d != nil {
		fmt.Fprintf(w, "\n%s by %s on %s %s\n", i.Status, d.By, d.Time.Local().Format(time.DateTime), d.Note)
	}
	return nil
}

func newReviewDecideCommand(verb, status, short string) *cobra.Command {
	var f reviewFlags
	var note, text string
	c := &cobra.Command{
		Use:   verb + " ID...",
		Short: short,
		Long: short + ". What is settled may be settled again.\n" +
			"Where the route does not keep texts, --text gives the one that was stopped (its SHA-256 must agree), so that it can be\n" +
			"exported as a case.",
		Example: "  ledge review " + verb + " rev_18b2c3d4e5f60718616263646566 --note 'a question about our own manual'\n" +
			"  ledge review " + verb + " rev_18b2c3d4e5f60718616263646566 --text @prompt.txt",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d := edge.ReviewDecision{Decision: status, Note: note}
			if text != "" {
				if len(args) > 1 {
					return usagef("--text is that of one item; %d are given", len(args))
				}
				b, err := readInput(text, c.InOrStdin())
				if err != nil {
					return err
				}
				d.Text = string(b)
			}
			for _, id := range args {
				i, err := f.decide(c.Context(), id, d)
				if err != nil {
					return err
				}
				if f.json {
					err = printJSON(c.OutOrStdout(), i)
				} else {
					_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s\n", i.ID, i.Status)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&note, "note", "", "why")
	c.Flags().StringVar(&text, "text", "", "the text that was stopped: TEXT, @FILE, or - for standard input")
	return c
}

func newReviewExportCommand() *cobra.Command {
	var f reviewFlags
	var status string
	c := &cobra.Command{
		Use:   "export",
		Short: "Print what was settled as cases for `ledge guard eval`",
		Long: "Print one JSON line for each item that was settled and whose text is known: what was overturned has the class benign and\n" +
			"must pass, what was approved has the class stopped. Items without a text are counted on standard error.",
		Example: "  ledge review export --status overturned > regressions.jsonl && ledge guard eval regressions.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkStatus(&status); err != nil {
				return err
			}
			items, err := f.list(c.Context(), status, 1000)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(c.OutOrStdout())
			enc.SetEscapeHTML(false)
			without := 0
			for k := range items {
				if items[k].Status == review.Open {
					continue
				}
				line, ok := items[k].Case()
				if !ok {
					without++
					continue
				}
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
			if without > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%d items are left out, whose text was not kept; settle them again with --text\n", without)
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&status, "status", "all", "approved, overturned, or all")
	return c
}

// query is the flags as the administration API takes them.
func (f *reviewFlags) query(q url.Values) string {
	if f.tenant != "" {
		q.Set("tenant", f.tenant)
	}
	return "?" + q.Encode()
}

// queue asks the appliance, or does the same with the state directory where none runs.
func (f *reviewFlags) queue(ctx context.Context, method, path string, body, out any, local func(review.Queue) error) error {
	cfg, err := f.site.appliance(ctx, f.admin)
	if err != nil {
		return err
	}
	err = askAdmin(ctx, cfg, method, "/admin/v1/review"+path, body, out)
	if !errors.Is(err, errNotRunning) {
		return err
	}
	return withReviews(cfg, local)
}

func withReviews(cfg *config.Config, do func(review.Queue) error) error {
	store, err := offline(cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(review.Queue{Store: store.Reviews()}), store.Close())
}

func (f *reviewFlags) list(ctx context.Context, status string, limit int) (items []review.Item, err error) {
	var answer struct {
		Items []review.Item `json:"items"`
	}
	q := url.Values{"limit": {fmt.Sprint(limit)}}
	if status != "" {
		q.Set("status", status)
	}
	err = f.queue(ctx, "GET", f.query(q), nil, &answer, func(queue review.Queue) (err error) {
		answer.Items, err = queue.List(f.tenant, status, limit)
		return err
	})
	return answer.Items, err
}

func (f *reviewFlags) get(ctx context.Context, id string) (i review.Item, err error) {
	err = f.queue(ctx, "GET", "/"+url.PathEscape(id)+f.query(url.Values{}), nil, &i, func(q review.Queue) (err error) {
		i, err = q.Get(f.tenant, id)
		return err
	})
	return i, err
}

func (f *reviewFlags) decide(ctx context.Context, id string, d edge.ReviewDecision) (i review.Item, err error) {
	err = f.queue(ctx, "POST", "/"+url.PathEscape(id)+f.query(url.Values{}), d, &i, func(q review.Queue) (err error) {
		i, err = q.Decide(f.tenant, id, d.Decision, d.Text, review.Decision{By: "operator", Time: time.Now().UTC(), Note: d.Note})
		return err
	})
	return i, err
}
