package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/state"
)

func newTraceCommand() *cobra.Command {
	var site siteFlags
	var admin string
	var asJSON bool
	var last int
	c := &cobra.Command{
		Use:   "trace [ID]",
		Short: "Show why a request was answered as it was",
		Long: "Show the decision trace of one request, by the id in its X-Ledge-Request-Id header, or list the latest.\n" +
			"A running appliance is asked; when none runs, the state directory is read.",
		Example: "  ledge trace req_0123456789abcdef01234567\n  ledge trace --last 20",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := site.appliance(c.Context(), admin)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				doc, err := fetchTrace(c.Context(), cfg, args[0])
				if err != nil {
					return err
				}
				return showTrace(c.OutOrStdout(), doc, asJSON)
			}
			docs, err := fetchTraces(c.Context(), cfg, last)
			if err != nil {
				return err
			}
			return listTraces(c.OutOrStdout(), docs, asJSON)
		},
	}
	site.register(c)
	c.Flags().StringVar(&admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().IntVar(&last, "last", 20, "list the latest `N` requests when no ID is given")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// offline opens the state directory of an appliance that does not run.
func offline(cfg *config.Config) (*state.Store, error) {
	dir, err := cfg.DataDir()
	if err != nil {
		return nil, err
	}
	return state.Open(filepath.Join(dir, "state"), state.Options{CacheBytes: int64(cfg.Cache.MaxSize), TraceBytes: int64(cfg.Trace.MaxSize),
		KVBytes: int64(cfg.KV.MaxSize), TraceRetention: cfg.Trace.Retention.D()})
}

func fetchTrace(ctx context.Context, cfg *config.Config, id string) (doc json.RawMessage, err error) {
	err = askAdmin(ctx, cfg, "GET", "/admin/v1/requests/"+url.PathEscape(id), nil, &doc)
	if !errors.Is(err, errNotRunning) {
		return doc, err
	}
	store, err := offline(cfg)
	if err != nil {
		return nil, err
	}
	found, ok, err := store.Traces().Get(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("there is no trace of the request %s; it was never made here, or its retention ended", id)
	}
	return found, errors.Join(err, store.Close())
}

func fetchTraces(ctx context.Context, cfg *config.Config, last int) ([]json.RawMessage, error) {
	if last < 1 {
		return nil, usagef("--last %d is not at least 1", last)
	}
	var answer struct{ Requests []json.RawMessage }
	err := askAdmin(ctx, cfg, "GET", fmt.Sprintf("/admin/v1/requests?limit=%d", last), nil, &answer)
	if !errors.Is(err, errNotRunning) {
		return answer.Requests, err
	}
	store, err := offline(cfg)
	if err != nil {
		return nil, err
	}
	docs, err := store.Traces().Recent(ctx, "", last)
	for _, d := range docs {
		answer.Requests = append(answer.Requests, d)
	}
	return answer.Requests, errors.Join(err, store.Close())
}

func showTrace(w io.Writer, doc json.RawMessage, asJSON bool) error {
	var t pipeline.Trace
	if err := json.Unmarshal(doc, &t); err != nil {
		return fmt.Errorf("the trace is damaged: %w", err)
	}
	if asJSON {
		return printJSON(w, doc)
	}
	fmt.Fprintf(w, "%s  %s  %s %s  status %d", t.ID, t.Time.Local().Format(time.DateTime), t.Endpoint, t.Route, t.Status)
	if t.Code != "" {
		fmt.Fprintf(w, " %s", t.Code)
	}
	fmt.Fprintf(w, "  %s\n", time.Duration(t.DurationUS)*time.Microsecond)
	fmt.Fprintf(w, "model %s  cache %s  finish %s  tokens %d+%d\n", t.Model, t.Cache, strings.Join(t.Finish, ","), t.Usage.PromptTokens, t.Usage.CompletionTokens)
	if t.Error != "" {
		fmt.Fprintf(w, "error %s\n", t.Error)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nSTAGE\tPLUGIN\tDIGEST\tVERDICT\tTIME\tCALLS\tREASON")
	for _, e := range t.Stages {
		reason := e.Reason
		if e.Error != nil {
			reason = e.Error.Code + ": " + e.Error.Message
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", e.Stage, e.Plugin, shortDigest(e.Digest), e.Verdict, time.Duration(e.DurationUS)*time.Microsecond, e.Calls, reason)
		for _, s := range e.Spans {
			fmt.Fprintf(tab, "\t\t\t  %s\t\t\tmessage %d, bytes %d to %d, rule %s, confidence %.2f\n", s.Entity, s.Message, s.Start, s.End, s.Rule, s.Confidence)
		}
	}
	return tab.Flush()
}

func listTraces(w io.Writer, docs []json.RawMessage, asJSON bool) error {
	if asJSON {
		if docs == nil {
			docs = []json.RawMessage{}
		}
		return printJSON(w, docs)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "TIME\tREQUEST\tROUTE\tMODEL\tSTATUS\tCACHE\tTIME\tTOKENS")
	for _, doc := range docs {
		var t pipeline.Trace
		if err := json.Unmarshal(doc, &t); err != nil {
			return fmt.Errorf("a trace is damaged: %w", err)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d %s\t%s\t%s\t%d+%d\n", t.Time.Local().Format(time.DateTime), t.ID, t.Route, t.Model, t.Status, t.Code,
			t.Cache, time.Duration(t.DurationUS)*time.Microsecond, t.Usage.PromptTokens, t.Usage.CompletionTokens)
	}
	return tab.Flush()
}

// shortDigest shows enough of a digest to tell two modules apart.
func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return d[:min(len(d), 12)]
}
