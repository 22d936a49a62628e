package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime"
)

// newEraseCommand is `ledge erase`.
func newEraseCommand() *cobra.Command {
	var f docsFlags
	var req runtime.EraseRequest
	c := &cobra.Command{
		Use:   "erase --subject SUBJECT | --document DOCUMENT",
		Short: "Erase a person's documents, or one document, and prove that no byte is left",
		Long: "Erase documents with everything that was made of them: index, vectors, cached answers, texts kept in traces, what\n" +
			"guards stopped of it, and the bytes in the store's files, which are written anew. Then every file of the data directory is read and searched for\n" +
			"any 64 bytes in a row of the erased text; the exit status is 1 when one is found.\n\n" +
			"The erasure is logged beside the data directory: a state from before it, such as a backup that is put back, goes\n" +
			"through it again when it is opened.",
		Example: "  ledge erase --subject ann@example.com\n  ledge erase --document handbook.pdf --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if (req.Subject == "") == (req.Document == "") {
				return usagef("give either --subject or --document")
			}
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			req.Tenant = f.tenant
			report, err := s.Erase(c.Context(), req)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(c.OutOrStdout(), report)
			} else {
				printErasure(c, report)
			}
			if err == nil && !report.Erased {
				return exitError(1)
			}
			return err
		},
	}
	f.register(c)
	c.Flags().StringVar(&req.Subject, "subject", "", "erase every document whose owner is `SUBJECT`, and the texts of its requests")
	c.Flags().StringVar(&req.Document, "document", "", "erase the document of this name or id")
	return c
}

func printErasure(c *cobra.Command, r *runtime.EraseReport) {
	w := c.OutOrStdout()
	for _, d := range r.Documents {
		fmt.Fprintf(w, "erased %s\n", d)
	}
	fmt.Fprintf(w, "%s: %d documents, texts of %d traces, %d items of the review queue, %d pairs kept by plugins, all cached answers\n", r.ID, len(r.Documents), r.Traces, r.Reviews, r.Pairs)
	fmt.Fprintf(w, "read %d files, %d bytes: ", r.Scan.Files, r.Scan.Bytes)
	if r.Erased {
		fmt.Fprintf(w, "none of the %d runs of 64 bytes is left", r.Windows)
		if r.Shared > 0 {
			fmt.Fprintf(w, ", but for %d that documents which stay have too", r.Shared)
		}
		fmt.Fprintln(w)
		return
	}
	fmt.Fprintln(w, "erased text is left in")
	for _, file := range r.Scan.Found {
		fmt.Fprintf(w, "  %s\n", file)
	}
}
