package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LimitRule bounds what each tenant, user, key, route or tier may take. A limit of 0 is none.
type LimitRule struct {
	Name  string            `yaml:"name"`
	Per   []string          `yaml:"per"`   // what is counted apart: tenant, user, key, route, tier
	Match map[string]string `yaml:"match"` // what is counted at all, by the same names

	RequestsPerMinute int64   `yaml:"requests_per_minute"`
	TokensPerMinute   int64   `yaml:"tokens_per_minute"`
	Streams           int64   `yaml:"streams"`
	TokensPerDay      int64   `yaml:"tokens_per_day"`
	TokensPerMonth    int64   `yaml:"tokens_per_month"`
	CostPerDay        float64 `yaml:"cost_per_day"`
	CostPerMonth      float64 `yaml:"cost_per_month"`
	Soft              float64 `yaml:"soft"` // share of a budget from which on answers carry a warning; 0: 0.8
}

// Price is what a million tokens of a model cost, in the unit that all prices are in.
type Price struct {
	Prompt float64 `yaml:"prompt"`
	Answer float64 `yaml:"answer"`
}

// maxAmount keeps sums of money within what is counted.
const maxAmount = 1e8

// validateLimits checks the rules and names those without a name by what they count, so that their counters survive a
// change of order.
func (c *Config) validateLimits(dimensions []string, add func(path, format string, args ...any)) {
	seen := map[string]bool{}
	for i := range c.Limits.Rules {
		r, path := &c.Limits.Rules[i], fmt.Sprintf("limits.rules[%d]", i)
		for _, d := range slices.Concat(r.Per, slices.Sorted(maps.Keys(r.Match))) {
			if !slices.Contains(dimensions, d) {
				add(path, "%q is not one of %s", d, strings.Join(dimensions, ", "))
			}
		}
		if r.Name == "" {
			r.Name = strings.Join(r.Per, "+")
			for _, d := range slices.Sorted(maps.Keys(r.Match)) {
				r.Name += " " + d + "=" + r.Match[d]
			}
			if r.Name = strings.TrimSpace(r.Name); r.Name == "" {
				r.Name = "all"
			}
		}
		if strings.ContainsRune(r.Name, 0) || seen[r.Name] {
			add(path, "another rule is called %q as well; give it a name of its own", r.Name)
		}
		seen[r.Name] = true
		none := true
		for _, n := range []float64{float64(r.RequestsPerMinute), float64(r.TokensPerMinute), float64(r.Streams), float64(r.TokensPerDay), float64(r.TokensPerMonth), r.CostPerDay, r.CostPerMonth} {
			if n < 0 {
				add(path, "a limit must not be negative")
			}
			none = none && n == 0
		}
		if r.CostPerDay > maxAmount || r.CostPerMonth > maxAmount {
			add(path, "a budget must not be above %g", maxAmount)
		}
		if none {
			add(path, "limits nothing")
		}
		if r.Soft == 0 {
			r.Soft = 0.8
		}
		if r.Soft < 0 || r.Soft > 1 {
			add(path+".soft", "%g is not between 0 and 1", r.Soft)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Prices)) {
		if p := c.Prices[name]; p.Prompt < 0 || p.Answer < 0 || p.Prompt > maxAmount || p.Answer > maxAmount {
			add("prices."+name, "a price must be between 0 and %g", maxAmount)
		}
	}
}
