// Command gateway measures what the whole pipeline adds to a request: router and two guards, each a sandboxed plugin,
// in front of a mock model server. In the same run the mock is asked directly, through ledge, and through the peers that
// are installed: nginx, which only passes bytes on, Portkey's gateway (npm) and LiteLLM's proxy (pip). All see the same
// machine: requests one after the other in short blocks, each way in turn, then streams at a fixed rate, each way for a while.
//
//	make build && go run ./bench/gateway                 # Portkey: cd bench/gateway && npm ci; nginx: apt install nginx
//	go run ./bench/gateway -litellm /path/to/litellm     # pip install 'litellm[proxy]'
//	go run ./bench/gateway -only ledge,nginx -rate 1000 -seconds 20
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	n, warm, block int
	seconds        float64
	rates          string
	only           string
	ledge          string
	portkey        string
	litellm        string
	json           bool
}

func main() {
	var s settings
	flag.IntVar(&s.n, "n", 2000, "measured requests of each way and kind; 0 leaves them out")
	flag.IntVar(&s.warm, "warm", 300, "requests of each way and kind before that")
	flag.IntVar(&s.block, "block", 50, "requests of one way before the next has its turn; with 1 each finds the processor's caches full of the others' work")
	flag.StringVar(&s.rates, "rate", "2000", "streams a second of the open loop, several with commas; 0 leaves it out")
	flag.Float64Var(&s.seconds, "seconds", 10, "length of each open loop")
	flag.StringVar(&s.only, "only", "ledge,nginx,portkey,litellm", "what to measure beside the mock")
	flag.StringVar(&s.ledge, "ledge", "bin/ledge", "the ledge binary")
	flag.StringVar(&s.portkey, "portkey", "bench/gateway/node_modules/@portkey-ai/gateway/build/start-server.js", "Portkey's server")
	flag.StringVar(&s.litellm, "litellm", "litellm", "LiteLLM's command")
	flag.BoolVar(&s.json, "json", false, "print one JSON document")
	flag.Parse()
	if err := run(&s); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

// way is one path to the mock.
type way struct {
	Name    string `json:"name"`
	url     string // of the chat endpoint
	model   string
	headers map[string]string
	pid     int // 0: the mock, which is this process
	client  *client

	Kinds    []*kindResult `json:"kinds"`
	Loops    []*openLoop   `json:"open_loops"`
	IdleRSS  int64         `json:"idle_rss_bytes"`   // before the first request
	LoadRSS  int64         `json:"loaded_rss_bytes"` // right after the last
	LaterRSS int64         `json:"later_rss_bytes"`  // 15 s after the last
}

// kindResult is what one kind of requests took, one after the other.
type kindResult struct {
	times, firsts []time.Duration
	P50           float64 `json:"p50_ms"`
	P99           float64 `json:"p99_ms"`
	Added         float64 `json:"added_p50_ms"`
	First         float64 `json:"first_text_p50_ms"`
	FirstAdded    float64 `json:"added_first_text_p50_ms"`
}

// kind is a kind of requests.
type kind struct {
	name   string
	size   int // bytes of the prompt
	stream bool
}

var kinds = []kind{{"200 B", 200, false}, {"10 KB", 10_000, false}, {"200 B, streamed", 200, true}}

func run(s *settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work, err := os.MkdirTemp("", "ledge-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithCancel(ctx)
	up := &servers{ctx: ctx, work: work}
	defer up.all.Wait() // a server that is only told to stop outlives this process
	defer cancel()
	mock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(mock, http.HandlerFunc(answer))
	up.base = "http://" + mock.Addr().String() + "/v1"

	ways := []*way{{Name: "mock, direct", url: up.base + "/chat/completions", model: "m"}}
	for _, name := range strings.Split(s.only, ",") {
		var w *way
		var err error
		switch name {
		case "ledge":
			w, err = up.ledge(s.ledge)
		case "nginx":
			w, err = up.nginx()
		case "portkey":
			w, err = up.portkey(s.portkey)
		case "litellm":
			w, err = up.litellm(s.litellm)
		default:
			return fmt.Errorf("-only: %q is not one of ledge, nginx, portkey, litellm", name)
		}
		if err != nil && name == "ledge" {
			return err
		} else if err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", name, err)
			continue
		}
		ways = append(ways, w)
	}
	time.Sleep(4 * time.Second) // until starting has been forgotten
	for _, w := range ways {
		w.IdleRSS = w.rss()
		if w.client, err = newClient(w); err != nil {
			return err
		}
	}
	for i, k := range kinds {
		if s.n == 0 {
			break
		}
		if err := inTurn(ctx, ways, i, k, s); err != nil {
			return err
		}
	}
	for rate := range strings.SplitSeq(s.rates, ",") {
		var r float64
		if _, err := fmt.Sscan(rate, &r); err != nil || r < 0 {
			return fmt.Errorf("-rate: %q is no number of streams a second", rate)
		}
		if r == 0 {
			continue
		}
		for _, w := range ways {
			if _, err := flood(ctx, w.client, w.pid, r, 2*time.Second, 200); err != nil { // connections, and as many instances as it takes
				return err
			}
			loop, err := flood(ctx, w.client, w.pid, r, time.Duration(s.seconds*float64(time.Second)), 200)
			if err != nil {
				return err
			}
			w.Loops = append(w.Loops, loop)
			w.LoadRSS = w.rss()
			w.client.close()
			time.Sleep(time.Second)
		}
	}
	time.Sleep(15 * time.Second)
	for _, w := range ways {
		w.LaterRSS = w.rss()
	}
	if s.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"requests": s.n, "cores": runtime.NumCPU(), "ways": ways})
	}
	report(os.Stdout, ways, s)
	return nil
}

