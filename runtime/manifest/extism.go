package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
)

// extismDoc is the manifest of the Extism hosts, https://extism.org/docs/concepts/manifest.
type extismDoc struct {
	Wasm         []extismModule    `json:"wasm"`
	Memory       *extismMemory     `json:"memory"`
	Config       map[string]string `json:"config"`
	AllowedHosts []string          `json:"allowed_hosts"`
	AllowedPaths map[string]string `json:"allowed_paths"`
	TimeoutMS    uint64            `json:"timeout_ms"`
}

type extismModule struct {
	Path    string            `json:"path"`
	Data    []byte            `json:"data"` // base64
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Method  string            `json:"method"`
	Hash    string            `json:"hash"` // SHA-256 in hex
	Name    string            `json:"name"`
}

type extismMemory struct {
	MaxPages             uint32 `json:"max_pages"`
	MaxHTTPResponseBytes *int64 `json:"max_http_response_bytes"`
	MaxVarBytes          *int64 `json:"max_var_bytes"`
}

// maxModule bounds a module that a manifest names or holds, in bytes; maxExtism the manifest, which may hold one.
const (
	maxModule  = 64 << 20
	maxExtism  = maxModule/3*4 + maxFile
	maxModules = 16
)

// ParseExtism reads an Extism manifest (JSON). Paths in it are relative to dir. It returns the module, with its hash
// checked, and what of the manifest means something here: config, timeout, memory, and allowed_hosts as asks for http.
// Modules beside the main one are in Linked. What cannot be honoured is an error, never left out: a url, since nothing
// is downloaded, and paths.
func ParseExtism(src []byte, name, dir string) (*Manifest, []byte, error) {
	fail := func(format string, args ...any) (*Manifest, []byte, error) {
		return nil, nil, fmt.Errorf("extism manifest of %s: "+format, append([]any{name}, args...)...)
	}
	if len(src) > maxExtism {
		return fail("%d bytes, more than %d", len(src), maxExtism)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	var doc extismDoc
	if err := d.Decode(&doc); err != nil {
		return fail("%w", err)
	}
	switch {
	case len(doc.Wasm) == 0:
		return fail("wasm lists no module")
	case len(doc.Wasm) > maxModules:
		return fail("wasm lists %d modules; at most %d", len(doc.Wasm), maxModules)
	case len(doc.AllowedPaths) > 0:
		return fail("allowed_paths: a plugin gets no files here")
	case doc.TimeoutMS > uint64(24*time.Hour/time.Millisecond):
		return fail("timeout_ms %d is more than a day", doc.TimeoutMS)
	}
	m := &Manifest{Name: name, Config: doc.Config}
	m.Limits.Timeout = config.Duration(time.Duration(doc.TimeoutMS) * time.Millisecond)
	if mem := doc.Memory; mem != nil {
		m.Limits.Vars, m.Limits.HTTP = atMost(mem.MaxVarBytes), atMost(mem.MaxHTTPResponseBytes)
		if mem.MaxPages > 1<<16 {
			return fail("memory.max_pages %d is more than 65536", mem.MaxPages)
		}
		m.Limits.Memory = config.Size(mem.MaxPages) << 16
	}
	for _, host := range doc.AllowedHosts {
		if host == "*" {
			m.Capabilities = append(m.Capabilities, "http")
			continue
		}
		if host == "" || strings.ContainsAny(host, " /@?#\\") {
			return fail("allowed_hosts: %q is not a host", host)
		}
		for _, scheme := range []string{"https", "http"} {
			m.Capabilities = append(m.Capabilities, "http=GET,HEAD,POST,PUT,PATCH,DELETE "+scheme+"://"+host)
		}
	}
	var module []byte
	total, found := 0, false
	for i := range doc.Wasm {
		w := &doc.Wasm[i]
		b, err := w.read(dir)
		if err != nil {
			return fail("%w", err)
		}
		if total += len(b); total > maxModule {
			return fail("modules of more than %d bytes together", maxModule)
		}
		// As in the reference: the one named main is the plugin, else the first without a name or the last.
		if !found && (w.Name == "" || i == len(doc.Wasm)-1) || w.Name == "main" {
			if found {
				return fail("wasm lists two modules that are main: give the others names of their own")
			}
			module, found = b, true
			continue
		}
		for _, l := range m.Linked {
			if l.Name == w.Name {
				return fail("wasm lists two modules named %q", w.Name)
			}
		}
		m.Linked = append(m.Linked, Linked{w.Name, b})
	}
	return m, module, nil
}

// atMost is a limit of an Extism manifest, where absent and negative stand for the host's own, and 0 for nothing.
func atMost(n *int64) config.Size {
	switch {
	case n == nil || *n < 0:
		return 0
	case *n == 0:
		return -1
	}
	return config.Size(min(*n, math.MaxInt32))
}

func (w *extismModule) read(dir string) ([]byte, error) {
	sources := 0
	for _, given := range []bool{w.Path != "", w.Data != nil, w.URL != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources != 1:
		return nil, errors.New("a module needs exactly one of path, data and url")
	case w.URL != "":
		return nil, fmt.Errorf("module from %s: nothing is downloaded; fetch it yourself and name its path", w.URL)
	}
	module := w.Data
	if w.Path != "" {
		path := w.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxModule {
			return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, maxModule)
		}
		if module, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if w.Hash != "" {
		sum := sha256.Sum256(module)
		if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, w.Hash) {
			return nil, fmt.Errorf("the module's hash is %s, not %s as the manifest says", got, w.Hash)
		}
	}
	return module, nil
}
