package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// records keeps keys in memory.
type records map[string][]byte

func (r records) Put(_ context.Context, name string, v []byte) error { r[name] = v; return nil }
func (r records) List(_ context.Context, prefix string) (map[string][]byte, error) {
	return r, nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestKeys_OnlyHashesAreStoredAndRevocationHoldsAcrossReopening(t *testing.T) {
	ctx, kept := context.Background(), records{}
	keys, err := OpenKeys(ctx, kept)
	if err != nil {
		t.Fatal(err)
	}
	made, text, err := keys.Add(ctx, Key{Tenant: "acme", Name: "ci", Roles: []string{RoleChat}, Groups: []string{"staff"}, Clearance: "internal"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	secret := text[strings.LastIndex(text, "_")+1:]
	for name, doc := range kept {
		if strings.Contains(name+string(doc), secret) {
			t.Errorf("the store holds the key: %s %s", name, doc)
		}
	}
	if keys, err = OpenKeys(ctx, kept); err != nil {
		t.Fatal(err)
	}
	now := noon
	a, err := New(Options{Keys: keys, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	who, err := a.Authenticate(Credential{Bearer: text})
	if err != nil || who.Tenant != "acme" || who.Key != made.ID || !who.Has(RoleChat) || who.Has(RoleAdmin) || who.Groups[0] != "staff" || who.Clearance != "internal" {
		t.Errorf("got %+v, %v", who, err)
	}
	for _, wrong := range []string{"", "x", text + "a", text[:len(text)-1], "ledge_" + made.ID + "_" + strings.Repeat("a", 52), "ledge_" + made.ID, "ledge__"} {
		if _, err := a.Authenticate(Credential{Bearer: wrong}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	if _, err := keys.Revoke(ctx, made.ID, noon); err != nil {
		t.Fatal(err)
	}
	if keys, err = OpenKeys(ctx, kept); err != nil {
		t.Fatal(err)
	}
	a, _ = New(Options{Keys: keys})
	var refused *Refusal
	if _, err := a.Authenticate(Credential{Bearer: text}); !errors.As(err, &refused) || refused.Code != "revoked" {
		t.Errorf("after revocation: %v", err)
	}
}

func TestKeys_ExpireAndRefuseNonsense(t *testing.T) {
	ctx := context.Background()
	keys, _ := OpenKeys(ctx, records{})
	_, text, err := keys.Add(ctx, Key{Tenant: "acme", Expires: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.verify(text, noon.Add(59*time.Minute)); err != nil {
		t.Error(err)
	}
	if _, err := keys.verify(text, noon.Add(time.Hour)); err == nil {
		t.Error("an expired key was taken")
	}
	for name, k := range map[string]Key{"no tenant": {}, "role": {Tenant: "a", Roles: []string{"king"}}, "clearance": {Tenant: "a", Clearance: "cosmic"},
		"control": {Tenant: "a\n"}, "long": {Tenant: strings.Repeat("a", 200)}, "past": {Tenant: "a", Expires: noon.Add(-1)}} {
		if _, _, err := keys.Add(ctx, k, noon); err == nil {
			t.Errorf("%s: a key was made", name)
		}
	}
}

// issuer signs tokens.
type issuer struct {
	key  crypto.Signer
	alg  jose.SignatureAlgorithm
	kid  string
	file string
}

func newIssuer(t *testing.T, dir string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, alg: jose.ES256, kid: "k1", file: filepath.Join(dir, "jwks.json")}
	i.publish(t, jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"})
	return i
}

func (i *issuer) publish(t *testing.T, keys ...jose.JSONWebKey) {
	t.Helper()
	doc, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (i *issuer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: i.alg, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", i.kid))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": "https://id", "aud": "ledge", "sub": "eve", "tenant": "acme", "exp": noon.Add(time.Hour).Unix(),
		"nbf": noon.Add(-time.Hour).Unix(), "scope": "openid chat ledge:docs.read", "groups": []string{"staff"}, "clearance": "confidential", "jti": "t1"}
	for k, v := range change {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func TestJWT_TakesWhatIsSignedAndForUs(t *testing.T) {
	dir := t.TempDir()
	i := newIssuer(t, dir)
	gone := filepath.Join(dir, "revoked")
	if err := os.WriteFile(gone, []byte("# old laptops\njti:lost # Monday\nsubject:acme/mallory\ncert:00:AB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{JWT: &JWT{JWKS: i.file, Issuer: "https://id", Audience: "ledge", Leeway: time.Minute}, Revoked: gone, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	who, err := a.Authenticate(Credential{Bearer: i.sign(t, claims(nil))})
	if err != nil || who.Tenant != "acme" || who.Subject != "eve" || who.Clearance != "confidential" || len(who.Roles) != 2 || !who.Has(RoleChat) || !who.Has(RoleDocsRead) || who.Groups[0] != "staff" {
		t.Fatalf("got %+v, %v", who, err)
	}
	other := newIssuer(t, t.TempDir())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hmac := func() string {
		pub, _ := x509.MarshalPKIXPublicKey(i.key.Public())
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: pub}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := jwt.Signed(s).Claims(claims(nil)).Serialize()
		return text
	}
	none := "eyJhbGciOiJub25lIn0." + strings.Split(i.sign(t, claims(nil)), ".")[1] + "."
	for name, text := range map[string]string{
		"expired": i.sign(t, claims(map[string]any{"exp": noon.Add(-2 * time.Minute).Unix()})), "early": i.sign(t, claims(map[string]any{"nbf": noon.Add(time.Hour).Unix()})),
		"endless": i.sign(t, claims(map[string]any{"exp": nil})), "issuer": i.sign(t, claims(map[string]any{"iss": "https://other"})),
		"audience": i.sign(t, claims(map[string]any{"aud": "other"})), "no audience": i.sign(t, claims(map[string]any{"aud": nil})),
		"no tenant": i.sign(t, claims(map[string]any{"tenant": nil})), "tenant a number": i.sign(t, claims(map[string]any{"tenant": 5})),
		"no subject": i.sign(t, claims(map[string]any{"sub": nil})), "clearance": i.sign(t, claims(map[string]any{"clearance": "cosmic"})),
		"another's key": other.sign(t, claims(nil)), "another algorithm": (&issuer{key: rsaKey, alg: jose.RS256, kid: "k1"}).sign(t, claims(nil)),
		"public key as a secret": hmac(), "unsigned": none, "revoked": i.sign(t, claims(map[string]any{"jti": "lost"})),
		"revoked user": i.sign(t, claims(map[string]any{"sub": "mallory"})), "garbage": "a.b.c", "huge": strings.Repeat("a", 20000) + ".b.c",
	} {
		if who, err := a.Authenticate(Credential{Bearer: text}); err == nil {
			t.Errorf("%s: taken as %+v", name, who)
		}
	}
	lenient, err := New(Options{JWT: &JWT{JWKS: i.file, Issuer: "https://id", Audience: "ledge", Tenant: "house"}, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := lenient.Authenticate(Credential{Bearer: i.sign(t, claims(map[string]any{"tenant": nil}))}); err != nil || who.Tenant != "house" {
		t.Errorf("without the claim: %+v, %v", who, err)
	}
	if who, err := lenient.Authenticate(Credential{Bearer: i.sign(t, claims(map[string]any{"tenant": []string{"acme"}}))}); err == nil {
		t.Errorf("a claim that is no name: taken as %+v", who)
	}
	// A key set that is replaced counts; one that is broken does not.
	i.publish(t, jose.JSONWebKey{Key: other.key.Public(), KeyID: "k1"})
	a.tokens.keys.next.Store(0)
	if _, err := a.Authenticate(Credential{Bearer: other.sign(t, claims(nil))}); err != nil {
		t.Errorf("after the exchange of keys: %v", err)
	}
	if err := os.WriteFile(i.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.tokens.keys.next.Store(0)
	if _, err := a.Authenticate(Credential{Bearer: other.sign(t, claims(nil))}); err != nil {
		t.Errorf("after the file broke: %v", err)
	}
}

func TestJWKS_RefusesKeysThatAreNotPublic(t *testing.T) {
	i := newIssuer(t, t.TempDir())
	for name, key := range map[string]jose.JSONWebKey{"private": {Key: i.key, KeyID: "k1"}, "symmetric": {Key: []byte("0123456789abcdef"), KeyID: "k1"}} {
		i.publish(t, key)
		if _, err := New(Options{JWT: &JWT{JWKS: i.file, Issuer: "i", Audience: "a"}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestCertificate_TellsTenantAndSubject(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "revoked")
	if err := os.WriteFile(gone, []byte("cert:00:AB"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Certificates: &Certificates{Roles: []string{RoleChat}}, Revoked: gone})
	if err != nil {
		t.Fatal(err)
	}
	cert := func(serial int64, o []string, cn string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: o, CommonName: cn, OrganizationalUnit: []string{"press"}}}
	}
	who, err := a.Authenticate(Credential{Certificate: cert(1, []string{"acme"}, "robot-7")})
	if err != nil || who.Tenant != "acme" || who.Subject != "robot-7" || !who.Has(RoleChat) || who.Groups[0] != "press" {
		t.Errorf("got %+v, %v", who, err)
	}
	for name, c := range map[string]*x509.Certificate{"no tenant": cert(1, nil, "x"), "two": cert(1, []string{"a", "b"}, "x"), "no name": cert(1, []string{"a"}, ""), "revoked": cert(0xab, []string{"a"}, "x")} {
		if _, err := a.Authenticate(Credential{Certificate: c}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := a.Authenticate(Credential{Bearer: "wrong", Certificate: cert(1, []string{"acme"}, "x")}); err == nil {
		t.Error("a wrong key was passed over for the certificate")
	}
}

func FuzzToken(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	doc, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}})
	file := filepath.Join(f.TempDir(), "jwks")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		f.Fatal(err)
	}
	a, err := New(Options{JWT: &JWT{JWKS: file, Issuer: "i", Audience: "a"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AAAA")
	f.Add("ledge_a_b")
	f.Fuzz(func(t *testing.T, s string) {
		if who, err := a.Authenticate(Credential{Bearer: s}); err == nil {
			t.Errorf("%q was taken as %+v", s, who)
		}
	})
}

func FuzzRevocations(f *testing.F) {
	f.Add("key:a\n# x\njti:b")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseRevocations([]byte(s))
		if err == nil && len(list) > strings.Count(s, "\n")+1 {
			t.Errorf("%d of %q", len(list), s)
		}
	})
}
