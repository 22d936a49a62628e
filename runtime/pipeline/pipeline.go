// Package pipeline passes a request through its stages: guard(input), route, cache, retrieve, guard(retrieval), model
// with tools, guard(output), cache store. Plugins judge; this package enforces what they say, survives what they do wrong, and writes one entry of
// the decision trace for each stage.
//
// It does not know where plugins, models and stores come from, nor HTTP. Start reading at [Pipeline.Run].
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/semantic"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Plugin is a sandboxed plugin. Implementations are safe for concurrent use.
type Plugin interface {
	Name() string
	Digest() string
	Call(ctx context.Context, c wasm.Call) (wasm.Result, error)
}

// Model answers a prompt, on this device or elsewhere. Implementations are safe for concurrent use.
type Model interface {
	// Info names the model and what a router may know of it.
	Info() hook.Model
	// Digest identifies the weights, or the endpoint of a remote model: answers are reused only under the same digest.
	Digest() string
	// Generate calls emit with the text as it comes, whole characters only, and returns when the answer is complete.
	// It returns as soon as ctx ends or emit fails. Errors that a client should see are *openai.Error.
	Generate(ctx context.Context, p *Prompt, emit func(Delta) error) (Outcome, error)
}

// Prompt is what a model is asked. Exactly one of Messages, Text and Tokens is set.
type Prompt struct {
	Messages []openai.Message
	Text     string
	Tokens   []int32

	Tools      []openai.Tool
	ToolChoice *openai.ToolChoice
	Format     *Format // nil: the answer is free text
	// Absent names the fields that the client left out: a model may have defaults of its own for them.
	Absent map[string]bool

	Tenant string // whose it is, from the credential: nothing of one tenant's prompts is reused for another's

	MaxTokens        int // above 0
	Temperature      float64
	TopP             float64
	Seed             *int64
	Stop             []string
	Logprobs         bool
	TopLogprobs      int
	FrequencyPenalty float64
	PresencePenalty  float64
	LogitBias        map[string]float64

	// For models on this device.
	TopK              int     // 0: all
	MinP              float64 // 0: off
	TypicalP          float64 // 1: off
	RepetitionPenalty float64 // 1: off
	ContextShift      bool    // go on when the context is full
	Priority          int     // higher ones go first while a model has more than it can do; 0 is normal

	// GoOn lets another model go on with an answer that broke off.
	GoOn bool

	base int // of Messages, how many were there before tools were called

	// Raw holds the client's fields as sent, for a remote model. Fields above go over it.
	Raw map[string][]byte
}

// Format is a form that the answer must have. A remote model gets the client's own fields instead.
type Format struct {
	Kind   string // json_object, json_schema, gbnf, regex
	Source string // the schema, grammar or pattern
	Strict bool   // of json_schema: what cannot be enforced is an error
	Param  string // the field it came in, for errors
}

// Delta is a piece of an answer. Tokens, if asked for, are those whose text ends in this piece.
type Delta struct {
	Text   string
	Notice string // alone: the model of this id goes on with the answer
	Tokens []openai.TokenLogprob
}

// Outcome ends an answer.
type Outcome struct {
	FinishReason string // stop, length, tool_calls, content_filter
	ToolCalls    []openai.ToolCall
	Usage        openai.Usage
	Constraint   string // what the answer was held to, for the trace
	Model        string // who answered, where the model stands for several
	Note         string // what it took, for the trace
}

// Cache holds answers.
type Cache interface {
	Get(ctx context.Context, tenant string, key [32]byte) ([]byte, bool, error)
	Put(ctx context.Context, tenant string, key [32]byte, value []byte, ttl time.Duration) error
}

// Meanings finds answers by what their questions ask. Scopes keep apart what must never meet.
type Meanings interface {
	// Digest identifies the embedding that questions are compared by.
	Digest() string
	Find(ctx context.Context, scope [32]byte, text string, threshold float64) (semantic.Found, error)
	Add(scope [32]byte, text string, vector []float32, key [32]byte, expires time.Time) error
}

