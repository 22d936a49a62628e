package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// ErrEncoder means that text was wanted from a model that only reads it.
var ErrEncoder = errors.New("the model is an encoder: it has embeddings, and no answers")

// ErrNoRank means that a model cannot score documents.
var ErrNoRank = errors.New("the model has no classifier to rank with; a cross-encoder with pooling_type rank is needed")

// embedRows is about how many tokens of several texts are passed at once.
const embedRows = model.MaxRows

// embedder is what the engine's embedding requests share: their batches run one after the other.
type embedder struct {
	turn    chan struct{} // holds a token while nobody is at work
	scratch model.Scratch
}

func newEmbedder() *embedder {
	b := &embedder{turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

// Encoder says whether the model has embeddings only.
func (e *Engine) Encoder() bool { return e.model.Encoder() }

// Ranks says whether Rerank works.
func (e *Engine) Ranks() bool { return e.model.Ranks() }

// EmbedLimit is the number of tokens that a text may have, special ones included.
func (e *Engine) EmbedLimit() int { return e.context }

// EmbedTokens returns a text's tokens with the special ones around it. cut leaves out what is beyond the limit, and keeps
// the last special token.
func (e *Engine) EmbedTokens(text string, cut bool) []int32 {
	ids := e.tok.Encode(text, tokenizer.Options{AddSpecial: true})
	if cut {
		ids = e.cut(ids)
	}
	return ids
}

func (e *Engine) cut(ids []int32) []int32 {
	if len(ids) <= e.context {
		return ids
	}
	last := ids[len(ids)-1]
	ids = ids[:e.context]
	if e.tok.IsControl(last) {
		ids[len(ids)-1] = last
	}
	return ids
}

// Embed returns a vector of unit length for each text: the states of its tokens, pooled as the file says (mean where it
// says nothing) and normalised. A text that is too long is an error: see EmbedTokens. It is safe for concurrent use.
func (e *Engine) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i] = e.EmbedTokens(text, false)
	}
	return e.EmbedIDs(ctx, ids)
}

// EmbedIDs is Embed for texts that are tokens already.
func (e *Engine) EmbedIDs(ctx context.Context, texts [][]int32) ([][]float32, error) {
	out := make([][]float32, 0, len(texts))
	err := e.pooled(ctx, texts, func(state []float32) error {
		sum := 0.0
		for _, v := range state {
			sum += float64(v) * float64(v)
		}
		if sum > 0 {
			kernel.Scale(state, float32(1/math.Sqrt(sum)))
		}
		out = append(out, state)
		return nil
	})
	return out, err
}

// Rerank returns the classifier's score of each document for the query: any number, the higher the better. Documents that
// are too long are cut. It fails with ErrNoRank where the model cannot do it.
func (e *Engine) Rerank(ctx context.Context, query string, documents []string) (scores []float32, tokens int, err error) {
	if !e.Ranks() {
		return nil, 0, ErrNoRank
	}
	texts := make([][]int32, len(documents))
	for i, d := range documents {
		texts[i] = e.cut(e.pair(query, d))
		tokens += len(texts[i])
	}
	err = e.pooled(ctx, texts, func(state []float32) error {
		all, err := e.model.Rank(e.pool, &e.embed.scratch, state)
		if err == nil {
			scores = append(scores, all[0])
		}
		return err
	})
	return scores, tokens, err
}

// pair is the tokens of a query and a document as llama.cpp puts them together: by the file's template for ranking, or
// with the separator between them.
func (e *Engine) pair(query, document string) []int32 {
	if source, ok := e.file.String("tokenizer.chat_template.rerank"); ok {
		text := strings.NewReplacer("{query}", e.tok.Quote(query), "{document}", e.tok.Quote(document)).Replace(source)
		return e.tok.Encode(text, tokenizer.Options{ParseSpecial: true})
	}
	return e.tok.EncodePair(query, document)
}

