package edge

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/upstream/upstreamtest"
	"github.com/ledge-run/ledge/runtime/wasm"
)

var overloadClients = flag.Int("overload-clients", 1500, "clients of the overload test that ask at once")

// TestOverload_IsTurnedAwayAtTheDoor lets more clients ask at once than a device can serve. What is let in is answered;
// the rest is told at once to come back, and no guard fails for want of a processor.
func TestOverload_IsTurnedAwayAtTheDoor(t *testing.T) {
	peer := httptest.NewServer(upstreamtest.Hostile{})
	defer peer.Close()
	a := open(t, dataDir(t), func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"peer": {BaseURL: peer.URL, Models: []string{"m"}}}
		r := c.Routes["default"]
		r.Models, r.Cache = []string{"peer/m"}, config.CacheUse{}
		c.Routes["default"] = r
	})
	transport := &http.Transport{MaxIdleConnsPerHost: *overloadClients}
	defer transport.CloseIdleConnections()
	var mu sync.Mutex
	outcomes := map[string]int{}
	var times []time.Duration
	var all sync.WaitGroup
	var hurried atomic.Int64
	for c := range *overloadClients {
		all.Go(func() {
			for i := range 3 {
				marker := letters(uint64(c*10 + i + 1))
				begin := time.Now()
				got, err := askStrictly(context.Background(), transport, a.api.URL, http.Header{}, map[string]any{"model": "default", "stream": i == 1,
					"messages": []map[string]string{{"role": "user", "content": upstreamtest.Ask("none", marker)}}})
				mu.Lock()
				switch {
				case err != nil:
					outcomes["error: "+err.Error()]++
				case got.code == "" && got.text == marker:
					outcomes["answered"]++
					times = append(times, time.Since(begin))
				default:
					outcomes[fmt.Sprintf("%d %s", got.status, got.code)]++
				}
				mu.Unlock()
				if got.code == "overloaded" {
					if got.after < 1 {
						hurried.Add(1)
					}
					time.Sleep(100 * time.Millisecond) // less than it was asked for
				}
			}
		})
	}
	all.Wait()
	slices.Sort(times)
	if len(times) > 0 {
		t.Logf("%v; of those answered half within %v, 99 of 100 within %v", outcomes, times[len(times)/2].Round(time.Millisecond), times[len(times)*99/100].Round(time.Millisecond))
	}
	if hurried.Load() > 0 {
		t.Errorf("%d were turned away without Retry-After", hurried.Load())
	}
	for what, n := range outcomes {
		if what != "answered" && what != "429 overloaded" && what != "503 overloaded" {
			t.Errorf("%d requests ended in %s", n, what)
		}
	}
	reasons := map[string]int{}
	_ = a.rt.Store().Traces().Each(context.Background(), "", func(_ time.Time, doc []byte) error {
		var tr pipeline.Trace
		if err := json.Unmarshal(doc, &tr); err != nil {
			return err
		}
		for _, e := range tr.Stages {
			if e.Error != nil && e.Error.Code != string(wasm.CodePoolExhausted) {
				reasons[e.Stage+" "+e.Plugin+": "+e.Error.Message]++
			}
		}
		return nil
	})
	if len(reasons) > 0 {
		t.Errorf("stages failed: %v", reasons)
	}
}
