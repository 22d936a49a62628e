package edge

import (
	"net/http"
	"sync"
	"time"
)

// keepAlive is how long a stream may be silent before a comment shows that it lives.
const keepAlive = 10 * time.Second

// stream writes the events of a dialect. Headers go out with the first event or comment, so that a request that fails before
// it can still be answered with a status of its own. The methods are safe for concurrent use.
type stream struct {
	w       http.ResponseWriter
	dialect *dialect
	control *http.ResponseController
	ticker  *time.Timer

	mu      sync.Mutex
	started bool
	closed  bool
	err     error
}

func newStream(w http.ResponseWriter) *stream {
	s := &stream{w: w, dialect: dialectOf(w), control: http.NewResponseController(w)}
	s.ticker = time.AfterFunc(keepAlive, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed && s.dialect.alive != nil {
			s.write(s.dialect.alive)
		}
	})
	return s
}

// send writes one event with v as its data.
func (s *stream) send(v any) error {
	event, err := s.dialect.event(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(event)
	return s.err
}

// done ends a stream that is complete.
func (s *stream) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dialect.done != nil {
		s.write(s.dialect.done)
	}
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
	event, _ := s.dialect.event(s.dialect.refusal(clientError(err))) // its fields are strings
	s.write(event)
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
		h.Set("Content-Type", s.dialect.contentType)
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
