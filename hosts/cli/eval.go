package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/evaluate"
)

func newEvalCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "eval", Short: "Measure the appliance on labelled questions", Args: cobra.NoArgs,
		Example: "  ledge eval retrieval questions.jsonl",
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEvalRetrievalCommand())
	return c
}

// evalDepth is how many chunks are asked for: several may be of one document, and ten documents count.
const evalDepth = 50

// evalQuestion is a line of the file.
type evalQuestion struct {
	Query    string          `json:"query"`
	Relevant json.RawMessage `json:"relevant"` // names, or names with grades
	Excerpts []struct {
		Document string `json:"document"`
		Start    int    `json:"start"`
		End      int    `json:"end"`
	} `json:"excerpts"`
	As edge.SearchAs `json:"as"`
}

func newEvalRetrievalCommand() *cobra.Command {
	var f docsFlags
	var k int
	var with, against string
	c := &cobra.Command{
		Use:   "retrieval FILE.jsonl",
		Short: "Measure how well documents are found",
		Long: "Ask each line's question among the indexed documents, and print recall@k, nDCG@10, MRR, the precision and intersection\n" +
			"over union of the spans found, and the latency.\n\n" +
			"A line is an object with\n" +
			"  \"query\"     the question\n" +
			"  \"relevant\"  documents that answer it: [\"handbook.md\"], or with grades {\"handbook.md\": 2, \"faq.md\": 1}\n" +
			"  \"excerpts\"  where they do, in bytes of their text: [{\"document\", \"start\", \"end\"}...]; with them \"relevant\" may be left out\n" +
			"  \"as\"        whose rights it has: {\"groups\", \"clearance\", \"purpose\"}\n\n" +
			"--with sets how to search: mode=hybrid|bm25|vector, floor=0..1 (-1: none), mmr=0..1, rerank=on|off, separated by commas.\n" +
			"--against sets another way, asks each question in both, and says whether they differ by more than noise (paired\n" +
			"randomization test, p < 0.05).",
		Example: "  ledge eval retrieval questions.jsonl -k 5\n  ledge eval retrieval questions.jsonl --with mode=hybrid --against mode=bm25 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if k < 1 || k > evalDepth {
				return usagef("-k %d is not between 1 and %d", k, evalDepth)
			}
			ways := []string{with}
			if c.Flags().Changed("against") {
				ways = append(ways, against)
			}
			requests := make([]edge.SearchRequest, len(ways))
			for i, w := range ways {
				if err := setSearch(&requests[i], w); err != nil {
					return err
				}
			}
			in := c.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			questions, asked, err := readQuestions(in)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			ranked := make([][]evaluate.Ranking, len(ways))
			for i := range questions {
				for w := range requests {
					r, err := askOne(c.Context(), s, requests[w], &asked[i], &questions[i], k)
					if err != nil {
						return fmt.Errorf("%q: %w", asked[i].Query, err)
					}
					ranked[w] = append(ranked[w], r)
				}
			}
			return printRetrieval(c.OutOrStdout(), ways, ranked, k, f.json)
		},
	}
	f.register(c)
	c.Flags().IntVarP(&k, "k", "k", 5, "how many of the first documents count for recall, and chunks for spans")
	c.Flags().StringVar(&with, "with", "", "how to search, as `KEY=VALUE,...`")
	c.Flags().StringVar(&against, "against", "", "another way to compare with, as `KEY=VALUE,...`")
	return c
}

// setSearch reads a way to search.
func setSearch(r *edge.SearchRequest, way string) error {
	r.K = evalDepth
	for _, part := range strings.FieldsFunc(way, func(c rune) bool { return c == ',' }) {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch key {
		case "mode":
			r.Mode = value
		case "floor":
			r.Floor, err = strconv.ParseFloat(value, 64)
		case "mmr":
			r.MMR, err = strconv.ParseFloat(value, 64)
		case "rerank":
			if r.NoRerank = value == "off"; !r.NoRerank && value != "on" {
				return usagef("rerank=%s is neither on nor off", value)
			}
		default:
			return usagef("%q is none of mode=, floor=, mmr=, rerank=", part)
		}
		if err != nil {
			return usagef("%s is no number: %q", key, value)
		}
	}
	return nil
}

