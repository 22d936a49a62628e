package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

func TestKey_AddListRevokeInTheStateDirectory(t *testing.T) {
	data := t.TempDir()
	// An address where nobody answers keeps a running appliance out of it.
	run := func(args ...string) (int, string, string) {
		return runLedge(append(append([]string{"key"}, args...), "--data", data, "--admin", "127.0.0.1:1")...)
	}
	status, out, errs := run("add", "--tenant", "acme", "--name", "ci", "--role", "chat", "--json")
	var made struct{ ID, Key, Tenant string }
	if err := json.Unmarshal([]byte(out), &made); status != 0 || err != nil || made.Tenant != "acme" || !strings.HasPrefix(made.Key, "ledge_"+made.ID) {
		t.Fatalf("status %d: %s%s", status, out, errs)
	}
	if status, out, errs := run("ls"); status != 0 || !strings.Contains(out, made.ID) || strings.Contains(out, made.Key) || !strings.Contains(out, "good") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if status, out, errs := run("revoke", made.ID); status != 0 {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if status, out, _ := run("ls", "--tenant", "acme"); status != 0 || !strings.Contains(out, "revoked") {
		t.Errorf("status %d: %s", status, out)
	}
	if status, _, errs := run("revoke", "nosuch"); status != 1 || !strings.Contains(errs, "ledge key ls") {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, _, errs := run("add", "--role", "king"); status != 1 || !strings.Contains(errs, "operator") {
		t.Errorf("status %d: %s", status, errs)
	}
}

func TestKey_IsSentToAnApplianceThatAsksForCredentials(t *testing.T) {
	appliance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer ledge_op_1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"keys":[{"id":"seen","tenant":"a"}]}`)
	}))
	defer appliance.Close()
	ls := []string{"key", "ls", "--data", t.TempDir(), "--admin", appliance.Listener.Addr().String()}
	t.Setenv("LEDGE_API_KEY", "")
	if status, _, errs := runLedge(ls...); status != 1 || !strings.Contains(errs, "LEDGE_API_KEY") {
		t.Errorf("without a key: status %d: %s", status, errs)
	}
	t.Setenv("LEDGE_API_KEY", "ledge_op_1")
	if status, out, errs := runLedge(ls...); status != 0 || !strings.Contains(out, "seen") {
		t.Errorf("with a key: status %d: %s%s", status, out, errs)
	}
}

func TestVerbs_LeaveAnApplianceWithOtherDataAlone(t *testing.T) {
	mine, others := t.TempDir(), t.TempDir()
	var data atomic.Value
	data.Store(others)
	var asked atomic.Int64
	appliance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/admin/v1/status" {
			asked.Add(1)
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data.Load(), "keys": []any{}, "requests": []any{}, "usage": []any{}})
	}))
	defer appliance.Close()
	file := filepath.Join(t.TempDir(), "ledge.yaml")
	if err := os.WriteFile(file, []byte("admin: "+appliance.Listener.Addr().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	verbs := [][]string{{"key", "add"}, {"key", "ls"}, {"trace"}, {"usage"}}
	for _, verb := range verbs {
		if status, _, errs := runLedge(append(verb, "-c", file, "--data", mine)...); status != 0 || asked.Load() != 0 {
			t.Errorf("%v: status %d, asked %d times: %s", verb, status, asked.Load(), errs)
		}
	}
	data.Store(mine)
	for i, verb := range verbs[1:] {
		if status, _, errs := runLedge(append(verb, "-c", file, "--data", mine)...); status != 0 || asked.Load() != int64(i+1) {
			t.Errorf("%v: status %d, asked %d times: %s", verb, status, asked.Load(), errs)
		}
	}
}

func TestCheck_ReadsThePluginsOfTheConfiguration(t *testing.T) {
	for text, want := range map[string]string{"plugins: {x: {file: /nowhere/x.wasm}}": "plugin x", "plugins: {x: {builtin: nosuch}}": "there are cache-policy"} {
		file := filepath.Join(t.TempDir(), "ledge.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, errs := runLedge("check", "-c", file, "--data", t.TempDir(), "--admin", "127.0.0.1:1"); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d: %s", text, status, errs)
		}
	}
}

func TestServe_RefusesTheNetworkUntilItSaysWhoMayAsk(t *testing.T) {
	for name, tc := range map[string]struct {
		yaml, listen, admin string
		refused             bool
	}{
		"loopback":          {"", "127.0.0.1:0", "[::1]:0", false},
		"every interface":   {"", "0.0.0.0:0", "127.0.0.1:0", true},
		"a host name":       {"", "box:0", "127.0.0.1:0", true},
		"no host":           {"", ":0", "127.0.0.1:0", true},
		"administration":    {"", "127.0.0.1:0", "0.0.0.0:0", true},
		"said none":         {"auth: none", "0.0.0.0:0", "0.0.0.0:0", false},
		"asks for keys":     {"auth: {keys: true}", "0.0.0.0:0", "0.0.0.0:0", false},
		"said null":         {"auth: null", "0.0.0.0:0", "127.0.0.1:0", true},
		"takes no key, jwt": {"auth: {keys: false, jwt: {jwks: f, issuer: i, audience: a}}", "0.0.0.0:0", "127.0.0.1:0", false},
	} {
		cfg, err := config.Parse([]byte(tc.yaml), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Listen, cfg.Admin = tc.listen, tc.admin
		if err := exposed(cfg); (err != nil) != tc.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "ledge.yaml")
	for bad, want := range map[string]string{"auth: maybe": "auth", "auth: {keys: false}": "no credential", "auth: {kees: true}": "kees",
		"auth: {jwt: {jwks: f}}": "auth.jwt.issuer", "auth: {certificates: {roles: [king]}}": "tls.client_ca", "tls: {cert: f}": "both cert and key"} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, errs := runLedge("check", "-c", file, "--data", t.TempDir(), "--admin", "127.0.0.1:1"); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d: %s", bad, status, errs)
		}
	}
}
