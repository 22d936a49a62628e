package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
)

// What X-Ledge-Cache and the trace say.
const (
	cacheHit      = "hit"
	cacheSemantic = "semantic"
	cacheMiss     = "miss"
	cacheBypass   = "bypass"
)

// cachePlan is what the cache plugin decided, with the key the host made of it.
type cachePlan struct {
	lookup, admit bool
	key           [32]byte
	ttl           time.Duration
	meaning       meaning
	flying        bool // other requests wait for this one's answer
}

// cachedAnswer is what is stored: the answer as it left the output guards.
type cachedAnswer struct {
	Choices  []cachedChoice `json:"choices"`
	Usage    openai.Usage   `json:"usage"`
	Fresh    time.Time      `json:"fresh"` // until then; afterwards it is stale
	Question *Question      `json:"question,omitempty"`
	Context  string         `json:"context,omitempty"` // what the model did not see of the prompt
	Model    string         `json:"model,omitempty"`   // that answered, where it need not be the one that was chosen
}

type cachedChoice struct {
	Text      string                `json:"text"`
	Finish    string                `json:"finish"`
	Logprobs  []openai.TokenLogprob `json:"logprobs,omitempty"`
	ToolCalls []openai.ToolCall     `json:"tool_calls,omitempty"`
	Grounding *Grounding            `json:"grounding,omitempty"`
}

// planCache asks the cache plugin what may be reused. When it fails the request goes on without the cache.
func (x *exchange) planCache() error {
	s := x.route.CachePlan
	if s == nil || x.Cache == nil {
		return nil
	}
	entry := x.trace.add(Entry{Stage: "cache", Plugin: s.Plugin.Name(), Digest: s.Plugin.Digest(), Verdict: cacheBypass})
	req := &hook.CacheRequest{RequestID: x.req.ID, Tenant: x.req.Tenant, Route: x.route.Name, Model: x.model.Info().ID,
		ModelDigest: x.model.Digest(), PromptVersion: x.route.Version, Messages: hookMessages(x.req),
		ToolsDigest: digestTools(x.req.Prompt.Tools, x.req.Prompt.ToolChoice), Params: x.params(),
		Temperature: x.req.Prompt.Temperature, Choices: x.req.Choices}
	input := getBuffer()
	defer putBuffer(input)
	*input = req.AppendJSON((*input)[:0])
	res, err := x.call(s, hook.ExportCache, *input)
	entry.took(res.Duration, res.Fuel)
	var plan hook.CachePlan
	if err == nil {
		if err = plan.ParseJSON(res.Output); err == nil {
			err = plan.Check()
		}
		if err != nil {
			err = fmt.Errorf("cache plan of %s: %w", s.Plugin.Name(), err)
		}
	}
	if err != nil {
		entry.fail(&Stage{Open: true}, err)
		return nil
	}
	entry.Reason = clip(plan.Reason, maxReason)
	if !plan.Lookup && !plan.Admit {
		return nil
	}
	hard := []string{req.Params, req.ToolsDigest}
	if r := x.route.Retrieve; r != nil {
		// An answer from documents is for those who may read the same, and for as long as nothing about them changed.
		version, err := r.From.Version(x.req.Tenant)
		if err != nil {
			return retrievalFailed(err)
		}
		documents := []string{"documents", x.req.Access.Scope(), version}
		plan.KeyParts, hard = append(plan.KeyParts, documents...), append(hard, documents...)
	}
	x.cache = cachePlan{lookup: plan.Lookup && !x.req.Refresh, admit: plan.Admit, key: x.cacheKey(plan.KeyParts), ttl: x.cacheTTL(plan.TTLSeconds),
		meaning: x.meaningOf(&plan, hard)}
	x.trace.Cache, entry.Verdict = cacheMiss, cacheMiss
	return nil
}

func (x *exchange) cacheTTL(seconds int) time.Duration {
	longest := x.CacheTTL
	if x.route.CacheTTL > 0 {
		longest = x.route.CacheTTL
	}
	if ttl := time.Duration(seconds) * time.Second; seconds > 0 && seconds < 1<<31 && ttl < longest {
		return ttl
	}
	return longest
}

// cacheKey binds the plugin's parts to what it must not be talked out of: tenant, weights, route and its version, and
// the form of the answer.
func (x *exchange) cacheKey(parts []string) [32]byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range slices.Concat([]string{"ledge-cache-1", x.req.Tenant, x.model.Digest(), x.req.Endpoint, x.route.Name, x.route.Version}, parts) {
		binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return [32]byte(h.Sum(nil))
}