func askOne(ctx context.Context, s shelf, req edge.SearchRequest, asked *evalQuestion, q *evaluate.Question, k int) (evaluate.Ranking, error) {
	req.Query, req.As = asked.Query, asked.As
	begun := time.Now()
	hits, err := s.Search(ctx, &req)
	if err != nil {
		return evaluate.Ranking{}, err
	}
	found := evaluate.Found{Took: time.Since(begun)}
	for _, h := range hits {
		found.Hits = append(found.Hits, evaluate.Excerpt{Document: h.Document, Start: h.Start, End: h.End})
	}
	return evaluate.Rank(q, &found, k), nil
}

// readQuestions reads the file; an error names its line.
func readQuestions(in io.Reader) (questions []evaluate.Question, asked []evalQuestion, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var a evalQuestion
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n, err)
		}
		q := evaluate.Question{Relevant: map[string]float64{}}
		for _, e := range a.Excerpts {
			if e.Document == "" || e.Start < 0 || e.Start >= e.End {
				return nil, nil, fmt.Errorf("line %d: an excerpt needs a document and start < end in bytes", n)
			}
			q.Excerpts = append(q.Excerpts, evaluate.Excerpt{Document: e.Document, Start: e.Start, End: e.End})
		}
		var names []string
		switch {
		case len(a.Relevant) == 0:
			for _, e := range q.Excerpts {
				q.Relevant[e.Document] = 1
			}
		case json.Unmarshal(a.Relevant, &names) == nil:
			for _, name := range names {
				q.Relevant[name] = 1
			}
		default:
			if err := json.Unmarshal(a.Relevant, &q.Relevant); err != nil {
				return nil, nil, fmt.Errorf("line %d: relevant is neither a list of documents nor an object with their grades", n)
			}
		}
		if a.Query == "" || len(q.Relevant) == 0 {
			return nil, nil, fmt.Errorf("line %d: a question needs query, and relevant or excerpts", n)
		}
		questions, asked = append(questions, q), append(asked, a)
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	if len(questions) == 0 {
		return nil, nil, errors.New("there are no questions in it")
	}
	return questions, asked, nil
}

func printRetrieval(w io.Writer, ways []string, ranked [][]evaluate.Ranking, k int, asJSON bool) error {
	type result struct {
		With string `json:"with"`
		evaluate.RetrievalReport
	}
	out := struct {
		Results     []result              `json:"results"`
		Differences []evaluate.Difference `json:"differences,omitempty"`
	}{}
	for i, way := range ways {
		if way == "" {
			way = "default"
		}
		out.Results = append(out.Results, result{way, evaluate.SumUp(ranked[i], k)})
	}
	if len(ranked) == 2 {
		out.Differences = evaluate.Compare(ranked[0], ranked[1])
	}
	if asJSON {
		return printJSON(w, out)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tw, "with\tquestions\trecall@%d\tnDCG@10\tMRR\tspan precision\tspan IoU\tp50 ms\tp95 ms\n", k)
	for _, r := range out.Results {
		fmt.Fprintf(tw, "%s\t%d\t%.3f\t%.3f\t%.3f\t%s\t%s\t%.2f\t%.2f\n", r.With, r.Questions, r.Recall, r.NDCG, r.MRR, share(r.Precision), share(r.IoU), r.P50, r.P95)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, d := range out.Differences {
		verdict := "more than noise"
		if d.Noise {
			verdict = "no more than noise"
		}
		fmt.Fprintf(w, "%s: %+.3f, %s (p = %.2g)\n", d.Measure, d.Mean, verdict, d.P)
	}
	return nil
}

func share(v float64) string {
	if v < 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}
