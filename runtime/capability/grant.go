package capability

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Known says what each capability lends, for help and errors.
var Known = map[string]string{
	"slm":         "completions and embeddings by models on the device",
	"search":      "the site's documents, as far as the caller may read them",
	"kv":          "a key-value store per plugin and tenant",
	"http":        "HTTP requests; http=RULE narrows them, for example http=GET,POST https://api.example.com/v1",
	"credentials": "for http-wasm filters: the headers of a request that hold keys and cookies",
	"clock":       "clocks to the nanosecond; without it they tick every millisecond",
}

// Grants is a list of capabilities: what a manifest asks for, a policy grants, or a site allows at most.
type Grants struct {
	names    map[string]bool
	optional map[string]bool // asked for as NAME?: the plugin loads without
	rules    []Rule
	anyHTTP  bool // http without a rule
}

// ParseGrants reads entries NAME, NAME? and http=RULE.
func ParseGrants(entries []string) (*Grants, error) {
	s := &Grants{names: map[string]bool{}, optional: map[string]bool{}}
	for _, entry := range entries {
		name, rule, hasRule := strings.Cut(entry, "=")
		name, optional := strings.CutSuffix(name, "?")
		switch {
		case Known[name] == "":
			return nil, fmt.Errorf("there is no capability %q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(Known)), ", "))
		case hasRule && name != "http":
			return nil, fmt.Errorf("capability %q: only http takes a rule", entry)
		case hasRule:
			r, err := ParseRule(rule)
			if err != nil {
				return nil, err
			}
			s.rules = append(s.rules, r)
		case name == "http":
			s.anyHTTP = true
		}
		s.optional[name] = optional && (s.optional[name] || !s.names[name])
		s.names[name] = true
	}
	return s, nil
}

// Has says whether the set holds a capability.
func (s *Grants) Has(name string) bool { return s.names[name] }

// Optional says whether a plugin that asks for the capability can do without.
func (s *Grants) Optional(name string) bool { return s.optional[name] }

// RulesOnly is the set without http that no rule narrows: what an appliance that is offline may reach has to be named.
func (s *Grants) RulesOnly() *Grants {
	named := *s
	named.anyHTTP = false
	return &named
}

// Names are the capabilities in the set, sorted.
func (s *Grants) Names() []string { return slices.Sorted(maps.Keys(s.names)) }

// Missing is the first capability that s asks for, cannot do without, and some other set lacks.
func (s *Grants) Missing(sets ...*Grants) (name string, missing bool) {
	for _, name := range s.Names() {
		for _, other := range sets {
			if !s.optional[name] && !other.Has(name) {
				return name, true
			}
		}
	}
	return "", false
}

// HTTP is the egress that all sets allow together, or nil when one of them has no http. A set with http and no rule
// does not narrow; where none has a rule nothing can be reached.
func HTTP(sets ...*Grants) *Egress {
	e := &Egress{}
	for _, s := range sets {
		switch {
		case !s.Has("http"):
			return nil
		case !s.anyHTTP:
			e.Rules = append(e.Rules, s.rules)
		}
	}
	return e
}
