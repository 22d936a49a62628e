package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/plugins/chunker"
	"github.com/ledge-run/ledge/runtime/chunking"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// newChunkCommand is `ledge chunk`: it cuts a file with the built-in chunker, in the sandbox as everywhere.
func newChunkCommand() *cobra.Command {
	var doc hook.Document
	var asJSON bool
	var profile, unit, model string
	c := &cobra.Command{
		Use:   "chunk FILE",
		Short: "Cut a document into chunks",
		Long: "Cut a document (- for standard input) of any length into chunks for retrieval, and print their byte ranges and headings.\n" +
			"Strategies: fixed, recursive (paragraphs, lines, sentences, words), sentence, markdown and html (by heading; code, tables\n" +
			"and lists whole), code (by function: Go, Python, JavaScript, Java), semantic (where the subject changes), hierarchical\n" +
			"(small chunks, each with the larger parent that it is read in).\n" +
			"Profiles set what the other flags do not: legal, general, conversation, code.\n" +
			"Sizes are in Unicode code points, or in tokens of a model whose vocabulary is read from its file.",
		Example: "  ledge chunk manual.md --size 800 --overlap 80\n  ledge chunk - --strategy recursive --json < notes.txt\n" +
			"  ledge chunk contract.txt --unit tokens --model minilm.gguf --size 256 --overlap 32",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if profile != "" {
				p, ok := chunker.Profiles()[profile]
				if !ok {
					return usagef("unknown profile %q; there are %s", profile, strings.Join(slices.Sorted(maps.Keys(chunker.Profiles())), ", "))
				}
				if doc.Strategy == "" {
					doc.Strategy = p.Strategy
				}
				if !c.Flags().Changed("size") {
					doc.Size = p.Size
				}
				if !c.Flags().Changed("overlap") {
					doc.Overlap = min(p.Overlap, max(doc.Size-1, 0))
				}
			}
			if err := checkCut(&doc); err != nil {
				return err
			}
			count, err := counterFor(unit, model)
			if err != nil {
				return err
			}
			in := c.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			doc.Name = filepath.Base(args[0])
			out := bufio.NewWriter(c.OutOrStdout())
			defer func() { err = errors.Join(err, out.Flush()) }()
			each := func(k hook.Chunk, text string) error { return printChunk(out, &k, text) }
			if asJSON {
				list := jsonList{w: out}
				each = func(k hook.Chunk, _ string) error { return list.add(k.AppendJSON(nil)) }
				defer func() {
					if err == nil {
						err = list.end()
					}
				}()
			}
			return chunkDocument(c.Context(), in, &doc, count, each)
		},
	}
	f := c.Flags()
	f.StringVar(&doc.Strategy, "strategy", "", strings.Join(chunker.Strategies(), ", ")+" (default: by kind of file)")
	f.StringVar(&profile, "profile", "", "legal (500/100), general (1000/200), conversation (300/50, sentences) or code (1500, by function)")
	f.IntVar(&doc.Size, "size", 1000, "size of a chunk at most")
	f.IntVar(&doc.Overlap, "overlap", 0, "what a chunk repeats of the one before it at most")
	f.IntVar(&doc.ParentSize, "parent-size", 0, "size of a parent at most, for hierarchical (default: four times the size)")
	f.IntVar(&doc.Percentile, "percentile", 0, "share of sentence ends, the least alike, to cut at, for semantic (default: 20)")
	f.StringVar(&unit, "unit", "characters", "what sizes are in: characters (Unicode code points) or tokens")
	f.StringVar(&model, "model", "", "model `FILE` whose tokens are counted")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// checkCut says what is wrong with how a document is to be cut.
