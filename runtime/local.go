package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

// localModel answers from the engine on this device.
type localModel struct {
	id      string
	digest  string
	engine  *engine.Engine
	forms   *forms
	adapter string               // of the engine's loaded ones; empty: none
	manner  *modelstore.Manifest // of an installed model: how it answers where a request says nothing
	leave   func()               // ends the use of an installed model
}

var _ pipeline.Model = (*localModel)(nil)

// openLocal opens the configured model file. Its digest is remembered with the file's size and time, so that a large
// file is hashed once and not at every start.
func openLocal(ctx context.Context, r *Runtime) (*localModel, error) {
	cfg := r.cfg.Model
	m := &localModel{id: cfg.ID, manner: &modelstore.Manifest{}, leave: func() {}}
	if m.id == "" {
		m.id = strings.TrimSuffix(filepath.Base(cfg.File), ".gguf")
	}
	o := engine.Options{Threads: cfg.Threads, MaxContext: cfg.MaxContext, MaxKVBytes: int64(cfg.KVMemory), Logger: r.log}
	installed, err := m.install(&cfg.File, &o, r.dir)
	if err != nil {
		return nil, err
	}
	if o.Digest, err = r.knownDigest(ctx, cfg.File); err == nil && cfg.PrefixDisk > 0 {
		o.PrefixDir, o.PrefixBytes = r.prefixDir(m.id), int64(cfg.PrefixDisk)
	}
	var e *engine.Engine
	if err == nil {
		e, err = engine.Open(cfg.File, o)
	}
	if err != nil {
		m.leave()
		return nil, fmt.Errorf("model %s: %w", cfg.File, err)
	}
	m.engine = e
	m.forms = newForms(e, m.manner.Template)
	if m.digest, err = r.rememberDigest(ctx, cfg.File, e); err == nil && installed != nil {
		err = m.settle(installed)
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// prefixDir is where a model's prefix cache lies. A model that takes another's place takes over its directory too, so that
// no files are left that nobody counts; pages of other weights are never used.
func (r *Runtime) prefixDir(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(r.dir, "prefix", hex.EncodeToString(sum[:8]))
}

// digestKey names a model file and the state in which it was hashed.
func digestKey(path string) (name, stamp string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", "", err
	}
	return "model-digest:" + path, fmt.Sprintf("%d %d ", info.Size(), info.ModTime().UnixNano()), nil
}

// knownDigest is a model file's digest if it was computed before and the file has not changed; empty: not known.
func (r *Runtime) knownDigest(ctx context.Context, path string) (string, error) {
	name, stamp, err := digestKey(path)
	if err != nil {
		return "", err
	}
	known, ok, err := r.store.Meta().Get(ctx, name)
	if digest, same := strings.CutPrefix(string(known), stamp); ok && same && err == nil {
		return digest, nil
	}
	return "", err
}

// rememberDigest keeps the digest of an open model's file for later starts.
func (r *Runtime) rememberDigest(ctx context.Context, path string, e *engine.Engine) (string, error) {
	digest, err := e.Digest()
	if err != nil {
		return "", err
	}
	name, stamp, err := digestKey(path)
	if err != nil {
		return "", err
	}
	return digest, r.store.Meta().Put(ctx, name, []byte(stamp+digest))
}

func (m *localModel) Info() hook.Model {
	return hook.Model{ID: m.id, ContextTokens: m.engine.Info().ContextTokens, Tier: "small"}
}

func (m *localModel) Digest() string { return m.digest }

// decode turns token ids of a client into text.
func (m *localModel) decode(ids []int32) (string, error) {
	vocab := int32(m.engine.Tokenizer().Size())
	for i, id := range ids {
		if id < 0 || id >= vocab {
			return "", fmt.Errorf("token %d: id %d is not between 0 and %d", i, id, vocab-1)
		}
	}
	return m.engine.Tokenizer().Decode(ids), nil
}

// Generate runs the engine. Text that asks for a tool comes back as a call and is not emitted.
func (m *localModel) Generate(ctx context.Context, p *pipeline.Prompt, emit func(pipeline.Delta) error) (pipeline.Outcome, error) {
	p = m.withDefaults(p)
	ids, err := m.tokens(p)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	params := sample.Params{Temperature: p.Temperature, TopP: p.TopP, FrequencyPenalty: p.FrequencyPenalty, PresencePenalty: p.PresencePenalty,
		TopK: p.TopK, MinP: p.MinP, TypicalP: p.TypicalP, RepeatPenalty: p.RepetitionPenalty}
	if p.Seed != nil {
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
	held, constraint, err := m.forms.constrain(p)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	calls := newCallScanner(p.Tools)
	result, err := m.engine.Generate(ctx, engine.Request{Prompt: ids, MaxTokens: p.MaxTokens, Sampling: params, Stop: p.Stop,
		Tenant: p.Tenant, Priority: p.Priority, Adapter: m.adapter, ContextShift: p.ContextShift, Logprobs: p.Logprobs, TopLogprobs: p.TopLogprobs, Constraint: held}, func(t engine.Token) error {
		d := pipeline.Delta{Text: calls.push(m.callMark(t) + t.Text)}
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
func (m *localModel) tokens(p *pipeline.Prompt) ([]int32, error) {
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
