package runtime

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/modelstore"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// localModel is a model on this device, with an adapter or without: what clients and routes name. Its weights are loaded
// when a request needs them.
type localModel struct {
	id      string
	base    string // the model's name, also where id is an adapter's
	models  *localModels
	context int // tokens
	tier    string
	digest  string
	adapter string               // of the engine's loaded ones; empty: none
	manner  *modelstore.Manifest // of an installed model: how it answers where a request says nothing
	leave   func()               // ends the use of an installed model
}

var (
	_ pipeline.Model   = (*localModel)(nil)
	_ pipeline.Counter = (*localModel)(nil)

	_ pipeline.PromptCounter = (*localModel)(nil)
)

// resident is a model in memory.
type resident struct {
	engine *engine.Engine
	forms  *forms
}

func (m *localModel) Info() hook.Model {
	return hook.Model{ID: m.id, ContextTokens: m.context, Tier: m.tier}
}

// acquire has the model loaded; the function returned ends its use.
func (m *localModel) acquire(ctx context.Context) (*resident, func(), error) {
	in, release, err := m.models.set.Acquire(ctx, m.base)
	if err != nil && ctx.Err() == nil {
		err = &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "model_unavailable", Cause: err,
			Message: "the model " + m.base + " cannot be loaded now; the log has the reason"}
	}
	return in, release, err
}

func (m *localModel) Digest() string { return m.digest }

// decode turns token ids of a client into text.
func (m *localModel) decode(ctx context.Context, ids []int32) (string, error) {
	in, release, err := m.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	vocab := int32(in.engine.Tokenizer().Size())
	for i, id := range ids {
		if id < 0 || id >= vocab {
			return "", openai.Invalid("prompt", "invalid_value", "token %d: id %d is not between 0 and %d", i, id, vocab-1)
		}
	}
	return in.engine.Tokenizer().Decode(ids), nil
}

// CountTokens implements pipeline.Counter.
func (m *localModel) CountTokens(ctx context.Context, text string) (int, error) {
	in, release, err := m.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	return len(in.engine.Tokenizer().Encode(text, tokenizer.Options{})), nil
}

// Generate runs the engine. Text that asks for a tool comes back as a call and is not emitted.
func (m *localModel) Generate(ctx context.Context, p *pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Outcome, error) {
	in, release, err := m.acquire(ctx)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	defer release()
	p = m.withDefaults(p)
	ids, err := in.tokens(p)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	params := sample.Params{Temperature: p.Temperature, TopP: p.TopP, FrequencyPenalty: p.FrequencyPenalty, PresencePenalty: p.PresencePenalty,
		TopK: p.TopK, MinP: p.MinP, TypicalP: p.TypicalP, RepeatPenalty: p.RepetitionPenalty}
	seeded := p.Seed != nil
	if seeded {
		params.Seed = uint64(*p.Seed)
	} else {
		params.Seed = randomSeed()
	}
	for id, bias := range p.LogitBias {
		n, _ := strconv.ParseInt(id, 10, 32) // checked when the request came in
		if params.LogitBias == nil {
			params.LogitBias = map[int32]float32{}
		}
		params.LogitBias[int32(n)] = float32(bias)
	}
	held, constraint, err := in.forms.constrain(p)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	calls := newCallScanner(p.Tools)
	result, err := in.engine.Generate(ctx, engine.Request{Prompt: ids, MaxTokens: p.MaxTokens, Sampling: params, Stop: p.Stop,
		Reproducible: seeded, Tenant: p.Tenant, Priority: p.Priority, Adapter: m.adapter, ContextShift: p.ContextShift, Logprobs: p.Logprobs, TopLogprobs: p.TopLogprobs, Constraint: held}, func(t engine.Token) error {
		d := pipeline.Delta{Text: calls.push(in.callMark(t) + t.Text)}
		if p.Logprobs && t.ID >= 0 {
			d.Tokens = []openai.TokenLogprob{tokenLogprob(t)}
		}
		if d.Text == "" && d.Tokens == nil {
			return ctx.Err()
		}
		return emit(d)
	})
	out := pipeline.Outcome{FinishReason: result.FinishReason, Usage: openai.Usage{PromptTokens: len(ids), CompletionTokens: result.CompletionTokens}, Constraint: constraint}
	if err != nil {
		return out, engineError(err)
	}
	rest, found := calls.end()
	if rest != "" {
		if err := emit(pipeline.Delta{Text: rest}); err != nil {
			return out, err
		}
	}
	out.ToolCalls = found
	return out, nil
}

// tokens renders the prompt in the model's own form.
func (m *resident) tokens(p *pipeline.Prompt) ([]int32, error) {
	t := m.engine.Tokenizer()
	switch {
	case p.Tokens != nil:
		return p.Tokens, nil
	case p.Messages == nil:
		return t.Encode(p.Text, tokenizer.Options{AddSpecial: true}), nil
	}
	rendered, err := m.engine.Template().Render(templateInput(p, m.engine))
	if err != nil {
		return nil, openai.Invalid("messages", "invalid_messages", "the model's chat template refuses these messages: %v", err)
	}
	return m.engine.EncodePrompt(rendered, tokenizer.Options{AddSpecial: true, ParseSpecial: true}), nil
}

// engineError turns what a client can mend into an error it can read.
func engineError(err error) error {
	var long *engine.ContextError
	if errors.As(err, &long) {
		return &openai.Error{Status: http.StatusBadRequest, Type: openai.TypeInvalidRequest, Param: "messages", Code: "context_length_exceeded", Message: err.Error()}
	}
	var memory *engine.MemoryError
	if errors.As(err, &memory) {
		return &openai.Error{Status: http.StatusBadRequest, Type: openai.TypeInvalidRequest, Param: "max_tokens", Code: "insufficient_memory", Message: err.Error()}
	}
	var busy *engine.BusyError
	if errors.As(err, &busy) {
		return &openai.Error{Status: http.StatusTooManyRequests, Type: openai.TypeRateLimit, Code: "overloaded", RetryAfter: 1, Message: err.Error()}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return err
}

func tokenLogprob(t engine.Token) openai.TokenLogprob {
	out := openai.TokenLogprob{Token: strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), Logprob: t.Logprob, Bytes: byteList(t.Bytes), TopLogprobs: []openai.TopLogprob{}}
	for _, alt := range t.Top {
		out.TopLogprobs = append(out.TopLogprobs, openai.TopLogprob{Token: strings.ToValidUTF8(string(alt.Bytes), "\uFFFD"), Logprob: alt.Logprob, Bytes: byteList(alt.Bytes)})
	}
	return out
}

func byteList(b []byte) []int {
	out := make([]int, len(b))
	for i, c := range b {
		out[i] = int(c)
	}
	return out
}
