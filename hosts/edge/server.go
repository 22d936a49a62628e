// Package edge is the appliance's HTTP surface: the OpenAI API and health on one address, metrics, traces and plugin
// administration on another. It turns HTTP into runtime calls and runtime events into JSON or server-sent events, and
// decides nothing. Start reading at [Server.API] and chat.go.
package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// Times after which a peer that does nothing is left.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = time.Minute
	writeTimeout  = 30 * time.Second // for one piece of an answer
	idleTimeout   = 2 * time.Minute  // between requests of a connection
)

// Server serves one runtime. It is safe for concurrent use.
type Server struct {
	Runtime *runtime.Runtime
	Log     *slog.Logger
	Metrics *Metrics
	MaxBody int64 // bytes of a request body
	Version string
	Origins []string // of web pages that may use the API, as https://host[:port]; "*": any
	// AdminCredentials asks for the credential of an administrator or operator on the administration address; without it
	// whoever reaches the address is the operator.
	AdminCredentials bool

	// Places is how many requests may work and wait at once; more are turned away unread. 0: no bound here.
	Places int

	// Spans begins a trace for requests that come without one; nil: only what is sent is gone on with.
	Spans func() tracecontext.Context

	flights inFlight
	door    door
}

// API is the handler of the public address.
func (s *Server) API() http.Handler {
	mux := http.NewServeMux()
	route(mux, "POST", "/v1/chat/completions", s.needs(identity.RoleChat, s.once(s.chat)))
	route(mux, "POST", "/v1/completions", s.needs(identity.RoleChat, s.once(s.complete)))
	route(mux, "POST", "/v1/embeddings", s.needs(identity.RoleEmbed, s.embed))
	route(mux, "POST", "/v1/rerank", s.needs(identity.RoleEmbed, s.rerank))
	route(mux, "POST", "/v1/messages", s.needs(identity.RoleChat, s.once(s.messages)))
	route(mux, "POST", "/v1/messages/count_tokens", s.needs(identity.RoleChat, s.countTokens))
	s.ollamaRoutes(mux)
	route(mux, "GET", "/v1/models", s.models)
	route(mux, "GET", "/v1/models/{id...}", s.model)
	mux.HandleFunc("/", notFound)
	open := http.NewServeMux() // health is everyone's business
	route(open, "GET", "/livez", s.livez)
	route(open, "GET", "/readyz", s.readyz)
	if s.Places > 0 {
		s.door.most = int64(s.Places) + doorMargin
	}
	open.Handle("/", spoken(s.door.guard(s.pages(s.traced(s.authenticated(s.transformed(mux)))))))
	return s.recovered(open)
}

// route registers a handler for one method, and an OpenAI-shaped error for the others.
func route(mux *http.ServeMux, method, path string, h http.HandlerFunc) {
	methods(mux, path, map[string]http.HandlerFunc{method: h})
}

// methods registers a handler for each method of a path (that of GET answers HEAD as well), and an OpenAI-shaped error for
// the others. One pattern for all methods keeps a fixed path beside a wildcard from being ambiguous.
func methods(mux *http.ServeMux, path string, handlers map[string]http.HandlerFunc) {
	allowed := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h := handlers[method]; h != nil {
			h(w, r)
			return
		}
		w.Header().Set("Allow", allowed)
		writeError(w, &openai.Error{Status: http.StatusMethodNotAllowed, Type: openai.TypeInvalidRequest, Code: "method_not_allowed",
			Message: r.Method + " is not supported here; use " + allowed})
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Code: "unknown_url",
		Message: "there is nothing at " + r.Method + " " + r.URL.Path})
}

// recovered keeps a bug in one request from ending the process, and says so to the client if it still can.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			s.Log.Error("request panicked", "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
			writeError(w, errInternal)
		}()
		next.ServeHTTP(w, r)
	})
}

// NewHTTPServer returns a server for a handler with the appliance's timeouts.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	silent := &silentConns{conns: map[net.Conn]bool{}}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnState: silent.track}
	srv.RegisterOnShutdown(silent.close)
	return srv
}

// silentConns are the connections on which nothing was asked yet. Clients open them in advance, and [http.Server.Shutdown]
// waits five seconds for each to say something.
type silentConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateNew {
		delete(s.conns, c)
		return
	}
	if s.closed {
		c.Close()
		return
	}
	s.conns[c] = true
}

func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
}

// Serve answers on the listener, with TLS where the server is configured for it, until ctx ends, then lets requests in work finish for at most grace.
func Serve(ctx context.Context, srv *http.Server, l net.Listener, grace time.Duration) error {
	done := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			done <- srv.ServeTLS(l, "", "")
			return
		}
		done <- srv.Serve(l)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// body reads a request whole, before anything is started for it, within the size and time a body may take.
func (s *Server) body(w http.ResponseWriter, r *http.Request, v any) ([]byte, error) {
	return readBody(w, r, v, s.MaxBody)
}

func readBody(w http.ResponseWriter, r *http.Request, v any, most int64) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, &openai.Error{Status: http.StatusUnsupportedMediaType, Type: openai.TypeInvalidRequest, Code: "unsupported_encoding",
			Message: "the request body is encoded as " + e + "; send it as it is"}
	}
	b, err := whole(w, r, most)
	if err != nil {
		return nil, openai.ReadError(err)
	}
	return b, openai.Decode(b, v)
}

// whole reads a request's body, within the size and time that one may take. The error is that of reading.
func whole(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most { // said before the client sends it
		return nil, &http.MaxBytesError{Limit: most}
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has deadlines; then the server's hold
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
	}
	return b, err
}
