// Command slm measures the engine against llama.cpp on the same files in the same run. The files have the shapes of
// well-known small models and random weights; they are made when they are not there.
//
// For each file and number of threads both are asked in turn, so that what else the machine does meets both: prefill of
// 512 tokens and decode of 64, each from an empty context. The medians and their ratio are printed, and beside them the
// speed at which this machine reads memory, measured between the two: decode reads every weight once a token.
//
//	make build && bench/slm/peer.sh           # builds llama-bench from the source that PyPI's llama-cpp-python carries
//	go run ./bench/slm -dir DIR               # all shapes and types at 1 and 2 threads
//	go run ./bench/slm -dir DIR -shapes qwen2.5-0.5b -types Q4_0 -threads 1 -busy 1,2
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "folder of the model files; they are made when they are not there")
	flag.StringVar(&o.ledge, "ledge", "bin/ledge", "the ledge binary")
	flag.StringVar(&o.peer, "llama-bench", "bench/slm/peer/llama-bench", "llama.cpp's llama-bench; empty: measure the engine alone")
	shapes := flag.String("shapes", "qwen2.5-0.5b,llama-3.2-1b", "shapes, separated by commas; also smollm2-135m")
	types := flag.String("types", "Q4_0,Q4_K_M,Q8_0", "types, separated by commas")
	threads := flag.String("threads", defaultThreads(), "numbers of threads, separated by commas")
	busy := flag.String("busy", "", "also decode at all threads beside so many busy processes, separated by commas")
	flag.IntVar(&o.rounds, "rounds", 3, "measurements of each")
	flag.IntVar(&o.prompt, "p", 512, "tokens of the prefill")
	flag.IntVar(&o.tokens, "n", 64, "tokens decoded")
	only := flag.Bool("make", false, "only make the files")
	burn := flag.Bool("burn", false, "only keep a processor busy")
	flag.Parse()
	if *burn {
		burnProcessor()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := func() error {
		var err error
		if o.dir == "" {
			return errors.New("-dir is missing: a folder for the model files, a few GB")
		}
		if o.threads, err = numbers(*threads); err != nil {
			return err
		}
		if o.busy, err = numbers(*busy); err != nil {
			return err
		}
		if _, err := os.Stat(o.peer); err != nil && o.peer != "" {
			fmt.Fprintf(os.Stderr, "bench/slm: no %s, so the engine is measured alone; bench/slm/peer.sh builds it\n", o.peer)
			o.peer = ""
		}
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
		for _, name := range strings.Split(*shapes, ",") {
			s, err := shapeNamed(name)
			if err != nil {
				return err
			}
			for _, t := range strings.Split(*types, ",") {
				path, err := s.file(ctx, o.dir, t)
				if err != nil {
					return fmt.Errorf("%s in %s: %w", name, t, err)
				}
				if *only {
					continue
				}
				if err := o.measure(ctx, name+" "+t, path); err != nil {
					return fmt.Errorf("%s in %s: %w", name, t, err)
				}
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/slm:", err)
		os.Exit(1)
	}
}

// defaultThreads is 1, 2, ... up to all.
func defaultThreads() string {
	all := runtime.NumCPU()
	out := "1"
	for n := 2; n < all; n *= 2 {
		out += "," + strconv.Itoa(n)
	}
	if all > 1 {
		out += "," + strconv.Itoa(all)
	}
	return out
}

func numbers(s string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 1024 {
			return nil, fmt.Errorf("%q is not a number between 1 and 1024", part)
		}
		out = append(out, n)
	}
	return out, nil
}

// burnProcessor computes until it is killed, or its parent is gone.
func burnProcessor() {
	parent, x := os.Getppid(), uint64(1)
	for {
		for range 1 << 28 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if os.Getppid() != parent || x == 0 {
			os.Exit(0)
		}
		time.Sleep(0)
	}
}
