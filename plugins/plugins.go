// Package plugins holds the built-in plugins: their modules, built and compressed by `make plugins`
// into dist/, and their manifests.
// Each plugin is a folder: pure logic, a thin guest entry in wasm/, and plugin.yaml.
//
// The package knows nothing of how plugins run. Start reading at [Builtin].
package plugins

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

//go:embed all:dist */plugin.yaml
var files embed.FS

// Names lists the built-in plugins, sorted.
func Names() []string {
	manifests, err := fs.Glob(files, "*/plugin.yaml")
	if err != nil {
		panic(err) // the pattern is constant
	}
	names := make([]string, len(manifests))
	for i, m := range manifests {
		names[i] = path.Dir(m)
	}
	slices.Sort(names)
	return names
}

// Builtin returns the module and the manifest of a built-in plugin. It fails for a name that is none, and where this
// binary was built without the modules.
func Builtin(name string) (module, manifest []byte, err error) {
	if !slices.Contains(Names(), name) {
		return nil, nil, fmt.Errorf("there is no built-in plugin %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if manifest, err = files.ReadFile(name + "/plugin.yaml"); err != nil {
		return nil, nil, fmt.Errorf("built-in plugin %s: %w", name, err)
	}
	packed, err := files.ReadFile("dist/" + name + ".wasm.zst")
	if err != nil {
		return nil, nil, fmt.Errorf("built-in plugin %s: its module is not in this binary; run make plugins and build again", name)
	}
	if module, err = decoder().DecodeAll(packed, nil); err != nil {
		return nil, nil, fmt.Errorf("built-in plugin %s: %w", name, err)
	}
	return module, manifest, nil
}

// decoder unpacks modules; DecodeAll is safe for concurrent use.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
})
