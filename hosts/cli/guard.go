package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// builtinGuards are the guards that a scan may ask, in this order, usualGuards those that it asks unless it is told which: the
// others need a configuration or passages. guardStages are the stages where they can be asked.
var (
	builtinGuards = []string{"pii-guard", "injection-guard", "secrets-guard", "topic-guard", "output-guard", "grounding-guard"}
	usualGuards   = builtinGuards[:3]
	guardStages   = []string{hook.StageInput, hook.StageRetrieval, hook.StageTool, hook.StageOutput}
)

var (
	guardFlagHelp = "guard to ask: " + strings.Join(builtinGuards, ", ") + "; may be repeated (default: " + strings.Join(usualGuards, ", ") + ")"
	setFlagHelp   = "GUARD.KEY=VALUE: configure a guard, as the plugin's config does; may be repeated"
)

// maxGuardLine bounds a line of --jsonl, in bytes.
const maxGuardLine = 64 << 20

func newGuardCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "guard",
		Short: "Judge texts with the built-in guards",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
		Args:  cobra.NoArgs,
	}
	c.AddCommand(newGuardScanCommand(), newGuardEvalCommand())
	return c
}

func newGuardScanCommand() *cobra.Command {
	var stage, input string
	var names, settings, passages []string
	var jsonl, asJSON bool
	c := &cobra.Command{
		Use:   "scan",
		Short: "Say what the guards find in a text",
		Long: "Run the built-in guards over a text, in the sandbox and with their default configuration, and print the strictest\n" +
			"verdict (allow, redact, review, block), the reasons and all spans: byte ranges of the text, in order.\n" +
			"With --jsonl each line of the input is an object with a \"text\"; its other members come back with the result. An answer is\n" +
			"compared with the passages of --passage, or of the line's member \"passages\", by grounding-guard.\n" +
			"Exit status 1: a guard failed, or a line could not be read.",
		Example: "  ledge guard scan --input 'write to ann@example.com' --json\n" +
			"  ledge guard scan --stage retrieval --input @page.txt\n" +
			"  ledge guard scan --guard injection-guard --jsonl --input - < prompts.jsonl\n" +
			"  ledge guard scan --guard topic-guard --set 'topic-guard.topics=law: lawsuit, my lawyer' --set topic-guard.deny=law --input @mail.txt\n" +
			"  ledge guard scan --guard output-guard --set output-guard.links=example.com --stage output --input @answer.md\n" +
			"  ledge guard scan --guard grounding-guard --stage output --passage @page.txt --input 'It was built in 1931 [1].'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains(guardStages, stage) {
				return usagef("unknown stage %q; there are %s", stage, strings.Join(guardStages, ", "))
			}
			in, err := openInput(input, c.InOrStdin())
			if err != nil {
				return err
			}
			defer in.Close()
			s, err := loadGuards(c.Context(), stage, names, settings)
			if err != nil {
				return err
			}
			defer s.close()
			for _, p := range passages {
				b, err := readInput(p, strings.NewReader(""))
				if err != nil {
					return err
				}
				s.passages = append(s.passages, string(b))
			}
			if jsonl {
				return s.lines(c.Context(), in, c.OutOrStdout())
			}
			text, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			r, err := s.scan(c.Context(), string(text), s.passages)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			return r.print(c.OutOrStdout(), string(text))
		},
	}
	f := c.Flags()
	f.StringVar(&stage, "stage", hook.StageInput, "where the text comes from: input, retrieval, tool or output")
	f.StringVar(&input, "input", "-", "text, @FILE, or - for standard input")
	f.StringArrayVar(&names, "guard", nil, guardFlagHelp)
	f.StringArrayVar(&settings, "set", nil, setFlagHelp)
	f.StringArrayVar(&passages, "passage", nil, "`TEXT` or @FILE that the answer was made from; may be repeated, in the order of citations")
	f.BoolVar(&jsonl, "jsonl", false, "judge the text of each line of the input; print one JSON document a line")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// openInput is readInput for what is read piece by piece.
