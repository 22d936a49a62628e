package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/plugins/chunker"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// maxDocument bounds a document, in bytes: what fits into a guest's memory several times over.
const maxDocument = 64 << 20

// newChunkCommand is `ledge chunk`: it cuts a file with the built-in chunker, in the sandbox as everywhere.
func newChunkCommand() *cobra.Command {
	var doc hook.Document
	var asJSON bool
	var profile string
	c := &cobra.Command{
		Use:   "chunk FILE",
		Short: "Cut a document into chunks",
		Long: "Cut a document (- for standard input) into chunks for retrieval, and print their byte ranges and headings.\n" +
			"Strategies: fixed, recursive (paragraphs, lines, sentences, words), sentence, markdown and html (by heading; code, tables\n" +
			"and lists whole), code (by function: Go, Python, JavaScript, Java), semantic (where the subject changes).\n" +
			"Profiles set what the other flags do not: legal, general, conversation, code.",
		Example: "  ledge chunk manual.md --size 800 --overlap 80\n  ledge chunk - --strategy recursive --json < notes.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
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
			if doc.Strategy != "" && !slices.Contains(chunker.Strategies(), doc.Strategy) {
				return usagef("unknown strategy %q; there are %s", doc.Strategy, strings.Join(chunker.Strategies(), ", "))
			}
			if doc.Size < 1 {
				return usagef("--size %d is not positive", doc.Size)
			}
			if doc.Overlap < 0 || doc.Overlap >= doc.Size {
				return usagef("--overlap %d is not between 0 and --size less one (%d)", doc.Overlap, doc.Size-1)
			}
			text, err := readDocument(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			doc.Name, doc.Text = filepath.Base(args[0]), string(text)
			chunks, err := chunkDocument(c.Context(), &doc)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), chunks)
			}
			return printChunks(c.OutOrStdout(), doc.Text, chunks)
		},
	}
	f := c.Flags()
	f.StringVar(&doc.Strategy, "strategy", "", "fixed, recursive, sentence, markdown, html, code or semantic (default: by kind of file)")
	f.StringVar(&profile, "profile", "", "legal (500/100), general (1000/200), conversation (300/50, sentences) or code (1500, by function)")
	f.IntVar(&doc.Size, "size", 1000, "size of a chunk at most, in Unicode code points")
	f.IntVar(&doc.Overlap, "overlap", 0, "what a chunk repeats of the one before it at most, in Unicode code points")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// readDocument reads a file, or standard input for "-". Bytes that are not UTF-8 become question marks one by one, so
// that offsets stay those of the file.
func readDocument(file string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("the document is larger than %d MiB; split it first", maxDocument>>20)
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			text[i] = '?'
		}
		i += n
	}
	return text, nil
}

// chunkDocument runs the chunker. Its limits grow with the document: a person waits for it, no request does.
func chunkDocument(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
	module, _, err := plugins.Builtin("chunker")
	if err != nil {
		return nil, err
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, err
	}
	defer h.Close(context.WithoutCancel(ctx))
	size := len(doc.Text)
	p, err := h.Load(ctx, module, wasm.PluginOptions{Name: "chunker", Limits: wasm.Limits{
		Timeout:     30*time.Second + time.Duration(size)*10*time.Microsecond, // 100 KB/s and half a minute
		Fuel:        1 << 62,
		MemoryBytes: 2 << 30,
		OutputBytes: 1 << 30,
		HostCalls:   1 << 30, // the guest reads 8 bytes a call
	}})
	if err != nil {
		return nil, err
	}
	res, err := p.Call(ctx, wasm.Call{Export: hook.ExportChunk, Input: doc.AppendJSON(nil)})
	if err != nil {
		return nil, err
	}
	var list hook.ChunkList
	if err := list.ParseJSON(res.Output); err != nil {
		return nil, fmt.Errorf("the chunker's answer: %w", err)
	}
	if err := list.Check(doc.Text); err != nil {
		return nil, fmt.Errorf("the chunker's answer: %w", err)
	}
	return list.Chunks, nil
}

// printChunks prints a line for each chunk: its range, its headings and how it begins.
func printChunks(w io.Writer, text string, chunks []hook.Chunk) error {
	for _, k := range chunks {
		begin := strings.Join(strings.Fields(text[k.Start:min(k.End, k.Start+400)]), " ")
		if r := []rune(begin); len(r) > 60 {
			begin = string(r[:60]) + "..."
		}
		if _, err := fmt.Fprintf(w, "%d-%d\t%s\t%s\n", k.Start, k.End, strings.Join(k.Heading, " > "), strings.ToValidUTF8(begin, "")); err != nil {
			return err
		}
	}
	return nil
}
