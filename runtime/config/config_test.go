package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/policies"
)

func TestDefaults_AreComplete(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	r := c.Routes["default"]
	if c.Listen != "127.0.0.1:8080" || c.Limits.Body != 4<<20 || c.Trace.Retention.D() != 168*time.Hour {
		t.Errorf("defaults not read: %+v", c)
	}
	if len(r.Guards.Input) != 2 || r.Guards.Input[0].Open() || !r.Router.Open() || r.Window != 256 {
		t.Errorf("default route not read: %+v", r)
	}
}

// The file is what a reader finds keys in.
func TestDefaults_NameEveryKey(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem(), path)
		case reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			for i := range typ.NumField() {
				f := typ.Field(i)
				key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
				if key == "-" {
					continue
				}
				if key != "" && !regexp.MustCompile(`\b`+key+`:`).Match(policies.Default) {
					t.Errorf("default.yaml does not name %s.%s", path, key)
				}
				walk(f.Type, path+"."+key)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

func TestParse_LaysFileOverDefaults(t *testing.T) {
	t.Setenv("KEY_FOR_TEST", "s3cret")
	c, err := Parse([]byte(`
listen: 0.0.0.0:9000
limits: {max_tokens: 99}
plugins:
  mine: {file: mine.wasm, memory: 8MiB, timeout: 20ms, grant: [kv]}
models:
  big: {file: big.gguf, tier: large, kv_memory: 1GiB, prefix_disk: 0}
  small: {file: small.gguf}
adapters:
  law: {file: law.gguf, base: big}
routes:
  support:
    models: [far/m1, local, small, law]
    guards: {input: [{plugin: mine}]}
upstreams:
  far: {base_url: "http://127.0.0.1:1/v1", api_key: "${KEY_FOR_TEST}", models: [m1]}
`), "test")
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.MaxTokens != 99 || c.Limits.Concurrency != 64 {
		t.Errorf("limits = %+v", c.Limits)
	}
	if _, ok := c.Plugins["router"]; !ok || c.Plugins["mine"].Memory != 8<<20 || c.Plugins["mine"].Timeout.D() != 20*time.Millisecond {
		t.Errorf("plugins = %+v", c.Plugins)
	}
	if big, small := c.Models["big"], c.Models["small"]; big.KVMemory != 1<<30 || *big.PrefixDisk != 0 || big.Tier != "large" || big.Pin ||
		small.KVMemory != c.Model.KVMemory || *small.PrefixDisk != *c.Model.PrefixDisk || small.Tier != "small" || !c.Model.Pin {
		t.Errorf("models = %+v", c.Models)
	}
	if got := c.Routes["support"].Guards.Input[0].OnError; got != "closed" {
		t.Errorf("a guard's on_error defaults to %q", got)
	}
	if c.Upstreams["far"].APIKey != "s3cret" || c.Upstreams["far"].APIKey.String() != "[secret]" {
		t.Error("the secret was not expanded, or prints")
	}
}

func TestParse_FaultsShowTheLine(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"unknown key":       {"listen: 127.0.0.1:1\nlissten: x\n", "2 | lissten"},
		"unknown inner key": {"limits:\n  body: 1MiB\n  bodyy: 2\n", "bodyy"},
		"wrong type":        {"limits:\n  concurrency: many\n", "2 |"},
		"bad size":          {"limits:\n  body: 1MB\n", "is not a size"},
		"bad duration":      {"limits:\n  request_timeout: 5 minutes\n", "is not a duration"},
		"bad address":       {"listen: here\n", "host:port"},
		"out of range":      {"limits:\n  concurrency: 0\n", "at least 1"},
		"missing plugin":    {"routes:\n  default:\n    guards:\n      input:\n        - {plugin: nosuch}\n", `there is no plugin "nosuch"`},
		"model's name":      {"models:\n  a/b: {file: x}\n", "is no name for a model"},
		"model's file":      {"models:\n  a: {tier: large}\n", "file is missing"},
		"adapter's name":    {"models:\n  a: {file: x}\nadapters:\n  a: {file: y}\n", "a model of this name"},
		"adapter's file":    {"adapters:\n  a: {base: x}\n", "file is missing"},
		"route's name":      {"models:\n  default: {file: x}\n", "a route of this name"},
		"priority":          {"routes:\n  default:\n    priority: 1000\n", "not between -100 and 100"},
		"unknown upstream":  {"routes:\n  default:\n    models: [x/y]\n", "neither local nor"},
		"two sources":       {"plugins:\n  a: {builtin: router, file: x.wasm}\n", "either builtin or file"},
		"unset variable":    {"upstreams:\n  u: {base_url: \"http://h/v1\", api_key: \"${NOT_SET_ANYWHERE}\", models: [m]}\n", "NOT_SET_ANYWHERE"},
		"bad size's line":   {"limits:\n  body: 1MB\n", "2 |"},
		"duration's line":   {"limits:\n  request_timeout: 5 minutes\n", "2 |"},
		"variable's line":   {"upstreams:\n  u:\n    api_key: ${NOT_SET_ANYWHERE}\n", "3 |"},
		"a port":            {"listen: 127.0.0.1:99999\n", "host:port"},
		"a grant":           {"plugins:\n  a: {file: b, grant: [zzz]}\n", "zzz"},
		"the ceiling":       {"sandbox: {ceiling: [zzz]}\n", "sandbox.ceiling"},
		"a name in headers": {"routes: {\"a\\r\\nX: 1\": {models: [local]}}\n", "printable"},
		"a model's id":      {"model: {id: \"a\\u001b[2J\"}\n", "printable"},
		"a leak of nothing": {"routes: {a: {models: [local], guards: {leak: redact}}}\n", "no system prompt"},
		"an empty domain":   {"routes: {a: {models: [local], examples: {\"domain:\": [x]}}}\n", "names no intent"},
		"a busy exporter":   {"telemetry: {otlp: \"http://127.0.0.1:1\", interval: 1ns}\n", "telemetry.interval"},
		"a header's name":   {"telemetry: {otlp: \"http://127.0.0.1:1\", headers: {\"A B\": x}}\n", "not the name of a header"},
		"a header's value":  {"telemetry: {otlp: \"http://127.0.0.1:1\", headers: {A: \"x\\r\\nB: y\"}}\n", "control character"},
		"credentials":       {"telemetry: {otlp: \"http://u:p@127.0.0.1:1\"}\n", "without credentials"},
		"not yaml":          {"listen: [\n", "listen"},
		"a list":            {"- a\n- b\n", "configuration test"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.src), "test")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v lacks %q", err, tc.want)
			}
		})
	}
}

