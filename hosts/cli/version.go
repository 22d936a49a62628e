package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// version is set by the linker; a build without it takes the module's own.
var version = ""

// buildVersion is what ledge calls itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

func newVersionCommand() *cobra.Command {
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  ledge version -v",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := map[string]string{"version": buildVersion(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "kernels": kernel.Path()}
			if asJSON {
				return printJSON(c.OutOrStdout(), out)
			}
			fmt.Fprintln(c.OutOrStdout(), "ledge", out["version"])
			if verbose {
				fmt.Fprintf(c.OutOrStdout(), "go       %s\nplatform %s\nkernels  %s (this machine runs %s)\n", out["go"], out["platform"], out["kernels"], strings.Join(kernel.Paths(), ", "))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print toolchain, platform, and the kernels in use of those that this machine can run (LEDGE_KERNEL chooses)")
	return c
}
