package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

const (
	tokenBytes   = 4   // of a piece, as of an average token
	contextBytes = 256 // that a guard sees of what was released
)

// stream shows each text to the sandboxed guards as an answer that grows by a token, and prints how much they hold back and
// what a token takes longer.
func stream(ctx context.Context, guests map[string]*wasm.Plugin) error {
	fmt.Printf("\nAn answer of 4 KB that comes %d bytes at a time, with %d bytes of context: a call a token.\n", tokenBytes, contextBytes)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "text\tguard\theld back, mean\tmost\ta token p50\tp99\t\n")
	for _, name := range []string{"prose", "mail", "code", "mixed"} {
		for _, guard := range inputGuards {
			answer := texts[name]
			held, most, released := 0, 0, 0
			var took []time.Duration
			for end := 0; end < len(answer); {
				end = min(end+tokenBytes, len(answer))
				for end < len(answer) && !utf8.RuneStart(answer[end]) {
					end++
				}
				from := max(0, released-contextBytes)
				for !utf8.RuneStart(answer[from]) {
					from++
				}
				req := &hook.GuardRequest{Stage: hook.StageOutput, Role: "assistant", Text: answer[from:end], Start: released - from, Final: end == len(answer)}
				start := time.Now()
				res, err := guests[guard].Call(ctx, wasm.Call{Export: hook.ExportGuard, Input: req.AppendJSON(nil)})
				if err != nil {
					return err
				}
				var v hook.Verdict
				if err := v.ParseJSON(res.Output); err != nil {
					return err
				}
				took = append(took, time.Since(start))
				released = max(released, end-v.Hold)
				held, most = held+end-released, max(most, end-released)
			}
			p50, p99 := quantiles(took)
			fmt.Fprintf(t, "%s\t%s\t%d bytes\t%d bytes\t%v\t%v\t\n", name, guard, held/len(took), most, p50.Round(time.Microsecond), p99.Round(time.Microsecond))
		}
	}
	return t.Flush()
}
