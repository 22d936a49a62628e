// Package manifest reads plugin.yaml, in which a plugin's author says what it is, which hooks it offers, what it asks
// of the host and which defaults it has. The host grants; the manifest only asks.
package manifest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/hook"
)

// FileName is the name of a manifest beside its module.
const FileName = "plugin.yaml"

// maxFile bounds a manifest, in bytes.
const maxFile = 64 << 10

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name         string            `yaml:"name"`
	Version      string            `yaml:"version"`
	Description  string            `yaml:"description"`
	Hooks        []string          `yaml:"hooks"`        // route, guard, chunk, cache, tools, transform
	Capabilities []string          `yaml:"capabilities"` // of package capability: kv, slm, search, clock, http=RULE, credentials; NAME? when the plugin can do without
	Limits       Limits            `yaml:"limits"`
	Config       map[string]string `yaml:"config"` // defaults; the site's configuration goes over them
	Linked       []Linked          `yaml:"-"`      // of an Extism manifest: what the module may import from
}

// Linked is a module that the plugin's own may import functions from, by its name.
type Linked struct {
	Name   string
	Module []byte
}

// Limits are what one call needs at most. Zero takes the sandbox's default.
type Limits struct {
	Timeout   config.Duration `yaml:"timeout"`
	Memory    config.Size     `yaml:"memory"`
	Fuel      uint64          `yaml:"fuel"`
	Output    config.Size     `yaml:"output"`
	Stack     config.Size     `yaml:"stack"`
	Log       config.Size     `yaml:"log"`
	KV        config.Size     `yaml:"kv"`     // bytes that a call moves through the key-value store
	Vars      config.Size     `yaml:"vars"`   // names and values of Extism vars; less than 0 for none
	HTTP      config.Size     `yaml:"http"`   // the body of one response to http_request; less than 0 for none
	Tokens    int             `yaml:"tokens"` // of models that a call uses
	HostCalls int             `yaml:"host_calls"`
	Instances int             `yaml:"instances"`
}

// HookTransform is the hook of an http-wasm filter.
const HookTransform = "transform"

// HookTools is the hook of a plugin that exports describe and call.
const HookTools = "tools"

// exports lists what a plugin must export to offer a hook.
var exports = map[string][]string{
	hook.ExportRoute: {hook.ExportRoute},
	hook.ExportGuard: {hook.ExportGuard},
	hook.ExportChunk: {hook.ExportChunk},
	hook.ExportCache: {hook.ExportCache},
	HookTransform:    {"handle_request", "handle_response"},
	HookTools:        {hook.ExportDescribe, hook.ExportCall},
}

// Parse reads a manifest. Unknown keys and hooks are errors that show the line or name the hook.
func Parse(src []byte) (*Manifest, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("manifest: %d bytes, more than %d", len(src), maxFile)
	}
	m := &Manifest{}
	if len(bytes.TrimSpace(src)) > 0 {
		if err := config.DecodeYAML(src, m); err != nil {
			return nil, fmt.Errorf("manifest:\n%w", err)
		}
	}
	if m.Name == "" {
		return nil, fmt.Errorf("manifest: name is missing")
	}
	if len(m.Hooks) == 0 {
		return nil, fmt.Errorf("manifest of %s: hooks lists none; write for example hooks: [guard]", m.Name)
	}
	for _, h := range m.Hooks {
		if exports[h] == nil {
			return nil, fmt.Errorf("manifest of %s: unknown hook %q; known are route, guard, chunk, cache, tools, transform", m.Name, h)
		}
	}
	if m.Limits.Instances < 0 || m.Limits.HostCalls < 0 || m.Limits.Tokens < 0 {
		return nil, fmt.Errorf("manifest of %s: limits.instances, limits.host_calls or limits.tokens is negative", m.Name)
	}
	return m, nil
}

// Infer makes a manifest for a module that has none, from what it exports.
func Infer(name string, exported []string) (*Manifest, error) {
	m := &Manifest{Name: name}
	for h, needs := range exports {
		if !slices.ContainsFunc(needs, func(e string) bool { return !slices.Contains(exported, e) }) {
			m.Hooks = append(m.Hooks, h)
		}
	}
	slices.Sort(m.Hooks)
	if len(m.Hooks) == 0 {
		return nil, fmt.Errorf("plugin %s exports no hook; it must export one of route, guard, chunk, cache, or describe and call, or be an http-wasm filter (handle_request and handle_response)", name)
	}
	return m, nil
}

// CheckExports says whether a module exports what its manifest's hooks need.
func (m *Manifest) CheckExports(exported []string) error {
	for _, h := range m.Hooks {
		for _, e := range exports[h] {
			if !slices.Contains(exported, e) {
				return fmt.Errorf("plugin %s offers the hook %s in its manifest and does not export %q", m.Name, h, e)
			}
		}
	}
	return nil
}

// Offers says whether the plugin has the hook.
func (m *Manifest) Offers(h string) bool { return slices.Contains(m.Hooks, h) }