func openInput(value string, stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case value == "-":
		return io.NopCloser(stdin), nil
	case len(value) > 1 && value[0] == '@':
		return os.Open(value[1:])
	}
	return io.NopCloser(strings.NewReader(value)), nil
}

// guardScan holds the loaded guards.
type guardScan struct {
	stage    string
	passages []string // that answers are compared with, unless a line has its own
	host     *wasm.Host
	names    []string
	calls    []*wasm.Plugin
}

// guardResult is what a scan prints. Spans is never null.
type guardResult struct {
	Verdict string      `json:"verdict"`
	Reason  string      `json:"reason"`
	Spans   []guardSpan `json:"spans"`
}

// guardSpan is a hook.Span as it is printed: with its numbers also where they are zero.
type guardSpan struct {
	Start      int     `json:"start"`
	End        int     `json:"end"`
	Entity     string  `json:"entity"`
	Rule       string  `json:"rule"`
	Confidence float64 `json:"confidence"`
}

// loadGuards loads the named guards, all for none, in the order in which they are asked. settings are GUARD.KEY=VALUE.
func loadGuards(ctx context.Context, stage string, names, settings []string) (*guardScan, error) {
	for _, n := range names {
		if !slices.Contains(builtinGuards, n) {
			return nil, usagef("unknown guard %q; there are %s", n, strings.Join(builtinGuards, ", "))
		}
	}
	config := map[string]map[string]string{}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		guard, key, dot := strings.Cut(key, ".")
		if !ok || !dot || key == "" || !slices.Contains(builtinGuards, guard) {
			return nil, usagef("--set %q is not GUARD.KEY=VALUE; guards are %s", s, strings.Join(builtinGuards, ", "))
		}
		if config[guard] == nil {
			config[guard] = map[string]string{}
		}
		config[guard][key] = value
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, err
	}
	s := &guardScan{stage: stage, host: h}
	for _, name := range builtinGuards {
		if len(names) > 0 && !slices.Contains(names, name) || len(names) == 0 && !slices.Contains(usualGuards, name) {
			continue
		}
		p, err := loadGuard(ctx, h, name, config[name])
		if err != nil {
			s.close()
			return nil, err
		}
		s.names, s.calls = append(s.names, name), append(s.calls, p)
	}
	return s, nil
}

// loadGuard gives a guard its default configuration, and config over it. Its limits are wider than on a route: a person
// waits for it.
func loadGuard(ctx context.Context, h *wasm.Host, name string, config map[string]string) (*wasm.Plugin, error) {
	module, doc, err := plugins.Builtin(name)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return nil, err
	}
	merged := maps.Clone(m.Config)
	for k, v := range config {
		if _, ok := merged[k]; !ok {
			return nil, usagef("%s has no setting %q; it has %s", name, k, strings.Join(slices.Sorted(maps.Keys(merged)), ", "))
		}
		merged[k] = v
	}
	return h.Load(ctx, module, wasm.PluginOptions{Name: name, Config: merged, Limits: wasm.Limits{
		Timeout: time.Minute, Fuel: 1 << 62, MemoryBytes: 2 << 30, OutputBytes: 256 << 20, HostCalls: 1 << 30, Instances: 1,
	}})
}

func (s *guardScan) close() { s.host.Close(context.Background()) }

// scan asks every guard. The strictest verdict holds; the spans of all come back, in order.
func (s *guardScan) scan(ctx context.Context, text string, passages []string) (*guardResult, error) {
	r := &guardResult{Verdict: hook.Allow, Spans: []guardSpan{}}
	return r, s.ask(ctx, s.stage, text, passages, r.merge)
}

