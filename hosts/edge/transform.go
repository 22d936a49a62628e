package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// transformed passes a request through the http-wasm filters of its route, once the caller is known. The body is read
// whole before, since it names the route.
func (s *Server) transformed(next http.Handler) http.Handler {
	if !s.Runtime.HasTransforms() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := whole(w, r, s.MaxBody)
		if err != nil {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
			next.ServeHTTP(w, r) // it says what is wrong with the body
			return
		}
		model := modelOf(body)
		if who := s.identity(r); !who.MayName(model) {
			next.ServeHTTP(w, withBody(r, body)) // it says that there is no such model; its filters are none of the caller's business
			return
		}
		route, filters := s.Runtime.Transforms(model)
		end := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(filters) > 0 {
				body, _ := io.ReadAll(r.Body) // in memory
				if now := s.Runtime.RouteName(modelOf(body)); now != route {
					s.stopped(w, r, route, time.Now(), &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "transform_failed",
						Message: "a filter changed the model field so that it leads to another route; a router chooses models, a filter does not"})
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			next.ServeHTTP(w, r)
		})
		s.through(filters, route, end).ServeHTTP(w, withBody(r, body))
	})
}

// modelOf is the model field of a body, read as the handlers read it; empty where there is none.
func modelOf(body []byte) string {
	var named struct {
		Model string `json:"model"`
	}
	_ = json.Unmarshal(body, &named) // the handler says what is wrong with it
	return named.Model
}

func withBody(r *http.Request, body []byte) *http.Request {
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return r
}

// through returns next with filters around it.
func (s *Server) through(filters []runtime.Transform, route string, next http.Handler) http.Handler {
	for i := len(filters) - 1; i >= 0; i-- {
		f, inner := filters[i], next
		next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.filter(w, r, f, route, inner) })
	}
	return next
}

var errResponseTooLarge = &openai.Error{Status: http.StatusBadGateway, Type: openai.TypeServer, Code: "response_too_large",
	Message: "the answer is too large for a filter that wants it whole"}

// filter passes one request through one filter. Its request's body is in memory.
func (s *Server) filter(w http.ResponseWriter, r *http.Request, f runtime.Transform, route string, next http.Handler) {
	body, _ := io.ReadAll(r.Body)
	began := time.Now()
	x := &wasm.HTTPExchange{Method: r.Method, URI: r.URL.RequestURI(), Protocol: r.Proto, Source: r.RemoteAddr, Host: r.Host,
		Header: r.Header.Clone(), Body: body, Response: wasm.HTTPAnswer{Header: w.Header().Clone()}, Limit: int(s.MaxBody)}
	if x.Response.Header == nil {
		x.Response.Header = http.Header{}
	}
	entry := pipeline.Entry{Stage: "transform", Plugin: f.Plugin.Name(), Digest: f.Plugin.Digest(), Verdict: "next"}
	called, passed := false, false // passed: the response goes out as it comes
	var unfiltered *held
	res, err := f.Plugin.Filter(r.Context(), wasm.Filter{Exchange: x, Tenant: s.identity(r).Tenant, Timeout: f.Timeout,
		Next: func(cost wasm.Result, buffered bool) error {
			called = true
			inner, err := changed(r, x, pipeline.WithEntry(r.Context(), entry, cost, nil))
			if err != nil {
				return err
			}
			if !buffered {
				passed = true
				replace(w.Header(), x.Response.Header)
				x.Response.Header = w.Header()
				next.ServeHTTP(w, inner)
				return nil
			}
			h := &held{header: x.Response.Header, limit: int(s.MaxBody), body: x.Response.Body}
			next.ServeHTTP(h, inner)
			if h.overflow {
				return errResponseTooLarge
			}
			x.Response.Status, x.Response.Body = h.status, h.body
			unfiltered = &held{header: h.header.Clone(), status: h.status, body: h.body}
			return nil
		}})
	var failed *wasm.Error
	switch {
	case passed:
		if err != nil {
			s.Log.Warn("a filter failed after the response had gone out", "plugin", f.Plugin.Name(), "route", route, "error", err)
		}
	case err == nil:
		if res.Answered {
			entry.Verdict = "answered"
			s.answered(w, r, x, pipeline.WithEntry(r.Context(), entry, res.Request, nil), route, began)
		}
		x.Response.Header.Del("Content-Length") // of what it was before
		send(w, x.Response)
	case !errors.As(err, &failed):
		s.stopped(w, r, route, began, err)
	case f.Open && !called:
		entry.Verdict = "open"
		next.ServeHTTP(w, withBody(r.WithContext(pipeline.WithEntry(r.Context(), entry, res.Request, err)), body))
	case f.Open:
		s.Log.Warn("a filter failed on the response, which goes out without it", "plugin", f.Plugin.Name(), "route", route, "error", err)
		send(w, wasm.HTTPAnswer{Status: unfiltered.status, Header: unfiltered.header, Body: unfiltered.body})
	default:
		entry.Verdict = "closed"
		s.Log.Warn("a filter failed, and its route does not answer without it", "plugin", f.Plugin.Name(), "route", route, "error", err)
		s.stopped(w, r.WithContext(pipeline.WithEntry(r.Context(), entry, res.Request, err)), route, began, runtime.TransformFailed(f.Plugin, err))
	}
}

