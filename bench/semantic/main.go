// Command semantic measures the semantic cache on pairs of questions: how many paraphrases it hits, and how often it gives
// the answer to another question. The pairs come from intents.txt, or from a file of JSON lines {"a", "b", "same"}.
//
//	go run ./bench/semantic                                # the built-in embedding
//	go run ./bench/semantic -model all-MiniLM-L6-v2.gguf   # an embedding model
//	go run ./bench/semantic -pairs FILE.jsonl -misses      # pairs of your own, and which went wrong
package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/likeness"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

//go:embed intents.txt
var intents string

// pair is two questions, and whether one's answer answers the other.
type pair struct {
	A    string `json:"a"`
	B    string `json:"b"`
	Same bool   `json:"same"`
}

func main() {
	model := flag.String("model", "", "GGUF file of an embedding model; empty: the built-in embedding")
	file := flag.String("pairs", "", "JSON lines of pairs, in place of the built-in ones")
	threshold := flag.Float64("threshold", 0.97, "least similarity of a hit")
	misses := flag.Bool("misses", false, "print wrong hits and paraphrases that were missed")
	dump := flag.Bool("dump", false, "print the pairs and do nothing")
	flag.Parse()
	pairs := builtin(500)
	var err error
	if *file != "" {
		pairs, err = read(*file)
	}
	if err == nil && *dump {
		for _, p := range pairs {
			json.NewEncoder(os.Stdout).Encode(p)
		}
		return
	}
	if err == nil {
		err = run(pairs, *model, *threshold, *misses)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/semantic:", err)
		os.Exit(1)
	}
}

func read(file string) (out []pair, err error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(doc))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p pair
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, p)
	}
	return out, lines.Err()
}

// model is an embedding model as the cache uses it.
type encoder struct{ *engine.Engine }

func (e encoder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int32, len(texts))
	for i, t := range texts {
		ids[i] = e.EmbedTokens(t, true)
	}
	return e.EmbedIDs(ctx, ids)
}
func (e encoder) Dimensions() int { return e.Info().Embedding }
func (e encoder) Digest() string  { return "" }

func run(pairs []pair, model string, threshold float64, misses bool) error {
	var by embedding.Embedder = embedding.Lexical{}
	if model != "" {
		e, err := engine.Open(model, engine.Options{})
		if err != nil {
			return err
		}
		defer e.Close()
		by = encoder{e}
	}
	scale := likeness.NewScale(by)
	ctx := context.Background()
	var hits, wrong, same, other int
	why := map[string]int{}
	begin := time.Now()
	for _, p := range pairs {
		s, err := scale.Compare(ctx, p.A, p.B)
		if err != nil {
			return err
		}
		hit := s.Differs == "" && s.Score >= threshold
		if p.Same {
			same++
		} else {
			other++
		}
		switch {
		case hit && p.Same:
			hits++
		case hit:
			wrong++
		case p.Same && s.Differs != "":
			why["paraphrase refused: "+s.Differs]++
		case p.Same:
			why["paraphrase below the threshold"]++
		case s.Differs != "":
			why["near miss refused: "+s.Differs]++
		default:
			why["near miss below the threshold"]++
		}
		if misses && hit != p.Same {
			fmt.Printf("%-5t cosine %.3f alignment %.2f score %.3f %-9s  %s | %s\n", p.Same, s.Cosine, s.Alignment, s.Score, s.Differs, p.A, p.B)
		}
	}
	fmt.Printf("%d paraphrases, %d near misses, threshold %.2f: %.1f%% of the paraphrases hit, %.2f%% of the near misses hit wrongly; %.2f ms a pair\n",
		same, other, threshold, 100*float64(hits)/float64(max(same, 1)), 100*float64(wrong)/float64(max(other, 1)),
		float64(time.Since(begin).Microseconds())/1000/float64(len(pairs)))
	for k, n := range why {
		fmt.Printf("  %4d %s\n", n, k)
	}
	return nil
}

// builtin makes n paraphrases and n near misses of the intents, the same ones each time.
func builtin(n int) []pair {
	draw := rand.New(rand.NewPCG(1, 2))
	var same, near []pair
	for block := range strings.SplitSeq(intents, "\n\n") {
		var forms, others []string
		for l := range strings.SplitSeq(strings.TrimSpace(block), "\n") {
			switch rest, miss := strings.CutPrefix(l, "! "); {
			case miss:
				others = append(others, rest)
			case l != "" && l[0] != '#':
				forms = append(forms, l)
			}
		}
		if len(forms) == 0 {
			continue
		}
		choices := variants(forms)
		for i := range forms {
			for j := range i {
				for _, k := range draw.Perm(choices)[:min(2, choices)] {
					same = append(same, pair{fill(forms[i], k), fill(forms[j], k), true})
				}
			}
			for _, o := range others {
				near = append(near, pair{fill(forms[i], 0), o, false})
			}
			if choices > 1 {
				for range 3 {
					k := draw.Perm(choices)
					near = append(near, pair{fill(forms[i], k[0]), fill(forms[draw.IntN(len(forms))], k[1]), false})
				}
				k := draw.Perm(choices)
				near = append(near, pair{fill(forms[i], k[0]), fill(forms[i], k[1]), false})
			}
		}
	}
	pick := func(list []pair) []pair {
		draw.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:min(n, len(list))]
	}
	return append(pick(same), pick(near)...)
}

// variants is the number of ways to fill the slots of a block.
func variants(forms []string) int {
	n := 1
	for part := range strings.SplitSeq(forms[0], "{") {
		if slot, _, ok := strings.Cut(part, "}"); ok {
			n *= strings.Count(slot, "|") + 1
		}
	}
	return n
}

// fill writes the k-th choice into a form's slots.
func fill(form string, k int) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(form, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		slot, after, _ := strings.Cut(rest, "}")
		choices := strings.Split(slot, "|")
		b.WriteString(choices[k%len(choices)])
		k /= len(choices)
		form = after
	}
}
