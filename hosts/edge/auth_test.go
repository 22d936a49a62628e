package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
)

func withAuth(c *config.Config) { c.Auth.Require() }

func (a *appliance) key(k identity.Key) string {
	a.t.Helper()
	_, text, err := a.rt.Keys().Add(context.Background(), k, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// as makes a request with a key.
func (a *appliance) as(key, method, url string, body any) reply {
	a.t.Helper()
	doc, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest(method, url, strings.NewReader(string(doc)))
	if err != nil {
		a.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.read(resp)
}

// guardedAdmin serves the administration API as it is on an address that the network can reach: with credentials.
func (a *appliance) guardedAdmin() *httptest.Server {
	s := &Server{Runtime: a.rt, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(), MaxBody: 1 << 20, AdminCredentials: true}
	admin := httptest.NewServer(s.Admin())
	a.t.Cleanup(admin.Close)
	return admin
}

func TestAuth_RefusesWhomItDoesNotKnow(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withAuth)
	chat, embed := a.key(identity.Key{Tenant: "acme"}), a.key(identity.Key{Tenant: "acme", Roles: []string{"embed"}})
	bound := a.key(identity.Key{Tenant: "acme", Models: []string{"other"}})
	url := a.api.URL + "/v1/chat/completions"
	for name, tc := range map[string]struct {
		key    string
		status int
		code   string
	}{
		"none": {"", 401, "missing_credential"}, "wrong": {"ledge_x_y", 401, "invalid_api_key"}, "good": {chat, 200, ""},
		"without the role": {embed, 403, "insufficient_permissions"}, "not its model": {bound, 404, "model_not_found"},
	} {
		r := a.as(tc.key, "POST", url, ask("Once"))
		if r.status != tc.status || r.code() != tc.code || r.header.Get("X-Ledge-Request-Id") == "" {
			t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
		}
		if tc.status == 401 && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: no challenge", name)
		}
	}
	if r := a.as(bound, "POST", url, ask("Once")); r.header.Get("X-Ledge-Route") != "none" {
		t.Errorf("a bound key learns that a route exists: %v", r.header)
	}
	if r := a.as(bound, "GET", a.api.URL+"/v1/models", nil); strings.Contains(string(r.body), "default") {
		t.Errorf("a bound key lists %s", r.body)
	}
	if r := a.get(a.api.URL + "/livez"); r.status != 200 {
		t.Errorf("/livez: %d", r.status)
	}
	if r := a.get(a.api.URL + "/v1/nothing"); r.status != 401 {
		t.Errorf("a stranger learns which paths exist: %d", r.status)
	}
}

func TestTenants_EraseOnlyTheirOwn(t *testing.T) {
	a := open(t, dataDir(t), withAuth)
	admin := a.guardedAdmin()
	red, blue := a.key(identity.Key{Tenant: "red", Roles: []string{"admin", "docs.write"}}), a.key(identity.Key{Tenant: "blue", Roles: []string{"admin", "docs.write"}})
	operator := a.key(identity.Key{Tenant: "house", Roles: []string{"operator"}})
	docs, erase := admin.URL+"/admin/v1/documents", admin.URL+"/admin/v1/erase"
	text := letter("red", 3)
	add := func(key string) {
		t.Helper()
		r := a.as(key, "POST", docs, map[string]any{"documents": []any{map[string]string{"name": "letter.txt", "text": text, "owner": "alice"}}})
		if r.status != 202 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if r := a.as(key, "GET", docs, nil); strings.Contains(string(r.body), "letter.txt") {
				return
			} else if time.Now().After(end) {
				t.Fatalf("not indexed: %s", r.body)
			}
		}
	}
	add(red)
	if r := a.as(blue, "POST", erase, map[string]string{"tenant": "red", "subject": "alice"}); r.status != 403 {
		t.Errorf("blue erases red's: %d %s", r.status, r.body)
	}
	add(blue)
	if r := a.as(blue, "POST", erase, map[string]string{"subject": "alice"}); r.status != 200 || !strings.Contains(string(r.body), `"shared":0`) {
		t.Errorf("blue learns what red holds: %d %s", r.status, r.body)
	}
	if r := a.as(red, "GET", docs, nil); !strings.Contains(string(r.body), "letter.txt") {
		t.Errorf("red's document is gone: %s", r.body)
	}
	if r := a.as(operator, "POST", erase, map[string]string{"tenant": "red", "subject": "alice"}); r.status != 200 || !strings.Contains(string(r.body), "letter.txt") {
		t.Errorf("the operator erases: %d %s", r.status, r.body)
	}
}

