// Command gateway measures what the whole pipeline adds to a request: router and two guards, each a sandboxed plugin,
// in front of a mock model server. In the same run, a short block of requests each in turn, the mock is asked directly,
// through ledge, and through Portkey's gateway (npm), so that all see the same machine, and each is asked as a busy client
// asks: one request after the other.
//
//	make build && go run ./bench/gateway            # Portkey joins if it is installed: cd bench/gateway && npm ci
//	go run ./bench/gateway -n 5000 -size 10000
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	n := flag.Int("n", 2000, "measured requests of each way")
	warm := flag.Int("warm", 300, "requests of each way before that")
	block := flag.Int("block", 50, "requests of one way before the next has its turn; with 1 each finds the processor's caches full of the others' work")
	size := flag.Int("size", 200, "bytes of the prompt")
	binary := flag.String("ledge", "bin/ledge", "the ledge binary")
	portkey := flag.String("portkey", "bench/gateway/node_modules/@portkey-ai/gateway/build/start-server.js", "Portkey's server")
	asJSON := flag.Bool("json", false, "print one JSON document")
	flag.Parse()
	if err := run(*n, *warm, *block, *size, *binary, *portkey, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

// way is one path to the mock.
type way struct {
	Name    string            `json:"name"`
	url     string            // of the chat endpoint
	model   string            //
	headers map[string]string //
	client  *http.Client      // one connection, kept
	times   []time.Duration   //
	P50     float64           `json:"p50_ms"`
	P99     float64           `json:"p99_ms"`
	Added   float64           `json:"added_p50_ms"`
}

func run(n, warm, block, size int, binary, portkey string, asJSON bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	var servers sync.WaitGroup
	defer servers.Wait() // a server that is only told to stop outlives this process
	defer cancel()
	work, err := os.MkdirTemp("", "ledge-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	mock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(mock, http.HandlerFunc(answer))
	base := "http://" + mock.Addr().String() + "/v1"
	ways := []*way{{Name: "mock, direct", url: base + "/chat/completions", model: "m"}}

	ledge, err := startLedge(ctx, &servers, work, binary, base)
	if err != nil {
		return err
	}
	ways = append(ways, ledge)
	if peer, err := startPortkey(ctx, &servers, portkey, base); err != nil {
		fmt.Fprintln(os.Stderr, "Portkey is left out:", err)
	} else {
		ways = append(ways, peer)
	}
	for _, w := range ways {
		w.client = &http.Client{Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
	}
	if err := measure(ctx, ways, n, warm, block, size); err != nil {
		return err
	}
	for _, w := range ways {
		slices.Sort(w.times)
		w.P50, w.P99 = ms(w.times[len(w.times)/2]), ms(w.times[len(w.times)*99/100])
		w.Added = w.P50 - ways[0].P50
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"requests": n, "prompt_bytes": size, "cores": runtime.NumCPU(), "ways": ways})
	}
	fmt.Printf("%d requests each, in blocks of %d, concurrency 1, prompt of %d bytes, %d cores; cache off\n", n, block, size, runtime.NumCPU())
	fmt.Printf("%-42s %9s %9s %12s\n", "", "p50 ms", "p99 ms", "added p50 ms")
	for _, w := range ways {
		fmt.Printf("%-42s %9.3f %9.3f %12.3f\n", w.Name, w.P50, w.P99, w.Added)
	}
	if len(ways) == 3 {
		fmt.Printf("ledge adds %.2f of what Portkey adds\n", ways[1].Added/ways[2].Added)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure asks each way in turn, block requests at a time, warm times unmeasured first.
func measure(ctx context.Context, ways []*way, n, warm, block, size int) error {
	total, block := warm+n, max(block, 1)
	for first := 0; first < total; first += block {
		for k := range ways {
			w := ways[(first/block+k)%len(ways)]
			for i := first; i < min(first+block, total); i++ {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				d, err := w.ask(prompt(i, size))
				if err != nil {
					return fmt.Errorf("%s: %w", w.Name, err)
				}
				if i >= warm {
					w.times = append(w.times, d)
				}
			}
		}
	}
	return nil
}

func (w *way) ask(prompt string) (time.Duration, error) {
	body, err := json.Marshal(map[string]any{"model": w.model, "max_tokens": 16, "temperature": 0.5,
		"messages": []map[string]string{{"role": "user", "content": prompt}}})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest("POST", w.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range w.headers {
		req.Header.Set(k, v)
	}
	begin := time.Now()
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(resp.Body)
	d := time.Since(begin)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != 200 || !bytes.Contains(doc, []byte(mockText)) {
		return 0, fmt.Errorf("status %d: %.300s", resp.StatusCode, doc)
	}
	return d, nil
}

const mockText = "quiet water"

// answer is the mock model server: whole or streamed, at once.
func answer(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Stream bool
		Model  string
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !req.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`, req.Model, mockText)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	chunk := func(choices, usage string) {
		fmt.Fprintf(w, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":%q,\"choices\":%s%s}\n\n", req.Model, choices, usage)
	}
	chunk(fmt.Sprintf(`[{"index":0,"delta":{"role":"assistant","content":%q},"finish_reason":null}]`, mockText), "")
	chunk(`[{"index":0,"delta":{},"finish_reason":"stop"}]`, "")
	chunk(`[]`, `,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}`)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// startLedge starts the appliance with the built-in pipeline in front of the mock, without its cache.
func startLedge(ctx context.Context, servers *sync.WaitGroup, work, binary, base string) (*way, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("%w; run make build", err)
	}
	config := fmt.Sprintf(`log: {level: error}
upstreams:
  mock: {base_url: "%s", api_key: none, models: [m]}
routes:
  default:
    models: [mock/m]
    router: {plugin: router}
    guards:
      input: [{plugin: pii-guard}, {plugin: injection-guard}]
`, base)
	file := filepath.Join(work, "ledge.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "-c", file, "--data", filepath.Join(work, "data"), "--listen", api, "--admin", admin)
	cmd.Stderr = os.Stderr
	if err := start(ctx, servers, cmd, "http://"+api+"/livez"); err != nil {
		return nil, err
	}
	return &way{Name: "ledge, router + pii-guard + injection-guard", url: "http://" + api + "/v1/chat/completions", model: "default"}, nil
}

// startPortkey starts the peer in front of the mock, with no plugin of its own.
func startPortkey(ctx context.Context, servers *sync.WaitGroup, server, base string) (*way, error) {
	if _, err := os.Stat(server); err != nil {
		return nil, fmt.Errorf("%w; run npm ci in bench/gateway", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(ctx, "node", server, "--headless", "--port="+port)
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "TRUSTED_CUSTOM_HOSTS=127.0.0.1,localhost")
	if err := start(ctx, servers, cmd, "http://"+address+"/"); err != nil {
		return nil, err
	}
	return &way{Name: "Portkey, no plugins", url: "http://" + address + "/v1/chat/completions", model: "m", headers: map[string]string{
		"x-portkey-provider": "openai", "x-portkey-custom-host": base, "Authorization": "Bearer none"}}, nil
}

// start runs the command and waits until the address answers.
func start(ctx context.Context, servers *sync.WaitGroup, cmd *exec.Cmd, url string) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	servers.Go(func() { exited <- cmd.Wait() })
	for range 300 {
		select {
		case err := <-exited:
			return fmt.Errorf("%s ended: %w", cmd.Path, errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("%s does not answer at %s", cmd.Path, url)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
