package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newModelEmbedCommand() *cobra.Command {
	var f modelFlags
	var input string
	var cut bool
	c := &cobra.Command{
		Use: "embed", Short: "Turn a text into a vector of unit length",
		Long: `Embed prints the text's embedding: the states of its tokens, pooled as the model file says (mean where it says
nothing) and normalised. Encoders such as BERT are made for it; generative models give one too.`,
		Example: "  ledge model embed --model bge-small.gguf --input 'a query' --json\n  ledge model embed --model bge-small.gguf --input @passage.txt --truncate",
		Args:    f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := readInput(input, c.InOrStdin())
			if err != nil {
				return err
			}
			e, err := f.open()
			if err != nil {
				return err
			}
			defer e.Close()
			vectors, err := e.EmbedIDs(c.Context(), [][]int32{e.EmbedTokens(string(text), cut)})
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), map[string]any{"embedding": vectors[0]})
			}
			for _, v := range vectors[0] {
				fmt.Fprintln(c.OutOrStdout(), v)
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&input, "input", "-", "text: `S`, @FILE, or - for standard input")
	c.Flags().BoolVar(&cut, "truncate", false, "cut a text that is longer than the model takes")
	return c
}
