package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
)

var soak = flag.Int("soak", 200, "requests of the soak test")

// TestSoak_ClientsThatLeaveLeaveNothingBehind sends requests, streamed and not, of which a third is given up at a random
// moment. Every error must be a client's own leaving; afterwards no goroutine or instance may be left over, and the
// second half of the requests may not have made the process larger.
func TestSoak_ClientsThatLeaveLeaveNothingBehind(t *testing.T) {
	const clients = 16
	a := open(t, dataDir(t), withModel(tinyModel(t)), func(c *config.Config) { c.Trace.MaxSize = 1 << 20 })
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	var left, failed atomic.Int64
	run := func(n int) {
		var next atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					err := soakRequest(a, transport, i)
					switch {
					case errors.Is(err, context.Canceled):
						left.Add(1)
					case err != nil:
						failed.Add(1)
						t.Errorf("request %d: %v", i, err)
					}
				}
			})
		}
		all.Wait()
	}
	run(max(*soak/4, 2*clients)) // plugins, pools and buffers take their size
	goroutines, rss := settled(transport)
	run(*soak / 2)
	_, middle := settled(transport)
	run(*soak / 2)
	after, end := settled(transport)
	t.Logf("%d requests, %d given up, %d failed; goroutines %d, then %d; RSS %d KiB, %d, %d", *soak, left.Load(), failed.Load(), goroutines, after, rss, middle, end)
	if left.Load() == 0 {
		t.Error("no client left: nothing was tested")
	}
	if after > goroutines+4 {
		t.Errorf("%d goroutines, then %d", goroutines, after)
	}
	if grown := end - middle; grown > max(middle/10, 8<<10) {
		t.Errorf("the second half made the process %d KiB larger, from %d", grown, middle)
	}
	for _, p := range a.rt.Plugins() {
		if s := p.Stats(); s.Live != s.Idle {
			t.Errorf("%s: %d instances live, %d idle", p.Name(), s.Live, s.Idle)
		}
	}
}

// soakRequest makes one request. Its error is context.Canceled where the client left.
func soakRequest(a *appliance, transport *http.Transport, i int64) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	random := rand.New(rand.NewPCG(uint64(i), 7))
	stream := i%2 == 0
	body, err := json.Marshal(ask(fmt.Sprintf("Once upon a time there were %d cats", random.IntN(50)), "stream", stream,
		"temperature", float64(i%2)*0.7, "max_tokens", 1+random.IntN(40)))
	if err != nil {
		return err
	}
	if random.IntN(3) == 0 {
		timer := time.AfterFunc(time.Duration(random.IntN(30_000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	req, err := http.NewRequestWithContext(ctx, "POST", a.api.URL+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	last := ""
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			last = strings.TrimSpace(line)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			break
		}
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, last)
	}
	if stream && last != "data: [DONE]" {
		return fmt.Errorf("the stream ends in %q", last)
	}
	return nil
}

// settled waits until what requests left running has ended, and returns the goroutines and the resident memory in KiB.
func settled(transport *http.Transport) (goroutines, rss int) {
	transport.CloseIdleConnections()
	for last := -1; last != goruntime.NumGoroutine(); {
		last = goruntime.NumGoroutine()
		time.Sleep(300 * time.Millisecond)
	}
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	return goruntime.NumGoroutine(), residentNow()
}

// residentNow is this process's resident memory in KiB; 0 where the system does not tell.
func residentNow() int {
	doc, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(doc), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	rss, _ := strconv.Atoi(number)
	return rss
}
