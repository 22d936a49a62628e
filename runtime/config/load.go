package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/ledge-run/ledge/policies"
	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/limits"
	"github.com/ledge-run/ledge/runtime/search"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// Load returns the defaults with the file at path laid over them. An empty path gives the defaults.
func Load(path string) (*Config, error) {
	offline, err := offlineByEnvironment()
	if err != nil {
		return nil, err
	}
	c, err := parse(policies.Default, "built-in defaults", nil)
	if err != nil {
		return nil, err
	}
	c.Offline = offline
	if path == "" {
		return c, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	src, err := io.ReadAll(io.LimitReader(file, maxFile+1)) // it may be a pipe
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(src) > maxFile {
		return nil, fmt.Errorf("configuration %s: more than %d bytes", path, maxFile)
	}
	return parse(src, path, c)
}

// Parse lays src over the defaults; name stands for it in errors.
func Parse(src []byte, name string) (*Config, error) {
	c, err := parse(policies.Default, "built-in defaults", nil)
	if err != nil {
		return nil, err
	}
	return parse(src, name, c)
}

func parse(src []byte, name string, base *Config) (*Config, error) {
	c := &Config{}
	if base != nil {
		*c = *base
		// The decoder replaces maps; start from empty ones and merge by name below.
		c.Plugins, c.Routes, c.Upstreams, c.Models, c.Adapters = nil, nil, nil, nil, nil
	}
	if len(bytes.TrimSpace(src)) > 0 {
		if err := DecodeYAML(src, c); err != nil {
			return nil, fmt.Errorf("configuration %s:\n%w", name, err)
		}
	}
	if base != nil {
		c.Offline = c.Offline || base.Offline
		c.Plugins = overlay(base.Plugins, c.Plugins)
		c.Routes = overlay(base.Routes, c.Routes)
		c.Upstreams = overlay(base.Upstreams, c.Upstreams)
		c.Models = overlay(base.Models, c.Models)
		c.Adapters = overlay(base.Adapters, c.Adapters)
	}
	if err := c.validate(src); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", name, err)
	}
	return c, nil
}

func overlay[V any](base, over map[string]V) map[string]V {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]V{}
	}
	maps.Copy(out, over)
	return out
}

// fault is a value that is well formed and wrong, with the path of its key.
type fault struct {
	path    string
	message string
}

// Check validates the configuration as it stands, after flags were laid over it.
func (c *Config) Check() error { return c.validate(nil) }

