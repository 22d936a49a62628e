package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ledge-run/ledge/runtime/airgap"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/telemetry"
	"github.com/ledge-run/ledge/runtime/upstream"
)

// remoteModel answers from an upstream.
type remoteModel struct {
	id     string // UPSTREAM/MODEL
	model  string // what the upstream calls it
	digest string
	info   hook.Model
	fields []string // of a client's request, that go there whatever they hold
	target *upstream.Target

	provider telemetry.Provider
}

var _ pipeline.Model = (*remoteModel)(nil)

func openRemote(name, model string, u config.Upstream, gap *airgap.Gap) (*remoteModel, error) {
	target, err := upstream.New(upstream.Config{Name: name, Gap: gap, BaseURL: u.BaseURL, APIKey: string(u.APIKey), Timeouts: upstream.Timeouts{
		Connect: u.Timeouts.Connect.D(), FirstByte: u.Timeouts.FirstByte.D(), Idle: u.Timeouts.Idle.D()},
		Kind: u.Kind, APIVersion: u.APIVersion, Retry: upstream.Retry{Attempts: u.Retry.Attempts, Base: u.Retry.Base.D(), Max: u.Retry.Max.D()},
		Breaker: upstream.Breaker{Failures: u.Breaker.Failures, Window: u.Breaker.Window.D(), OpenFor: u.Breaker.OpenFor.D(), Probes: u.Breaker.Probes}})
	if err != nil {
		return nil, err
	}
	// The weights are not ours to hash; the endpoint and the name are the best identity there is.
	sum := sha256.Sum256([]byte(u.BaseURL + "\x00" + model))
	id := name + "/" + model
	return &remoteModel{id: id, model: model, digest: "remote:" + hex.EncodeToString(sum[:]), fields: u.Fields, target: target, provider: describeProvider(model, &u),
		info: hook.Model{ID: id, ContextTokens: u.ContextTokens, Tier: u.TierName(), Remote: !u.Local}}, nil
}

func (m *remoteModel) Info() hook.Model { return m.info }

func (m *remoteModel) Digest() string { return m.digest }

// Generate sends the request as a stream and gathers the tool calls that come in pieces.
func (m *remoteModel) Generate(ctx context.Context, p *pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Outcome, error) {
	out := pipeline.Outcome{}
	if p.Messages == nil {
		return out, &openai.Error{Status: http.StatusBadRequest, Type: openai.TypeInvalidRequest, Param: "model", Code: "unsupported_endpoint",
			Message: "the model " + m.id + " answers chat requests only; use /v1/chat/completions"}
	}
	body, left, err := m.body(p)
	if err != nil {
		return out, err
	}
	said, received, most := 0, 0, excess+excessToken*p.MaxTokens
	report, err := m.target.Chat(ctx, body, func(c *openai.ChatChunk) error {
		if c.Usage != nil {
			out.Usage = *c.Usage
		}
		for _, choice := range c.Choices {
			if choice.Index != 0 {
				continue // one was asked for
			}
			if choice.FinishReason != nil {
				out.FinishReason = *choice.FinishReason
			}
			for _, c := range choice.Delta.ToolCalls {
				received += len(c.ID) + len(c.Function.Name) + len(c.Function.Arguments)
			}
			if choice.Delta.Content != nil {
				received += len(*choice.Delta.Content)
			}
			if received > most {
				return upstream.ErrExcess
			}
			out.ToolCalls = addCalls(out.ToolCalls, choice.Delta.ToolCalls)
			d := pipeline.Delta{}
			if choice.Delta.Content != nil {
				d.Text = *choice.Delta.Content
			}
			if choice.Logprobs != nil {
				d.Tokens = choice.Logprobs.Content
			}
			if d.Text == "" && len(d.Tokens) == 0 {
				continue
			}
			said += len(d.Text)
			if err := emit(d); err != nil {
				return err
			}
		}
		return nil
	})
	out.Note = report.String()
	if len(left) > 0 {
		out.Note = strings.Trim("fields left out: "+strings.Join(left, ", ")+"; "+out.Note, "; ")
	}
	if out.Usage.TotalTokens == 0 && said > 0 {
		// A peer that does not count, or a client that left before the count came: an answer is never free.
		out.Usage = openai.Usage{PromptTokens: len(body)/4 + 1, CompletionTokens: said/4 + 1}
		out.Usage.TotalTokens = out.Usage.PromptTokens + out.Usage.CompletionTokens
	}
	return out, err
}