// Stage is a plugin in its place.
type Stage struct {
	Plugin  Plugin
	Open    bool          // go on without the plugin when it fails
	Timeout time.Duration // 0: the plugin's own
	Shadow  bool          // a guard's verdicts are entered in the trace and not carried out
	Pure    bool          // the plugin has no capabilities: what it says depends on its input alone
}

// Route is a pipeline that clients choose by name. It is read-only while requests run.
type Route struct {
	Name         string
	Models       []Model // the first is the default
	ContextShift bool    // answers of models on this device go on when the context is full
	Priority     int     // of the prompts
	System       string  // put before the client's messages
	Version      string  // changes whenever the same request may be answered otherwise
	Router       *Stage
	Examples     *Examples // nil: the router is told of none
	Input        []Stage
	Tool         []Stage
	Output       []Stage
	Answer       []Stage // judge the whole answer; nothing of it leaves before
	CachePlan    *Stage
	LeftOut      []string // models that are not among them because they are remote and the appliance is offline
	Fallback     []Model  // asked in turn when the model fails before its first text
	SafeAnswer   string   // said when they fail as well; empty: the error is
	GoOn         bool     // an answer that broke off may be gone on with by another model
	CacheTTL     time.Duration
	CacheStale   time.Duration // how long an answer is still given beyond its TTL, while a new one is made
	Tools        []HostTool
	Undescribed  []Undescribed
	Retrieve     *Retrieve // nil: the route answers without documents
	Context      *Context  // nil: the model is asked what the client sent, and refuses what is too long
	Cascade      *Cascade  // nil: what the chosen model answers is the answer
	Refill       bool      // put what guards replaced by tokens back into the answer
	Leak         *Leak     // keeps System out of answers; nil: nothing does
	KeepText     bool      // keep the text of what guards stop, for review
	AlwaysOffer  bool      // offer Tools to the model even when the client offers none
	Window       int       // bytes of a stream held back, at most
}

// HostTool is a tool that is run here.
type HostTool struct {
	Definition openai.Tool
	Plugin     Plugin
}

// Undescribed is a tool plugin that could not say which tools it has. The route works without them, and the trace of a
// request with tools names it.
type Undescribed struct {
	Plugin Plugin
	Err    error
}

// Request is a client's request. Exactly one of Chat and Completion is set.
type Request struct {
	ID       string
	Tenant   string
	Access   search.Access // what the caller may read
	Subject  string        // the user; empty: none
	Key      string        // id of the API key; empty: none
	Endpoint string
	Model    Model // set when the client named a model instead of a route
	Stream   bool

	Messages []openai.Message    // chat
	Prompts  []openai.PromptItem // completion
	Choices  int
	Prompt   Prompt // sampling and tools; its text fields are filled for each choice
	// MaxTokens is what the client asked for; 0: it did not say.
	MaxTokens int
	// OnModel, if set, hears which model is to answer and may refuse it. OnEnd, if set, sees the trace before it is kept.
	OnModel func(Model) error
	// Refresh makes a new answer even if there is one to reuse.
	Refresh bool
	OnEnd   func(*Trace)
}

// Event is a part of an answer, in this order: one Start, any number of pieces of each choice ending in its Finish, one
// Usage.
type Event struct {
	Start     *Start
	Notice    string // another model, of this id, goes on with the choice
	Choice    int
	Text      string
	Logprobs  []openai.TokenLogprob
	ToolCalls []openai.ToolCall
	Finish    string
	Grounding *Grounding // with Finish, of an answer from documents
	Usage     *openai.Usage
}

// Start tells what will answer.
type Start struct {
	Route string
	Model string
	Cache string // hit, miss, bypass
	// Headers are for the client, beside the answer.
	Headers map[string]string
	// Degraded says how the answer falls short of what was asked for. A second Start, before any text, sets it.
	Degraded string
}

// Limits bound every request.
type Limits struct {
	MaxTokens  int
	ToolRounds int
}

