package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/evaluate"
	"github.com/ledge-run/ledge/runtime/hook"
)

func newGuardEvalCommand() *cobra.Command {
	var stage, offsets string
	var names, renames, settings []string
	var asJSON bool
	var worst int
	c := &cobra.Command{
		Use:   "eval FILE.jsonl",
		Short: "Measure the guards on labelled texts",
		Long: "Judge each line's text and compare with its labels: precision, recall and F1 of each entity, the share of texts stopped\n" +
			"of each class, what was taken for what, and the worst misses.\n\n" +
			"A line is an object with \"text\" (or prompt, sentence, full_text, source_text) and at least one of\n" +
			"  \"labels\"  all entities of the text: [{\"start\", \"end\", \"entity\"}...], half-open ranges; an empty list is a text without any.\n" +
			"            spans, entities and privacy_mask are read too, and members named label, entity_type, start_position, end_position\n" +
			"  \"class\"   of the whole text, or a \"label\" of 0 or 1: benign (safe, legit, 0) must pass, every other is to be stopped\n" +
			"and \"stage\", which goes over --stage, and \"passages\", which grounding-guard compares an answer with. Entities of common public sets are known under their names; --map renames others,\n" +
			"and --map NAME= leaves one out.\n\n" +
			"A label counts as found where spans of its entity cover at least half of it; a span that touches no label of its entity\n" +
			"is a false alarm. A text is stopped where a guard blocks it or holds it for review.",
		Example: "  ledge guard eval attacks.jsonl\n" +
			"  ledge guard eval pii.jsonl --guard pii-guard --offsets chars --map CITY= --json\n" +
			"  ledge guard eval mails.jsonl --stage retrieval --set injection-guard.threshold=0.5 --worst 50",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(guardStages, stage) {
				return usagef("unknown stage %q; there are %s", stage, strings.Join(guardStages, ", "))
			}
			if offsets != "bytes" && offsets != "chars" {
				return usagef("--offsets %q is neither bytes nor chars", offsets)
			}
			mapping := map[string]string{}
			for _, r := range renames {
				from, to, ok := strings.Cut(r, "=")
				if !ok || from == "" {
					return usagef("--map %q is not NAME=ENTITY", r)
				}
				mapping[strings.ToUpper(from)] = strings.ToUpper(to)
			}
			in := io.NopCloser(c.InOrStdin())
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				in = f
			}
			defer in.Close()
			s, err := loadGuards(c.Context(), stage, names, settings)
			if err != nil {
				return err
			}
			defer s.close()
			t := evaluate.New(mapping)
			if err := s.eval(c.Context(), in, t, offsets == "chars"); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			r := t.Report(worst)
			if asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			return printEval(c.OutOrStdout(), r)
		},
	}
	f := c.Flags()
	f.StringVar(&stage, "stage", hook.StageInput, "where the texts come from: input, retrieval, tool or output")
	f.StringArrayVar(&names, "guard", nil, guardFlagHelp)
	f.StringArrayVar(&settings, "set", nil, setFlagHelp)
	f.StringArrayVar(&renames, "map", nil, "NAME=ENTITY: take labels of NAME for ENTITY; may be repeated")
	f.StringVar(&offsets, "offsets", "bytes", "what labels count: bytes of UTF-8, or chars")
	f.IntVar(&worst, "worst", 20, "how many misses to show")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// eval reads and judges every line. The first line that cannot be read ends it: figures over half a file mislead.
func (s *guardScan) eval(ctx context.Context, in io.Reader, t *evaluate.Tally, chars bool) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxGuardLine)
	n, judged := 0, 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		c, stage, err := parseCase(line, chars)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if stage == "" {
			stage = s.stage
		}
		passages, err := passagesOf(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		c.Line = n
		found, stopped, err := s.judge(ctx, stage, c.Text, passages)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		t.Add(c, stopped, found)
		judged++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if judged == 0 {
		return errors.New("there is no line to judge")
	}
	return nil
}

// judge asks every guard about a text.
func (s *guardScan) judge(ctx context.Context, stage, text string, passages []string) (found []evaluate.Finding, stopped bool, err error) {
	err = s.ask(ctx, stage, text, passages, func(name string, v *hook.Verdict) {
		stopped = stopped || v.Verdict == hook.Block || v.Verdict == hook.Review
		for _, p := range v.Spans {
			found = append(found, evaluate.Finding{Guard: name, Span: p})
		}
	})
	return found, stopped, err
}

type labelled struct {
	Text, Prompt, Sentence string
	FullText               string `json:"full_text"`
	SourceText             string `json:"source_text"`
	Stage                  string
	Class                  json.RawMessage
	Label                  json.RawMessage
	Labels, Spans          []labelledSpan
	Entities               []labelledSpan
	PrivacyMask            []labelledSpan `json:"privacy_mask"`
}

type labelledSpan struct {
	Start, End    *int
	StartPosition *int `json:"start_position"`
	EndPosition   *int `json:"end_position"`
	Entity, Label string
	EntityType    string `json:"entity_type"`
	Type          string
}

