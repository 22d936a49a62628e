package capability

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ledge-run/ledge/runtime/wasm"
)

// ErrTokens is wrapped by a [Model] that would need more tokens than it may use; it stops the guest with token_limit.
var ErrTokens = errors.New("more tokens than are left of what the call may use")

// Model answers and embeds for plugins. Implementations are safe for concurrent use and bound what a request may ask.
type Model interface {
	// Complete answers on behalf of a tenant. An error is told to the plugin by its text.
	Complete(ctx context.Context, tenant string, r *CompleteRequest) (*CompleteResult, error)
	// Embed returns a vector of each text, and how many tokens they had. It fails with ErrTokens, before it computes
	// anything, when they have more than most.
	Embed(ctx context.Context, tenant string, texts []string, most int) (vectors [][]float32, tokens int, err error)
}

// CompleteRequest is what a plugin asks of a model. Exactly one of Prompt and Messages is set.
type CompleteRequest struct {
	Model       string    `json:"model,omitempty"` // empty: the appliance's first
	Prompt      string    `json:"prompt,omitempty"`
	Messages    []Message `json:"messages,omitempty"`
	MaxTokens   int       `json:"max_tokens,omitempty"` // 0: what is left of the call's budget, at most 256
	Temperature float64   `json:"temperature,omitempty"`
	Seed        *int64    `json:"seed,omitempty"`
	Stop        []string  `json:"stop,omitempty"`
	// Budget is what prompt and answer may have together. It is the call's, not the plugin's to say.
	Budget int `json:"-"`
}

// Message is one of a conversation: system, user or assistant.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// CompleteResult is a model's answer.
type CompleteResult struct {
	Text             string `json:"text"`
	FinishReason     string `json:"finish_reason"` // stop or length
	Model            string `json:"model"`
	PromptTokens     int    `json:"prompt_tokens"`
	CompletionTokens int    `json:"completion_tokens"`
}

// embedRequest and embedResult are the JSON of ledge_slm_embed.
type embedRequest struct {
	Input []string `json:"input"`
}

type embedResult struct {
	Embeddings [][]float32 `json:"embeddings"`
	Tokens     int         `json:"tokens"`
}

// failure is what a plugin gets for a request that was refused or failed.
type failure struct {
	Error string `json:"error"`
}

const (
	maxEmbedTexts    = 256
	defaultMaxTokens = 256
)

// SLM is the capability slm: a model on this device. Arguments and results are offsets of memory blocks with JSON.
//
//	ledge_slm_complete(request i64) -> i64   CompleteRequest -> CompleteResult, or {"error": "..."}
//	ledge_slm_embed(request i64) -> i64      {"input": ["..."]} -> {"embeddings": [[...]], "tokens": n}, or {"error": "..."}
//
// What both use counts against [wasm.Limits].Tokens of the call; one that asks for more is stopped with token_limit.
func SLM(m Model) []wasm.HostFunction {
	s := slm{m}
	one := []wasm.ValueType{wasm.I64}
	return []wasm.HostFunction{
		{Name: "ledge_slm_complete", Params: one, Results: one, Func: s.complete},
		{Name: "ledge_slm_embed", Params: one, Results: one, Func: s.embed},
	}
}

type slm struct{ model Model }

func (s slm) complete(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	return reply(call, stack, func(r *CompleteRequest) (any, error) {
		left, err := call.TokensLeft()
		if err != nil {
			return nil, err
		}
		if (r.Prompt == "") == (len(r.Messages) == 0) {
			return nil, decline("give either prompt or messages")
		}
		if r.MaxTokens <= 0 {
			r.MaxTokens = defaultMaxTokens
		}
		r.Budget = left
		out, err := s.model.Complete(ctx, call.Tenant(), r)
		if err != nil {
			return nil, refusal(ctx, err)
		}
		return out, call.SpendTokens(out.PromptTokens + out.CompletionTokens)
	})
}

func (s slm) embed(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	return reply(call, stack, func(r *embedRequest) (any, error) {
		left, err := call.TokensLeft()
		if err != nil {
			return nil, err
		}
		if len(r.Input) == 0 || len(r.Input) > maxEmbedTexts {
			return nil, decline("input has %d texts, not 1 to %d", len(r.Input), maxEmbedTexts)
		}
		vectors, tokens, err := s.model.Embed(ctx, call.Tenant(), r.Input, left)
		if err != nil {
			return nil, refusal(ctx, err)
		}
		return &embedResult{vectors, tokens}, call.SpendTokens(tokens)
	})
}

// refused is an error that the plugin is told, and goes on with.
type refused struct{ message string }

func (r *refused) Error() string { return r.message }

func decline(format string, args ...any) error { return &refused{fmt.Sprintf(format, args...)} }

// refusal tells the plugin of an error, unless its call is over.
func refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrTokens) {
		return &wasm.Error{Code: wasm.CodeTokenLimit, Message: err.Error(), Err: err}
	}
	return &refused{err.Error()}
}

// reply reads a JSON request from the block that the first parameter names, and leaves the answer in a new one.
func reply[T any](call *wasm.HostCall, stack []uint64, do func(*T) (any, error)) error {
	doc, err := call.Read(stack[0])
	if err != nil {
		return err
	}
	var in T
	var out any
	if err = json.Unmarshal(doc, &in); err != nil {
		err = decline("the request is not the JSON that is expected: %v", err)
	} else {
		out, err = do(&in)
	}
	if r, ok := err.(*refused); ok {
		out, err = failure{r.message}, nil
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	stack[0], err = call.Write(b)
	return err
}
