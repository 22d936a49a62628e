package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/upstream"
	"github.com/ledge-run/ledge/runtime/upstream/upstreamtest"
)

var faultRequests = flag.Int("fault-requests", 400, "requests through the appliance to the hostile upstream")

// Timeouts of the appliance in front of the hostile upstream.
const (
	faultFirstByte = time.Second
	faultIdle      = 500 * time.Millisecond
)

// faultRun sends requests to an appliance and holds each to what its fault must come to.
type faultRun struct {
	*testing.T
	a         *appliance
	transport *http.Transport
	down      atomic.Bool // what the upstream "unsteady" is

	mu    sync.Mutex
	seen  map[string][]time.Duration // by fault
	late  map[string]int
	ended map[string]int // status by request id, as the trace must have it
	gone  int            // clients that left
}

// TestFaults_EveryOneHasItsStatusInTimeAndLeavesNothingBehind asks through the whole appliance for every fault at random,
// streamed and not, from 48 clients of which some leave; besides, an upstream that comes and goes works its breaker.
// -fault-requests says how often; -v prints a table.
func TestFaults_EveryOneHasItsStatusInTimeAndLeavesNothingBehind(t *testing.T) {
	stop := make(chan struct{})
	f := &faultRun{T: t, seen: map[string][]time.Duration{}, late: map[string]int{}, ended: map[string]int{}, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	hostile := upstreamtest.Hostile{Stop: stop}
	peer := httptest.NewServer(hostile)
	unsteady := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.down.Load() {
			http.Error(w, upstreamtest.Secret, http.StatusBadGateway)
			return
		}
		hostile.ServeHTTP(w, r)
	}))
	defer func() { close(stop); peer.Close(); unsteady.Close() }()
	f.a = open(t, dataDir(t), func(c *config.Config) {
		each := config.Upstream{BaseURL: peer.URL, Models: []string{"m"}, Retry: config.Retry{Attempts: 2, Base: config.Duration(time.Millisecond), Max: config.Duration(5 * time.Millisecond)},
			Breaker: config.UpstreamBreaker{Failures: -1}, Timeouts: config.Timeouts{FirstByte: config.Duration(faultFirstByte), Idle: config.Duration(faultIdle)}}
		absent, comes := each, each
		absent.BaseURL = closedPort(t)
		comes.BaseURL, comes.Retry.Attempts = unsteady.URL, 1
		comes.Breaker = config.UpstreamBreaker{Failures: 5, Window: config.Duration(5 * time.Second), OpenFor: config.Duration(150 * time.Millisecond), Probes: 2}
		c.Upstreams = map[string]config.Upstream{"peer": each, "absent": absent, "unsteady": comes}
		r := c.Routes["default"]
		r.Models, r.Cache = []string{"peer/m"}, config.CacheUse{}
		c.Routes["default"] = r
		c.Trace.MaxSize = 256 << 20 // none may go before they are compared
	})
	toggle := time.NewTicker(400 * time.Millisecond)
	defer toggle.Stop()
	toggling := make(chan struct{})
	go func() {
		for {
			select {
			case <-toggle.C:
				f.down.Store(!f.down.Load())
			case <-toggling:
				return
			}
		}
	}()
	f.run(0, max(*faultRequests/8, 100)) // pools and buffers take their size
	goroutines, rss := settled(f.transport)
	fds := openFiles()
	f.run(1_000_000, *faultRequests/2)
	_, middle := settled(f.transport)
	f.run(2_000_000, *faultRequests-*faultRequests/2)
	close(toggling)
	after, end := settled(f.transport)
	fdsAfter := openFiles()

	f.report()
	t.Logf("goroutines %d, then %d; open files %d, then %d; RSS %d KiB, after half %d, at the end %d; %d clients left in the middle", goroutines, after, fds, fdsAfter, rss, middle, end, f.gone)
	if after > goroutines+8 {
		t.Errorf("%d goroutines, then %d", goroutines, after)
	}
	if fdsAfter > fds+8 {
		t.Errorf("%d open files, then %d", fds, fdsAfter)
	}
	if grown := end - middle; grown > max(middle/10, 16<<10) {
		t.Errorf("the second half made the process %d KiB larger, from %d", grown, middle)
	}
	f.compareTraces()
}