func (w *way) rss() int64 {
	if w.pid == 0 {
		return 0
	}
	return resident(w.pid)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// inTurn asks each way in turn, block requests at a time, warm times unmeasured first.
func inTurn(ctx context.Context, ways []*way, at int, k kind, s *settings) error {
	for _, w := range ways {
		w.Kinds = append(w.Kinds, &kindResult{})
	}
	total, block := s.warm+s.n, max(s.block, 1)
	for first := 0; first < total; first += block {
		for turn := range ways {
			w := ways[(first/block+turn)%len(ways)]
			for i := first; i < min(first+block, total); i++ {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				request := w.client.request(prompt(i, k.size), k.stream)
				t, err := w.client.ask(time.Now(), request, k.stream)
				if err != nil {
					return fmt.Errorf("%s, %s, request %d: %w", w.Name, k.name, i, err)
				}
				if i >= s.warm {
					r := w.Kinds[at]
					r.times, r.firsts = append(r.times, t.whole), append(r.firsts, t.first)
				}
			}
		}
	}
	for _, w := range ways {
		r, base := w.Kinds[at], ways[0].Kinds[at]
		slices.Sort(r.times)
		slices.Sort(r.firsts)
		r.P50, r.P99, r.First = ms(r.times[len(r.times)/2]), ms(r.times[len(r.times)*99/100]), ms(r.firsts[len(r.firsts)/2])
		r.Added, r.FirstAdded = r.P50-base.P50, r.First-base.First
	}
	return nil
}

func report(out io.Writer, ways []*way, s *settings) {
	for i, k := range kinds {
		if s.n == 0 {
			break
		}
		fmt.Fprintf(out, "%s: %d requests each, one after the other, in blocks of %d, %d cores; cache off\n", k.name, s.n, s.block, runtime.NumCPU())
		fmt.Fprintf(out, "  %-44s %8s %8s %10s %12s %12s\n", "", "p50 ms", "p99 ms", "added p50", "first text", "added first")
		for _, w := range ways {
			r := w.Kinds[i]
			fmt.Fprintf(out, "  %-44s %8.3f %8.3f %10.3f %12.3f %12.3f\n", w.Name, r.P50, r.P99, r.Added, r.First, r.FirstAdded)
		}
		for _, w := range ways[min(2, len(ways)):] {
			fmt.Fprintf(out, "  ledge adds %.2f of what %s adds\n", ways[1].Kinds[i].Added/w.Kinds[i].Added, w.Name)
		}
	}
	for i := range ways[0].Loops {
		fmt.Fprintf(out, "streams at %.0f a second for %.0f s, from when each was due\n", ways[0].Loops[i].Rate, s.seconds)
		fmt.Fprintf(out, "  %-44s %9s %9s %9s %10s %8s %7s %6s\n", "", "p50 ms", "p99 ms", "p99.9 ms", "added p99", "sent", "lost", "cores")
		for _, w := range ways {
			l := w.Loops[i]
			fmt.Fprintf(out, "  %-44s %9.3f %9.3f %9.3f %10.3f %8d %7d %6.2f %.80s\n", w.Name, l.P50, l.P99, l.P999, l.P99-ways[0].Loops[i].P99, l.Sent, l.Lost, l.CPU, l.Why)
		}
	}
	fmt.Fprintf(out, "resident memory, MiB\n  %-44s %8s %8s %8s\n", "", "idle", "loaded", "later")
	for _, w := range ways[1:] {
		mib := func(n int64) float64 { return float64(n) / (1 << 20) }
		fmt.Fprintf(out, "  %-44s %8.1f %8.1f %8.1f\n", w.Name, mib(w.IdleRSS), mib(w.LoadRSS), mib(w.LaterRSS))
	}
}
