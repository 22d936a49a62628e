package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/capability"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/search"
)

// lent is what the runtime lends to plugins: its models and its documents.
type lent struct{ r *Runtime }

var (
	_ capability.Model    = lent{}
	_ capability.Searcher = lent{}
)

// Complete answers with a model on this device: text that a plugin sees must not leave it by this way.
func (l lent) Complete(ctx context.Context, tenant string, q *capability.CompleteRequest) (*capability.CompleteResult, error) {
	m := l.r.locals.first
	if q.Model != "" {
		m = l.r.locals.find(q.Model)
	}
	if m == nil {
		return nil, errors.New("there is no such model on this device")
	}
	p := &pipeline.Prompt{Text: q.Prompt, Tenant: tenant, Temperature: q.Temperature, TopP: 1, TypicalP: 1, RepetitionPenalty: 1, Seed: q.Seed, Stop: q.Stop}
	for _, msg := range q.Messages {
		switch msg.Role {
		case "system", "user", "assistant":
			p.Messages = append(p.Messages, openai.Message{Role: msg.Role, Content: openai.Content(msg.Content)})
		default:
			return nil, fmt.Errorf("the role %.40q is not one of system, user, assistant", msg.Role)
		}
	}
	switch {
	case len(q.Stop) > maxStops:
		return nil, fmt.Errorf("stop lists %d, more than %d", len(q.Stop), maxStops)
	case q.Temperature < 0 || q.Temperature > 2 || math.IsNaN(q.Temperature):
		return nil, fmt.Errorf("temperature %g is not between 0 and 2", q.Temperature)
	}
	prompt, err := m.CountPrompt(ctx, p)
	if err != nil {
		return nil, err
	}
	if prompt >= q.Budget {
		return nil, fmt.Errorf("%w: the prompt has %d, and %d are left", capability.ErrTokens, prompt, q.Budget)
	}
	p.MaxTokens = min(q.MaxTokens, q.Budget-prompt, l.r.cfg.Limits.MaxTokens)
	var text []byte
	out, err := m.Generate(ctx, p, func(d pipeline.Delta) error {
		text = append(text, d.Text...)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return &capability.CompleteResult{Text: string(text), FinishReason: out.FinishReason, Model: m.id,
		PromptTokens: out.Usage.PromptTokens, CompletionTokens: out.Usage.CompletionTokens}, nil
}

// CountPrompt implements pipeline.PromptCounter.
func (m *localModel) CountPrompt(ctx context.Context, p *pipeline.Prompt) (int, error) {
	in, release, err := m.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	ids, err := in.tokens(m.withDefaults(p))
	return len(ids), err
}

// Embed embeds with the configured model.
func (l lent) Embed(ctx context.Context, _ string, texts []string, most int) ([][]float32, int, error) {
	m := l.r.embedder
	if m == nil {
		return nil, 0, errors.New("there is no model for embeddings here; embedding_model.file of the configuration names one")
	}
	ids, total := make([][]int32, len(texts)), 0
	for i, text := range texts {
		ids[i] = m.engine.EmbedTokens(text, true)
		if total += len(ids[i]); total > most {
			return nil, 0, fmt.Errorf("%w: the texts have more than the %d that are left", capability.ErrTokens, most)
		}
	}
	vectors, err := m.engine.EmbedIDs(ctx, ids)
	return vectors, total, err
}

// Search searches with the access of whoever's request the plugin was called for; outside a request nothing is readable.
func (l lent) Search(ctx context.Context, tenant, query string, k int) ([]capability.Passage, error) {
	access, ok := pipeline.AccessOf(ctx)
	if !ok || access.Tenant != tenant || l.r.library == nil {
		return nil, nil
	}
	found, err := l.r.library.Search(ctx, search.Query{Text: query, Access: access, K: k})
	if err != nil {
		return nil, err
	}
	out := make([]capability.Passage, len(found.Hits))
	for i, h := range found.Hits {
		out[i] = capability.Passage{Document: h.Document, Chunk: h.Chunk, Start: h.Start, End: h.End, Heading: h.Heading, Score: h.Score, Text: h.Text}
	}
	return out, nil
}
