package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/ledge-run/ledge/runtime/wasm"
)

// filterMessage is a request or a response in the input and output of a call of an http-wasm filter.
type filterMessage struct {
	Method  string      `json:"method,omitempty"`
	URI     string      `json:"uri,omitempty"`
	Status  int         `json:"status,omitempty"`
	Headers http.Header `json:"headers,omitempty"`
	Body    string      `json:"body"`
}

// filterInput is what a filter is tried with: a request, and what the handler behind it answers.
type filterInput struct {
	Request  filterMessage `json:"request"`
	Response filterMessage `json:"response"`
}

// filterOutput is what became of them. Next says whether the filter let the request through.
type filterOutput struct {
	Next     bool          `json:"next"`
	Request  filterMessage `json:"request"`
	Response filterMessage `json:"response"`
}

// callFilter passes one request through a filter.
func callFilter(ctx context.Context, plugin *wasm.Plugin, input []byte) (wasm.Result, error) {
	in := filterInput{Request: filterMessage{Method: http.MethodPost, URI: "/"}, Response: filterMessage{Status: http.StatusOK}}
	if len(input) > 0 {
		if err := json.Unmarshal(input, &in); err != nil {
			return wasm.Result{}, &wasm.Error{Code: wasm.CodeInternal, Message: fmt.Sprintf(
				`the input for a filter is {"request":{"method","uri","headers":{"Name":["value"]},"body"},"response":{"status","headers","body"}}: %v`, err)}
		}
	}
	x := &wasm.HTTPExchange{Method: in.Request.Method, URI: in.Request.URI, Protocol: "HTTP/1.1", Source: "127.0.0.1:1", Host: "localhost",
		Header: canonical(in.Request.Headers), Body: []byte(in.Request.Body), Response: wasm.HTTPAnswer{Header: http.Header{}}, Limit: plugin.Limits().OutputBytes}
	res, err := plugin.Filter(ctx, wasm.Filter{Exchange: x, Next: func(wasm.Result, bool) error {
		x.Response.Status = in.Response.Status
		for name, values := range canonical(in.Response.Headers) {
			x.Response.Header[name] = append(x.Response.Header[name], values...)
		}
		x.Response.Body = append(x.Response.Body, in.Response.Body...)
		return nil
	}})
	out := wasm.Result{Duration: res.Request.Duration + res.Response.Duration, Fuel: res.Request.Fuel + res.Response.Fuel,
		MemoryPeak: max(res.Request.MemoryPeak, res.Response.MemoryPeak), Logs: append(res.Request.Logs, res.Response.Logs...)}
	if err != nil {
		return out, err
	}
	if x.Response.Status == 0 {
		x.Response.Status = http.StatusOK
	}
	out.Output, err = json.Marshal(filterOutput{!res.Answered, filterMessage{Method: x.Method, URI: x.URI, Headers: x.Header, Body: string(x.Body)},
		filterMessage{Status: x.Response.Status, Headers: x.Response.Header, Body: string(x.Response.Body)}})
	return out, err
}

func canonical(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		for _, v := range values {
			out.Add(name, v)
		}
	}
	return out
}
