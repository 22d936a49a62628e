package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/prompt"
)

// Context makes a route fit what it asks into the model's context, each section to its budget.
type Context struct {
	Policy       string         `yaml:"policy"`        // rules of the site, said after the system prompt
	Budgets      map[string]int `yaml:"budgets"`       // tokens by section: system, policy, retrieved, history, question, reserve
	History      string         `yaml:"history"`       // window, summary, retrieval; empty: window
	Turns        int            `yaml:"turns"`         // of the history that are looked at, the newest; 0: all
	Over         string         `yaml:"over"`          // what becomes of the middle of a question that is too long: drop, summarise; empty: drop
	SummaryModel string         `yaml:"summary_model"` // on this device; empty: local
}

// Summarises says whether a model is needed for summaries.
func (c *Context) Summarises() bool { return c.History == prompt.Summary || c.Over == prompt.Summarise }

func (c *Config) validateContext(path string, r *Route, add func(path, format string, args ...any)) {
	k := r.Context
	if k == nil {
		return
	}
	path += ".context"
	for _, name := range slices.Sorted(maps.Keys(k.Budgets)) {
		if !slices.Contains(prompt.Sections, name) {
			add(path+".budgets."+name, "%q is not one of %s", name, strings.Join(prompt.Sections, ", "))
		}
		if k.Budgets[name] < 0 {
			add(path+".budgets."+name, "%d must not be negative", k.Budgets[name])
		}
	}
	if !slices.Contains([]string{"", prompt.Window, prompt.Summary, prompt.Retrieval}, k.History) {
		add(path+".history", "%q is not one of %s, %s, %s", k.History, prompt.Window, prompt.Summary, prompt.Retrieval)
	}
	if !slices.Contains([]string{"", prompt.Drop, prompt.Summarise}, k.Over) {
		add(path+".over", "%q is not one of %s, %s", k.Over, prompt.Drop, prompt.Summarise)
	}
	if k.Turns < 0 {
		add(path+".turns", "%d must not be negative", k.Turns)
	}
	if k.SummaryModel == "" {
		k.SummaryModel = Local
	}
	if !c.onDevice(k.SummaryModel) {
		add(path+".summary_model", "%q is not a model on this device; conversations are summarised on it alone", k.SummaryModel)
	}
}