func TestKeys_AnAdministratorMakesNoneThatOpensMoreThanItsOwn(t *testing.T) {
	a := open(t, dataDir(t), withAuth)
	keys := a.guardedAdmin().URL + "/admin/v1/keys"
	bound := a.key(identity.Key{Tenant: "red", Roles: []string{"admin", "chat"}, Models: []string{"support", "sales"}})
	for name, tc := range map[string]struct {
		key    identity.Key
		status int
	}{
		"all models":     {identity.Key{Roles: []string{"chat"}}, 403},
		"another model":  {identity.Key{Roles: []string{"chat"}, Models: []string{"support", "board"}}, 403},
		"another tenant": {identity.Key{Tenant: "blue", Roles: []string{"chat"}, Models: []string{"support"}}, 403},
		"another role":   {identity.Key{Roles: []string{"operator"}, Models: []string{"support"}}, 403},
		"its own":        {identity.Key{Roles: []string{"chat"}, Models: []string{"support"}}, 201},
	} {
		if r := a.as(bound, "POST", keys, tc.key); r.status != tc.status {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestTenants_DoNotSeeEachOthersAnswersAndTraces(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withAuth)
	admin := a.guardedAdmin()
	all := []string{"chat", "admin"}
	red, blue := a.key(identity.Key{Tenant: "red", Roles: all}), a.key(identity.Key{Tenant: "blue", Roles: all})
	operator := a.key(identity.Key{Tenant: "house", Roles: []string{"operator"}})
	url := a.api.URL + "/v1/chat/completions"
	first := a.as(red, "POST", url, ask("Once upon a time"))
	if again := a.as(red, "POST", url, ask("Once upon a time")); again.header.Get("X-Ledge-Cache") != "hit" {
		t.Errorf("red's own answer is not reused: %v", again.header)
	}
	if r := a.as(blue, "POST", url, ask("Once upon a time")); r.header.Get("X-Ledge-Cache") != "miss" {
		t.Errorf("blue got red's answer: %v", r.header)
	}
	id := first.header.Get("X-Ledge-Request-Id")
	for name, tc := range map[string]struct {
		key    string
		status int
	}{"red": {red, 200}, "blue": {blue, 404}, "operator": {operator, 200}, "nobody": {"", 401}} {
		if r := a.as(tc.key, "GET", admin.URL+"/admin/v1/requests/"+id, nil); r.status != tc.status {
			t.Errorf("%s sees red's trace: %d %s", name, r.status, r.body)
		}
	}
	for key, want := range map[string][2]int{red: {2, 0}, blue: {0, 1}, operator: {2, 1}} {
		r := a.as(key, "GET", admin.URL+"/admin/v1/requests?tenant=red", nil) // an administrator's query names nobody else
		if key == operator {
			r = a.as(key, "GET", admin.URL+"/admin/v1/requests", nil)
		}
		if got := [2]int{strings.Count(string(r.body), `"tenant":"red"`), strings.Count(string(r.body), `"tenant":"blue"`)}; got != want {
			t.Errorf("lists %v, want %v: %s", got, want, r.body)
		}
	}
	if r := a.as(blue, "DELETE", admin.URL+"/admin/v1/cache?tenant=red", nil); r.status != 204 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := a.as(red, "POST", url, ask("Once upon a time")); r.header.Get("X-Ledge-Cache") != "hit" {
		t.Error("blue emptied red's cache")
	}
	for path, method := range map[string]string{"/metrics": "GET", "/admin/v1/plugins": "GET", "/admin/v1/check": "POST"} {
		if r := a.as(red, method, admin.URL+path, nil); r.status != 403 {
			t.Errorf("%s for a tenant's administrator: %d", path, r.status)
		}
	}
	if r := a.as(red, "POST", admin.URL+"/admin/v1/keys", identity.Key{Tenant: "blue"}); r.status != 403 {
		t.Errorf("red made a key of blue's: %d", r.status)
	}
	if r := a.as(red, "POST", admin.URL+"/admin/v1/keys", identity.Key{Roles: []string{"operator"}}); r.status != 403 {
		t.Errorf("red made an operator: %d", r.status)
	}
	blues := a.rt.Keys().List("blue")[0].ID
	if r := a.as(red, "DELETE", admin.URL+"/admin/v1/keys/"+blues, nil); r.status != 404 {
		t.Errorf("red revoked blue's key: %d", r.status)
	}
	if r := a.as(operator, "DELETE", admin.URL+"/admin/v1/keys/"+blues, nil); r.status != 200 {
		t.Errorf("operator: %d %s", r.status, r.body)
	}
	if r := a.as(blue, "POST", url, ask("Once")); r.status != 401 {
		t.Errorf("a revoked key: %d", r.status)
	}
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (ca *authority) issue(t *testing.T, template *x509.Certificate) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if ca.cert != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if ca.cert == nil {
		ca.cert, _ = x509.ParseCertificate(der)
		ca.key = key
	}
	doc, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: doc})
}

