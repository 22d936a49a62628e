// Package router picks the model and the token budget of a request: by the site's rules first, and where they say
// nothing by what the request looks like: its length, task words, code and language. A plain sum or a question for
// the time is sent to its tool before the model runs.
//
// It only ever picks among the models of the request, a remote one by rule alone or where the site allows it, and
// leaves a limit that the client stated as it is. What is sensitive goes to a remote model by rule only.
//
// The package is pure logic and knows nothing of the guest it runs in (see wasm/). Start reading at [Router.Route].
package router

import (
	"slices"
	"strconv"
	"strings"
	"unsafe"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Router holds the settings. It is safe for concurrent use.
type Router struct {
	Rules        []Rule
	Budgets      [6]int   // tokens of tasks, and at 0 of a request without a known task
	Tiers        []string // names of tiers, the weakest first
	SimpleBelow  float64  // complexity below which the weakest tier serves
	ComplexAbove float64  // complexity above which the strongest tier serves
	AllowRemote  bool     // without a rule, too
	DirectTools  bool     // ask calculator and clock directly
	IntentFrom   float64  // likeness to an example from which a request has its intent
	IntentBand   float64  // around IntentFrom, where the likest must lead the second by as much
}

// Route decides. It never fails.
func (r *Router) Route(req *sdk.RouteRequest) sdk.RouteDecision {
	return r.RouteWith(req, make([]byte, 0, 192))
}

// RouteWith is Route with memory for the decision's reason, which lies there if it fits.
func (r *Router) RouteWith(req *sdk.RouteRequest, why []byte) sdk.RouteDecision {
	f := look(req.Messages)
	r.liken(&f, req.Examples)
	why = f.append(why[:0])
	d := sdk.RouteDecision{Confidence: r.confidence(&f), Sensitive: f.sensitive}

	if i := r.match(req, &f); i >= 0 {
		rule := &r.Rules[i]
		d.Model, d.Tier, d.MaxTokens, d.RetrievalDepth = rule.Model, rule.Tier, rule.MaxTokens, rule.RetrievalDepth
		d.Confidence = 1
		why = strconv.AppendInt(append(why, "; rule "...), int64(rule.line), 10)
	}
	if d.Model == "" && len(req.Models) > 0 {
		var reason string
		d.Model, reason = r.pick(req.Models, d.Tier, &f)
		why = append(append(why, "; "...), reason...)
	}
	for i := range req.Models {
		if req.Models[i].ID == d.Model {
			d.Tier = req.Models[i].Tier
			break
		}
	}
	d.MaxTokens = r.budget(req.MaxTokens, d.MaxTokens, f.taskIndex)
	if r.DirectTools && len(req.Tools) > 0 {
		if d.ToolCalls = directCalls(req); d.ToolCalls != nil {
			why = append(append(append(why, "; asks "...), d.ToolCalls[0].Name...), " first"...)
		}
	}
	d.Reason = unsafe.String(unsafe.SliceData(why), len(why))
	return d
}

// liken takes from the likest example what the request asks for. Within the band around the border it must be likest by
// far. An example named domain:NAME tells the domain where words tell none, one named sensitive only ever adds that.
func (r *Router) liken(f *features, list []sdk.Example) {
	if len(list) == 0 {
		return
	}
	best, second := list[0].Score, 0.0
	if len(list) > 1 {
		second = list[1].Score
	}
	if best < r.IntentFrom-r.IntentBand || best < r.IntentFrom+r.IntentBand && best-second < r.IntentBand {
		return
	}
	name := list[0].Name
	if domain, ok := strings.CutPrefix(name, "domain:"); ok {
		if f.domain == "" {
			f.domain = domain
		}
		return
	}
	if name == "sensitive" {
		f.sensitive = true
		return
	}
	f.intent = name
}

// budget returns what the client stated, else what the rule says, else what the task usually needs.
func (r *Router) budget(client, rule int, task uint32) int {
	switch {
	case client > 0:
		return client
	case rule > 0:
		return rule
	}
	return r.Budgets[task]
}

// pick chooses a model of the wanted tier, or without one of the tier that the complexity calls for. Where no model
// suits, it is the first, the route's default.
func (r *Router) pick(models []sdk.Model, tier string, f *features) (id, reason string) {
	usable := func(m *sdk.Model) bool { return m.ContextTokens == 0 || f.tokens < m.ContextTokens }
	if tier != "" {
		for i := range models {
			if models[i].Tier == tier && usable(&models[i]) {
				return models[i].ID, "tier " + tier
			}
		}
		return models[0].ID, "no usable model of tier " + tier + ", so the default"
	}
	want := 0 // -1 weakest, 1 strongest
	switch {
	case f.complexity < r.SimpleBelow:
		want = -1
	case f.complexity > r.ComplexAbove:
		want = 1
	}
	if want == 0 && usable(&models[0]) {
		return models[0].ID, "the default suits"
	}
	best, bestRank := -1, 0
	for i := range models {
		m := &models[i]
		rank := slices.Index(r.Tiers, m.Tier)
		if !usable(m) || m.Remote && (!r.AllowRemote || f.sensitive) || rank < 0 && want != 0 {
			continue
		}
		if best < 0 || want < 0 && rank < bestRank || want > 0 && rank > bestRank {
			best, bestRank = i, rank
		}
	}
	switch {
	case best < 0:
		return models[0].ID, "the default, for none suits better"
	case want < 0:
		return models[best].ID, "simple"
	case want > 0:
		return models[best].ID, "complex"
	}
	return models[best].ID, "the default's context is too short"
}

// confidence is how far the complexity lies from where the choice would change, with some taken off where the task is
// unknown.
func (r *Router) confidence(f *features) float64 {
	away := min(distance(f.complexity, r.SimpleBelow), distance(f.complexity, r.ComplexAbove))
	c := min(0.5+2*away, 1)
	if f.task == "" {
		c *= 0.8
	}
	return float64(int(c*100+0.5)) / 100
}

func distance(a, b float64) float64 { return max(a-b, b-a) }
