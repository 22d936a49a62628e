// Package cachepolicy decides what of a request may be reused: answers that would come out the same again, at temperature
// 0, one choice and no tools; and, where the site switches it on, answers to questions that ask the same in other words. It
// always says why.
//
// Two requests share an entry when everything that shapes the answer is equal: tenant, route, model digest, prompt
// version, parameters, tools, and every message byte for byte. Nothing inside a message is normalised: a space or a
// capital can change what a model says. Which questions ask the same is for the host to find out: the plan names the text
// to compare, the last message of the user, and how like it another must be.
//
// The package is pure logic and knows nothing of the guest it runs in (see wasm/). Start reading at [Policy.Plan].
package cachepolicy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// scheme names how keys are made; another scheme must not find entries of this one.
const scheme = "exact/1"

// Policy holds the settings. It is safe for concurrent use.
type Policy struct {
	TTL      time.Duration // how long an answer may be reused; 0: the host's default
	MaxBytes int           // of all message text together; larger requests are not cached
	Tools    bool          // cache although tools are on offer
	// MaxTemperature is up to which answers are reused.
	MaxTemperature float64
	Semantic       bool    // compare questions, too
	Threshold      float64 // least similarity of two questions
	MaxQuestion    int     // bytes of a question that is compared; longer ones are texts
}

// New reads the configuration: ttl (24h), max_bytes (65536), tools (false), max_temperature (0), semantic (false), threshold
// (0.97), max_question (500). Absent keys keep these defaults.
func New(config func(key string) (string, bool)) (*Policy, error) {
	p := &Policy{TTL: 24 * time.Hour, MaxBytes: 64 << 10, Threshold: 0.97, MaxQuestion: 500}
	var err error
	if v, ok := config("ttl"); ok {
		if p.TTL, err = time.ParseDuration(v); err != nil || p.TTL < 0 || p.TTL > 0 && p.TTL < time.Second {
			return nil, errors.New("cache-policy: the setting ttl must be a duration of at least 1s, such as 24h, or 0s for the host's default: " + strconv.Quote(v))
		}
	}
	if v, ok := config("max_bytes"); ok {
		if p.MaxBytes, err = strconv.Atoi(v); err != nil || p.MaxBytes < 0 {
			return nil, errors.New("cache-policy: the setting max_bytes must be a whole number of bytes: " + strconv.Quote(v))
		}
	}
	if v, ok := config("tools"); ok {
		if p.Tools, err = strconv.ParseBool(v); err != nil {
			return nil, errors.New("cache-policy: the setting tools must be true or false: " + strconv.Quote(v))
		}
	}
	if v, ok := config("max_temperature"); ok {
		if p.MaxTemperature, err = strconv.ParseFloat(v, 64); err != nil || !(p.MaxTemperature >= 0 && p.MaxTemperature <= 2) {
			return nil, errors.New("cache-policy: the setting max_temperature must be a number from 0 to 2: " + strconv.Quote(v))
		}
	}
	if v, ok := config("semantic"); ok {
		if p.Semantic, err = strconv.ParseBool(v); err != nil {
			return nil, errors.New("cache-policy: the setting semantic must be true or false: " + strconv.Quote(v))
		}
	}
	if v, ok := config("threshold"); ok {
		if p.Threshold, err = strconv.ParseFloat(v, 64); err != nil || !(p.Threshold > 0 && p.Threshold <= 1) {
			return nil, errors.New("cache-policy: the setting threshold must be a number above 0, at most 1: " + strconv.Quote(v))
		}
	}
	if v, ok := config("max_question"); ok {
		if p.MaxQuestion, err = strconv.Atoi(v); err != nil || p.MaxQuestion < 1 {
			return nil, errors.New("cache-policy: the setting max_question must be a whole number of bytes: " + strconv.Quote(v))
		}
	}
	return p, nil
}

// Plan says whether and under which key the answer to req may be looked up and stored. It never fails.
func (p *Policy) Plan(req *sdk.CacheRequest) sdk.CachePlan {
	if why := p.bypass(req); why != "" {
		return sdk.CachePlan{Reason: why}
	}
	plan := sdk.CachePlan{
		Lookup: true,
		Admit:  true,
		KeyParts: []string{
			scheme, req.Tenant, req.Route, req.Model, req.ModelDigest, req.PromptVersion, req.Params, req.ToolsDigest, exact(req.Messages),
		},
		TTLSeconds: int(p.TTL / time.Second),
		Reason:     "exact: temperature 0, one choice",
	}
	if req.Temperature > 0 {
		plan.Reason = "exact: temperature within max_temperature, one choice"
	}
	if last := &req.Messages[len(req.Messages)-1]; p.Semantic && last.Role == "user" && len(last.Content) <= p.MaxQuestion && strings.TrimSpace(last.Content) != "" {
		plan.Text, plan.Threshold = strings.TrimSpace(last.Content), p.Threshold
		plan.Reason += "; semantic"
	}
	return plan
}

// bypass says why req is not cached, empty if it is.
func (p *Policy) bypass(req *sdk.CacheRequest) string {
	switch {
	case !(req.Temperature <= p.MaxTemperature): // NaN too
		return "bypass: temperature " + strconv.FormatFloat(req.Temperature, 'g', -1, 64) + " is not " + strconv.FormatFloat(p.MaxTemperature, 'g', -1, 64)
	case req.Choices > 1:
		return "bypass: " + strconv.Itoa(req.Choices) + " choices"
	case req.ToolsDigest != "" && !p.Tools:
		return "bypass: tools are on offer"
	case req.ModelDigest == "":
		return "bypass: the model has no digest, so that a changed model could not be told"
	case len(req.Messages) == 0:
		return "bypass: no messages"
	}
	size := 0
	for i := range req.Messages {
		size += len(req.Messages[i].Content)
		for _, c := range req.Messages[i].ToolCalls {
			size += len(c.Arguments)
		}
	}
	if size > p.MaxBytes {
		return "bypass: " + strconv.Itoa(size) + " bytes of messages, more than " + strconv.Itoa(p.MaxBytes)
	}
	return ""
}

// exact writes messages so that different conversations give different texts.
func exact(messages []sdk.Message) string {
	var b strings.Builder
	part := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	for i := range messages {
		m := &messages[i]
		part(m.Role)
		part(m.Name)
		part(m.ToolCallID)
		part(m.Content)
		b.WriteString(strconv.Itoa(len(m.ToolCalls)))
		b.WriteByte(';')
		for _, c := range m.ToolCalls {
			part(c.ID)
			part(c.Name)
			part(c.Arguments)
		}
	}
	return b.String()
}