func TestTLS_ClientCertificateIsACredential(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := &authority{}, &authority{}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootPEM, _ := ours.issue(t, root)
	theirs.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	serverPEM, serverKey := ours.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "ledge"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	files := config.TLS{Cert: write("cert", serverPEM), Key: write("key", serverKey), ClientCA: write("ca", rootPEM)}
	a := open(t, dataDir(t), withModel(tinyModel(t)), withAuth, func(c *config.Config) {
		c.TLS = files
		c.Auth.Certificates = &config.Certificates{Roles: []string{"chat"}}
	})
	secure, err := NewTLS(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewHTTPServer(a.api.Config.Handler, slog.New(slog.DiscardHandler))
	srv.TLSConfig = secure
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, srv, l, time.Second) }()
	defer func() { cancel(); <-served }()

	leaf := func(ca *authority) []tls.Certificate {
		c, k := ca.issue(t, &x509.Certificate{Subject: pkix.Name{Organization: []string{"acme"}, CommonName: "robot-7"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		pair, err := tls.X509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM)
	post := func(certs []tls.Certificate) (int, string) {
		// The client sends what it has whether or not the server trusts its issuer.
		c := &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		}}
		doc, _ := json.Marshal(ask("Once"))
		resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}).Post("https://"+l.Addr().String()+"/v1/chat/completions", "application/json", strings.NewReader(string(doc)))
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Header.Get("X-Ledge-Request-Id")
	}
	status, id := post(leaf(ours))
	if status != 200 {
		t.Fatalf("with our certificate: %d", status)
	}
	if tr := a.get(a.admin.URL + "/admin/v1/requests/" + id); !strings.Contains(string(tr.body), `"tenant":"acme","subject":"robot-7"`) {
		t.Errorf("trace %s", tr.body)
	}
	if status, _ := post(leaf(theirs)); status != 0 {
		t.Errorf("with a stranger's certificate: %d", status)
	}
	if status, _ := post(nil); status != 401 {
		t.Errorf("with none: %d", status)
	}
}

func TestServe_DoesNotWaitForConnectionsThatNeverAsked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, srv, l, time.Minute) }()
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if resp, err := http.Get("http://" + l.Addr().String()); err != nil { // the silent one was accepted before
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	begin := time.Now()
	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second): // without the care it takes five
		t.Errorf("still waiting after %v", time.Since(begin))
	}
}
