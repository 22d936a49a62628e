package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

func newChatCommand() *cobra.Command {
	var site siteFlags
	var route, system string
	var maxTokens int
	var temperature float64
	var seed int64
	var asJSON bool
	c := &cobra.Command{
		Use:   "chat PROMPT",
		Short: "Ask one question and print the answer",
		Long: "Ask one question through a route's whole pipeline and print the answer as it comes.\n" +
			"The request is sent to the appliance that runs at the configured address. With --model, or when none runs, the\n" +
			"pipeline is assembled in this process.",
		Example: "  ledge chat 'Why is the sky blue?'\n  ledge chat --model model.gguf --temp 0 -n 100 'Once upon a time'\n  echo 'Summarise: ...' | ledge chat -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := site.load()
			if err != nil {
				return err
			}
			prompt := strings.Join(args, " ")
			if prompt == "-" {
				b, err := io.ReadAll(c.InOrStdin())
				if err != nil {
					return err
				}
				prompt = string(b)
			}
			req := &openai.ChatRequest{Model: route, Temperature: &temperature}
			if system != "" {
				req.Messages = append(req.Messages, openai.Message{Role: "system", Content: openai.Content(system)})
			}
			req.Messages = append(req.Messages, openai.Message{Role: "user", Content: openai.Content(prompt)})
			if maxTokens > 0 {
				req.MaxTokens = &maxTokens
			}
			if c.Flags().Changed("seed") {
				req.Seed = &seed
			}
			w := &answerWriter{out: c.OutOrStdout(), quiet: asJSON}
			if err := ask(c.Context(), cfg, site.model == "", req, w); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"request": w.id, "route": w.route, "model": w.model, "cache": w.cache,
					"text": w.text.String(), "finish_reason": w.finish, "usage": w.usage})
			}
			fmt.Fprintln(c.OutOrStdout())
			return nil
		},
	}
	site.register(c)
	c.Flags().StringVar(&route, "route", "default", "`ROUTE` or model to ask")
	c.Flags().StringVar(&system, "system", "", "system `PROMPT`")
	c.Flags().IntVarP(&maxTokens, "max-tokens", "n", 0, "most tokens of the answer (default: the router's budget)")
	c.Flags().Float64Var(&temperature, "temp", 0.7, "sampling temperature, 0 to 2; 0 takes the likeliest token")
	c.Flags().Int64Var(&seed, "seed", 0, "seed of the sampling (default: random)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// ask sends the request to the running appliance if there may be one, else answers it here.
func ask(ctx context.Context, cfg *config.Config, remote bool, req *openai.ChatRequest, w *answerWriter) error {
	if remote {
		err := askAppliance(ctx, cfg, req, w)
		if !errors.Is(err, errNotRunning) {
			return err
		}
	}
	rt, err := runtime.New(ctx, cfg, runtime.Options{})
	if err != nil {
		return err
	}
	w.id = "cli"
	err = rt.Chat(ctx, w.id, runtime.Identity{Tenant: "default"}, req, w.event)
	return errors.Join(err, rt.Close(context.WithoutCancel(ctx)))
}

// answerWriter prints an answer as it comes and keeps what --json tells.
type answerWriter struct {
	out   io.Writer
	quiet bool

	id, route, model, cache, finish string
	text                            strings.Builder
	usage                           *openai.Usage
}

func (w *answerWriter) event(e pipeline.Event) error {
	if e.Start != nil {
		w.route, w.model, w.cache = e.Start.Route, e.Start.Model, e.Start.Cache
	}
	if e.Finish != "" {
		w.finish = e.Finish
	}
	if e.Usage != nil {
		w.usage = e.Usage
	}
	return w.write(e.Text)
}

func (w *answerWriter) write(text string) error {
	w.text.WriteString(text)
	if w.quiet {
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}
