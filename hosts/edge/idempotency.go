package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/state"
)

// keepAnswers is how long a repeated request gets the same answer.
const keepAnswers = 24 * time.Hour

// maxKeyLength bounds an Idempotency-Key, in bytes.
const maxKeyLength = 255

// inFlight are the keyed requests in work: a repeated one waits for the first.
type inFlight struct {
	mu   sync.Mutex
	work map[[32]byte]chan struct{}
}

// begin returns nil for the first request of a key, else what is closed when the first ends.
func (f *inFlight) begin(key [32]byte) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.work[key]; c != nil {
		return c
	}
	if f.work == nil {
		f.work = map[[32]byte]chan struct{}{}
	}
	f.work[key] = make(chan struct{})
	return nil
}

func (f *inFlight) end(key [32]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.work[key])
	delete(f.work, key)
}

// keptAnswer is an answer as it is stored.
type keptAnswer struct {
	Request [32]byte // hash of the path and the body
	Status  int
	Header  http.Header
	Body    []byte
}

// once gives a request that carries an Idempotency-Key the answer that the first request of the key got, and runs it at
// most once while that answer is kept. What may change by itself, a 429 or a fault of the server, is not kept.
func (s *Server) once(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("Idempotency-Key")
		if name == "" {
			next(w, r)
			return
		}
		if len(name) > maxKeyLength {
			s.begin(w, r, "")
			writeError(w, openai.Invalid("", "invalid_idempotency_key", "the Idempotency-Key is longer than %d bytes", maxKeyLength))
			return
		}
		body, err := whole(w, r, s.MaxBody)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		if err != nil {
			next(w, r) // it says what is wrong with the body
			return
		}
		who := s.identity(r)
		key := sha256.Sum256([]byte(who.Subject + "\x00" + who.Key + "\x00" + name))
		flight := sha256.Sum256(append([]byte(who.Tenant+"\x00"), key[:]...))
		hash := sha256.Sum256(append([]byte(r.URL.Path+"\x00"), body...))
		for {
			if doc, ok, err := s.Runtime.Store().Answers().Get(r.Context(), who.Tenant, key); err == nil && ok {
				s.repeat(w, r, doc, hash)
				return
			}
			wait := s.flights.begin(flight)
			if wait == nil {
				break
			}
			select {
			case <-wait:
			case <-r.Context().Done():
				return
			}
		}
		defer s.flights.end(flight)
		// The first may have ended between the look-up and the begin.
		if doc, ok, err := s.Runtime.Store().Answers().Get(r.Context(), who.Tenant, key); err == nil && ok {
			s.repeat(w, r, doc, hash)
			return
		}
		rec := &recorder{ResponseWriter: w}
		next(rec, r)
		if !rec.whole() || r.Context().Err() != nil {
			return
		}
		doc, err := json.Marshal(keptAnswer{hash, rec.status, rec.Header().Clone(), rec.body.Bytes()})
		if err == nil {
			err = s.Runtime.Store().Answers().Put(r.Context(), who.Tenant, key, doc, keepAnswers)
		}
		if err != nil && !errors.Is(err, state.ErrTooLarge) {
			s.Log.Error("the answer of a keyed request was not kept", "error", err)
		}
	}
}

// repeat answers with what was answered before.
func (s *Server) repeat(w http.ResponseWriter, r *http.Request, doc []byte, hash [32]byte) {
	var kept keptAnswer
	if err := json.Unmarshal(doc, &kept); err != nil {
		writeError(w, fmt.Errorf("kept answer: %w", err))
		return
	}
	if kept.Request != hash {
		s.begin(w, r, "")
		writeError(w, &openai.Error{Status: http.StatusUnprocessableEntity, Type: openai.TypeInvalidRequest, Code: "idempotency_key_reused",
			Message: "the Idempotency-Key was used for another request; use a new one for each request"})
		return
	}
	for name, values := range kept.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Idempotent-Replayed", "true")
	w.WriteHeader(kept.Status)
	_, _ = w.Write(kept.Body) // a client that left needs no answer
}

// failing ends a reader with an error, or with nothing.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// recorder keeps what passes to the client, as long as it is small enough to be stored.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	failed bool
}

// maxRecorded leaves room for the headers and the encoding.
const maxRecorded = state.MaxValue / 2

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	if err != nil || r.body.Len()+len(b) > maxRecorded {
		r.failed = true
	} else {
		r.body.Write(b)
	}
	return n, err
}

// whole says whether the answer is complete and worth keeping.
func (r *recorder) whole() bool {
	if r.failed || r.status == 0 || r.status >= 500 || r.status == http.StatusTooManyRequests || r.status == statusClientClosed {
		return false
	}
	if strings.HasPrefix(r.Header().Get("Content-Type"), "text/event-stream") {
		return bytes.HasSuffix(r.body.Bytes(), []byte("data: [DONE]\n\n"))
	}
	return true
}
