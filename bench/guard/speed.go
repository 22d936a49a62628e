package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ledge-run/ledge/plugins"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/manifest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// texts are 4 KB each of what users send.
var texts = map[string]string{
	"prose": fill("The committee met again in the afternoon to talk about the budget of the next year. Nobody had expected that the costs of the bridge would rise so quickly, and the mayor asked for a second opinion. "),
	"mail":  fill("Dear Ms Lindqvist,\nthank you for your call of 12 May. Please send the signed contract to office@firm.example or to 14 Kingsley Road, Leeds. Our number is +44 7700 900123, IBAN DE89 3704 0044 0532 0130 00.\nBest regards, Tomasz Kowalczyk\n\n"),
	"code":  fill("func send(message string) error {\n\tif message == \"\" { // ignore empty messages\n\t\treturn errors.New(\"empty\")\n\t}\n\tqueue = append(queue, item{id: 42, key: os.Getenv(\"API_KEY\")})\n\treturn nil\n}\n\n"),
	"mixed": fill("Überprüfe bitte die Einträge: größer als zehn, naïve Schätzung. 请检查以下内容。Проверь, пожалуйста, список. Voici la réponse à vos questions. "),
}

func fill(s string) string {
	s = strings.Repeat(s, 4096/len(s)+1)[:4096]
	return strings.ToValidUTF8(s, "")
}

type timing struct {
	p50, p99 time.Duration
	fuel     uint64
	memory   uint64
}

// speed times each guard and all of them together on every text, sandboxed and native in turn.
func speed(ctx context.Context, native map[string]judge, rounds int) error {
	fmt.Printf("\n4 KB a text, %d calls, %s %s/%s. Time is of a whole call: JSON, copies and sandbox included.\n", rounds, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	h, err := wasm.New(ctx, wasm.Options{})
	if err != nil {
		return err
	}
	defer h.Close(ctx)
	guests := map[string]*wasm.Plugin{}
	for _, name := range inputGuards {
		module, doc, err := plugins.Builtin(name)
		if err != nil {
			return err
		}
		m, err := manifest.Parse(doc)
		if err != nil {
			return err
		}
		guests[name], err = h.Load(ctx, module, wasm.PluginOptions{Name: name, Config: m.Config, Limits: wasm.Limits{Timeout: time.Second, MemoryBytes: 64 << 20}})
		if err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "text\tguard\tp50\tp99\tfuel\tmemory\tnative p50\tratio\t\n")
	for _, name := range []string{"prose", "mail", "code", "mixed"} {
		req := &hook.GuardRequest{Stage: hook.StageInput, Role: "user", Text: texts[name], Final: true}
		for _, guards := range append(single(inputGuards), inputGuards) {
			s, n, err := measure(ctx, guards, guests, native, req, rounds)
			if err != nil {
				return err
			}
			label, held := guards[0], ""
			if len(guards) > 1 {
				label, held = "together", holds(s.p50 < time.Millisecond)+" 1 ms"
			}
			fmt.Fprintf(t, "%s\t%s\t%v\t%v\t%d\t%d KiB\t%v\t%.1fx\t%s\n", name, label, s.p50.Round(time.Microsecond), s.p99.Round(time.Microsecond), s.fuel, s.memory>>10,
				n.p50.Round(time.Microsecond), float64(s.p50)/float64(n.p50), held)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return stream(ctx, guests)
}

func single(names []string) (out [][]string) {
	for _, n := range names {
		out = append(out, []string{n})
	}
	return out
}

// measure lets sandboxed and native calls take turns, so that both see the same machine.
func measure(ctx context.Context, guards []string, guests map[string]*wasm.Plugin, native map[string]judge, req *hook.GuardRequest, rounds int) (s, n timing, err error) {
	var sandboxed, natively []time.Duration
	input := make([]byte, 0, 8192)
	for i := range rounds + rounds/10 {
		s.fuel, s.memory = 0, 0
		start := time.Now()
		for _, g := range guards {
			input = req.AppendJSON(input[:0])
			res, err := guests[g].Call(ctx, wasm.Call{Export: hook.ExportGuard, Input: input})
			if err != nil {
				return s, n, fmt.Errorf("%s: %w", g, err)
			}
			var v hook.Verdict
			if err := v.ParseJSON(res.Output); err != nil {
				return s, n, err
			}
			s.fuel, s.memory = s.fuel+res.Fuel, s.memory+res.MemoryPeak
		}
		middle := time.Now()
		for _, g := range guards {
			native[g](req)
		}
		if end := time.Now(); i >= rounds/10 { // the first are warm-up
			sandboxed, natively = append(sandboxed, middle.Sub(start)), append(natively, end.Sub(middle))
		}
	}
	s.p50, s.p99 = quantiles(sandboxed)
	n.p50, n.p99 = quantiles(natively)
	return s, n, nil
}

func quantiles(d []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100]
}
