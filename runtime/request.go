package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// Bounds of the OpenAI API.
const (
	maxStops       = 4
	maxTopLogprobs = 20
	maxMessages    = 4096
	maxTools       = 128
)

// rebuilt are the fields of a chat request that are rebuilt, refused, or mean nothing to a model; what a client sends
// beside them goes to a remote model unchanged.
var rebuilt = map[string]bool{"model": true, "messages": true, "stream": true, "stream_options": true, "n": true, "max_tokens": true,
	"max_completion_tokens": true, "temperature": true, "top_p": true, "seed": true, "stop": true, "logprobs": true, "top_logprobs": true,
	"frequency_penalty": true, "presence_penalty": true, "logit_bias": true, "tools": true, "tool_choice": true, "user": true,
	"store": true, "metadata": true}

// isRebuilt reports whether a field is one of the rebuilt ones, also when it is written in another case: a remote decoder
// that is not strict about case would take it for the field that the guards have read, and prefer it.
func isRebuilt(name string) bool {
	if rebuilt[name] {
		return true
	}
	for known := range rebuilt {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}

// chatRequest checks a chat request and brings it into the form the pipeline takes.
func (r *Runtime) chatRequest(id string, who Identity, req *openai.ChatRequest) (*pipeline.Request, error) {
	switch {
	case req.Model == "":
		return nil, openai.Invalid("model", "missing_required_parameter", "model is missing; name a route or a model that GET /v1/models lists")
	case len(req.Messages) == 0:
		return nil, openai.Invalid("messages", "missing_required_parameter", "messages is missing or empty")
	case len(req.Messages) > maxMessages:
		return nil, openai.Invalid("messages", "invalid_value", "messages holds %d, more than %d", len(req.Messages), maxMessages)
	case len(req.Tools) > maxTools:
		return nil, openai.Invalid("tools", "invalid_value", "tools holds %d, more than %d", len(req.Tools), maxTools)
	}
	for i, m := range req.Messages {
		switch m.Role {
		case "system", "user", "assistant", "tool":
		case "developer", "function":
			req.Messages[i].Role = map[string]string{"developer": "system", "function": "tool"}[m.Role]
		default:
			return nil, openai.Invalid(fmt.Sprintf("messages[%d].role", i), "invalid_value", "messages[%d].role: %q is not one of system, developer, user, assistant, tool", i, m.Role)
		}
	}
	for i, t := range req.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return nil, openai.Invalid(fmt.Sprintf("tools[%d]", i), "invalid_value", "tools[%d] must be of type function and have a name", i)
		}
	}
	if c := req.ToolChoice; c != nil && c.Mode != "none" && c.Mode != "auto" &&
		!slices.ContainsFunc(req.Tools, func(t openai.Tool) bool { return c.Mode == "required" || t.Function.Name == c.Function }) {
		return nil, openai.Invalid("tool_choice", "invalid_value", "tool_choice asks for a tool that tools does not offer")
	}
	format, err := formatOf(req.ResponseFormat, &req.Extensions)
	if err != nil {
		return nil, err
	}
	p := &pipeline.Request{ID: id, Tenant: who.Tenant, Subject: who.Subject, Key: who.Key, Access: access(&who), Endpoint: "chat", Stream: req.Stream, Messages: req.Messages}
	p.Prompt = pipeline.Prompt{Format: format, Tools: req.Tools, ToolChoice: req.ToolChoice, Tenant: who.Tenant, Logprobs: req.Logprobs, LogitBias: req.LogitBias, Seed: req.Seed, Stop: req.Stop}
	if req.TopLogprobs != nil {
		if !req.Logprobs && *req.TopLogprobs > 0 {
			return nil, openai.Invalid("top_logprobs", "invalid_value", "top_logprobs needs logprobs to be true")
		}
		p.Prompt.TopLogprobs = *req.TopLogprobs
	}
	maxTokens := req.MaxCompletionTokens
	if maxTokens == nil {
		maxTokens = req.MaxTokens
	}
	for name, raw := range req.Raw {
		if !isRebuilt(name) {
			if p.Prompt.Raw == nil {
				p.Prompt.Raw = map[string][]byte{}
			}
			p.Prompt.Raw[name] = raw
		}
	}
	return p, r.sampling(p, samplingFields{maxTokens: maxTokens, temperature: req.Temperature, topP: req.TopP, n: req.N,
		frequency: req.FrequencyPenalty, presence: req.PresencePenalty, local: req.LocalSampling})
}

