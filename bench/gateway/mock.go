package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

const mockText = "quiet water"

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answer is the mock model server: whole or streamed, at once. It reads of a request only whether it wants a stream, so that
// little of the machine is the mock's.
func answer(w http.ResponseWriter, r *http.Request) {
	b := bodies.Get().(*bytes.Buffer)
	b.Reset()
	defer bodies.Put(b)
	if _, err := b.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if streams := bytes.Contains(b.Bytes(), []byte(`"stream":true`)) || bytes.Contains(b.Bytes(), []byte(`"stream": true`)); !streams {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Content-Length"] = wholeLength
		_, _ = io.WriteString(w, whole) // a client that left needs no answer
		return
	}
	w.Header()["Content-Type"] = []string{"text/event-stream"}
	_, _ = io.WriteString(w, streamed[0])
	w.(http.Flusher).Flush()
	_, _ = io.WriteString(w, streamed[1])
}

var (
	whole = fmt.Sprintf(`{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`, mockText)

	wholeLength = []string{strconv.Itoa(len(whole))}

	// The first text is flushed by itself, as a model would send it; the end comes in one piece.
	streamed = [2]string{
		event(fmt.Sprintf(`[{"index":0,"delta":{"role":"assistant","content":%q},"finish_reason":null}]`, mockText), ""),
		event(`[{"index":0,"delta":{},"finish_reason":"stop"}]`, "") + event(`[]`, `,"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}`) + "data: [DONE]\n\n",
	}
)

func event(choices, rest string) string {
	return fmt.Sprintf("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":%s%s}\n\n", choices, rest)
}