// Pipeline runs requests. It is safe for concurrent use.
type Pipeline struct {
	Limits   Limits
	Cache    Cache // nil: nothing is reused
	CacheTTL time.Duration
	Meanings Meanings // nil: only exact repetitions are found
	Log      *slog.Logger
	// Prompts keeps texts in traces and debug logs.
	Prompts bool
	// Hand puts a request before a person; nil: there is none.
	Hand func(context.Context, *Handover) error
	// Trace receives the finished trace of every request.
	Trace func(*Trace)
	Now   func() time.Time

	// Embedder compares turns of a conversation with a question; nil: the built-in one.
	Embedder embedding.Embedder

	flights   flights
	summaries summaries
}

// exchange is one request on its way.
type exchange struct {
	*Pipeline
	ctx   context.Context
	route *Route
	req   *Request
	trace *Trace
	emit  func(Event) error

	model    Model
	decision hook.RouteDecision
	cache    cachePlan
	memo     map[string]string // results of tools that ran in this request
	vault    map[string]string // what tokens stand for, by token
	injected bool              // data of this request tried to command: no tools for the rest of it
	usage    openai.Usage
	sources  []Source // passages that the answer is made from
	rung     int      // of the route's ladder
	spent    []Spend
	ahead    ahead

	asked      string // that alike was looked up for
	alike      []hook.Example
	fitted     *fitted
	contextCut string // what of the prompt the model does not see

	holds     bool     // the answer is held back and judged
	fallsBack bool     // an answer that was held back stands in for the route's fixed sentence
	sure      sureness // of the answer that is held back
}

// accessKey is where a request's context holds its reader.
type accessKey struct{}

// reader is what a request's caller may read, and whether a plugin of the request asked.
type reader struct {
	search.Access
	asked atomic.Bool
}

// WithAccess returns a context of a request whose caller may read what a says.
func WithAccess(ctx context.Context, a search.Access) context.Context {
	return context.WithValue(ctx, accessKey{}, &reader{Access: a})
}

// AccessOf is what the caller may read in whose request a plugin was called. There is none outside a request. The answer of
// a request whose plugins ask is made of what this caller may read now, and is kept for no other request.
func AccessOf(ctx context.Context) (search.Access, bool) {
	r, ok := ctx.Value(accessKey{}).(*reader)
	if !ok {
		return search.Access{}, false
	}
	r.asked.Store(true)
	return r.Access, true
}

// readByPlugins says whether a plugin of the request asked for what its caller may read.
func readByPlugins(ctx context.Context) bool {
	r, ok := ctx.Value(accessKey{}).(*reader)
	return ok && r.asked.Load()
}

// departure is an error of emit: the client does not take what it is told any more.
type departure struct{ error }

func (d departure) Unwrap() error { return d.error }

func told(emit func(Event) error) func(Event) error {
	return func(e Event) error {
		if err := emit(e); err != nil {
			return departure{err}
		}
		return nil
	}
}

// Run passes the request through the route. Events go to emit in order, from this goroutine; an error of emit ends the
// request. The error returned is an *openai.Error, or the context's or emit's own. The trace is delivered in any case.
func (p *Pipeline) Run(ctx context.Context, route *Route, req *Request, emit func(Event) error) (err error) {
	ctx = WithAccess(ctx, req.Access)
	x := &exchange{Pipeline: p, ctx: ctx, route: route, req: req, emit: told(emit), memo: map[string]string{}}
	x.trace = newTrace(p.Now(), route, req)
	x.trace.join(ctx)
	x.trace.Stages = append(x.trace.Stages, before(ctx)...)
	defer func() {
		if len(x.spent) > 1 {
			x.trace.Spent = x.spent
		}
		x.trace.end(p.Now(), x.usage, err)
		if req.OnEnd != nil {
			req.OnEnd(x.trace)
		}
		p.Trace(x.trace)
	}()

	x.ahead.begin(x)
	defer x.ahead.end()
	if err := x.guardInput(); err != nil {
		return err
	}
	if err := x.chooseModel(); err != nil {
		return err
	}
	if req.OnModel != nil {
		if err := req.OnModel(x.model); err != nil {
			return err
		}
	}
	x.noteUndescribed()
	x.noteLeftOut()
	if err := x.planCache(); err != nil {
		return err
	}
	defer x.land()
	if hit, err := x.reuse(); hit || err != nil {
		return err
	}
	if done, err := x.retrieve(); done || err != nil {
		return err
	}
	var answer *cachedAnswer
	if x.cascades() {
		answer, err = x.cascade()
	} else if err = x.fit(); err == nil {
		if err = x.emit(Event{Start: x.start()}); err == nil {
			answer, err = x.answer()
		}
	}
	if err != nil {
		return err
	}
	answer.Context = x.contextCut
	x.store(answer)
	return x.emit(Event{Usage: &x.usage})
}

