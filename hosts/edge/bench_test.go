package edge

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

// gatewayRoute is the built-in router and two guards in front of a remote model that answers at once.
func gatewayRoute(b *testing.B) options {
	p := newPeer(b, "mock")
	return withPeers(func(r *config.Route) {
		r.Router = config.Stage{Plugin: "router"}
		r.Guards = config.Guards{Input: []config.Stage{{Plugin: "pii-guard"}, {Plugin: "injection-guard"}}}
	}, p)
}

// BenchmarkChat_Remote is one request through the whole pipeline without the cache, over loopback connections on both
// sides. The client, the appliance and the mock share the process, so the time includes all three.
func BenchmarkChat_Remote(b *testing.B) {
	app := open(b, dataDir(b), gatewayRoute(b))
	for b.Loop() {
		resp, err := http.Post(app.api.URL+"/v1/chat/completions", "application/json", bytes.NewReader(benchBody))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
		resp.Body.Close()
	}
}

// BenchmarkChat_Handler is the same without the client's connection.
func BenchmarkChat_Handler(b *testing.B) {
	app := open(b, dataDir(b), gatewayRoute(b))
	h := app.api.Config.Handler
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions", bytes.NewReader(benchBody)))
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}

var benchBody = fmt.Appendf(nil, `{"model":"default","max_tokens":16,"temperature":0.5,"messages":[{"role":"user","content":%q}]}`,
	"The customer says that the blue kettle arrived with a dented lid and asks what to do. Please write a short and friendly answer that explains how returns work.")