// completionRequest does the same for a completion request.
func (r *Runtime) completionRequest(ctx context.Context, id string, who Identity, req *openai.CompletionRequest) (*pipeline.Request, error) {
	switch {
	case req.Model == "":
		return nil, openai.Invalid("model", "missing_required_parameter", "model is missing; name a route or a model that GET /v1/models lists")
	case len(req.Prompt) == 0:
		return nil, openai.Invalid("prompt", "missing_required_parameter", "prompt is missing or empty")
	case req.Suffix != nil && *req.Suffix != "":
		return nil, openai.Invalid("suffix", "unsupported_parameter", "suffix is not supported; send the text before the insertion as the prompt")
	case req.BestOf != nil && *req.BestOf != 1 && (req.N == nil || *req.BestOf != *req.N):
		return nil, openai.Invalid("best_of", "unsupported_parameter", "best_of is not supported beyond n")
	}
	format, err := formatOf(nil, &req.Extensions)
	if err != nil {
		return nil, err
	}
	p := &pipeline.Request{ID: id, Tenant: who.Tenant, Subject: who.Subject, Key: who.Key, Access: access(&who), Endpoint: "completion", Stream: req.Stream, Prompts: req.Prompt}
	for i := range p.Prompts {
		if p.Prompts[i].Tokens == nil {
			continue
		}
		// Guards read text, so the ids need one. They are one model's, and no other may answer.
		m, err := r.tokensOf(req.Model)
		if err != nil {
			return nil, err
		}
		text, err := m.decode(ctx, p.Prompts[i].Tokens)
		if err != nil {
			return nil, err
		}
		p.Model = m
		p.Prompts[i].Text = text
	}
	p.Prompt = pipeline.Prompt{Format: format, Tenant: who.Tenant, LogitBias: req.LogitBias, Seed: req.Seed, Stop: req.Stop}
	if req.Logprobs != nil {
		if *req.Logprobs > 5 {
			return nil, openai.Invalid("logprobs", "invalid_value", "logprobs: %d is more than 5", *req.Logprobs)
		}
		p.Prompt.Logprobs, p.Prompt.TopLogprobs = true, *req.Logprobs
	}
	maxTokens := req.MaxTokens
	if maxTokens == nil {
		n := 16
		maxTokens = &n
	}
	return p, r.sampling(p, samplingFields{maxTokens: maxTokens, temperature: req.Temperature, topP: req.TopP, n: req.N,
		frequency: req.FrequencyPenalty, presence: req.PresencePenalty, local: req.LocalSampling})
}

// tokensOf is the model on this device whose ids a prompt for a model or route has: of a route's models the first.
func (r *Runtime) tokensOf(name string) (*localModel, error) {
	route, model, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	if m, ok := model.(*localModel); ok {
		return m, nil
	}
	for _, model := range route.Models {
		if m, ok := model.(*localModel); ok {
			return m, nil
		}
	}
	return nil, pipeline.ErrNoModel()
}

type samplingFields struct {
	maxTokens, n                           *int
	temperature, topP, frequency, presence *float64
	local                                  openai.LocalSampling
}

// sampling checks the numbers and fills in what is absent.
func (r *Runtime) sampling(p *pipeline.Request, f samplingFields) error {
	p.Prompt.Absent = map[string]bool{"max_tokens": f.maxTokens == nil, "top_k": f.local.TopK == nil}
	number := func(name string, v *float64, absent, low, high float64, out *float64) error {
		*out = absent
		if v == nil {
			p.Prompt.Absent[name] = true
			return nil
		}
		if !(*v >= low && *v <= high) {
			return openai.Invalid(name, "invalid_value", "%s: %g is not between %g and %g", name, *v, low, high)
		}
		*out = *v
		return nil
	}
	if err := number("temperature", f.temperature, 1, 0, 2, &p.Prompt.Temperature); err != nil {
		return err
	}
	if err := number("top_p", f.topP, 1, 0, 1, &p.Prompt.TopP); err != nil {
		return err
	}
	if err := number("frequency_penalty", f.frequency, 0, -2, 2, &p.Prompt.FrequencyPenalty); err != nil {
		return err
	}
	if err := number("presence_penalty", f.presence, 0, -2, 2, &p.Prompt.PresencePenalty); err != nil {
		return err
	}
	if err := number("min_p", f.local.MinP, 0, 0, 1, &p.Prompt.MinP); err != nil {
		return err
	}
	if err := number("typical_p", f.local.TypicalP, 1, 0, 1, &p.Prompt.TypicalP); err != nil {
		return err
	}
	if err := number("repetition_penalty", f.local.RepetitionPenalty, 1, 0.1, 10, &p.Prompt.RepetitionPenalty); err != nil {
		return err
	}
	if k := f.local.TopK; k != nil {
		if *k < -1 {
			return openai.Invalid("top_k", "invalid_value", "top_k: %d is not at least 0", *k)
		}
		p.Prompt.TopK = max(*k, 0) // some clients write -1 for all
	}
	if shift := f.local.ContextShift; shift != nil {
		p.Prompt.ContextShift = *shift
	}
	p.Choices = 1
	if f.n != nil {
		if *f.n < 1 || *f.n > r.cfg.Limits.Choices {
			return openai.Invalid("n", "invalid_value", "n: %d is not between 1 and %d", *f.n, r.cfg.Limits.Choices)
		}
		p.Choices = *f.n
	}
	if total := p.Choices * max(len(p.Prompts), 1); total > 16*r.cfg.Limits.Choices {
		return openai.Invalid("prompt", "invalid_value", "prompts times n is %d, more than %d", total, 16*r.cfg.Limits.Choices)
	}
	if f.maxTokens != nil {
		if *f.maxTokens < 1 {
			return openai.Invalid("max_tokens", "invalid_value", "max_tokens: %d is not at least 1", *f.maxTokens)
		}
		p.MaxTokens = *f.maxTokens
	}
	if len(p.Prompt.Stop) > maxStops {
		return openai.Invalid("stop", "invalid_value", "stop holds %d strings, more than %d", len(p.Prompt.Stop), maxStops)
	}
	for _, s := range p.Prompt.Stop {
		if s == "" {
			return openai.Invalid("stop", "invalid_value", "stop holds an empty string")
		}
	}
	if n := p.Prompt.TopLogprobs; n < 0 || n > maxTopLogprobs {
		return openai.Invalid("top_logprobs", "invalid_value", "top_logprobs: %d is not between 0 and %d", n, maxTopLogprobs)
	}
	for id, bias := range p.Prompt.LogitBias {
		if n, err := strconv.ParseInt(id, 10, 32); err != nil || n < 0 || math.IsNaN(bias) || bias < -100 || bias > 100 {
			return openai.Invalid("logit_bias", "invalid_value", "logit_bias: %q: %g must be a token id and a number from -100 to 100", id, bias)
		}
	}
	return nil
}
