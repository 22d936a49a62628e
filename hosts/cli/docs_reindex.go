package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/search"
)

func (s *remoteShelf) Reindex(ctx context.Context, progress func(search.Reindexed)) (search.Reindexed, error) {
	var all search.Reindexed
	for {
		var turn edge.Reindexing
		if err := askAdmin(ctx, s.cfg, "POST", s.path("/reindex"), nil, &turn); err != nil {
			return all, err
		}
		all.Documents, all.Chunks = all.Documents+turn.Documents, all.Chunks+turn.Chunks
		all.Unchanged = max(turn.Unchanged+turn.Documents-all.Documents, 0)
		progress(all)
		if turn.Finished {
			return all, nil
		}
	}
}

func (s *localShelf) Reindex(ctx context.Context, progress func(search.Reindexed)) (search.Reindexed, error) {
	return s.rt.Library().Reindex(ctx, s.tenant, progress)
}

func newDocsReindexCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "reindex", Short: "Make the index anew with the embedding model in use",
		Long: "Make a tenant's index anew with the embedding model in use, from the stored texts. Vectors of different models\n" +
			"cannot be compared, so an index answers only with the model that it was made with. Until this is done, nothing is\n" +
			"found; when it is interrupted, running it again goes on where it ended.",
		Args: cobra.NoArgs, Example: "  ledge docs reindex\n  ledge docs reindex --tenant acme --json",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			done, err := s.Reindex(c.Context(), func(r search.Reindexed) {
				if !f.json && r.Documents%100 == 0 {
					fmt.Fprintf(c.ErrOrStderr(), "%d documents, %d chunks\n", r.Documents, r.Chunks)
				}
			})
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), done)
			}
			fmt.Fprintf(c.OutOrStdout(), "%d documents made anew, %d chunks, %d unchanged\n", done.Documents, done.Chunks, done.Unchanged)
			return nil
		},
	}
	f.register(c)
	return c
}