// params is a canonical text of everything beside the messages that shapes the answer.
func (x *exchange) params() string {
	p := &x.req.Prompt
	b := make([]byte, 0, 128)
	b = fmt.Appendf(b, "max=%d temp=%g top_p=%g n=%d logprobs=%t/%d freq=%g pres=%g", x.budget(), p.Temperature, p.TopP,
		x.req.Choices, p.Logprobs, p.TopLogprobs, p.FrequencyPenalty, p.PresencePenalty)
	b = fmt.Appendf(b, " top_k=%d min_p=%g typical_p=%g rep=%g shift=%t", p.TopK, p.MinP, p.TypicalP, p.RepetitionPenalty, p.ContextShift || x.route.ContextShift)
	if p.Seed != nil && p.Temperature > 0 {
		b = fmt.Appendf(b, " seed=%d", *p.Seed)
	}
	if f := p.Format; f != nil {
		b = fmt.Appendf(b, " format=%s/%t:%q", f.Kind, f.Strict, f.Source)
	}
	for _, s := range p.Stop {
		b = strconv.AppendQuote(append(b, " stop="...), s)
	}
	ids := make([]string, 0, len(p.LogitBias))
	for id := range p.LogitBias {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		b = fmt.Appendf(b, " bias=%q:%g", id, p.LogitBias[id])
	}
	for i, prompt := range x.req.Prompts {
		if prompt.Tokens != nil {
			b = fmt.Appendf(b, " tokens[%d]=%v", i, prompt.Tokens)
		}
	}
	names := make([]string, 0, len(p.Raw))
	for name := range p.Raw {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		b = fmt.Appendf(b, " %s=%s", name, p.Raw[name])
	}
	return string(b)
}

func digestTools(tools []openai.Tool, choice *openai.ToolChoice) string {
	if len(tools) == 0 {
		return ""
	}
	doc, err := json.Marshal([]any{tools, choice})
	if err != nil {
		return "unencodable"
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

// replay answers with what is stored under the key, if something is. how is what the client is told.
func (x *exchange) replay(key [32]byte, how, why string) (bool, error) {
	start := x.Now()
	doc, ok, err := x.Cache.Get(x.ctx, x.req.Tenant, key)
	var answer cachedAnswer
	if err == nil && ok {
		err = json.Unmarshal(doc, &answer)
	}
	if err != nil {
		x.Log.Warn("cache look-up failed; answering without it", "request", x.req.ID, "error", err)
		return false, x.ctx.Err()
	}
	if !ok {
		return false, nil
	}
	x.trace.Cache, x.trace.CacheKey = how, hex.EncodeToString(key[:])
	x.trace.add(Entry{Stage: "cache", Verdict: how, Reason: strings.TrimSpace("key " + hex.EncodeToString(key[:8]) + " " + why), duration: x.Now().Sub(start)})
	x.usage = answer.Usage
	begin := &Start{Route: x.route.Name, Model: cmp.Or(answer.Model, x.model.Info().ID), Cache: how}
	if answer.Context != "" {
		begin.header(HeaderContext, answer.Context)
	}
	if !answer.Fresh.IsZero() && x.Now().After(answer.Fresh) {
		begin.Degraded = degradedStale
		x.trace.Degraded = append(x.trace.Degraded, degradedStale)
		defer x.refresh()
	}
	if err := x.emit(Event{Start: begin}); err != nil {
		return true, err
	}
	for i, c := range answer.Choices {
		x.trace.Finish = append(x.trace.Finish, c.Finish)
		if c.Text != "" || len(c.Logprobs) > 0 {
			if err := x.emit(Event{Choice: i, Text: c.Text, Logprobs: c.Logprobs}); err != nil {
				return true, err
			}
		}
		if err := x.emit(Event{Choice: i, ToolCalls: c.ToolCalls, Finish: c.Finish, Grounding: c.Grounding}); err != nil {
			return true, err
		}
	}
	return true, x.emit(Event{Usage: &x.usage})
}

// store keeps a complete answer. An answer that a guard cut off is not one.
func (x *exchange) store(answer *cachedAnswer) {
	if !x.cache.admit || x.injected || len(x.trace.Degraded) > 0 || x.route.Refill && len(x.vault) > 0 || readByPlugins(x.ctx) {
		return // the answer is of this request's data only
	}
	for _, c := range answer.Choices {
		if c.Finish == finishFilter {
			return
		}
	}
	whole := x.cache.ttl + x.route.CacheStale
	for _, s := range x.sources { // an answer lives no longer than what it was made from, not even as a stale one
		if !s.expires.IsZero() {
			whole = min(whole, s.expires.Sub(x.Now()))
		}
	}
	if whole <= 0 {
		return
	}
	if m := &x.cache.meaning; m.text != "" && m.vector == nil { // nothing was looked for
		if found, err := x.Meanings.Find(x.ctx, m.scope, m.text, 1); err == nil {
			m.vector = found.Vector
		}
	}
	answer.Fresh, answer.Question = x.Now().Add(min(x.cache.ttl, whole)), x.cache.meaning.question()
	doc, err := json.Marshal(answer)
	if err == nil {
		err = x.Cache.Put(x.ctx, x.req.Tenant, x.cache.key, doc, whole)
	}
	if err == nil && answer.Question != nil {
		err = x.Meanings.Add(x.cache.meaning.scope, answer.Question.Text, x.cache.meaning.vector, x.cache.key, x.Now().Add(whole))
	}
	if err != nil {
		x.Log.Warn("the answer was not cached", "request", x.req.ID, "error", err)
		return
	}
	x.trace.CacheKey = hex.EncodeToString(x.cache.key[:])
}