// validate fills defaults that depend on others and reports every fault with its line in src.
func (c *Config) validate(src []byte) error {
	var faults []fault
	add := func(path, format string, args ...any) {
		faults = append(faults, fault{path, fmt.Sprintf(format, args...)})
	}
	address := func(path, value string) {
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			add(path, "%q is not an address; write host:port, for example 127.0.0.1:8080", value)
		}
	}
	name := func(path, value string) {
		if value == "" || len(value) > maxName || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			add(path, "%q is no name: it must have 1 to %d printable characters", value, maxName)
		}
	}
	address("listen", c.Listen)
	address("admin", c.Admin)
	for i, o := range c.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			add(fmt.Sprintf("origins[%d]", i), "%q is not an origin; write https://host[:port] without a path, or *", o)
		}
	}
	oneOf := func(path, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			add(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
		}
	}
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	positive := func(path string, n int) {
		if n < 1 {
			add(path, "%d must be at least 1", n)
		}
	}
	positive("limits.concurrency", c.Limits.Concurrency)
	positive("limits.max_tokens", c.Limits.MaxTokens)
	positive("limits.choices", c.Limits.Choices)
	positive("limits.body", int(c.Limits.Body))
	positive("limits.request_timeout", int(c.Limits.RequestTimeout))
	notNegative := func(path string, n int) {
		if n < 0 {
			add(path, "%d must not be negative", n)
		}
	}
	notNegative("limits.queue", c.Limits.Queue)
	notNegative("limits.tool_rounds", c.Limits.ToolRounds)
	c.validateModels(add, notNegative)
	oneOf("documents.classification", c.Documents.Classification, search.Classifications()...)
	oneOf("documents.chunk.unit", c.Documents.Chunk.Unit, "characters", "tokens")
	positive("documents.chunk.size", c.Documents.Chunk.Size)
	if o := c.Documents.Chunk.Overlap; o < 0 || o >= c.Documents.Chunk.Size {
		add("documents.chunk.overlap", "%d is not between 0 and size less one", o)
	}
	for i := range c.Documents.Watch {
		f := &c.Documents.Watch[i]
		path := fmt.Sprintf("documents.watch[%d]", i)
		if f.Path == "" {
			add(path, "path is missing")
		}
		f.Path = filepath.Clean(f.Path)
		if f.Tenant == "" {
			f.Tenant = "default"
		}
		if f.Classification == "" {
			f.Classification = c.Documents.Classification
		}
		oneOf(path+".classification", f.Classification, search.Classifications()...)
	}
	grants := func(path string, list []string) {
		if _, err := capability.ParseGrants(list); err != nil {
			add(path, "%v", err)
		}
	}
	grants("sandbox.ceiling", c.Sandbox.Ceiling)
	for _, plugin := range slices.Sorted(maps.Keys(c.Plugins)) {
		p := c.Plugins[plugin]
		name("plugins", plugin)
		if (p.Builtin == "") == (p.File == "") {
			add("plugins."+plugin, "give either builtin or file")
		}
		grants("plugins."+plugin+".grant", p.Grant)
	}
	for _, m := range []struct{ path, id string }{{"model.id", c.Model.ID}, {"embedding_model.id", c.EmbeddingModel.ID}, {"rerank_model.id", c.RerankModel.ID}} {
		if m.id != "" {
			name(m.path, m.id)
		}
	}
	c.validateAdapters(add)
	for _, upstream := range slices.Sorted(maps.Keys(c.Upstreams)) {
		u := c.Upstreams[upstream]
		name("upstreams", upstream)
		if parsed, err := url.Parse(u.BaseURL); err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
			add("upstreams."+upstream+".base_url", "%q is not an http or https URL", u.BaseURL)
		}
		if !slices.Contains(upstreamKinds, u.Kind) {
			add("upstreams."+upstream+".kind", "%q is not one of openai, azure, anthropic", u.Kind)
		}
		if len(u.Models) == 0 {
			add("upstreams."+upstream, "models lists none")
		}
		if upstream == Local {
			add("upstreams."+upstream, "%q names the model on this device", Local)
		}
	}
	c.validateOffline(add)
	c.validateTelemetry(add)
	c.validateAuth(add)
	c.validateLimits(limits.Dimensions, add)
	c.validatePools(add)
	if len(c.Routes) == 0 {
		add("routes", "there must be at least one route")
	}
	for _, route := range slices.Sorted(maps.Keys(c.Routes)) {
		r := c.Routes[route]
		name("routes", route)
		c.validateRoute("routes."+route, &r, add)
		c.Routes[route] = r
	}
	if len(faults) == 0 {
		return nil
	}
	lines := make([]error, len(faults))
	for i, f := range faults {
		lines[i] = f.locate(src)
	}
	return errors.Join(lines...)
}

// maxName bounds the names of routes, plugins, upstreams and models, in bytes: they become headers, labels and keys.
const maxName = 128

// maxExamples bounds the utterances of a name.
const maxExamples = 200

// maxPriority bounds a route's priority either way.
const maxPriority = 100

