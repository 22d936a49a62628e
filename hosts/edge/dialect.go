package edge

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// dialect is how an API writes streams and errors. Requests of all of them are turned into OpenAI's.
type dialect struct {
	contentType string // of a stream
	prefix      string // of paths
	event       func(v any) ([]byte, error)
	refusal     func(e *openai.Error) any // the body of an error, alone or in a stream
	done        []byte                    // ends a stream; nil: the last event does
	alive       []byte                    // shows that a silent stream lives; nil: nothing may
}

var openAI = &dialect{contentType: "text/event-stream", event: sseEvent, refusal: func(e *openai.Error) any { return e },
	done: []byte("data: [DONE]\n\n"), alive: []byte(": still working\n\n")}

// dialects are the APIs beside OpenAI's.
var dialects = []*dialect{ollamaAPI, anthropicAPI}

func sseEvent(v any) ([]byte, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	event := make([]byte, 0, len(doc)+8)
	event = append(event, "data: "...)
	event = append(event, doc...)
	return append(event, "\n\n"...), nil
}

// speaker remembers which dialect a response is written in.
type speaker struct {
	http.ResponseWriter
	dialect *dialect
}

// Unwrap is for [http.ResponseController].
func (s *speaker) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// spoken lets whatever answers a request below one of the dialects' paths, errors included, answer in that dialect.
func spoken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, d := range dialects {
			if strings.HasPrefix(r.URL.Path, d.prefix) {
				w = &speaker{w, d}
				break
			}
		}
		next.ServeHTTP(w, r)
	})
}

func dialectOf(w http.ResponseWriter) *dialect {
	for {
		switch t := w.(type) {
		case *speaker:
			return t.dialect
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return openAI
		}
	}
}

// passOn keeps a request that came in another dialect for remote models, as a client of OpenAI's would have sent it.
func (s *Server) passOn(req *openai.ChatRequest) {
	if s.Runtime.HasRemote() {
		doc, _ := json.Marshal(req) // it was decoded from JSON
		_ = json.Unmarshal(doc, &req.Raw)
	}
}

// conversation turns the events of one request into an answer in some dialect, whole or in pieces.
type conversation interface {
	collect(e *pipeline.Event)
	whole() any
	pieces(e *pipeline.Event, send func(any) error) error
}

// converse runs a request and writes what comes of it.
func (s *Server) converse(w http.ResponseWriter, streamed bool, c conversation, run func(emit func(pipeline.Event) error) error) {
	if streamed {
		out := newStream(w)
		err := run(func(e pipeline.Event) error {
			if e.Start != nil {
				start(w, e.Start)
			}
			return c.pieces(&e, out.send)
		})
		if err != nil {
			out.fail(err)
			return
		}
		out.done()
		return
	}
	err := run(func(e pipeline.Event) error {
		if e.Start != nil {
			start(w, e.Start)
		}
		c.collect(&e)
		return nil
	})
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, c.whole())
}
