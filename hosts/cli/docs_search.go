package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/search"
)

func newDocsSearchCommand() *cobra.Command {
	var f docsFlags
	var req edge.SearchRequest
	c := &cobra.Command{
		Use: "search QUERY", Short: "Search documents as a caller would",
		Long: "Search documents. Without --as, --group, --clearance and --purpose the search has the rights of a caller who needs\n" +
			"no credential: every classification, no group and no purpose.",
		Example: "  ledge docs search 'notice period' -k 3 --json\n  ledge docs search 'merger' --as ann --group board --clearance confidential",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			req.Query = args[0]
			if !c.Flags().Changed("as") && !c.Flags().Changed("clearance") {
				req.As.Clearance = search.Secret
			}
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			hits, err := s.Search(c.Context(), &req)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]search.Hit{}, hits...))
			}
			if len(hits) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "the documents do not say")
				return nil
			}
			for i, h := range hits {
				fmt.Fprintf(c.OutOrStdout(), "[%d] %s %d-%d  %s  score %.4f\n    %s\n", i+1, h.Document, h.Start, h.End, strings.Join(h.Heading, " > "), h.Score, excerpt(h.Text))
			}
			return nil
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.IntVarP(&req.K, "k", "k", search.DefaultK, "how many chunks at most")
	fl.StringVar(&req.Mode, "mode", "", "hybrid, bm25 or vector (default hybrid)")
	fl.Float64Var(&req.Floor, "floor", 0, "what a chunk must reach to be shown, 0 to 1; negative: everything (default 0.25)")
	fl.StringVar(&req.As.Subject, "as", "", "search with the rights of this `USER`: no group and public documents only, unless told")
	fl.StringSliceVar(&req.As.Groups, "group", nil, "`GROUP` the user is in; may be repeated")
	fl.StringVar(&req.As.Clearance, "clearance", "", "highest classification the user may read")
	fl.StringVar(&req.As.Purpose, "purpose", "", "what the user may use documents for")
	return c
}

func excerpt(text string) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) > 200 {
		return string(r[:200]) + "..."
	}
	return string(r)
}