// pooled calls each with the pooled state of every text, in order. The state is the callee's to keep.
func (e *Engine) pooled(ctx context.Context, texts [][]int32, each func([]float32) error) error {
	for i, ids := range texts {
		if len(ids) == 0 {
			return fmt.Errorf("text %d is empty", i)
		}
		if len(ids) > e.context {
			return fmt.Errorf("text %d: %w", i, &ContextError{len(ids), e.context})
		}
		if err := e.checkTokens(ids); err != nil {
			return fmt.Errorf("text %d: %w", i, err)
		}
	}
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	for len(texts) > 0 {
		n, rows := 0, 0
		for n < len(texts) && (n == 0 || rows+len(texts[n]) <= embedRows) {
			rows += len(texts[n])
			n++
		}
		if err := e.takeTurn(ctx, texts[:n], rows, each); err != nil {
			return err
		}
		texts = texts[n:]
	}
	return nil
}

// takeTurn passes some texts when it is this request's turn. Each batch waits for one of its own, so that no request
// waits for a whole other one.
func (e *Engine) takeTurn(ctx context.Context, texts [][]int32, rows int, each func([]float32) error) error {
	select {
	case <-e.embed.turn:
		defer func() { e.embed.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.poolBatch(ctx, texts, each); err != nil {
		return err
	}
	if rows > 4*embedRows {
		e.embed.scratch = model.Scratch{} // a long text's buffers are not kept
	}
	return nil
}

func (e *Engine) poolBatch(ctx context.Context, texts [][]int32, each func([]float32) error) error {
	if !e.model.Encoder() {
		return e.poolDecoder(ctx, texts, each)
	}
	states, err := e.model.Encode(ctx, e.pool, &e.embed.scratch, texts)
	if err != nil {
		return err
	}
	dim := e.model.Dim
	for _, ids := range texts {
		p := e.newPooler()
		p.add(states[:len(ids)*dim])
		if err := each(p.state()); err != nil {
			return err
		}
		states = states[len(ids)*dim:]
	}
	return nil
}

// poolDecoder passes each text through a generative model, in pages of its own.
func (e *Engine) poolDecoder(ctx context.Context, texts [][]int32, each func([]float32) error) error {
	kv, err := e.model.NewKV(e.kv.Format())
	if err != nil {
		return err
	}
	for _, ids := range texts {
		p := e.newPooler()
		s := kv.NewSequence()
		for from := 0; from < len(ids) && err == nil; from += model.MaxRows {
			var states []float32
			if states, err = e.model.Hidden(ctx, e.pool, &e.embed.scratch, s, ids[from:min(from+model.MaxRows, len(ids))]); err == nil {
				p.add(states)
			}
		}
		s.Release()
		if err == nil {
			err = each(p.state())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pooler collects the states of one text's tokens.
type pooler struct {
	how   model.Pooling
	dim   int
	count int
	sum   []float32
}

func (e *Engine) newPooler() *pooler {
	how := e.model.Pooling
	if how == model.PoolRank {
		if how = model.PoolFirst; !e.model.Encoder() {
			how = model.PoolLast
		}
	}
	return &pooler{how: how, dim: e.model.Dim, sum: make([]float32, e.model.Dim)}
}

func (p *pooler) add(rows []float32) {
	switch p.how {
	case model.PoolFirst:
		if p.count == 0 {
			copy(p.sum, rows[:p.dim])
		}
	case model.PoolLast:
		copy(p.sum, rows[len(rows)-p.dim:])
	default:
		for at := 0; at < len(rows); at += p.dim {
			kernel.Add(p.sum, rows[at:at+p.dim])
		}
	}
	p.count += len(rows) / p.dim
}

func (p *pooler) state() []float32 {
	if p.how == model.PoolMean || p.how == model.PoolNone {
		kernel.Scale(p.sum, 1/float32(p.count))
	}
	return p.sum
}
