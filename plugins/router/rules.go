package router

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Rule is one line of the setting rules: conditions, an arrow, what follows.
//
//	task=summarise min_chars=2000            -> tier=large max_tokens=600
//	contains="purchase order","PO number"    -> model=erp retrieval_depth=8
//	code=true language=de                    -> model=coder
//
// All conditions of a line must hold; of a list in one condition, one. The first line that holds is taken. What it
// does not set is decided as without it. A line without conditions always holds; # begins a comment line.
type Rule struct {
	Contains           []string // any of these, in any case, in the last user message
	Task, Language     []string
	Tenant, Route      []string
	MinChars, MaxChars int      // of the last user message, in code points; 0: no limit
	Code, Tools        *bool    // whether there is code, whether tools are on offer
	Domain             []string // code, finance, legal, health
	Intent             []string // of examples
	Sensitive          *bool    // whether it speaks of what people keep to themselves

	Model, Tier               string
	MaxTokens, RetrievalDepth int

	line int // for the reason
}

// match returns the first rule that holds and whose model is among the choices, -1 for none.
func (r *Router) match(req *sdk.RouteRequest, f *features) int {
	for i := range r.Rules {
		rule := &r.Rules[i]
		if !rule.holds(req, f) {
			continue
		}
		if rule.Model == "" || slices.ContainsFunc(req.Models, func(m sdk.Model) bool { return m.ID == rule.Model }) {
			return i
		}
	}
	return -1
}

func (rule *Rule) holds(req *sdk.RouteRequest, f *features) bool {
	switch {
	case len(rule.Task) > 0 && !slices.Contains(rule.Task, f.task),
		len(rule.Language) > 0 && !slices.Contains(rule.Language, f.language),
		len(rule.Tenant) > 0 && !slices.Contains(rule.Tenant, req.Tenant),
		len(rule.Route) > 0 && !slices.Contains(rule.Route, req.Route),
		len(rule.Domain) > 0 && !slices.Contains(rule.Domain, f.domain),
		len(rule.Intent) > 0 && !slices.Contains(rule.Intent, f.intent),
		rule.Sensitive != nil && *rule.Sensitive != f.sensitive,
		f.chars < rule.MinChars,
		rule.MaxChars > 0 && f.chars > rule.MaxChars,
		rule.Code != nil && *rule.Code != f.code,
		rule.Tools != nil && *rule.Tools != (len(req.Tools) > 0):
		return false
	}
	if len(rule.Contains) == 0 {
		return true
	}
	lower := strings.ToLower(f.text)
	return slices.ContainsFunc(rule.Contains, func(s string) bool { return strings.Contains(lower, s) })
}

// maxRules bounds the setting.
const maxRules = 200

// parseRules reads the lines. Errors name the line.
func parseRules(text string) ([]Rule, error) {
	var rules []Rule
	n := 0
	for l := range strings.SplitSeq(text, "\n") {
		n++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		if len(rules) == maxRules {
			return nil, errors.New("more than " + strconv.Itoa(maxRules) + " rules")
		}
		rule, err := parseRule(l)
		if err != nil {
			return nil, errors.New("line " + strconv.Itoa(n) + ": " + err.Error())
		}
		rule.line = n
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseRule(l string) (Rule, error) {
	var rule Rule
	conditions, actions := 0, 0
	arrow := false
	for {
		l = strings.TrimLeft(l, " \t")
		if l == "" {
			break
		}
		if rest, ok := strings.CutPrefix(l, "->"); ok && !arrow {
			arrow, l = true, rest
			continue
		}
		name, rest, ok := strings.Cut(l, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t\"") {
			return rule, errors.New("expected name=value or -> at " + strconv.Quote(l))
		}
		var values []string
		var err error
		if values, l, err = readValues(rest); err != nil {
			return rule, err
		}
		if arrow {
			actions++
			err = rule.setAction(name, values)
		} else {
			conditions++
			err = rule.setCondition(name, values)
		}
		if err != nil {
			return rule, err
		}
	}
	if !arrow || actions == 0 {
		return rule, errors.New("a rule needs -> and what follows, such as -> tier=large")
	}
	return rule, nil
}

// readValues reads values joined by commas, each bare or in double quotes, up to a space.
func readValues(s string) (values []string, rest string, err error) {
	for {
		var v string
		if s != "" && s[0] == '"' {
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return nil, "", errors.New("a quote is not closed")
			}
			v, s = s[1:1+end], s[end+2:]
		} else {
			end := strings.IndexAny(s, " \t,")
			if end < 0 {
				end = len(s)
			}
			v, s = s[:end], s[end:]
		}
		if v == "" {
			return nil, "", errors.New("a value is empty")
		}
		values = append(values, v)
		if s == "" || s[0] != ',' {
			return values, s, nil
		}
		s = s[1:]
	}
}

func (rule *Rule) setCondition(name string, values []string) (err error) {
	switch name {
	case "contains":
		for _, v := range values {
			rule.Contains = append(rule.Contains, strings.ToLower(v))
		}
		return nil
	case "task":
		rule.Task = values
		for _, v := range values {
			if !slices.Contains(tasks, v) {
				return errors.New("unknown task " + strconv.Quote(v) + "; there are " + strings.Join(tasks, ", "))
			}
		}
		return nil
	case "language":
		rule.Language = values
		return nil
	case "domain":
		rule.Domain = values
		for _, v := range values {
			if !slices.Contains(domainNames, v) {
				return errors.New("unknown domain " + strconv.Quote(v) + "; there are " + strings.Join(domainNames, ", "))
			}
		}
		return nil
	case "intent":
		rule.Intent = values
		return nil
	case "tenant":
		rule.Tenant = values
		return nil
	case "route":
		rule.Route = values
		return nil
	}
	if len(values) != 1 {
		return errors.New(name + " takes one value")
	}
	switch name {
	case "min_chars":
		rule.MinChars, err = natural(name, values[0])
	case "max_chars":
		rule.MaxChars, err = natural(name, values[0])
	case "code":
		rule.Code = new(bool)
		err = setBool(rule.Code, values[0])
	case "sensitive":
		rule.Sensitive = new(bool)
		err = setBool(rule.Sensitive, values[0])
	case "tools":
		rule.Tools = new(bool)
		err = setBool(rule.Tools, values[0])
	default:
		err = errors.New("unknown condition " + strconv.Quote(name) + "; there are contains, task, language, tenant, route, min_chars, max_chars, code, tools, domain, intent, sensitive")
	}
	return err
}

func (rule *Rule) setAction(name string, values []string) (err error) {
	if len(values) != 1 {
		return errors.New(name + " takes one value")
	}
	switch name {
	case "model":
		rule.Model = values[0]
	case "tier":
		rule.Tier = values[0]
	case "max_tokens":
		rule.MaxTokens, err = natural(name, values[0])
	case "retrieval_depth":
		rule.RetrievalDepth, err = natural(name, values[0])
	default:
		err = errors.New("unknown consequence " + strconv.Quote(name) + "; there are model, tier, max_tokens, retrieval_depth")
	}
	return err
}

func natural(name, v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1<<30 {
		return 0, errors.New(name + " must be a whole number from 1, not " + strconv.Quote(v))
	}
	return n, nil
}