// closedPort is the address of an upstream that refuses connections.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// openFiles counts this process's descriptors; 0 where the system does not tell.
func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

func (f *faultRun) run(first, n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 48 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f.request(uint64(first) + uint64(i))
			}
		})
	}
	all.Wait()
}

// request makes one request for a random fault.
func (f *faultRun) request(i uint64) {
	random := rand.New(rand.NewPCG(i, 11))
	model, want := "default", upstreamtest.Faults[random.IntN(len(upstreamtest.Faults))]
	if want.Rare && random.IntN(10) > 0 {
		want = upstreamtest.Faults[0]
	}
	switch random.IntN(12) {
	case 0:
		model, want = "absent/m", upstreamtest.Fault{Name: "refuses", Status: 502, Code: "upstream_unreachable", Most: time.Second}
	case 1, 2:
		model, want = "unsteady/m", upstreamtest.Fault{Name: "none", Most: time.Second}
	}
	marker := "mark" + letters(i)
	stream := random.IntN(2) == 0
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(25) == 0 {
		timer := time.AfterFunc(time.Duration(random.IntN(40_000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	begin := time.Now()
	got, err := askStrictly(ctx, f.transport, f.a.api.URL, http.Header{}, map[string]any{"model": model, "stream": stream, "messages": []map[string]string{{"role": "user", "content": upstreamtest.Ask(want.Name, marker)}}})
	took := time.Since(begin)
	if ctx.Err() != nil {
		f.mu.Lock()
		f.gone++
		f.mu.Unlock()
		return
	}
	if err != nil {
		f.Errorf("%s: %v", want.Name, err)
		return
	}
	name := want.Name
	if model == "unsteady/m" {
		name = "comes and goes: " + cmpCode(got.code)
		switch got.code {
		case "upstream_error":
			want.Status, want.Code = 502, got.code
		case "upstream_unavailable":
			want.Status, want.Code = 503, got.code
			if got.after < 1 {
				f.Errorf("%s without Retry-After", got.code)
			}
		}
	}
	f.judge(name, marker, stream, want, got)
	most := want.Most
	if want.Waits {
		most += faultFirstByte
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[name] = append(f.seen[name], took)
	if took > most {
		f.late[name]++
	}
	f.ended[got.id] = cmpStatus(want.Status)
}

func cmpCode(code string) string {
	if code == "" {
		return "answered"
	}
	return code
}

func cmpStatus(s int) int {
	if s == 0 {
		return http.StatusOK
	}
	return s
}

// judge compares what a client got with what it must get.
func (f *faultRun) judge(name, marker string, stream bool, want upstreamtest.Fault, got faultReply) {
	visible := cmpStatus(want.Status)
	if stream && want.Text && want.Status != 0 && got.status == http.StatusOK {
		visible = http.StatusOK // text had left already: the fault is an event of the stream
	}
	switch {
	case got.status != visible || got.code != want.Code:
		f.Errorf("%s (stream %t): status %d, code %q: %.200s", name, stream, got.status, got.code, got.raw)
	case want.Status == 0 && got.text != marker:
		f.Errorf("%s: a good answer came as %.60q", name, got.text)
	case got.text != "" && !strings.HasPrefix(marker+strings.Repeat("x", 1<<20), got.text):
		f.Errorf("%s: got %.60q, which is another's answer", name, got.text)
	case strings.Contains(got.raw, upstreamtest.Secret):
		f.Errorf("%s: the client reads %.200q", name, got.raw)
	case want.After > 0 && got.after != want.After:
		f.Errorf("%s: Retry-After %d", name, got.after)
	}
}

// letters spells a number so that no guard takes it for one.
func letters(n uint64) string {
	var b []byte
	for ; n > 0; n /= 16 {
		b = append(b, "abcdefghijklmnop"[n%16])
	}
	return string(b)
}

// faultReply is what a client got.
type faultReply struct {
	id, code, text, raw string
	status, after       int
}

// askStrictly sends a chat request and reads its answer, whole or as a stream. A stream that ends neither in [DONE] nor in
// an error, or in both, is an error.
func askStrictly(ctx context.Context, transport *http.Transport, base string, header http.Header, body any) (r faultReply, err error) {
	doc, err := json.Marshal(body)
	if err != nil {
		return r, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", base+"/v1/chat/completions", bytes.NewReader(doc))
	if err != nil {
		return r, err
	}
	req.Header = header
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	r.id, r.status = resp.Header.Get("X-Ledge-Request-Id"), resp.StatusCode
	r.after, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
	var said struct {
		Error   struct{ Code string }
		Choices []struct{ Message, Delta struct{ Content string } }
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		all, err := io.ReadAll(resp.Body)
		if err == nil {
			err = json.Unmarshal(all, &said)
		}
		r.raw, r.code = string(all), said.Error.Code
		if len(said.Choices) > 0 {
			r.text = said.Choices[0].Message.Content
		}
		return r, err
	}
	done := false
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		r.raw += line
		if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok && data != "[DONE]" {
			said.Error.Code, said.Choices = "", nil
			if err := json.Unmarshal([]byte(data), &said); err != nil {
				return r, fmt.Errorf("event %.100q: %w", data, err)
			}
			if said.Error.Code != "" {
				r.code = said.Error.Code
			}
			if len(said.Choices) > 0 {
				r.text += said.Choices[0].Delta.Content
			}
		} else if ok {
			done = true
		}
		if errors.Is(err, io.EOF) {
			if done == (r.code != "") {
				return r, fmt.Errorf("the stream ended with [DONE]: %t, error %q", done, r.code)
			}
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
}

// report prints how long each fault took, and fails where more than a few took too long.
func (f *faultRun) report() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nFAULT\tREQUESTS\tP50\tMOST\tLATE")
	total, late := 0, 0
	names := make([]string, 0, len(f.seen))
	for name := range f.seen {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		times := f.seen[name]
		slices.Sort(times)
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%d\n", name, len(times), times[len(times)/2].Round(100*time.Microsecond), times[len(times)-1].Round(time.Millisecond), f.late[name])
		total, late = total+len(times), late+f.late[name]
	}
	w.Flush()
	f.Log(b.String())
	if late > total/100+2 { // a loaded machine holds a few up
		f.Errorf("%d of %d requests took longer than they may", late, total)
	}
}

var breakerChange = regexp.MustCompile(`breaker (\w+ to \w+)`)

// compareTraces checks that every request's trace has the status its client saw, and that the transitions of the breaker
// that traces tell of follow upon each other, none missing.
func (f *faultRun) compareTraces() {
	var changes []string
	found := 0
	err := f.a.rt.Store().Traces().Each(context.Background(), "", func(_ time.Time, doc []byte) error {
		var tr pipeline.Trace
		if err := json.Unmarshal(doc, &tr); err != nil {
			return err
		}
		if want, ok := f.ended[tr.ID]; ok {
			found++
			if tr.Status != want {
				f.Errorf("trace %s: status %d, the client was told %d", tr.ID, tr.Status, want)
			}
		}
		for _, e := range tr.Stages {
			for _, m := range breakerChange.FindAllStringSubmatch(e.Reason, -1) {
				changes = append(changes, m[1])
			}
		}
		return nil
	})
	if err != nil {
		f.Error(err)
	}
	if found != len(f.ended) {
		f.Errorf("%d of %d requests have a trace", found, len(f.ended))
	}
	count := map[string]int64{}
	for _, c := range changes {
		count[c]++
	}
	stats := f.a.rt.Upstreams()["unsteady/m"]
	opened := count[upstream.Closed+" to "+upstream.Open] + count[upstream.HalfOpen+" to "+upstream.Open]
	f.Logf("breaker: %v; opened %d times", count, stats.Opened)
	if opened != stats.Opened || opened == 0 {
		f.Errorf("the breaker opened %d times, the traces tell of %d", stats.Opened, opened)
	}
	// Whoever opened it must have closed it before: closings lie between openings.
	halves, closes := count[upstream.Open+" to "+upstream.HalfOpen], count[upstream.HalfOpen+" to "+upstream.Closed]
	if firsts := count[upstream.Closed+" to "+upstream.Open]; halves > opened || halves < opened-1 || closes > firsts || closes < firsts-1 {
		f.Errorf("transitions that do not fit: %v", count)
	}
}
