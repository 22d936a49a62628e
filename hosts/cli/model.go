package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/template"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

func newModelCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Inspect and run model files",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; see ledge model --help", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newModelInspectCommand(), newModelRunCommand(), newModelTokenizeCommand(), newModelLogitsCommand(), newModelEmbedCommand(), newModelBenchCommand(), newModelQuantizeCommand(),
		newModelImportCommand(), newModelListCommand(), newModelRemoveCommand())
	return c
}

// modelFlags are the flags of every verb that opens a model.
type modelFlags struct {
	file    string
	threads int
	json    bool
}

func (f *modelFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "model", "", "GGUF `FILE`")
	c.Flags().IntVarP(&f.threads, "threads", "t", 0, "threads (default: one a processor)")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

// orArgument takes an argument as the model's file, for people who leave --model away.
func (f *modelFlags) orArgument(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case len(args) > 1 || f.file != "":
		return usagef("unexpected argument %q; see %s --help", args[len(args)-1], c.CommandPath())
	}
	f.file = args[0]
	return nil
}

// open loads the model with a cache that keeps keys and values exactly as computed.
func (f *modelFlags) open() (*engine.Engine, error) {
	return f.openWith(engine.Options{ExactKV: true})
}

func (f *modelFlags) openWith(o engine.Options) (*engine.Engine, error) {
	if f.file == "" {
		return nil, usagef("--model FILE.gguf is missing")
	}
	if f.threads < 0 || f.threads > 1024 {
		return nil, usagef("--threads %d is not between 0 and 1024", f.threads)
	}
	o.Threads, o.MaxKVBytes = f.threads, 1<<40
	e, err := engine.Open(f.file, o)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", f.file, err)
	}
	return e, nil
}

func newModelInspectCommand() *cobra.Command {
	var f modelFlags
	c := &cobra.Command{
		Use: "inspect", Short: "Show what a model file holds and what it needs",
		Example: "  ledge model inspect --model model.gguf", Args: f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := f.open()
			if err != nil {
				return err
			}
			defer e.Close()
			digest, err := e.Digest()
			if err != nil {
				return err
			}
			info, meta := e.Info(), map[string]any{}
			for _, k := range e.File().Keys() {
				meta[k] = e.File().Describe(k)
			}
			if f.json {
				return printJSON(c.OutOrStdout(), map[string]any{"info": info, "digest": digest, "metadata": meta})
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "name          %s\narchitecture  %s\ndigest        %s\nfile          %d MiB, %d tensors, %.1f M parameters\n",
				info.Name, info.Architecture, digest, info.FileBytes>>20, len(e.File().Tensors()), float64(info.Parameters)/1e6)
			fmt.Fprintf(w, "shape         %d layers of %d, vocabulary of %d\ncontext       %d tokens\n", info.Layers, info.Embedding, info.Vocabulary, info.TrainedTokens)
			fmt.Fprintf(w, "memory        weights %d MiB + %d bytes of cache a token: %d MiB at %d tokens\n", info.FileBytes>>20, info.CacheBytes,
				(info.FileBytes+info.CacheBytes*int64(info.ContextTokens))>>20, info.ContextTokens)
			for _, name := range slices.Sorted(maps.Keys(info.Types)) {
				fmt.Fprintf(w, "tensors       %4d %s\n", info.Types[name], name)
			}
			fmt.Fprintf(w, "chat template %s\n\n", map[bool]string{true: "its own", false: "none; the plain one is used"}[info.HasTemplate])
			for _, k := range e.File().Keys() {
				fmt.Fprintf(w, "%-44s %v\n", k, meta[k])
			}
			return nil
		},
	}
	f.register(c)
	return c
}

