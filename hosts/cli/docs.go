package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/search"
)

func newDocsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "docs",
		Short: "Manage the documents that routes answer from",
		Long: "Add, list, remove and search the documents that routes with `retrieve` answer from.\n" +
			"A running appliance is asked; when none runs, the state directory is used directly.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDocsAddCommand(), newDocsListCommand(), newDocsRemoveCommand(), newDocsStatusCommand(), newDocsSearchCommand(), newDocsReindexCommand())
	return c
}

// docsFlags are the flags of every docs verb.
type docsFlags struct {
	site   siteFlags
	admin  string
	tenant string
	json   bool
}

func (f *docsFlags) register(c *cobra.Command) {
	f.site.register(c)
	c.Flags().StringVar(&f.admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().StringVar(&f.tenant, "tenant", "default", "whose documents")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

func newDocsListCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "ls", Short: "List documents", Args: cobra.NoArgs, Example: "  ledge docs ls --json",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			docs, err := s.List(c.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]search.Document{}, docs...))
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tCHUNKS\tBYTES\tCLASSIFICATION\tGROUPS\tAPPROVED\tEXPIRES\tINDEXED")
			for _, d := range docs {
				expires := "never"
				if !d.Expires.IsZero() {
					expires = d.Expires.Local().Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%t\t%s\t%s\n", d.Name, d.Chunks, d.Bytes, d.Classification, strings.Join(d.Groups, ","), d.Approved, expires, d.Indexed.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
	f.register(c)
	return c
}

func newDocsRemoveCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "rm DOCUMENT ...", Short: "Remove documents, by name or id",
		Long: "Remove documents, by name or id. The next search does not find them. Their bytes leave the disk with Badger's\n" +
			"compaction; ledge erase removes them at once and proves it.",
		Args: cobra.MinimumNArgs(1), Example: "  ledge docs rm handbook.pdf",
		RunE: func(c *cobra.Command, args []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			removed := []search.Document{}
			var errs []error
			for _, a := range args {
				doc, err := s.Remove(c.Context(), a)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				removed = append(removed, *doc)
				if !f.json {
					fmt.Fprintf(c.OutOrStdout(), "removed %s\n", doc.Name)
				}
			}
			if f.json {
				errs = append(errs, printJSON(c.OutOrStdout(), removed))
			}
			return errors.Join(errs...)
		},
	}
	f.register(c)
	return c
}

func newDocsStatusCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "status [JOB]", Short: "Show how far files are on their way to being documents",
		Args: cobra.MaximumNArgs(1), Example: "  ledge docs status\n  ledge docs status job_0123456789ab --json",
		RunE: func(c *cobra.Command, args []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			jobs, err := s.Jobs(c.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				jobs = slices.DeleteFunc(jobs, func(j ingest.Job) bool { return j.ID != args[0] })
				if len(jobs) == 0 {
					return fmt.Errorf("%s: %w", args[0], ingest.ErrNoJob)
				}
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]ingest.Job{}, jobs...))
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "JOB\tFILES\tDONE\tUNCHANGED\tFAILED\tCHUNKS\tSTATE\tCREATED")
			for _, j := range jobs {
				state := "working"
				if j.Finished {
					state = "finished"
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", j.ID, j.Total, j.Done, j.Unchanged, j.Failed, j.Chunks, state, j.Created.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
	f.register(c)
	return c
}
