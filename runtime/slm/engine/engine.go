// Package engine answers prompts from a GGUF file: it puts together the model, its tokenizer and its chat template, and
// runs many requests at once on one set of workers. Each step passes the next token of everyone who decodes and a part
// of the prompts of those who begin, so that none waits for a whole other one. Each request has its own sequence and
// sampler; pages of keys and values are shared between requests of one tenant that begin alike, and never across.
//
// It knows nothing of HTTP, plugins or storage. Start reading at [Open], [Engine.Generate] and scheduler.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

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
	MaxKVBytes int64 // for the pages of all requests and of the prefix cache together; 0: DefaultKVBytes
	// KVType is the type of keys and values in the cache: F16 (also when zero), Q8_0 or F32. F32 is stored exactly as
	// computed.
	KVType   kernel.Type
	ExactKV  bool // F32, whatever KVType says: its number is the zero value
	MaxQueue int  // requests that may wait for memory; 0: DefaultQueue; more get a BusyError
	// PrefixDir keeps the prefix cache on disk too, up to PrefixBytes (0: DefaultPrefixBytes); empty: in memory only. It
	// is made if it is not there, and must belong to one engine.
	PrefixDir   string
	PrefixBytes int64
	Digest      string       // the file's, where it is known; empty: computed when it is needed
	Logger      *slog.Logger // nil: discard
	// Template is a chat template in place of the file's own; empty: the file's.
	Template string
	// Adapters are LoRA adapters to load with the model: their files by their names.
	Adapters map[string]string
	// Draft is the file of a smaller model with the same vocabulary, whose tokens are proposed to the larger one; empty:
	// none. It has a cache of as many tokens, beyond MaxKVBytes.
	Draft string
	// NoSpeculation keeps the engine from proposing tokens that it finds in the text so far, or that the draft model does.
	NoSpeculation bool

	pool *kernel.Pool // to share; nil: one of its own
}

// Defaults of Options. Longer contexts are there for the asking; by default one request must not take the device.
const (
	DefaultMaxContext = 8192
	DefaultKVBytes    = 256 << 20
	DefaultQueue      = 256
	// DefaultPrefixBytes is the size of the prefix cache on disk.
	DefaultPrefixBytes = 1 << 30
)