// localNames are those of models and adapters: no path, and nothing that stands for another in a model field.
var localNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (c *Config) validateModels(add func(path, format string, args ...any), notNegative func(path string, n int)) {
	notNegative("model.threads", c.Model.Threads)
	notNegative("model.max_context", c.Model.MaxContext)
	notNegative("embedding_model.threads", c.EmbeddingModel.Threads)
	notNegative("rerank_model.threads", c.RerankModel.Threads)
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		path, m := "models."+name, c.Models[name]
		_, route := c.Routes[name]
		switch {
		case !localNames.MatchString(name) || name == Local:
			add(path, "%q is no name for a model: use letters, digits, '.', '_' and '-', at most 64; %s stands for the model that needs no name", name, Local)
		case route:
			add(path, "there is a route of this name")
		case name == c.Model.ID:
			add(path, "model.id is the same name")
		}
		if m.File == "" {
			add(path, "file is missing: a GGUF file, or the name of an installed model")
		}
		if m.ID != "" {
			add(path+".id", "a model of models has its key for its name")
		}
		notNegative(path+".threads", m.Threads)
		notNegative(path+".max_context", m.MaxContext)
		m.Threads = cmp.Or(m.Threads, c.Model.Threads)
		m.MaxContext = cmp.Or(m.MaxContext, c.Model.MaxContext)
		m.KVMemory = cmp.Or(m.KVMemory, c.Model.KVMemory)
		m.Tier = cmp.Or(m.Tier, c.Model.Tier)
		m.Speculate = cmp.Or(m.Speculate, c.Model.Speculate)
		m.PrefixDisk = cmp.Or(m.PrefixDisk, c.Model.PrefixDisk)
		c.Models[name] = m
	}
}

// onDevice says whether a name is that of a model or an adapter on this device.
func (c *Config) onDevice(name string) bool {
	_, model := c.Models[name]
	_, adapter := c.Adapters[name]
	return name == Local || model || adapter || name != "" && name == c.Model.ID
}

func (c *Config) validateAdapters(add func(path, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Adapters)) {
		path := "adapters." + name
		_, route := c.Routes[name]
		_, model := c.Models[name]
		switch {
		case !localNames.MatchString(name) || name == Local:
			add(path, "%q is no name for an adapter: use letters, digits, '.', '_' and '-', at most 64; %s stands for the model", name, Local)
		case route:
			add(path, "there is a route of this name")
		case model || name == c.Model.ID:
			add(path, "there is a model of this name")
		}
		if c.Adapters[name].File == "" {
			add(path, "file is missing: the GGUF file of a LoRA adapter")
		}
	}
}

// isModel says whether a name is that of one model, here or at an upstream.
func (c *Config) isModel(name string) bool {
	if c.onDevice(name) {
		return true
	}
	upstream, model, ok := strings.Cut(name, "/")
	return ok && slices.Contains(c.Upstreams[upstream].Models, model)
}

// upstreamKinds are the APIs that upstreams may speak.
var upstreamKinds = []string{"", "openai", "azure", "anthropic"}

func (c *Config) validatePools(add func(path, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		path := "pools." + name
		_, route := c.Routes[name]
		switch {
		case !localNames.MatchString(name) || c.isModel(name):
			add(path, "%q is no name for a pool: use letters, digits, '.', '_' and '-', at most 64, and not the name of a model", name)
		case route:
			add(path, "there is a route of this name")
		case len(c.Pools[name]) == 0:
			add(path, "lists no model")
		}
		for i, m := range c.Pools[name] {
			if !c.isModel(m.Model) {
				add(fmt.Sprintf("%s[%d].model", path, i), "%q is neither %s nor one of models or adapters nor UPSTREAM/MODEL of a configured upstream", m.Model, Local)
			}
			if m.Weight < 0 {
				add(fmt.Sprintf("%s[%d].weight", path, i), "%d must not be negative", m.Weight)
			}
		}
	}
}

