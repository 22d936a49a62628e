package edge

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/upstream/upstreamtest"
)

var (
	soakTime = flag.Duration("soak-time", 4*time.Second, "length of the gateway's soak")
	soakRate = flag.Float64("soak-rate", 150, "requests a second of all clients of the gateway's soak together")
)

// soakTenants have keys of their own and ask the same questions.
var soakTenants = []string{"alder", "birch", "cedar", "dogwood", "elder", "fir", "gorse", "hazel"}

// gatewaySoak is 200 clients of eight tenants against one appliance.
type gatewaySoak struct {
	*testing.T
	a         *appliance
	transport *http.Transport
	keys      []string // by tenant
	serials   sync.Map // serial of an answer: the tenant that it was made for
	codes     sync.Map // outcome: *atomic.Int64
	down      atomic.Bool
	bad       atomic.Int64
}

// TestSoakGateway_NothingLeaksBetweenTenantsNorOverTime lets 200 clients of eight tenants ask the same questions, with
// the caches on, and for random faults, while plugins are reloaded and an upstream comes and goes. Every answer of the
// upstream has a serial number of its own: one that two tenants get has crossed over. Prompts carry the tenant's name,
// which must not be in anyone else's bytes. Goroutines, open files and memory must stay what they were after the first
// fifth.
func TestSoakGateway_NothingLeaksBetweenTenantsNorOverTime(t *testing.T) {
	const clients = 200
	stop := make(chan struct{})
	g := &gatewaySoak{T: t, transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var serial atomic.Uint64
	hostile := upstreamtest.Hostile{Stop: stop}
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case g.down.Load():
			http.Error(w, upstreamtest.Secret, http.StatusBadGateway)
		case r.URL.Path == "/serial/chat/completions":
			upstreamtest.Events(w, upstreamtest.Chunk("serial "), upstreamtest.Chunk(letters(serial.Add(1)+1<<20)+"."),
				`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]")
		default:
			hostile.ServeHTTP(w, r)
		}
	}))
	defer func() { close(stop); peer.Close() }()
	g.a = open(t, dataDir(t), withAuth, func(c *config.Config) {
		each := config.Upstream{BaseURL: peer.URL, Models: []string{"m"}, Retry: config.Retry{Attempts: 2, Base: config.Duration(time.Millisecond), Max: config.Duration(5 * time.Millisecond)},
			Breaker: config.UpstreamBreaker{Failures: 20, OpenFor: config.Duration(200 * time.Millisecond)}, Timeouts: config.Timeouts{FirstByte: config.Duration(faultFirstByte), Idle: config.Duration(faultIdle)}}
		serials := each
		serials.BaseURL += "/serial"
		faulty := each
		faulty.Breaker.Failures = -1
		c.Upstreams = map[string]config.Upstream{"peer": faulty, "serial": serials}
		r := c.Routes["default"]
		r.Models = []string{"serial/m"}
		c.Routes["default"] = r
		policy := c.Plugins["cache-policy"]
		policy.Config = map[string]string{"semantic": "true", "threshold": "0.9"}
		c.Plugins["cache-policy"] = policy
		c.Limits.Rules = []config.LimitRule{{Per: []string{"tenant"}, Match: map[string]string{"tenant": "hazel"}, RequestsPerMinute: 300, Streams: 8}}
		c.Trace.MaxSize, c.Cache.MaxSize = 4<<20, 1<<20 // full soon, so that what grows later is a leak
		c.Cache.TTL = config.Duration(20 * time.Second)
	})
	for _, tenant := range soakTenants {
		g.keys = append(g.keys, g.a.key(identity.Key{Tenant: tenant}))
	}
	ctx, cancel := context.WithTimeout(context.Background(), *soakTime)
	defer cancel()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() { g.client(ctx, c, clients) })
	}
	all.Go(func() { g.disturb(ctx) })
	g.watch(ctx)
	all.Wait()

	var outcomes []string
	g.codes.Range(func(k, n any) bool {
		outcomes = append(outcomes, fmt.Sprintf("%s %d", k, n.(*atomic.Int64).Load()))
		return true
	})
	t.Logf("outcomes: %s", strings.Join(outcomes, ", "))
	for _, p := range g.a.rt.Plugins() {
		if s := p.Stats(); s.Live != s.Idle {
			t.Errorf("%s: %d instances live, %d idle", p.Name(), s.Live, s.Idle)
		}
	}
}

// client asks until ctx ends.
func (g *gatewaySoak) client(ctx context.Context, c, clients int) {
	random := rand.New(rand.NewPCG(uint64(c), 3))
	pause := time.Duration(float64(clients) / *soakRate * float64(time.Second))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(random.Int64N(int64(2 * pause)))):
		}
		g.request(random, c%len(soakTenants))
	}
}

// request asks for a fault, or a question that all tenants ask.
func (g *gatewaySoak) request(random *rand.Rand, tenant int) {
	name := soakTenants[tenant]
	header := http.Header{"Authorization": {"Bearer " + g.keys[tenant]}, "Content-Type": {"application/json"}}
	body := map[string]any{"model": "default", "stream": random.IntN(2) == 0, "temperature": 0}
	question := fmt.Sprintf("What is known about the %s of the lighthouse?", letters(uint64(random.IntN(60))+300))
	marker := ""
	if random.IntN(3) == 0 {
		f := upstreamtest.Faults[random.IntN(len(upstreamtest.Faults))]
		if f.Rare && random.IntN(10) > 0 {
			f = upstreamtest.Faults[0]
		}
		marker = name + "canary" + letters(random.Uint64())
		question = upstreamtest.Ask(f.Name, marker)
		body["model"] = "peer/m"
	} else if random.IntN(4) == 0 {
		header.Set("Idempotency-Key", fmt.Sprintf("key-%d", random.IntN(20))) // the same of all tenants
	}
	body["messages"] = []map[string]string{{"role": "user", "content": question}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(15) == 0 {
		timer := time.AfterFunc(time.Duration(random.IntN(30_000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	got, err := askStrictly(ctx, g.transport, g.a.api.URL, header, body)
	g.examine(name, got)
	switch {
	case ctx.Err() != nil:
		g.count("left")
	case err != nil:
		g.fault("%v", err)
	case got.status == http.StatusOK && got.code == "":
		g.count("answered")
		if marker != "" && got.text != marker || marker == "" && !strings.HasPrefix(got.text, "serial ") {
			g.fault("%s: %q is answered with %.80q", name, question, got.text)
		}
	default:
		g.count(got.code)
		switch got.code {
		case "upstream_timeout", "upstream_error", "upstream_rate_limited", "upstream_unavailable", "rate_limit_exceeded", "idempotency_key_reused", "overloaded":
		default:
			g.fault("%s: status %d, %s: %s", question, got.status, got.code, g.why(got.id))
		}
	}
}

// why is what the trace of a request says of the stages that failed.
func (g *gatewaySoak) why(id string) string {
	doc, _, err := g.a.rt.Store().Traces().Get(context.Background(), id)
	var tr pipeline.Trace
	if err == nil {
		err = json.Unmarshal(doc, &tr)
	}
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, e := range tr.Stages {
		if e.Error != nil {
			out = append(out, e.Stage+" "+e.Plugin+": "+e.Error.Message)
		}
	}
	return strings.Join(out, "; ")
}

func (g *gatewaySoak) count(outcome string) {
	n, _ := g.codes.LoadOrStore(outcome, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// fault reports the first ones; a soak that goes wrong should not fill the disk with it.
func (g *gatewaySoak) fault(format string, args ...any) {
	if g.bad.Add(1) <= 20 {
		g.Errorf(format, args...)
	} else {
		g.Fail()
	}
}

// examine looks for bytes of other tenants, also in answers that broke off.
func (g *gatewaySoak) examine(tenant string, got faultReply) {
	for _, other := range soakTenants {
		if other != tenant && strings.Contains(got.raw, other+"canary") {
			g.fault("%s reads of %s: %.300s", tenant, other, got.raw)
		}
	}
	if rest, ok := strings.CutPrefix(got.text, "serial "); ok && strings.HasSuffix(rest, ".") {
		if owner, _ := g.serials.LoadOrStore(rest, tenant); owner != tenant {
			g.fault("%s got the answer %q that was made for %s", tenant, rest, owner)
		}
	}
}

// disturb reloads plugins and lets the upstream come and go.
func (g *gatewaySoak) disturb(ctx context.Context) {
	names := []string{"pii-guard", "injection-guard", "router", "cache-policy"}
	tick := time.NewTicker(min(5*time.Second, *soakTime/8))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.down.Store(i%4 == 3)
		if err := g.a.rt.Reload(context.Background(), names[i%len(names)]); err != nil {
			g.fault("reload: %v", err)
		}
		g.count("reloads")
	}
}

// watch looks at the process until ctx ends, and compares the end with what it was after a fifth.
func (g *gatewaySoak) watch(ctx context.Context) {
	type sample struct{ goroutines, files, rss int }
	var first, last sample
	look := func() sample {
		goruntime.GC()
		debug.FreeOSMemory()
		return sample{goruntime.NumGoroutine(), openFiles(), residentNow()}
	}
	begin := time.Now()
	tick := time.NewTicker(*soakTime / 10)
	defer tick.Stop()
	for i := 1; ctx.Err() == nil; i++ {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		last = look()
		if i == 2 {
			first = last
		}
		g.Logf("%v: %d goroutines, %d open files, RSS %d KiB", time.Since(begin).Round(time.Second), last.goroutines, last.files, last.rss)
	}
	if last.goroutines > first.goroutines*3/2+100 || last.files > first.files*3/2+100 {
		g.Errorf("after a fifth %+v, at the end %+v", first, last)
	}
	if grown := last.rss - first.rss; *soakTime > time.Minute && grown > max(first.rss/8, 24<<10) {
		g.Errorf("memory grew by %d KiB, from %d", grown, first.rss)
	}
}
