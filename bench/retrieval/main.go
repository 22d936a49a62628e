// Command retrieval compares hybrid search with keywords alone and with vectors alone, in one run, over a corpus that it
// makes itself: 2,240 passages about machines, and 300 questions, half in the words of the passage and half in others.
// It prints recall of the right passage among the first five, the mean reciprocal rank, and the latency.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/state"
)

// figures are what one way of searching reached.
type figures struct {
	Mode        string  `json:"mode"`
	Recall5     float64 `json:"recall_at_5"`
	Lexical     float64 `json:"recall_at_5_lexical"`
	Paraphrased float64 `json:"recall_at_5_paraphrased"`
	MRR         float64 `json:"mrr"`
	P50         float64 `json:"p50_ms"`

	found []bool // by question, within the first five
}

func main() {
	asJSON := flag.Bool("json", false, "print one JSON document")
	flag.Parse()
	if err := run(context.Background(), *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "retrieval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, asJSON bool) error {
	dir, err := os.MkdirTemp("", "ledge-bench-retrieval")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := state.Open(filepath.Join(dir, "state"), state.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	library, err := search.Open(search.Options{Store: store.Documents(), Embedder: embedding.Lexical{}})
	if err != nil {
		return err
	}
	passages, questions := makeCorpus()
	for _, p := range passages {
		doc := &search.Document{Name: p.name, Rule: search.Rule{Classification: search.Public, Approved: true}}
		if err := library.Put(ctx, "bench", doc, p.text, []search.Chunk{{End: len(p.text)}}); err != nil {
			return err
		}
	}
	var all []figures
	for _, mode := range []string{search.Keyword, search.Vector, search.Hybrid} {
		f, err := measure(ctx, library, mode, questions)
		if err != nil {
			return err
		}
		all = append(all, *f)
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"passages": len(passages), "questions": len(questions), "embedder": "lexical", "results": all})
	}
	fmt.Printf("%d passages, %d questions, built-in lexical embedding\n", len(passages), len(questions))
	fmt.Printf("%-8s %10s %10s %12s %8s %8s\n", "mode", "recall@5", "lexical", "paraphrased", "MRR", "p50 ms")
	for _, f := range all {
		fmt.Printf("%-8s %10.3f %10.3f %12.3f %8.3f %8.2f\n", f.Mode, f.Recall5, f.Lexical, f.Paraphrased, f.MRR, f.P50)
	}
	hybrid := all[len(all)-1]
	for _, f := range all[:len(all)-1] {
		fmt.Printf("hybrid against %-7s %s\n", f.Mode+":", compare(hybrid.found, f.found))
	}
	return nil
}

func measure(ctx context.Context, library *search.Library, mode string, questions []question) (*figures, error) {
	f := &figures{Mode: mode}
	counts := map[string][2]int{}
	var took []time.Duration
	for _, q := range questions {
		begun := time.Now()
		r, err := library.Search(ctx, search.Query{Text: q.text, Mode: mode, K: 10, Floor: -1, Access: search.Access{Tenant: "bench"}})
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
		at := slices.IndexFunc(r.Hits, func(h search.Hit) bool { return h.Document == q.answer })
		found := at >= 0 && at < 5
		f.found = append(f.found, found)
		c := counts[q.kind]
		c[1]++
		if found {
			c[0]++
		}
		counts[q.kind] = c
		if at >= 0 {
			f.MRR += 1 / float64(at+1) / float64(len(questions))
		}
	}
	share := func(c [2]int) float64 { return float64(c[0]) / float64(c[1]) }
	l, p := counts["lexical"], counts["paraphrased"]
	f.Lexical, f.Paraphrased, f.Recall5 = share(l), share(p), share([2]int{l[0] + p[0], l[1] + p[1]})
	slices.Sort(took)
	f.P50 = float64(took[len(took)/2].Microseconds()) / 1000
	return f, nil
}

// compare tells whether two ways differ by more than noise: the exact sign test over the questions that only one of them
// answers (McNemar).
func compare(a, b []bool) string {
	var onlyA, onlyB int
	for i := range a {
		if a[i] && !b[i] {
			onlyA++
		} else if b[i] && !a[i] {
			onlyB++
		}
	}
	n := onlyA + onlyB
	p := 0.0
	for k := max(onlyA, onlyB); k <= n; k++ {
		p += math.Exp(logChoose(n, k) - float64(n)*math.Ln2)
	}
	p = min(2*p, 1)
	verdict := "no more than noise"
	if p < 0.05 {
		verdict = "more than noise"
	}
	return fmt.Sprintf("%d questions it alone answers, %d the other alone: %s (p = %.2g)", onlyA, onlyB, verdict, p)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