func (c *Config) validateRoute(path string, r *Route, add func(path, format string, args ...any)) {
	if len(r.Models) == 0 {
		r.Models = []string{Local}
	}
	for key, list := range map[string][]string{"models": r.Models, "fallback": r.Fallback} {
		for i, m := range list {
			if _, pool := c.Pools[m]; !pool && !c.isModel(m) {
				add(fmt.Sprintf("%s.%s[%d]", path, key, i), "%q is neither %s nor one of models, adapters or pools nor UPSTREAM/MODEL of a configured upstream", m, Local)
			}
		}
	}
	c.validateOfflineRoute(path, r, add)
	if r.Priority < -maxPriority || r.Priority > maxPriority {
		add(path+".priority", "%d is not between %d and %d", r.Priority, -maxPriority, maxPriority)
	}
	if r.Window == 0 {
		r.Window = 256
	}
	if r.Window < 16 || r.Window > 4096 {
		add(path+".window", "%d is not between 16 and 4096", r.Window)
	}
	plugin := func(path, name string) {
		if _, ok := c.Plugins[name]; !ok {
			add(path, "there is no plugin %q", name)
		}
	}
	stage := func(path string, s *Stage, fallback string) {
		if s.OnError == "" {
			s.OnError = fallback
		}
		if s.OnError != "open" && s.OnError != "closed" {
			add(path+".on_error", "%q is not one of open, closed", s.OnError)
		}
		if s.Mode != "" && s.Mode != "enforce" && s.Mode != "shadow" && s.Mode != "off" {
			add(path+".mode", "%q is not one of enforce, shadow, off", s.Mode)
		}
		plugin(path+".plugin", s.Plugin)
	}
	switch r.Guards.Leak {
	case "", "redact", "block", "shadow":
	default:
		add(path+".guards.leak", "%q is not one of redact, block, shadow", r.Guards.Leak)
	}
	if r.Guards.Leak != "" && strings.TrimSpace(r.System) == "" {
		add(path+".guards.leak", "the route has no system prompt to keep back; give it system, since what clients send as theirs is no secret from them")
	}
	if r.Router.Plugin != "" {
		stage(path+".router", &r.Router, "open")
	}
	for _, list := range []struct {
		name   string
		stages []Stage
	}{{"input", r.Guards.Input}, {"retrieval", r.Guards.Retrieval}, {"tool", r.Guards.Tool}, {"output", r.Guards.Output}, {"answer", r.Guards.Answer}} {
		for i := range list.stages {
			stage(fmt.Sprintf("%s.guards.%s[%d]", path, list.name, i), &list.stages[i], "closed")
		}
	}
	for name, list := range r.Examples {
		if name == "" || strings.TrimPrefix(name, "domain:") == "" {
			add(path+".examples", "%q names no intent; write for example refund, domain:legal, or sensitive", name)
		}
		if len(list) == 0 || len(list) > maxExamples || slices.ContainsFunc(list, func(s string) bool { return strings.TrimSpace(s) == "" }) {
			add(path+".examples."+name, "give 1 to %d utterances, none of them empty", maxExamples)
		}
	}
	c.validateCascade(path, r, stage, add)
	c.validateContext(path, r, add)
	for i := range r.Transform {
		at := fmt.Sprintf("%s.transform[%d]", path, i)
		if stage(at, &r.Transform[i], "closed"); r.Transform[i].Shadow() {
			add(at+".mode", "a filter changes the request itself, so it cannot run in the shadow; write enforce or off")
		}
	}
	if t := r.Retrieve; t != nil {
		if t.Chunks < 0 || t.Chunks > search.MaxK {
			add(path+".retrieve.chunks", "%d is not between 0 and %d", t.Chunks, search.MaxK)
		}
		if t.Budget < 0 {
			add(path+".retrieve.budget", "%d must not be negative", t.Budget)
		}
		if t.Floor > 1 {
			add(path+".retrieve.floor", "%g is above 1", t.Floor)
		}
		if !slices.Contains([]string{"", search.Hybrid, search.Keyword, search.Vector}, t.Mode) {
			add(path+".retrieve.mode", "%q is not one of %s, %s, %s", t.Mode, search.Hybrid, search.Keyword, search.Vector)
		}
	}
	if r.Cache.Plugin != "" {
		plugin(path+".cache.plugin", r.Cache.Plugin)
	}
	for i, name := range r.Tools {
		plugin(fmt.Sprintf("%s.tools[%d]", path, i), name)
	}
}

// locate adds the offending line, or the nearest one above it that src has.
func (f fault) locate(src []byte) error {
	for path := f.path; path != "" && len(src) > 0; {
		if p, err := yaml.PathString("$." + path); err == nil {
			if shown, err := p.AnnotateSource(src, false); err == nil {
				return fmt.Errorf("%s: %s\n%s", f.path, f.message, presentable(string(shown)))
			}
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return fmt.Errorf("%s: %s", f.path, f.message)
}