// A peer that does not stop at max_tokens is stopped here, in bytes: answers are held in memory until they end. Few tokens
// of any vocabulary are as long as excessToken.
const (
	excess      = 64 << 10
	excessToken = 64
)

// maxCalls bounds the tool calls of one answer.
const maxCalls = 128

// addCalls joins the pieces of tool calls by their index.
func addCalls(calls, pieces []openai.ToolCall) []openai.ToolCall {
	for _, piece := range pieces {
		i := len(calls)
		if piece.Index != nil {
			i = *piece.Index
		}
		if i < 0 || i >= maxCalls {
			continue
		}
		for len(calls) <= i {
			calls = append(calls, openai.ToolCall{Type: "function"})
		}
		c := &calls[i]
		if piece.ID != "" {
			c.ID = piece.ID
		}
		c.Function.Name += piece.Function.Name
		c.Function.Arguments += piece.Function.Arguments
	}
	return calls
}

// remoteRequest are the fields that are decided here.
type remoteRequest struct {
	Model            string               `json:"model"`
	Messages         []openai.Message     `json:"messages"`
	Stream           bool                 `json:"stream"`
	StreamOptions    openai.StreamOptions `json:"stream_options"`
	MaxTokens        int                  `json:"max_tokens"`
	Temperature      float64              `json:"temperature"`
	TopP             float64              `json:"top_p"`
	Seed             *int64               `json:"seed,omitempty"`
	Stop             []string             `json:"stop,omitempty"`
	Logprobs         bool                 `json:"logprobs,omitempty"`
	TopLogprobs      *int                 `json:"top_logprobs,omitempty"`
	FrequencyPenalty float64              `json:"frequency_penalty,omitempty"`
	PresencePenalty  float64              `json:"presence_penalty,omitempty"`
	LogitBias        map[string]float64   `json:"logit_bias,omitempty"`
	Tools            []openai.Tool        `json:"tools,omitempty"`
	ToolChoice       *openai.ToolChoice   `json:"tool_choice,omitempty"`
}

// body is the request as the upstream gets it: what was decided here, then what the client sent beside it, as far as that
// may go there; the names of what may not come second.
func (m *remoteModel) body(p *pipeline.Prompt) ([]byte, []string, error) {
	r := remoteRequest{Model: m.model, Messages: p.Messages, Stream: true, StreamOptions: openai.StreamOptions{IncludeUsage: true},
		MaxTokens: p.MaxTokens, Temperature: p.Temperature, TopP: p.TopP, Seed: p.Seed, Stop: p.Stop, Logprobs: p.Logprobs,
		FrequencyPenalty: p.FrequencyPenalty, PresencePenalty: p.PresencePenalty, LogitBias: p.LogitBias, Tools: p.Tools}
	if p.Logprobs {
		r.TopLogprobs = &p.TopLogprobs
	}
	if len(p.Tools) > 0 {
		r.ToolChoice = p.ToolChoice
	}
	doc, err := json.Marshal(&r)
	if err != nil || len(p.Raw) == 0 {
		return doc, nil, err
	}
	fields, left := m.forwarded(p.Raw)
	if len(fields) == 0 {
		return doc, left, nil
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, left, err
	}
	return append(append(doc[:len(doc)-1], ','), rest[1:]...), left, nil
}
