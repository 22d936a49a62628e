package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"
)

type options struct {
	dir, ledge, peer       string
	threads, busy          []int
	rounds, prompt, tokens int
}

// figures are one side's measurements, tokens a second.
type figures struct{ prefill, decode []float64 }

// beside is what the engine says about the machine and itself.
type beside struct {
	read, load, weights float64 // bytes a second, ms, bytes a token
	rss                 float64
	kernels             string
}

func (o *options) measure(ctx context.Context, title, path string) error {
	for _, t := range o.threads {
		var us, them figures
		var b beside
		for range o.rounds {
			if err := o.round(ctx, path, t, &us, &them, &b); err != nil {
				return err
			}
		}
		fmt.Printf("%-22s %d threads, kernels %s, load %.0f ms, peak resident %.0f MB of a %.0f MB file\n", title, t, b.kernels, b.load, b.rss/1e6, size(path)/1e6)
		o.line(fmt.Sprintf("  prefill %d", o.prompt), us.prefill, them.prefill, "")
		rate := median(us.decode) * b.weights
		o.line(fmt.Sprintf("  decode %d", o.tokens), us.decode, them.decode, fmt.Sprintf(", %.1f of %.1f GB/s read: %.2f", rate/1e9, b.read/1e9, rate/b.read))
	}
	return o.measureBusy(ctx, path)
}

func (o *options) line(title string, us, them []float64, more string) {
	fmt.Printf("%-16s ledge %8.1f tok/s", title, median(us))
	if len(them) > 0 {
		fmt.Printf(", llama.cpp %8.1f, ratio %.2f", median(them), median(us)/median(them))
	}
	fmt.Println(more)
}

// round asks both once for prefill and once for decode.
func (o *options) round(ctx context.Context, path string, threads int, us, them *figures, b *beside) error {
	p, _, err := o.askLedge(ctx, path, threads, o.prompt, 1, b)
	if err != nil {
		return err
	}
	_, d, err := o.askLedge(ctx, path, threads, 8, o.tokens, b)
	if err != nil {
		return err
	}
	us.prefill, us.decode = append(us.prefill, p), append(us.decode, d)
	if o.peer == "" {
		return nil
	}
	p, d, err = o.askPeer(ctx, path, threads, o.prompt, o.tokens)
	if err != nil {
		return err
	}
	them.prefill, them.decode = append(them.prefill, p), append(them.decode, d)
	return nil
}

func (o *options) askLedge(ctx context.Context, path string, threads, prompt, tokens int, b *beside) (prefill, decode float64, err error) {
	out, err := output(exec.CommandContext(ctx, o.ledge, "model", "bench", "--model", path, "-p", strconv.Itoa(prompt), "-n", strconv.Itoa(tokens), "-t", strconv.Itoa(threads), "-r", "1", "--json"))
	if err != nil {
		return 0, 0, err
	}
	var r struct {
		Prefill struct{ Median float64 } `json:"pp"`
		Decode  struct{ Median float64 } `json:"tg"`
		RSS     float64                  `json:"rss_peak_bytes"`
		Load    float64                  `json:"load_ms"`
		Read    float64                  `json:"read_bytes_per_second"`
		Weights float64                  `json:"weight_bytes_per_token"`
		Kernels string                   `json:"kernels"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, 0, fmt.Errorf("what ledge printed: %w", err)
	}
	*b = beside{read: max(b.read, r.Read), load: r.Load, weights: r.Weights, rss: max(b.rss, r.RSS), kernels: r.Kernels}
	return r.Prefill.Median, r.Decode.Median, nil
}

// askPeer runs llama-bench with its own defaults: mapped weights, repacked where it does that, F16 cache.
func (o *options) askPeer(ctx context.Context, path string, threads, prompt, tokens int) (prefill, decode float64, err error) {
	out, err := output(exec.CommandContext(ctx, o.peer, "-m", path, "-p", strconv.Itoa(prompt), "-n", strconv.Itoa(tokens), "-t", strconv.Itoa(threads), "-r", "1", "-o", "json"))
	if err != nil {
		return 0, 0, err
	}
	var tests []struct {
		Prompt int     `json:"n_prompt"`
		Speed  float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(out, &tests); err != nil {
		return 0, 0, fmt.Errorf("what llama-bench printed: %w", err)
	}
	for _, t := range tests {
		if t.Prompt > 0 {
			prefill = t.Speed
		} else {
			decode = t.Speed
		}
	}
	return prefill, decode, nil
}

// patience is how long a decode beside busy processes may take.
const patience = 30 * time.Second

// measureBusy decodes at all threads beside processes that keep processors busy, as a device that does other work has.
func (o *options) measureBusy(ctx context.Context, path string) error {
	if len(o.busy) == 0 {
		return nil
	}
	all := runtime.NumCPU()
	decode := func() (us, them float64, err error) {
		var b beside
		var a, c []float64
		for range o.rounds {
			_, d, err := o.askLedge(ctx, path, all, 8, o.tokens, &b)
			if err != nil {
				return 0, 0, err
			}
			a = append(a, d)
		}
		if o.peer != "" {
			limited, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_, d, err := o.askPeer(limited, path, all, 0, o.tokens)
			if err != nil && limited.Err() == nil {
				return 0, 0, err
			}
			c = append(c, d) // 0: not in time
		}
		return median(a), median(c), ctx.Err()
	}
	quiet, quietPeer, err := decode()
	if err != nil {
		return err
	}
	for _, n := range o.busy {
		stop, err := startBusy(ctx, n)
		if err != nil {
			return err
		}
		us, them, err := decode()
		stop()
		if err != nil {
			return err
		}
		fmt.Printf("  decode %d beside %d busy processes: ledge %.1f tok/s, %.2f of its quiet speed", o.tokens, n, us, us/quiet)
		switch {
		case o.peer == "":
		case them == 0:
			fmt.Printf("; llama.cpp does not finish %d tokens in %s", o.tokens, patience)
		default:
			fmt.Printf("; llama.cpp %.1f, %.2f of its own", them, them/quietPeer)
		}
		fmt.Println()
	}
	return nil
}

// startBusy keeps n processors busy until the returned function is called.
func startBusy(ctx context.Context, n int) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running []*exec.Cmd
	stop = func() {
		cancel()
		for _, c := range running {
			c.Wait()
		}
	}
	for range n {
		c := exec.CommandContext(ctx, self, "-burn")
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		running = append(running, c)
	}
	return stop, nil
}

func output(c *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		tail := errs.Bytes()
		return nil, errors.Join(fmt.Errorf("%s: %w", c.Path, err), errors.New(string(tail[max(0, len(tail)-500):])))
	}
	return out.Bytes(), nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func size(path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(info.Size())
}