func checkCut(doc *hook.Document) error {
	switch {
	case doc.Strategy != "" && !slices.Contains(chunker.Strategies(), doc.Strategy):
		return usagef("unknown strategy %q; there are %s", doc.Strategy, strings.Join(chunker.Strategies(), ", "))
	case doc.Size < 1 || doc.Size > chunker.MaxSize:
		return usagef("--size %d is not between 1 and %d", doc.Size, chunker.MaxSize)
	case doc.Overlap < 0 || doc.Overlap >= doc.Size:
		return usagef("--overlap %d is not between 0 and --size less one (%d)", doc.Overlap, doc.Size-1)
	case doc.ParentSize != 0 && (doc.ParentSize < doc.Size || doc.ParentSize > chunker.MaxSize):
		return usagef("--parent-size %d is not between --size (%d) and %d", doc.ParentSize, doc.Size, chunker.MaxSize)
	case doc.ParentSize != 0 && doc.Strategy != chunker.Hierarchical:
		return usagef("--parent-size is for --strategy %s", chunker.Hierarchical)
	case doc.Percentile < 0 || doc.Percentile > 100:
		return usagef("--percentile %d is not between 1 and 100", doc.Percentile)
	case doc.Percentile != 0 && doc.Strategy != chunker.Semantic:
		return usagef("--percentile is for --strategy %s", chunker.Semantic)
	}
	return nil
}

// counterFor returns what counts tokens; nil for sizes in code points.
func counterFor(unit, model string) (func(string) (int, error), error) {
	switch {
	case unit == "characters" && model == "":
		return nil, nil
	case unit == "characters":
		return nil, usagef("--model counts tokens; add --unit tokens")
	case unit != "tokens":
		return nil, usagef("--unit %q is neither characters nor tokens", unit)
	case model == "":
		return nil, usagef("--unit tokens needs --model FILE, whose tokens are counted")
	}
	f, err := gguf.Open(model)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := tokenizer.New(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	return func(text string) (int, error) { return len(t.Encode(text, tokenizer.Options{})), nil }, nil
}

// chunkDocument runs the chunker over what is read. Its limits are those of a person who waits, not of a request.
func chunkDocument(ctx context.Context, in io.Reader, doc *hook.Document, count func(string) (int, error), each func(hook.Chunk, string) error) error {
	module, _, err := plugins.Builtin("chunker")
	if err != nil {
		return err
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer h.Close(context.WithoutCancel(ctx))
	p, err := h.Load(ctx, module, wasm.PluginOptions{Name: "chunker", Limits: wasm.Limits{
		Timeout: 10 * time.Minute, Fuel: 1 << 62, MemoryBytes: 2 << 30, OutputBytes: 1 << 30, HostCalls: 1 << 30}})
	if err != nil {
		return err
	}
	c := chunking.Cutter{Count: count, Chunk: chunking.With(p)}
	return c.Cut(ctx, in, *doc, each)
}

// jsonList writes an array, a line for each element.
type jsonList struct {
	w     io.Writer
	begun bool
}

func (l *jsonList) add(b []byte) error {
	mark := ",\n  "
	if !l.begun {
		l.begun, mark = true, "[\n  "
	}
	_, err := fmt.Fprintf(l.w, "%s%s", mark, b)
	return err
}

func (l *jsonList) end() error {
	mark := "\n]\n"
	if !l.begun {
		mark = "[]\n"
	}
	_, err := io.WriteString(l.w, mark)
	return err
}

// printChunk prints a chunk's range, its headings and how it begins.
func printChunk(w io.Writer, k *hook.Chunk, text string) error {
	begin := strings.Join(strings.Fields(text[:min(len(text), 400)]), " ")
	if r := []rune(begin); len(r) > 60 {
		begin = string(r[:60]) + "..."
	}
	place := fmt.Sprintf("%d-%d", k.Start, k.End)
	if k.Parent != nil {
		place += fmt.Sprintf(" in %d [%d-%d]", k.Parent.ID, k.Parent.Start, k.Parent.End)
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", place, strings.Join(k.Heading, " > "), strings.ToValidUTF8(begin, ""))
	return err
}
