package edge

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

// connections counts those of a peer from now on.
func (p *peer) connections() func() int64 {
	var n int64
	done := make(chan struct{}, 1024)
	p.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			done <- struct{}{}
		}
	}
	return func() int64 {
		for {
			select {
			case <-done:
				n++
			default:
				return n
			}
		}
	}
}

func offline(c *config.Config) { c.Offline = true }

func TestOffline_RemoteModelsAreNotThere(t *testing.T) {
	far := newPeer(t, "far")
	connections := far.connections()
	route := func(r *config.Route) {
		r.Models, r.Fallback, r.Router = []string{"far/m", "all", "local"}, []string{"far/m"}, config.Stage{}
	}
	a := open(t, dataDir(t), withPeers(route, far), withModel(tinyModel(t)), offline, func(c *config.Config) {
		c.Pools = map[string][]config.PoolMember{"all": {{Model: "far/m"}}}
	})
	r := a.post("/v1/chat/completions", ask("Once upon a time"))
	if r.status != 200 || r.header.Get("X-Ledge-Model") != "tiny" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if e := a.trace(r).Stages[0]; e.Stage != "offline" || e.Verdict != "left_out" || e.Reason != "far/m, all, far/m" {
		t.Errorf("trace entry %+v", e)
	}
	for _, name := range []string{"far/m", "all"} {
		for _, stream := range []bool{false, true} {
			if r := a.post("/v1/chat/completions", ask("x", "model", name, "stream", stream)); r.status != 503 || r.code() != "offline" || !strings.Contains(string(r.body), "this appliance is offline") {
				t.Errorf("%s by name: %d %s", name, r.status, r.body)
			}
		}
	}
	if r := a.post("/v1/chat/completions", ask("x", "model", "nobody/m")); r.code() != "model_not_found" {
		t.Errorf("a model that nobody configured: %s", r.body)
	}
	if r := a.get(a.api.URL + "/v1/models"); strings.Contains(string(r.body), "far/m") {
		t.Errorf("/v1/models lists it: %s", r.body)
	}
	if r := a.get(a.api.URL + "/readyz"); r.status != 200 || !strings.Contains(string(r.body), `"offline":true`) {
		t.Errorf("/readyz: %d %s", r.status, r.body)
	}
	if n := connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestOffline_AnUpstreamThatIsLocalAnswers(t *testing.T) {
	near := newPeer(t, "near")
	a := open(t, dataDir(t), withPeers(func(*config.Route) {}, near), func(c *config.Config) {
		u := c.Upstreams["near"]
		u.Local = true
		c.Upstreams["near"] = u
	}, offline)
	if r := a.post("/v1/chat/completions", ask("x")); r.text() != "from near" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestOffline_RefusesRoutesThatNothingCouldAnswer(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"remote models only": {"offline: true\nupstreams: {up: {base_url: 'https://api.example.com/v1', models: [m]}}\nroutes: {far: {models: [up/m]}}",
			"all models of this route are remote (up/m)"},
		"local by name, not by address": {"offline: true\nupstreams: {up: {base_url: 'http://8.8.8.8/v1', models: [m], local: true}}", "neither this host nor in a network of site"},
		"everything is the site":        {"offline: true\nsite: [0.0.0.0/0]", "every network there is"},
		"a network that is none":        {"site: [intranet]", "not a network"},
	} {
		if _, err := config.Parse([]byte(c.doc), name); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, fine := range []string{
		"offline: true\nsite: [10.0.0.0/8]\nupstreams: {up: {base_url: 'http://10.1.2.3/v1', models: [m], local: true}}\nroutes: {far: {models: [up/m]}}",
		"offline: true\nupstreams: {up: {base_url: 'https://api.example.com/v1', models: [m]}}\nroutes: {far: {models: [up/m, local]}}",
	} {
		if _, err := config.Parse([]byte(fine), "fine"); err != nil {
			t.Error(err)
		}
	}
}

// Who starts the process has the last word: no file takes it back.
func TestOffline_TheEnvironmentOverrulesTheFile(t *testing.T) {
	t.Setenv("LEDGE_OFFLINE", "1")
	path := t.TempDir() + "/c.yaml"
	if err := os.WriteFile(path, []byte("offline: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(path); err != nil || !c.Offline {
		t.Errorf("offline %v, %v", c.Offline, err)
	}
	t.Setenv("LEDGE_OFFLINE", "perhaps")
	if _, err := config.Load(""); err == nil {
		t.Error("nonsense was taken")
	}
}