// answered records a request that a filter answered by itself.
func (s *Server) answered(w http.ResponseWriter, r *http.Request, x *wasm.HTTPExchange, ctx context.Context, route string, began time.Time) {
	var err error
	if status := x.Response.Status; status >= 400 {
		err = &openai.Error{Status: status, Type: openai.TypeInvalidRequest, Code: "transform_answered", Message: "a filter answered with status " + strconv.Itoa(status)}
	}
	id := s.begin(w, r, "")
	w.Header().Set("X-Ledge-Route", route)
	maps.Copy(x.Response.Header, w.Header())
	_ = s.Runtime.Transformed(ctx, id, s.identity(r), route, began, err)
}

// stopped answers a request that ends with a filter.
func (s *Server) stopped(w http.ResponseWriter, r *http.Request, route string, began time.Time, err error) {
	id := s.begin(w, r, "")
	w.Header().Set("X-Ledge-Route", route)
	writeError(w, s.Runtime.Transformed(r.Context(), id, s.identity(r), route, began, err))
}

// changed is the request as a filter left it.
func changed(r *http.Request, x *wasm.HTTPExchange, ctx context.Context) (*http.Request, error) {
	u, err := url.ParseRequestURI(x.URI)
	if err != nil {
		return nil, err // the filter could not have set it
	}
	inner := r.WithContext(ctx)
	inner.Method, inner.URL, inner.RequestURI, inner.Host, inner.Header = x.Method, u, x.URI, x.Host, x.Header
	if inner.Header.Get("Content-Length") != "" {
		inner.Header.Set("Content-Length", strconv.Itoa(len(x.Body)))
	}
	return withBody(inner, x.Body), nil
}

// held is a response that a filter may still change.
type held struct {
	header   http.Header
	status   int
	body     []byte
	limit    int
	overflow bool
}

func (h *held) Header() http.Header { return h.header }

func (h *held) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
}

func (h *held) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.status = http.StatusOK
	}
	if len(h.body)+len(p) > h.limit {
		h.overflow = true
		return 0, errResponseTooLarge
	}
	h.body = append(h.body, p...)
	return len(p), nil
}

// Flush and SetWriteDeadline are of a writer that streams; what is held waits.
func (h *held) Flush()                           {}
func (h *held) SetWriteDeadline(time.Time) error { return nil }

func replace(to, from http.Header) {
	clear(to)
	for name, values := range from {
		to[name] = values
	}
}

func send(w http.ResponseWriter, a wasm.HTTPAnswer) {
	replace(w.Header(), a.Header)
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a client that left needs no answer
}
