package router

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Tasks that are told apart by their words.
const (
	classify    = "classify"
	extract     = "extract"
	summarise   = "summarise"
	analyse     = "analyse"
	draft       = "draft"
	defaultTask = "default"
)

// New reads the configuration; absent keys keep the defaults that plugin.yaml documents.
func New(config func(key string) (string, bool)) (*Router, error) {
	r := &Router{
		Budgets:      [6]int{512, 20, 200, 300, 800, 1500}, // as tasks lists them, the default before
		Tiers:        []string{"small", "medium", "large", "remote"},
		SimpleBelow:  0.35,
		ComplexAbove: 0.65,
		DirectTools:  true,
		IntentFrom:   0.5,
		IntentBand:   0.1,
	}
	for _, s := range []struct {
		key string
		set func(string) error
	}{
		{"rules", func(v string) (err error) { r.Rules, err = parseRules(v); return err }},
		{"budgets", r.setBudgets},
		{"tiers", r.setTiers},
		{"simple_below", func(v string) error { return setUnit(&r.SimpleBelow, v) }},
		{"complex_above", func(v string) error { return setUnit(&r.ComplexAbove, v) }},
		{"intent_from", func(v string) error { return setUnit(&r.IntentFrom, v) }},
		{"intent_band", func(v string) error { return setUnit(&r.IntentBand, v) }},
		{"allow_remote", func(v string) error { return setBool(&r.AllowRemote, v) }},
		{"direct_tools", func(v string) error { return setBool(&r.DirectTools, v) }},
	} {
		if v, ok := config(s.key); ok && strings.TrimSpace(v) != "" {
			if err := s.set(v); err != nil {
				return nil, errors.New("router: the setting " + s.key + ": " + err.Error())
			}
		}
	}
	if r.SimpleBelow > r.ComplexAbove {
		return nil, errors.New("router: the setting simple_below is above complex_above")
	}
	return r, nil
}

func (r *Router) setBudgets(v string) error {
	for _, pair := range strings.Fields(v) {
		task, number, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return errors.New(strconv.Quote(pair) + " is not task=tokens")
		}
		i := slices.Index(tasks, task) + 1
		if i == 0 && task != defaultTask {
			return errors.New("unknown task " + strconv.Quote(task) + "; there are classify, extract, summarise, analyse, draft, default")
		}
		r.Budgets[i] = n
	}
	return nil
}

func (r *Router) setTiers(v string) error {
	r.Tiers = nil
	for t := range strings.SplitSeq(v, ",") {
		if t = strings.TrimSpace(t); t == "" {
			return errors.New("an empty name among " + strconv.Quote(v))
		}
		r.Tiers = append(r.Tiers, t)
	}
	return nil
}

func setUnit(dst *float64, v string) error {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return errors.New(strconv.Quote(v) + " is not a number from 0 to 1")
	}
	*dst = f
	return nil
}

func setBool(dst *bool, v string) error {
	b, err := strconv.ParseBool(strings.TrimSpace(v))
	if err != nil {
		return errors.New(strconv.Quote(v) + " is neither true nor false")
	}
	*dst = b
	return nil
}
