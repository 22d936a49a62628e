package manifest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseExtism(t *testing.T) {
	dir := t.TempDir()
	module := []byte("\x00asm\x01\x00\x00\x00")
	if err := os.WriteFile(filepath.Join(dir, "m.wasm"), module, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(module)
	hash, data := hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(module)
	m, got, err := ParseExtism([]byte(`{"wasm":[{"path":"m.wasm","hash":"`+strings.ToUpper(hash)+`"}],"memory":{"max_pages":20},
		"config":{"a":"b"},"allowed_hosts":["*.example.com"],"timeout_ms":250}`), "m", dir)
	if err != nil || string(got) != string(module) || m.Config["a"] != "b" || m.Limits.Timeout.D() != 250*time.Millisecond || m.Limits.Memory != 20<<16 {
		t.Fatalf("%+v, %q, %v", m, got, err)
	}
	if want := "http=GET,HEAD,POST,PUT,PATCH,DELETE https://*.example.com"; len(m.Capabilities) != 2 || m.Capabilities[0] != want {
		t.Errorf("asks for %q", m.Capabilities)
	}
	if _, got, err = ParseExtism([]byte(`{"wasm":[{"data":"`+data+`","hash":"`+hash+`"}]}`), "m", dir); err != nil || string(got) != string(module) {
		t.Errorf("%q, %v", got, err)
	}
	if m, got, err = ParseExtism([]byte(`{"wasm":[{"path":"m.wasm","name":"lib"},{"path":"m.wasm","hash":"`+hash+`"}]}`), "m", dir); err != nil || string(got) != string(module) || len(m.Linked) != 1 || m.Linked[0].Name != "lib" {
		t.Errorf("linked: %+v, %v", m, err)
	}
	for src, want := range map[string][2]int64{
		`"max_pages":1`:     {0, 0},
		`"max_var_bytes":0`: {-1, 0},
		`"max_var_bytes":1000,"max_http_response_bytes":20`: {1000, 20},
		`"max_var_bytes":-1,"max_http_response_bytes":0`:    {0, -1},
	} {
		m, _, err := ParseExtism([]byte(`{"wasm":[{"path":"m.wasm"}],"memory":{`+src+`}}`), "m", dir)
		if err != nil || int64(m.Limits.Vars) != want[0] || int64(m.Limits.HTTP) != want[1] {
			t.Errorf("%s: %+v, %v", src, m, err)
		}
	}
	for src, want := range map[string]string{
		`{}`:            "no module",
		`{"wasm":[]}`:   "no module",
		`{"wasm":[{}]}`: "exactly one",
		`{"wasm":[{"path":"m.wasm","data":"` + data + `"}]}`:                                     "exactly one",
		`{"wasm":[{"path":"m.wasm","name":"main"},{"path":"m.wasm","name":"main"}]}`:             "two modules that are main",
		`{"wasm":[{"path":"m.wasm","name":"a"},{"path":"m.wasm","name":"a"},{"path":"m.wasm"}]}`: "two modules named",
		`{"wasm":[{"url":"https://example.com/m.wasm"}]}`:                                        "nothing is downloaded",
		`{"wasm":[{"path":"none.wasm"}]}`:                                                        "no such file",
		`{"wasm":[{"path":"."}]}`:                                                                "not a file",
		`{"wasm":[{"path":"m.wasm","hash":"00"}]}`:                                               "hash is " + hash,
		`{"wasm":[{"path":"m.wasm"}],"allowed_paths":{"/":""}}`:                                  "no files",
		`{"wasm":[{"path":"m.wasm"}],"allowed_hosts":["a b"]}`:                                   "not a host",
		`{"wasm":[{"path":"m.wasm"}],"memory":{"max_pages":65537}}`:                              "65536",
		`{"wasm":[{"path":"m.wasm"}],"memory":{"max_var_bytes":"1"}}`:                            "max_var_bytes",
		`{"wasm":[{"path":"m.wasm"}],"mem":1}`:                                                   "unknown field",
		`not json`:                                                                               "invalid",
	} {
		if _, _, err := ParseExtism([]byte(src), "m", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}

// FuzzParseExtism: whatever the document is, there is an error or a module.
func FuzzParseExtism(f *testing.F) {
	f.Add([]byte(`{"wasm":[{"data":"AGFzbQ==","hash":"00"}],"memory":{"max_pages":1},"allowed_hosts":["a"],"timeout_ms":1}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		if m, module, err := ParseExtism(src, "m", t.TempDir()); err == nil && (m == nil || module == nil) {
			t.Error("neither a module nor an error")
		}
	})
}