func newModelTokenizeCommand() *cobra.Command {
	var f modelFlags
	var input string
	var noSpecial, parse bool
	c := &cobra.Command{
		Use: "tokenize", Short: "Turn text into token ids",
		Example: "  ledge model tokenize --model model.gguf --input 'Hello world'\n  ledge model tokenize --model model.gguf --input @file.txt --no-special --json",
		Args:    f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := f.open()
			if err != nil {
				return err
			}
			defer e.Close()
			text, err := readInput(input, c.InOrStdin())
			if err != nil {
				return err
			}
			ids := e.Tokenizer().Encode(string(text), tokenizer.Options{AddSpecial: !noSpecial, ParseSpecial: parse})
			if ids == nil {
				ids = []int32{}
			}
			if f.json {
				return printJSON(c.OutOrStdout(), map[string]any{"tokens": ids})
			}
			for _, id := range ids {
				fmt.Fprintf(c.OutOrStdout(), "%7d  %q\n", id, e.Tokenizer().Piece(id))
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&input, "input", "-", "text: `S`, @FILE, or - for standard input")
	c.Flags().BoolVar(&noSpecial, "no-special", false, "add no token for the beginning or end")
	c.Flags().BoolVar(&parse, "parse-special", false, "read spellings of special tokens in the text as those tokens")
	return c
}

func newModelLogitsCommand() *cobra.Command {
	var f modelFlags
	var tokens string
	var top int
	c := &cobra.Command{
		Use: "logits", Short: "Show the logits after the last of some tokens",
		Example: "  ledge model logits --model model.gguf --tokens 1,403,407 --top 20 --json", Args: f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			ids, err := parseTokens(tokens)
			if err != nil {
				return err
			}
			if top < 1 {
				return usagef("--top %d is not at least 1", top)
			}
			e, err := f.open()
			if err != nil {
				return err
			}
			defer e.Close()
			logits, err := e.Logits(c.Context(), ids)
			if err != nil {
				return err
			}
			type logit struct {
				ID    int32   `json:"id"`
				Logit float32 `json:"logit"`
			}
			all := make([]logit, len(logits))
			for i, l := range logits {
				all[i] = logit{int32(i), l}
			}
			slices.SortStableFunc(all, func(a, b logit) int { return cmp.Compare(b.Logit, a.Logit) })
			all = all[:min(top, len(all))]
			if f.json {
				return printJSON(c.OutOrStdout(), map[string]any{"logits": all})
			}
			for _, l := range all {
				fmt.Fprintf(c.OutOrStdout(), "%7d  %12.6f  %q\n", l.ID, l.Logit, e.Tokenizer().Piece(l.ID))
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&tokens, "tokens", "", "token ids, separated by commas")
	c.Flags().IntVar(&top, "top", 20, "show the `N` highest")
	return c
}

func parseTokens(text string) ([]int32, error) {
	if text == "" {
		return nil, usagef("--tokens is missing; write for example --tokens 1,2,3")
	}
	var ids []int32
	for part := range strings.SplitSeq(text, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if err != nil || id < 0 {
			return nil, usagef("--tokens: %q is not a token id", part)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

func newModelRunCommand() *cobra.Command {
	var f modelFlags
	var prompt, draft string
	var n int
	var chat bool
	var stop []string
	var p sample.Params
	c := &cobra.Command{
		Use: "run", Short: "Continue a prompt, without plugins",
		Example: "  ledge model run --model model.gguf -p 'Once upon a time' -n 100 --temp 0\n  ledge model run --model model.gguf --chat -p 'Why is the sky blue?'",
		Args:    f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := f.openWith(engine.Options{ExactKV: true, Draft: draft})
			if err != nil {
				return err
			}
			defer e.Close()
			text, err := readInput(prompt, c.InOrStdin())
			if err != nil {
				return err
			}
			return runModel(c.Context(), e, string(text), chat, engine.Request{MaxTokens: n, Sampling: p, Stop: stop, Reproducible: c.Flags().Changed("seed")}, f.json, c.OutOrStdout())
		},
	}
	f.register(c)
	c.Flags().StringVarP(&prompt, "prompt", "p", "", "prompt: `S`, @FILE, or - for standard input")
	c.Flags().IntVarP(&n, "max-tokens", "n", 128, "most tokens of the answer; 0: until the context is full")
	c.Flags().BoolVar(&chat, "chat", false, "put the prompt through the model's chat template")
	c.Flags().StringArrayVar(&stop, "stop", nil, "end before this `STRING`; may be repeated")
	c.Flags().Float64Var(&p.Temperature, "temp", 0.7, "temperature; 0 takes the likeliest token")
	c.Flags().Float64Var(&p.TopP, "top-p", 1, "keep the likeliest tokens up to this probability")
	c.Flags().Float64Var(&p.MinP, "min-p", 0, "drop tokens less likely than this part of the likeliest")
	c.Flags().IntVar(&p.TopK, "top-k", 0, "keep the `K` likeliest tokens; 0: all")
	c.Flags().Uint64Var(&p.Seed, "seed", 0, "seed of the sampling")
	c.Flags().StringVar(&draft, "draft", "", "GGUF `FILE` of a smaller model with the same vocabulary, whose tokens are proposed")
	return c
}

func runModel(ctx context.Context, e *engine.Engine, prompt string, chat bool, r engine.Request, asJSON bool, w io.Writer) error {
	o := tokenizer.Options{AddSpecial: true}
	if chat {
		rendered, err := e.Template().Render(template.Input{Messages: []template.Message{{Role: "user", Content: e.Tokenizer().Quote(prompt)}}, AddGenerationPrompt: true})
		if err != nil {
			return fmt.Errorf("chat template: %w", err)
		}
		prompt, o.ParseSpecial = rendered, true
	}
	r.Prompt = e.EncodePrompt(prompt, o)
	tokens := []int32{}
	var text strings.Builder
	res, err := e.Generate(ctx, r, func(t engine.Token) error {
		if t.ID >= 0 {
			tokens = append(tokens, t.ID)
		}
		text.WriteString(t.Text)
		if asJSON {
			return nil
		}
		_, err := io.WriteString(w, t.Text)
		return err
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, map[string]any{"prompt_tokens": r.Prompt, "tokens": tokens, "text": text.String(), "finish_reason": res.FinishReason})
	}
	fmt.Fprintln(w)
	return nil
}

func newModelBenchCommand() *cobra.Command {
	var f modelFlags
	var prompt, n, reps, parallel, prefix int
	c := &cobra.Command{
		Use: "bench", Short: "Measure prefill and decode in tokens a second",
		Example: "  ledge model bench --model model.gguf -p 512 -n 128 -t 4 -r 5 --json\n  ledge model bench --model model.gguf -n 32 --parallel 8 --prefix 1000", Args: f.orArgument,
		RunE: func(c *cobra.Command, _ []string) error {
			if prompt < 1 || n < 1 || reps < 1 || parallel < 0 || prefix < 0 {
				return usagef("-p, -n and -r must be at least 1, --parallel and --prefix not negative")
			}
			begin := time.Now()
			e, err := f.openWith(engine.Options{}) // with the cache that serves
			if err != nil {
				return err
			}
			defer e.Close()
			loaded := time.Since(begin)
			if _, _, err := e.Measure(c.Context(), []int32{0, 1, 2, 3}, 1); err != nil { // so that the weights are in memory
				return err
			}
			pp, tg := make([]float64, reps), make([]float64, reps)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range reps {
				ids := make([]int32, prompt)
				for k := range ids {
					ids[k] = int32(r.IntN(e.Info().Vocabulary))
				}
				p, d, err := e.Measure(c.Context(), ids, n)
				if err != nil {
					return err
				}
				pp[i], tg[i] = float64(prompt)/p.Seconds(), float64(n)/d.Seconds()
			}
			stats := func(v []float64) map[string]any {
				s := slices.Sorted(slices.Values(v))
				return map[string]any{"median": s[len(s)/2], "min": s[0], "max": s[len(s)-1], "runs": v}
			}
			out := map[string]any{"pp": stats(pp), "tg": stats(tg), "rss_bytes": residentBytes(), "rss_peak_bytes": peakResidentBytes(),
				"load_ms": float64(loaded.Microseconds()) / 1000,
				"threads": e.Info().Threads, "kernels": kernel.Path(), "prompt": prompt, "tokens": n}
			read, err := e.ReadSpeed()
			if err != nil {
				return err
			}
			out["read_bytes_per_second"], out["weight_bytes_per_token"] = read, e.WeightBytes()
			if parallel > 0 {
				single, many := make([]float64, reps), make([]float64, reps)
				for i := range reps { // alternating, so that what else the machine does meets both
					for _, m := range []struct {
						sequences int
						to        *float64
					}{{1, &single[i]}, {parallel, &many[i]}} {
						if *m.to, err = e.MeasureParallel(c.Context(), m.sequences, min(prompt, 64), n); err != nil {
							return err
						}
					}
				}
				out["parallel"] = map[string]any{"sequences": parallel, "one": stats(single), "all": stats(many),
					"ratio": stats(many)["median"].(float64) / stats(single)["median"].(float64)}
			}
			if prefix > 0 {
				first, second, err := e.MeasurePrefix(c.Context(), prefix)
				if err != nil {
					return err
				}
				out["prefix"] = map[string]any{"tokens": prefix, "first_ms": float64(first.Microseconds()) / 1000,
					"second_ms": float64(second.Microseconds()) / 1000, "ratio": second.Seconds() / first.Seconds()}
			}
			if f.json {
				return printJSON(c.OutOrStdout(), out)
			}
			if p, ok := out["parallel"].(map[string]any); ok {
				fmt.Fprintf(c.OutOrStdout(), "decode of %d sequences  %9.1f tok/s, %.2f times that of one\n", parallel, p["all"].(map[string]any)["median"], p["ratio"])
			}
			if p, ok := out["prefix"].(map[string]any); ok {
				fmt.Fprintf(c.OutOrStdout(), "first token with %d shared tokens: %.1f ms, then %.1f ms (%.1f%%)\n", prefix, p["first_ms"], p["second_ms"], 100*p["ratio"].(float64))
			}
			rate := out["tg"].(map[string]any)["median"].(float64) * float64(e.WeightBytes())
			fmt.Fprintf(c.OutOrStdout(), "prefill of %d tokens  %9.1f tok/s\ndecode of %d tokens   %9.1f tok/s, %.1f GB/s of weights where a loop that only reads does %.1f\nload %.1f ms, resident %d MiB, %d threads, kernels %s\n",
				prompt, out["pp"].(map[string]any)["median"], n, out["tg"].(map[string]any)["median"], rate/1e9, read/1e9, out["load_ms"], residentBytes()>>20, e.Info().Threads, kernel.Path())
			return nil
		},
	}
	f.register(c)
	c.Flags().IntVarP(&prompt, "prompt", "p", 512, "tokens of the prompt")
	c.Flags().IntVarP(&n, "tokens", "n", 128, "tokens decoded")
	c.Flags().IntVar(&parallel, "parallel", 0, "also decode `N` sequences at once, and compare with one")
	c.Flags().IntVar(&prefix, "prefix", 0, "also measure the time to the first token of a second prompt that shares `N` tokens with the first")
	c.Flags().IntVarP(&reps, "repetitions", "r", 5, "repetitions")
	return c
}

// peakResidentBytes is the most memory that this process has had, 0 where the system does not say.
func peakResidentBytes() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// residentBytes is the memory of this process as the system sees it, or what Go took where the system does not say.
func residentBytes() int64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