// fill puts the defaults in the places of zero values.
func (o *Options) fill() {
	if o.MaxContext <= 0 {
		o.MaxContext = DefaultMaxContext
	}
	if o.MaxKVBytes <= 0 {
		o.MaxKVBytes = DefaultKVBytes
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.KVType == 0 && !o.ExactKV {
		o.KVType = kernel.F16
	}
	if o.ExactKV {
		o.KVType = kernel.F32
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = DefaultQueue
	}
	if o.PrefixBytes <= 0 {
		o.PrefixBytes = DefaultPrefixBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Engine is one loaded model. It is safe for concurrent use.
type Engine struct {
	file     *gguf.File
	model    *model.Model
	tok      *tokenizer.Tokenizer
	template *template.Template
	own      bool // the template comes from the file
	pool     *kernel.Pool
	release  func() error // of the weights
	context  int
	kv       *model.KV
	sched    *scheduler
	speed    speeds
	propose  bool
	draft    *Engine // nil: none
	shared   bool    // the pool is another's
	adapters adapters
	embed    *embedder

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
	return fmt.Sprintf("a context of %d tokens needs %d bytes of KV cache, and all requests together may use %d; ask for fewer tokens, or raise kv_memory", e.Tokens, e.Want, e.Have)
}

// Open loads a model file and lays its weights out for this machine's kernels.
func Open(path string, o Options) (_ *Engine, err error) {
	o.fill()
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
	m, err := model.Load(f, tok.Size(), o.MaxContext)
	if err != nil {
		return nil, err
	}
	e := &Engine{file: f, model: m, tok: tok, embed: newEmbedder(), template: template.Default()}
	source, ok := f.String("tokenizer.chat_template")
	if o.Template != "" {
		source, ok = o.Template, true
	}
	if ok {
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
	e.context = min(m.Context, o.MaxContext)
	if e.kv, err = m.NewKV(o.KVType); err != nil {
		return nil, err
	}
	if o.MaxKVBytes < e.kv.PageBytes() {
		return nil, &MemoryError{Want: e.kv.PageBytes(), Have: o.MaxKVBytes, Tokens: model.PageTokens}
	}
	e.digest = sync.OnceValues(func() (string, error) {
		if o.Digest != "" {
			return o.Digest, nil
		}
		return digestOf(f), nil
	})
	for name, path := range o.Adapters {
		if err = e.LoadAdapter(name, path); err != nil {
			return nil, errors.Join(err, e.adapters.close())
		}
	}
	var store *disk
	if o.PrefixDir != "" {
		if store, err = e.openDisk(&o); err != nil {
			return nil, errors.Join(fmt.Errorf("prefix cache: %w", err), e.adapters.close())
		}
	}
	e.propose = !o.NoSpeculation
	if e.pool, e.shared = o.pool, o.pool != nil; !e.shared {
		e.pool = kernel.NewPool(o.Threads)
	}
	defer func() {
		if err != nil && !e.shared {
			e.pool.Close()
		}
	}()
	if e.release, err = m.Prepare(e.pool, f); err != nil {
		if store != nil {
			store.close()
		}
		return nil, errors.Join(err, e.adapters.close())
	}
	if o.Draft != "" && e.propose {
		if e.draft, err = e.openDraft(&o); err != nil {
			if store != nil {
				store.close()
			}
			return nil, errors.Join(fmt.Errorf("draft model: %w", err), e.adapters.close(), e.release())
		}
	}
	e.sched = newScheduler(m, e.pool, e.kv, int(min(o.MaxKVBytes/e.kv.PageBytes(), 1<<30)), o.MaxQueue, &e.speed)
	if e.sched.disk = store; store != nil {
		store.done.Go(e.sched.keep)
	}
	return e, nil
}

func (e *Engine) openDisk(o *Options) (*disk, error) {
	digest, err := e.digest()
	if err != nil {
		return nil, err
	}
	return openDisk(o.PrefixDir, o.PrefixBytes, digest+" "+e.kv.Format().String(), o.Logger)
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
	e.sched.close()
	var err error
	if e.draft != nil {
		err = e.draft.Close()
	}
	if !e.shared {
		e.pool.Close()
	}
	return errors.Join(err, e.adapters.close(), e.release(), e.file.Close())
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
	Encoder       bool           `json:"encoder,omitempty"` // has embeddings, and no answers
	Kernels       string         `json:"kernels"`
	Threads       int            `json:"threads"`
}

// Info describes the model.
func (e *Engine) Info() Info { return e.info(e.pool.Threads()) }

func (e *Engine) info(threads int) Info {
	name, _ := e.file.String("general.name")
	i := Info{Name: name, Architecture: e.model.Architecture, FileBytes: e.file.Size(), Layers: e.model.Layers, Embedding: e.model.Dim,
		ContextTokens: e.context, TrainedTokens: e.model.Context, Vocabulary: e.model.Vocab, CacheBytes: e.kv.BytesPerToken(),
		Types: map[string]int{}, HasTemplate: e.own, Encoder: e.model.Encoder(), Kernels: kernel.Path(), Threads: threads}
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
	if e.Encoder() {
		return nil, ErrEncoder
	}
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
	t := &task{space: uniqueSpace(), tokens: tokens, firm: len(tokens), rows: 1, capacity: len(tokens)}
	if err := e.checkTokens(tokens); err != nil {
		return nil, err
	}
	if err := e.sched.enter(ctx, t); err != nil {
		return nil, err
	}
	defer e.sched.leave(t, false)
	err = e.sched.pass(ctx, t)
	return t.logits, err
}

func (e *Engine) checkTokens(tokens []int32) error {
	for i, id := range tokens {
		if id < 0 || int(id) >= e.model.Vocab {
			return fmt.Errorf("token %d of the prompt is %d, not between 0 and %d", i, id, e.model.Vocab-1)
		}
	}
	return nil
}

var spaces atomic.Int64

// uniqueSpace is a space of the prefix cache that nobody shares.
func uniqueSpace() string { return fmt.Sprintf("own %d", spaces.Add(1)) }
