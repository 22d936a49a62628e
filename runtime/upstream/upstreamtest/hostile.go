// Package upstreamtest is an upstream for tests that does to each request what the request asks for: it hangs, resets,
// answers with half a document or with far too much. Tests of the client and of the whole appliance share it, and the
// list of what each fault must come to. Start reading at [Faults].
package upstreamtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Fault is something that an upstream may do, and what must come of it.
type Fault struct {
	Name   string
	Status int           // that a client sees; 0: the answer is good
	Code   string        // of the error
	Text   bool          // text came before the fault
	Waits  bool          // it ends with one of the timeouts: their time is added to Most
	Most   time.Duration // that it may take, retries included
	After  int           // seconds that Retry-After must name; 0: any
	Rare   bool          // costs more than it tells: tests ask for it seldom
}

// Faults are those of [Hostile], by name in the request; the first one is none.
var Faults = []Fault{
	{Name: "none", Text: true, Most: time.Second},
	{Name: "hangs before headers", Status: 504, Code: "upstream_timeout", Waits: true, Most: time.Second},
	{Name: "hangs in the stream", Status: 504, Code: "upstream_timeout", Text: true, Waits: true, Most: time.Second},
	{Name: "resets before headers", Status: 502, Code: "upstream_error", Most: time.Second},
	{Name: "resets in the stream", Status: 502, Code: "upstream_error", Text: true, Most: time.Second},
	{Name: "500", Status: 502, Code: "upstream_error", Most: time.Second},
	{Name: "429", Status: 429, Code: "upstream_rate_limited", Most: time.Second},
	{Name: "429 with Retry-After", Status: 429, Code: "upstream_rate_limited", Most: time.Second, After: 30},
	{Name: "half JSON", Status: 502, Code: "upstream_error", Most: time.Second},
	{Name: "half JSON, whole answer", Status: 502, Code: "upstream_error", Most: time.Second},
	{Name: "100 MB", Status: 502, Code: "upstream_error", Text: true, Most: 3 * time.Second, Rare: true},
	{Name: "100 MB event", Status: 502, Code: "upstream_error", Most: 3 * time.Second, Rare: true},
	{Name: "slow drip", Status: 504, Code: "upstream_timeout", Waits: true, Most: time.Second},
}

// Ask is the text by which a request asks for a fault. A good answer, and what comes before a fault, is the marker.
func Ask(fault, marker string) string { return "[fault:" + fault + "] [marker:" + marker + "]" }

var asked = regexp.MustCompile(`\[fault:([^\]]*)\] \[marker:([^\]]*)\]`)

// Secret stands in what the upstream says about its failures; no client may see it.
const Secret = "secret detail"

// Hostile is an OpenAI-compatible upstream that does what [Ask] says, and answers well where a request does not say.
// Stop ends what hangs.
type Hostile struct{ Stop <-chan struct{} }

func (h Hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fault, marker := "none", "well"
	if m := asked.FindSubmatch(body); m != nil {
		fault, marker = string(m[1]), string(m[2])
	}
	hang := func() {
		select {
		case <-r.Context().Done():
		case <-h.Stop:
		}
	}
	text := Chunk(marker)
	switch fault {
	case "none":
		Events(w, text, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]")
	case "hangs before headers":
		hang()
	case "hangs in the stream":
		Events(w, text)
		hang()
	case "resets before headers":
		reset(w)
	case "resets in the stream":
		Events(w, text)
		reset(w)
	case "500":
		http.Error(w, Secret, http.StatusInternalServerError)
	case "429":
		http.Error(w, Secret, http.StatusTooManyRequests)
	case "429 with Retry-After":
		w.Header().Set("Retry-After", "30")
		http.Error(w, Secret, http.StatusTooManyRequests)
	case "half JSON":
		Events(w, `{"choices":[{"index":0,"delta":{"content":"ha`)
	case "half JSON, whole answer":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"mess`)
	case "100 MB":
		Events(w, text)
		flood(w, "", "data: "+Chunk(strings.Repeat("x", 64<<10))+"\n\n")
	case "100 MB event":
		flood(w, "data: ", strings.Repeat("x", 64<<10))
	case "slow drip":
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "d"); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Chunk is a chunk of a chat's stream.
func Chunk(text string) string {
	content, err := json.Marshal(text)
	if err != nil {
		panic(err) // of a string
	}
	return `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":` + string(content) + `},"finish_reason":null}]}`
}

// Events writes server-sent events, each at once.
func Events(w http.ResponseWriter, data ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, d := range data {
		fmt.Fprintf(w, "data: %s\n\n", d)
		w.(http.Flusher).Flush()
	}
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// flood writes 100 MB, or as much as is taken.
func flood(w http.ResponseWriter, begin, piece string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, err := io.WriteString(w, begin)
	for n := 0; err == nil && n < 100<<20; n += len(piece) {
		_, err = io.WriteString(w, piece)
	}
}
