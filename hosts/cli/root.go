// Package cli is the ledge command: one file per verb. A verb parses its flags, calls the runtime, and prints; it
// holds no logic of its own. Every verb takes --json to print one JSON document on standard output.
//
// Exit status: 0 done, 1 failed, 2 wrong usage.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// usageError is a mistake in how the command was called; it exits with 2 where other errors exit with 1.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends the command with a status of its own after the verb has printed what there is to say.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main runs the command line and returns the exit status. The first interrupt or SIGTERM cancels the command's
// context; a second one kills the process.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(stderr, "ledge: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ledge",
		Short:         "Run AI where the data is",
		Long:          "Ledge serves an OpenAI-compatible API from a small language model on this device.\nEvery decision on a request's way is made by sandboxed WebAssembly plugins.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; see ledge --help", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(verbs()...)
	markUsageErrors(root)
	return root
}

// verbs lists the commands in the order of the help text.
func verbs() []*cobra.Command {
	return []*cobra.Command{newServeCommand(buildVersion()), newChatCommand(), newTraceCommand(), newReviewCommand(), newUsageCommand(), newRouteCommand(), newHandoverCommand(), newKeyCommand(), newPluginCommand(), newModelCommand(),
		newDocsCommand(), newEraseCommand(), newEvalCommand(), newChunkCommand(), newGuardCommand(), newCheckCommand(), newVersionCommand()}
}

// markUsageErrors makes flag and argument mistakes of every command exit with 2.
func markUsageErrors(c *cobra.Command) {
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				var usage usageError
				if errors.As(err, &usage) {
					return err
				}
				return usagef("%w; see %s --help", err, c.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsageErrors(sub)
	}
}

// printJSON writes v as one indented JSON document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// readInput resolves an --input value: text as it is, @FILE for a file's content, "-" for standard input.
func readInput(value string, stdin io.Reader) ([]byte, error) {
	switch {
	case value == "-":
		return io.ReadAll(stdin)
	case len(value) > 1 && value[0] == '@':
		return os.ReadFile(value[1:])
	}
	return []byte(value), nil
}