// passagesOf reads what an answer was made from.
func passagesOf(line []byte) ([]string, error) {
	var d struct{ Passages []string }
	if err := json.Unmarshal(line, &d); err != nil {
		return nil, fmt.Errorf("passages: %w", err)
	}
	return d.Passages, nil
}

// parseCase reads a line in the forms that the command's help names.
func parseCase(line []byte, chars bool) (c evaluate.Case, stage string, err error) {
	var d labelled
	if err := json.Unmarshal(line, &d); err != nil {
		return c, "", fmt.Errorf("not an object of the known form: %w", err)
	}
	for _, t := range []string{d.Text, d.Prompt, d.Sentence, d.FullText, d.SourceText} {
		if c.Text == "" {
			c.Text = t
		}
	}
	if c.Text == "" {
		return c, "", errors.New(`no member "text"`)
	}
	if d.Stage != "" && !slices.Contains(guardStages, d.Stage) {
		return c, "", fmt.Errorf("unknown stage %q; there are %s", d.Stage, strings.Join(guardStages, ", "))
	}
	for _, raw := range []json.RawMessage{d.Class, d.Label} {
		if c.Class == "" && len(raw) > 0 && string(raw) != "null" {
			c.Class = strings.Trim(string(raw), `"`)
		}
	}
	spans := d.Labels
	for _, s := range [][]labelledSpan{d.Spans, d.Entities, d.PrivacyMask} {
		if spans == nil {
			spans = s
		}
	}
	if spans == nil && c.Class == "" {
		return c, "", errors.New(`neither "labels" nor "class": there is nothing to compare with`)
	}
	if spans == nil {
		return c, d.Stage, nil
	}
	c.Labels = []evaluate.Label{}
	for i, s := range spans {
		start, end := s.Start, s.End
		if start == nil {
			start, end = s.StartPosition, s.EndPosition
		}
		if start == nil || end == nil {
			return c, "", fmt.Errorf("label %d has no start and end", i)
		}
		l := evaluate.Label{Start: *start, End: *end}
		for _, e := range []string{s.Entity, s.Label, s.EntityType, s.Type} {
			if l.Entity == "" {
				l.Entity = e
			}
		}
		if chars {
			l.Start, l.End = byteOffset(c.Text, l.Start), byteOffset(c.Text, l.End)
		}
		if l.Start < 0 || l.Start >= l.End || l.End > len(c.Text) {
			return c, "", fmt.Errorf("label %d: [%d, %d) is no range of the text's %d bytes (--offsets chars counts characters)", i, l.Start, l.End, len(c.Text))
		}
		c.Labels = append(c.Labels, l)
	}
	return c, d.Stage, nil
}

// byteOffset turns a number of characters into an offset; one past the end of the text stays past it.
func byteOffset(text string, chars int) int {
	i := 0
	for ; chars > 0; chars-- {
		if i >= len(text) {
			return len(text) + 1
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		i += n
	}
	return i
}

func printEval(w io.Writer, r *evaluate.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d texts\n", r.Texts)
	row := func(name string, c *evaluate.Counts) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.3f\t%.3f\t%.3f\t\n", name, c.TruePositives, c.FalsePositives, c.FalseNegatives, c.Precision, c.Recall, c.F1)
	}
	if r.Micro != nil {
		fmt.Fprint(t, "\nentity\tfound\talarms\tmissed\tprecision\trecall\tF1\t\n")
		for _, e := range slices.Sorted(maps.Keys(r.Entities)) {
			row(e, r.Entities[e])
		}
		row("all", r.Micro)
	}
	if r.Stopped != nil {
		fmt.Fprint(t, "\nclass\ttexts\tstopped\trate\t\n")
		for _, e := range slices.Sorted(maps.Keys(r.Classes)) {
			c := r.Classes[e]
			fmt.Fprintf(t, "%s\t%d\t%d\t%.3f\t\n", e, c.Texts, c.Stopped, c.Rate)
		}
		fmt.Fprint(t, "\n\tstopped\talarms\tmissed\tprecision\trecall\tF1\t\n")
		row("other than benign", r.Stopped)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Confusion) > 0 {
		fmt.Fprint(w, "\nlabelled as    found as\n")
		for _, l := range slices.Sorted(maps.Keys(r.Confusion)) {
			fmt.Fprintf(w, "%-14s", l)
			for _, e := range slices.Sorted(maps.Keys(r.Confusion[l])) {
				fmt.Fprintf(w, " %s %d", e, r.Confusion[l][e])
			}
			fmt.Fprintln(w)
		}
	}
	if len(r.Ignored) > 0 {
		fmt.Fprint(w, "\nlabels that no guard knows (see --map):")
		for _, e := range slices.Sorted(maps.Keys(r.Ignored)) {
			fmt.Fprintf(w, " %s %d", e, r.Ignored[e])
		}
		fmt.Fprintln(w)
	}
	if len(r.Worst) > 0 {
		fmt.Fprint(w, "\nworst misses\n")
	}
	for _, m := range r.Worst {
		if _, err := fmt.Fprintf(w, "line %d\t%s %s\t%.2f %s\t%q\t%q\n", m.Line, m.Kind, m.Entity, m.Confidence, m.Rule, m.Found, m.Text); err != nil {
			return err
		}
	}
	return nil
}
