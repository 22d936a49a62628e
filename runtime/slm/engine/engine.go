// Package engine answers prompts from a GGUF file: it puts together the model, its tokenizer and its chat template, and
// runs several requests at once on one set of workers. Requests take turns step by step, so none waits for a whole
// other one, and each has its own cache and sampler, so none sees another.
//
// It knows nothing of HTTP, plugins or storage. Start reading at [Open] and [Engine.Generate].
package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/template"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// Options configure an engine. Zero values take the defaults.
type Options struct {
	Threads    int   // 0: one a processor
	MaxContext int   // tokens; 0: what the model was made for, at most DefaultMaxContext
	MaxKVBytes int64 // for the caches of all requests together; 0: DefaultKVBytes
}

// Defaults of Options. Longer contexts are there for the asking; by default one request must not take the device.
const (
	DefaultMaxContext = 8192
	DefaultKVBytes    = 256 << 20
)

// Engine is one loaded model. It is safe for concurrent use.
type Engine struct {
	file     *gguf.File
	model    *model.Model
	tok      *tokenizer.Tokenizer
	template *template.Template
	own      bool // the template comes from the file
	pool     *kernel.Pool
	context  int
	memory   *budget
	turn     turnstile
	scratch  model.Scratch // of whoever has the turn

	digest func() (string, error)

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// ErrClosed means that the engine was closed.
var ErrClosed = errors.New("the engine is closed")

// ContextError is a prompt that does not fit.
type ContextError struct {
	Prompt int // tokens of the prompt
	Limit  int // tokens of the context
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("the prompt has %d tokens, and the context of %d must also hold the answer", e.Prompt, e.Limit)
}

// MemoryError is a request whose cache could never fit.
type MemoryError struct {
	Want, Have int64 // bytes
	Tokens     int
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("a context of %d tokens needs %d bytes of cache, and all requests together may use %d", e.Tokens, e.Want, e.Have)
}

// Open loads a model file. The weights stay on disk until they are used.
func Open(path string, o Options) (_ *Engine, err error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	tok, err := tokenizer.New(f)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	m, err := model.Load(f, tok.Size())
	if err != nil {
		return nil, err
	}
	e := &Engine{file: f, model: m, tok: tok, template: template.Default()}
	if source, ok := f.String("tokenizer.chat_template"); ok {
		spell := func(id int32, ok bool) string {
			if !ok {
				return ""
			}
			return tok.Piece(id)
		}
		if e.template, err = template.Parse(source, template.Options{BOS: spell(tok.BOS()), EOS: spell(tok.EOS())}); err != nil {
			return nil, fmt.Errorf("chat template: %w", err)
		}
		e.own = true
	}
	e.context = m.Context
	if limit := o.MaxContext; limit > 0 {
		e.context = min(e.context, limit)
	} else {
		e.context = min(e.context, DefaultMaxContext)
	}
	if o.MaxKVBytes <= 0 {
		o.MaxKVBytes = DefaultKVBytes
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	e.memory = newBudget(o.MaxKVBytes)
	e.pool = kernel.NewPool(o.Threads)
	e.digest = sync.OnceValues(func() (string, error) {
		sum := sha256.Sum256(f.Bytes())
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	})
	return e, nil
}

// Close waits for requests in work and unmaps the file.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.running.Wait()
	e.pool.Close()
	return e.file.Close()
}

// enter counts a use of the engine; the function returned ends it.
func (e *Engine) enter() (func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	e.running.Add(1)
	return e.running.Done, nil
}

// Info describes the model.
type Info struct {
	Name          string         `json:"name"`
	Architecture  string         `json:"architecture"`
	FileBytes     int64          `json:"file_bytes"`
	Parameters    int64          `json:"parameters"`
	Layers        int            `json:"layers"`
	Embedding     int            `json:"embedding"`
	ContextTokens int            `json:"context_tokens"` // that requests may use
	TrainedTokens int            `json:"trained_tokens"` // that the model was made for
	Vocabulary    int            `json:"vocabulary"`
	CacheBytes    int64          `json:"cache_bytes_per_token"`
	Types         map[string]int `json:"types"` // tensors by element type
	HasTemplate   bool           `json:"has_template"`
	Kernels       string         `json:"kernels"`
	Threads       int            `json:"threads"`
}

// Info describes the model.
func (e *Engine) Info() Info {
	name, _ := e.file.String("general.name")
	i := Info{Name: name, Architecture: e.model.Architecture, FileBytes: e.file.Size(), Layers: e.model.Layers, Embedding: e.model.Dim,
		ContextTokens: e.context, TrainedTokens: e.model.Context, Vocabulary: e.model.Vocab, CacheBytes: e.model.BytesPerToken(),
		Types: map[string]int{}, HasTemplate: e.own, Kernels: kernel.Path(), Threads: e.pool.Threads()}
	for _, t := range e.file.Tensors() {
		n := int64(1)
		for _, d := range t.Dims {
			n *= int64(d)
		}
		i.Parameters += n
		i.Types[t.Type.String()]++
	}
	return i
}

// Digest is the SHA-256 of the file, computed at the first call.
func (e *Engine) Digest() (string, error) {
	leave, err := e.enter()
	if err != nil {
		return "", err
	}
	defer leave()
	return e.digest()
}

// File is the open model file, valid until Close.
func (e *Engine) File() *gguf.File { return e.file }

// Tokenizer is the model's tokenizer.
func (e *Engine) Tokenizer() *tokenizer.Tokenizer { return e.tok }

// Template is the model's own chat template, or the plain one.
func (e *Engine) Template() *template.Template { return e.template }

// Logits returns the logits after the last of the tokens.
func (e *Engine) Logits(ctx context.Context, tokens []int32) ([]float32, error) {
	if len(tokens) == 0 {
		return nil, errors.New("no tokens")
	}
	if len(tokens) > e.context {
		return nil, &ContextError{len(tokens), e.context}
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	s, release, err := e.sequence(ctx, len(tokens))
	if err != nil {
		return nil, err
	}
	defer release()
	return e.prefill(ctx, s, tokens)
}

// sequence makes a cache within the memory budget, waiting for others to end if it must.
func (e *Engine) sequence(ctx context.Context, tokens int) (*model.Sequence, func(), error) {
	bytes := int64(tokens) * e.model.BytesPerToken()
	if bytes > e.memory.total || bytes > math.MaxInt/2 {
		return nil, nil, &MemoryError{bytes, e.memory.total, tokens}
	}
	if err := e.memory.take(ctx, bytes); err != nil {
		return nil, nil, err
	}
	return e.model.NewSequence(tokens), func() { e.memory.give(bytes) }, nil
}

// prefill passes tokens through the model and returns a copy of the logits after the last one.
func (e *Engine) prefill(ctx context.Context, s *model.Sequence, tokens []int32) ([]float32, error) {
	var out []float32
	for len(tokens) > 0 {
		n := min(len(tokens), model.Chunk)
		logits, err := e.step(ctx, s, tokens[:n], out)
		if err != nil {
			return nil, err
		}
		tokens, out = tokens[n:], logits
	}
	return out, nil
}

// step runs one forward pass when it is this request's turn, and copies the logits into dst.
func (e *Engine) step(ctx context.Context, s *model.Sequence, tokens []int32, dst []float32) ([]float32, error) {
	if err := e.turn.enter(ctx); err != nil {
		return nil, err
	}
	defer e.turn.leave()
	logits, err := e.model.Forward(ctx, e.pool, &e.scratch, s, tokens, false)
	if err != nil {
		return nil, err
	}
	return append(dst[:0], logits...), nil
}
