package edge

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// keepAlive is how long a stream may be silent before a comment shows that it lives.
const keepAlive = 10 * time.Second

// stream writes server-sent events. Headers go out with the first event or comment, so that a request that fails before
// it can still be answered with a status of its own. The methods are safe for concurrent use.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	ticker  *time.Timer

	mu      sync.Mutex
	started bool
	closed  bool
	err     error
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, control: http.NewResponseController(w)}
	s.ticker = time.AfterFunc(keepAlive, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.write([]byte(": still working\n\n"))
		}
	})
	return s
}

// send writes one event with v as its data.
func (s *stream) send(v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	event := make([]byte, 0, len(doc)+8)
	event = append(event, "data: "...)
	event = append(event, doc...)
	s.write(append(event, "\n\n"...))
	return s.err
}

// done ends a stream that is complete.
func (s *stream) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write([]byte("data: [DONE]\n\n"))
	s.close()
}

// fail ends a stream with an error: as an event if the stream has begun, else as a plain answer.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.close()
		writeError(s.w, err)
		return
	}
	doc, _ := json.Marshal(clientError(err)) // its fields are strings
	s.write([]byte("data: " + string(doc) + "\n\n"))
	s.close()
}

func (s *stream) close() {
	s.closed = true
	s.ticker.Stop()
}

// write sends bytes now; the caller holds mu. A client that does not read is left after writeTimeout.
func (s *stream) write(b []byte) {
	if s.err != nil || s.closed {
		return
	}
	if !s.started {
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
		s.started = true
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has deadlines
	if _, s.err = s.w.Write(b); s.err == nil {
		s.err = s.control.Flush()
	}
	s.ticker.Reset(keepAlive)
}