// ask passes the verdict of each guard to each.
func (s *guardScan) ask(ctx context.Context, stage, text string, passages []string, each func(name string, v *hook.Verdict)) error {
	if at := invalidUTF8(text); at >= 0 {
		return fmt.Errorf("the text is not UTF-8 at byte %d", at)
	}
	for _, p := range passages {
		if at := invalidUTF8(p); at >= 0 {
			return fmt.Errorf("a passage is not UTF-8 at byte %d", at)
		}
	}
	req := hook.GuardRequest{Stage: stage, Text: text, Final: true, Passages: passages}
	in := req.AppendJSON(nil)
	for i, p := range s.calls {
		res, err := p.Call(ctx, wasm.Call{Export: hook.ExportGuard, Input: in})
		if err != nil {
			return err
		}
		var v hook.Verdict
		if err := v.ParseJSON(res.Output); err != nil {
			return fmt.Errorf("the answer of %s: %w", s.names[i], err)
		}
		if err := v.Check(text); err != nil {
			return fmt.Errorf("the answer of %s: %w", s.names[i], err)
		}
		each(s.names[i], &v)
	}
	return nil
}

// verdictOrder lists the verdicts from the mildest to the strictest.
var verdictOrder = []string{hook.Allow, hook.Redact, hook.Review, hook.Block}

func (r *guardResult) merge(name string, v *hook.Verdict) {
	if slices.Index(verdictOrder, v.Verdict) > slices.Index(verdictOrder, r.Verdict) {
		r.Verdict = v.Verdict
	}
	if v.Verdict != hook.Allow {
		if r.Reason != "" {
			r.Reason += "; "
		}
		r.Reason += name + ": " + v.Reason
	}
	for _, p := range v.Spans {
		r.Spans = append(r.Spans, guardSpan{p.Start, p.End, p.Entity, p.Rule, p.Confidence})
	}
	slices.SortStableFunc(r.Spans, func(a, b guardSpan) int { return cmp.Or(a.Start-b.Start, b.End-a.End) })
}

func (r *guardResult) print(w io.Writer, text string) error {
	if _, err := fmt.Fprintln(w, strings.TrimSuffix(r.Verdict+"\t"+r.Reason, "\t")); err != nil {
		return err
	}
	for _, p := range r.Spans {
		if _, err := fmt.Fprintf(w, "%d-%d\t%s\t%s\t%.2f\t%q\n", p.Start, p.End, p.Entity, p.Rule, p.Confidence, text[p.Start:p.End]); err != nil {
			return err
		}
	}
	return nil
}

// lines judges line by line. A line that cannot be judged gives an object with an error, and the rest goes on.
func (s *guardScan) lines(ctx context.Context, in io.Reader, w io.Writer) error {
	out := bufio.NewWriter(w)
	defer out.Flush()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxGuardLine)
	failed := false
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		doc, err := s.line(ctx, line)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed = true
			if doc, err = json.Marshal(map[string]any{"error": err.Error(), "line": n}); err != nil {
				return err
			}
		}
		if _, err := out.Write(append(doc, '\n')); err != nil {
			return err
		}
		if err := out.Flush(); err != nil { // whoever sends a line may wait for its result before the next
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("--jsonl: %w", err)
	}
	if failed {
		return exitError(1)
	}
	return nil
}

// line judges one object's text. Its other members are passed on, the result's own going over them.
func (s *guardScan) line(ctx context.Context, line []byte) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(line, &doc); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	var text *string
	if err := json.Unmarshal(doc["text"], &text); err != nil || text == nil {
		return nil, errors.New(`no member "text" that is a string`)
	}
	passages := s.passages
	if raw, ok := doc["passages"]; ok {
		if err := json.Unmarshal(raw, &passages); err != nil {
			return nil, fmt.Errorf("passages: %w", err)
		}
	}
	r, err := s.scan(ctx, *text, passages)
	if err != nil {
		return nil, err
	}
	delete(doc, "text")
	for name, v := range map[string]any{"verdict": r.Verdict, "reason": r.Reason, "spans": r.Spans} {
		if doc[name], err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(doc)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, -1 if there is none.
func invalidUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
