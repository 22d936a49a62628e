package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/modelstore"
)

// storeFlags are the flags of every verb that works on the installed models.
type storeFlags struct {
	data string
	json bool
}

func (f *storeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.data, "data", "", "state `DIR` (default: $LEDGE_DATA, or ledge below the user's data directory)")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

func (f *storeFlags) open() (*modelstore.Store, error) {
	cfg, err := config.Load("")
	if err != nil {
		return nil, err
	}
	if f.data != "" {
		cfg.Data = f.data
	}
	dir, err := cfg.DataDir()
	if err != nil {
		return nil, err
	}
	return modelstore.New(dir), nil
}

func newModelImportCommand() *cobra.Command {
	var f storeFlags
	var name string
	var force bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Install a model file under a name",
		Long: "Install a GGUF file, or what a Modelfile describes, under a name that ledge serve --model takes. The file is verified and\n" +
			"linked or copied into the data directory; the source stays. Nothing is downloaded.\n\n" +
			"A Modelfile has one instruction a line, and text over several lines between \"\"\":\n\n" +
			"  FROM model.gguf\n  SYSTEM You answer in one sentence.\n  PARAMETER temperature 0.2\n  PARAMETER stop \"\\n\\n\"\n  TEMPLATE \"\"\"a chat template in Jinja\"\"\"\n  ADAPTER lora.gguf\n\n" +
			"Parameters: temperature, top_p, min_p, top_k, repeat_penalty, seed, stop, num_predict, num_ctx. They hold where a request\nsays nothing.",
		Example: "  ledge model import qwen2.5-0.5b-q4_k_m.gguf --name qwen\n  ledge model import Modelfile --name support && ledge serve --model support",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := f.open()
			if err != nil {
				return err
			}
			p := newProgress(c.ErrOrStderr(), "importing")
			m, err := s.Import(c.Context(), modelstore.Import{Path: args[0], Name: name, Replace: force, Progress: p.show})
			p.end()
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), m)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s, %.1f MiB, %s\nserve it with: ledge serve --model %s\n", m.Name, m.Architecture, float64(m.Bytes)/(1<<20), m.Digest, m.Name)
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&name, "name", "", "`NAME` to install it under (default: made from the file's)")
	c.Flags().BoolVar(&force, "force", false, "replace a model of that name")
	return c
}

func newModelListCommand() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use: "ls", Short: "List the installed models", Example: "  ledge model ls --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := f.open()
			if err != nil {
				return err
			}
			all, err := s.List()
			if f.json {
				if all == nil {
					all = []*modelstore.Manifest{}
				}
				if failed := printJSON(c.OutOrStdout(), all); failed != nil {
					return failed
				}
				return err
			}
			for _, m := range all {
				fmt.Fprintf(c.OutOrStdout(), "%-24s %-10s %9.1f MiB  %s  %s\n", m.Name, m.Architecture, float64(m.Bytes)/(1<<20), m.Digest[:19], m.Imported.Format("2006-01-02 15:04"))
			}
			if len(all) == 0 && err == nil {
				fmt.Fprintln(c.OutOrStdout(), "no model is installed; install one with: ledge model import FILE.gguf")
			}
			return err
		},
	}
	f.register(c)
	return c
}

func newModelRemoveCommand() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use: "rm NAME...", Short: "Remove installed models", Long: "Remove installed models. One that an appliance serves stays, with an error.",
		Example: "  ledge model rm qwen", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := f.open()
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := s.Remove(name); err != nil {
					return err
				}
			}
			if f.json {
				return printJSON(c.OutOrStdout(), map[string]any{"removed": args})
			}
			fmt.Fprintf(c.OutOrStdout(), "removed %s\n", strings.Join(args, ", "))
			return nil
		},
	}
	f.register(c)
	return c
}
