// Command chunk measures how fast documents are cut, in one run: each strategy natively over the whole, and in the
// sandbox as `ledge chunk` and ingest cut, from reading pieces to reading the answers, over a text that it makes itself. It prints megabytes (10^6 bytes) per second, median of the runs, and the ratio of the two.
//
// splitters.py beside it cuts the same text (-text FILE writes it) with the splitters that Python programs use.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/plugins/chunker"
	"github.com/ledge-run/ledge/runtime/chunking"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// figures are the speeds of a strategy, in MB/s.
type figures struct {
	Strategy string  `json:"strategy"`
	Native   float64 `json:"native_mb_s"`
	Sandbox  float64 `json:"sandbox_mb_s"`
	Ratio    float64 `json:"native_to_sandbox"`
	Chunks   int     `json:"chunks"`
}

func main() {
	size := flag.Int("bytes", 10e6, "length of the text")
	runs := flag.Int("runs", 5, "runs of each, of which the median counts")
	chunkSize := flag.Int("size", 1000, "size of a chunk in code points")
	overlap := flag.Int("overlap", 100, "overlap in code points")
	only := flag.String("strategy", "", "only this strategy")
	file := flag.String("text", "", "write the text to this file and stop")
	asJSON := flag.Bool("json", false, "print one JSON document")
	flag.Parse()
	text := makeText(*size)
	if *file != "" {
		if err := os.WriteFile(*file, []byte(text), 0o644); err != nil {
			fail(err)
		}
		return
	}
	var all []figures
	for _, s := range chunker.Strategies() {
		if *only != "" && s != *only {
			continue
		}
		f, err := measure(&hook.Document{Text: text, Strategy: s, Size: *chunkSize, Overlap: *overlap}, *runs)
		if err != nil {
			fail(fmt.Errorf("%s: %w", s, err))
		}
		all = append(all, *f)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"bytes": len(text), "size": *chunkSize, "overlap": *overlap, "results": all})
		return
	}
	fmt.Printf("%d bytes, chunks of %d, overlap %d\n%-12s %12s %12s %10s %8s\n", len(text), *chunkSize, *overlap, "strategy", "native MB/s", "sandbox MB/s", "native/sb", "chunks")
	for _, f := range all {
		fmt.Printf("%-12s %12.0f %12.0f %10.2f %8d\n", f.Strategy, f.Native, f.Sandbox, f.Ratio, f.Chunks)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "chunk:", err)
	os.Exit(1)
}

func measure(doc *hook.Document, runs int) (*figures, error) {
	ctx := context.Background()
	module, _, err := plugins.Builtin("chunker")
	if err != nil {
		return nil, err
	}
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return nil, err
	}
	defer h.Close(ctx)
	p, err := h.Load(ctx, module, wasm.PluginOptions{Name: "chunker", Limits: wasm.Limits{
		Timeout: time.Minute, Fuel: 1 << 62, MemoryBytes: 2 << 30, OutputBytes: 1 << 30, HostCalls: 1 << 30}})
	if err != nil {
		return nil, err
	}
	native, err := chunker.New(func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	cutter := chunking.Cutter{Chunk: chunking.With(p)}
	f := &figures{Strategy: doc.Strategy}
	var in, out []float64
	for range runs {
		begun := time.Now()
		list, err := native.Chunk((*sdk.Document)(doc))
		if err != nil {
			return nil, err
		}
		out = append(out, float64(len(doc.Text))/1e6/time.Since(begun).Seconds())
		begun = time.Now()
		n := 0
		if err := cutter.Cut(ctx, strings.NewReader(doc.Text), *doc, func(hook.Chunk, string) error { n++; return nil }); err != nil {
			return nil, err
		}
		in = append(in, float64(len(doc.Text))/1e6/time.Since(begun).Seconds())
		if f.Chunks = n; n != len(list.Chunks) && doc.Strategy != chunker.Semantic {
			return nil, fmt.Errorf("%d chunks in the sandbox, %d natively", n, len(list.Chunks))
		}
	}
	slices.Sort(in)
	slices.Sort(out)
	f.Sandbox, f.Native = in[len(in)/2], out[len(out)/2]
	f.Ratio = f.Native / f.Sandbox
	return f, nil
}