// answer generates every choice of every prompt, in order.
func (x *exchange) answer() (*cachedAnswer, error) {
	kept := &cachedAnswer{}
	prompts := max(len(x.req.Prompts), 1)
	for i := range prompts {
		for j := range x.req.Choices {
			choice, err := x.choice(i*x.req.Choices+j, x.prompt(i, j), j == 0)
			if err != nil {
				return nil, err
			}
			kept.Choices = append(kept.Choices, choice)
		}
	}
	kept.Usage = x.usage
	return kept, nil
}

// prompt is what the model is asked for choice j of prompt i.
func (x *exchange) prompt(i, j int) *Prompt {
	prompt := x.req.Prompt
	prompt.ContextShift = prompt.ContextShift || x.route.ContextShift
	prompt.GoOn = x.route.GoOn
	prompt.Priority = x.route.Priority
	if len(x.req.Prompts) > 0 {
		prompt.Text, prompt.Tokens = x.req.Prompts[i].Text, x.req.Prompts[i].Tokens
	} else {
		if x.fitted != nil {
			prompt.Messages = x.fitted.messages
		} else {
			prompt.Messages = x.withSources(x.messages())
		}
		prompt.base = len(prompt.Messages)
	}
	prompt.MaxTokens = x.budget()
	if prompt.Seed != nil && j > 0 {
		seed := *prompt.Seed + int64(j)
		prompt.Seed = &seed
	}
	return &prompt
}

// messages are the client's, after the route's own system prompt.
func (x *exchange) messages() []openai.Message {
	if x.route.System == "" {
		return x.req.Messages
	}
	system := x.route.System
	if x.route.Leak != nil {
		system = x.route.Leak.Mark(system)
	}
	return append([]openai.Message{{Role: "system", Content: openai.Content(system)}}, x.req.Messages...)
}

// budget is the number of tokens an answer may have.
func (x *exchange) budget() int {
	n := x.req.MaxTokens
	if n == 0 {
		n = x.decision.MaxTokens
	}
	if n <= 0 || n > x.Limits.MaxTokens {
		n = x.Limits.MaxTokens
	}
	return n
}

// call runs one hook of a stage's plugin and enters nothing in the trace.
func (x *exchange) call(s *Stage, export string, input []byte) (wasm.Result, error) {
	if res, err, begun := x.ahead.take(x.ctx, s, export, input); begun {
		return res, err
	}
	return s.Plugin.Call(x.ctx, wasm.Call{Export: export, Input: input, Tenant: x.req.Tenant, Timeout: s.Timeout})
}

// pluginError describes a plugin's failure for the trace: a stable code and what happened.
func pluginError(err error) *EntryError {
	var failed *wasm.Error
	if errors.As(err, &failed) {
		return &EntryError{Code: string(failed.Code), Message: clip(failed.Message, maxReason)}
	}
	return &EntryError{Code: codeBadOutput, Message: clip(err.Error(), maxReason)}
}

// codeBadOutput marks a plugin that answered with something other than the hook's output.
const codeBadOutput = "bad_output"

// failedClosed is what a client sees when a stage that must not be left out failed.
func failedClosed(stage, plugin string, err error) error {
	var failed *wasm.Error
	if errors.As(err, &failed) && failed.Code == wasm.CodePoolExhausted { // nothing is wrong with it, or with the request
		return &openai.Error{Status: 503, Type: openai.TypeServer, Code: "overloaded", RetryAfter: 1, Cause: err,
			Message: "too many requests are in work; try again in a moment"}
	}
	return &openai.Error{Status: 503, Type: openai.TypeServer, Code: "guard_failed", Cause: err,
		Message: "the " + stage + " guard " + plugin + " failed, and this route does not answer without it; the decision trace has the details"}
}