func TestParse_FaultsShowNoSecretsAndNoEndlessLines(t *testing.T) {
	_, err := Parse([]byte("upstreams:\n  u: {base_url: \"http://h/v1\", api_key: hunter2, modells: [m]}\n"), "test")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "modells") {
		t.Errorf("got %v", err)
	}
	_, err = Parse([]byte("listen: "+strings.Repeat("[", 500000)), "test")
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("got %v", err)
	}
	_, err = Parse([]byte("listenn: "+strings.Repeat("x", 500000)), "test")
	if err == nil || len(err.Error()) > 2000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestParse_ValuesOfOurTypesMayBeAliases(t *testing.T) {
	c, err := Parse([]byte("limits: {body: &size 2MiB}\ncache: {max_size: *size, ttl: '3h'}\nkv: {max_size: 1048576}\n"), "test")
	if err != nil || c.Cache.MaxSize != 2<<20 || c.Cache.TTL.D() != 3*time.Hour || c.KV.MaxSize != 1<<20 {
		t.Errorf("%v, %+v %+v", err, c.Cache, c.KV)
	}
}

func TestLoad_BoundsWhatItReads(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("there is no endless file here")
	}
	if _, err := Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\nplugins: {a: {file: b}}\n"))
	f.Add([]byte("routes: {default: {models: [local]}}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 4096 {
			return
		}
		if c, err := Parse(src, "fuzz"); err == nil && c.Routes["default"].Window < 16 {
			t.Error("an invalid window passed")
		}
	})
}
