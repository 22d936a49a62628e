package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

// Bounds of one request for embeddings or a ranking, beside that of its body.
const (
	maxEmbedInputs = 2048
	maxEmbedTokens = 300_000
)

// encoderModel is a model on this device that embeds or ranks.
type encoderModel struct {
	id, digest string
	engine     *engine.Engine
	query      string // prefix of questions
	document   string // prefix of documents
	leave      func() // ends the use of an installed model
}

// openEncoder opens a configured model, a file or an installed one by its name; nil if none is configured.
func (r *Runtime) openEncoder(ctx context.Context, cfg config.Encoder) (*encoderModel, error) {
	if cfg.File == "" {
		return nil, nil
	}
	id := cmp.Or(cfg.ID, strings.TrimSuffix(filepath.Base(cfg.File), ".gguf"))
	d, err := describe(named{id, config.Model{File: cfg.File, Threads: cfg.Threads}}, nil, r.dir)
	if err != nil {
		return nil, err
	}
	m := &encoderModel{id: id, leave: d.leave, query: cfg.QueryPrefix, document: cfg.DocumentPrefix}
	if m.digest, err = r.digestOf(ctx, d.file); err == nil {
		d.opts.Digest, d.opts.Logger = m.digest, r.log
		m.engine, err = engine.Open(d.file, d.opts)
	}
	if err != nil {
		d.leave()
		return nil, err
	}
	return m, nil
}

// openEncoders opens the models for embeddings and for ranking.
func (r *Runtime) openEncoders(ctx context.Context) error {
	var err error
	if r.embedder, err = r.openEncoder(ctx, r.cfg.EmbeddingModel); err != nil {
		return fmt.Errorf("embedding_model %s: %w", r.cfg.EmbeddingModel.File, err)
	}
	if r.reranker, err = r.openEncoder(ctx, r.cfg.RerankModel); err != nil {
		return fmt.Errorf("rerank_model %s: %w", r.cfg.RerankModel.File, err)
	}
	if r.reranker != nil && !r.reranker.engine.Ranks() {
		return fmt.Errorf("rerank_model %s: %w", r.cfg.RerankModel.File, engine.ErrNoRank)
	}
	return nil
}

func (r *Runtime) closeEncoders() error {
	var errs []error
	for _, m := range []*encoderModel{r.embedder, r.reranker} {
		if m != nil {
			errs = append(errs, m.engine.Close())
			m.leave()
		}
	}
	return errors.Join(errs...)
}

var (
	_ embedding.Asymmetric = (*encoderModel)(nil)
	_ search.Reranker      = (*encoderModel)(nil)
)

// Embed implements embedding.Embedder; what is beyond the model's context is left out.
func (m *encoderModel) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i] = m.engine.EmbedTokens(m.document+text, true)
	}
	return m.engine.EmbedIDs(ctx, ids)
}

// EmbedQuery implements embedding.Asymmetric.
func (m *encoderModel) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	vectors, err := m.engine.EmbedIDs(ctx, [][]int32{m.engine.EmbedTokens(m.query+text, true)})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

// Rerank implements search.Reranker: larger is better, without bounds.
func (m *encoderModel) Rerank(ctx context.Context, query string, texts []string) ([]float64, error) {
	scores, _, err := m.engine.Rerank(ctx, query, texts)
	out := make([]float64, len(scores))
	for i, s := range scores {
		out[i] = float64(s)
	}
	return out, err
}

// Dimensions implements embedding.Embedder.
func (m *encoderModel) Dimensions() int { return m.engine.Info().Embedding }

// Digest implements embedding.Embedder: the file's, and with it what is put before documents.
func (m *encoderModel) Digest() string {
	if m.document == "" {
		return m.digest
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q", m.digest, m.document))
	return hex.EncodeToString(sum[:])
}

// Embedder is the model for embeddings, nil if none is configured.
func (r *Runtime) Embedder() embedding.Embedder {
	if r.embedder == nil {
		return nil
	}
	return r.embedder
}

// Embeddings answers a request for vectors. The error is an *openai.Error or the context's own.
func (r *Runtime) Embeddings(ctx context.Context, id string, who Identity, req *openai.EmbeddingRequest) (out *openai.EmbeddingResponse, err error) {
	began := time.Now()
	defer func() {
		usage := openai.Usage{}
		if out != nil {
			usage.PromptTokens, usage.TotalTokens = out.Usage.PromptTokens, out.Usage.TotalTokens
		}
		r.direct(ctx, id, who, "embedding", req.Model, began, usage, err)
	}()
	m, err := encoderFor(r.embedder, req.Model, "embedding_model", "embeddings")
	if err != nil {
		return nil, err
	}
	ids, tokens, err := m.inputs(req)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := r.enterEncoder(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	vectors, err := m.engine.EmbedIDs(ctx, ids)
	if err != nil {
		return nil, encoderError(ctx, err)
	}
	out = &openai.EmbeddingResponse{Object: "list", Model: m.id, Usage: openai.EmbeddingUsage{PromptTokens: tokens, TotalTokens: tokens}}
	for i, v := range vectors {
		if req.Dimensions != nil {
			v = shorten(v, *req.Dimensions)
		}
		e := openai.Embedding{Object: "embedding", Index: i, Embedding: v}
		if req.EncodingFormat == "base64" {
			b := make([]byte, 0, 4*len(v))
			for _, x := range v {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			e.Embedding = base64.StdEncoding.EncodeToString(b)
		}
		out.Data = append(out.Data, e)
	}
	return out, nil
}

// inputs checks a request and returns the tokens of its texts.
func (m *encoderModel) inputs(req *openai.EmbeddingRequest) (ids [][]int32, tokens int, err error) {
	switch {
	case len(req.Input) == 0:
		return nil, 0, openai.Invalid("input", "missing_required_parameter", "input is missing or empty; send a string, an array of strings, or token ids")
	case len(req.Input) > maxEmbedInputs:
		return nil, 0, openai.Invalid("input", "array_above_max_length", "input has %d texts; at most %d go into one request", len(req.Input), maxEmbedInputs)
	case req.EncodingFormat != "" && req.EncodingFormat != "float" && req.EncodingFormat != "base64":
		return nil, 0, openai.Invalid("encoding_format", "invalid_value", "encoding_format is %.40q; float and base64 are supported", req.EncodingFormat)
	case req.Dimensions != nil && (*req.Dimensions < 1 || *req.Dimensions > m.Dimensions()):
		return nil, 0, openai.Invalid("dimensions", "invalid_value", "dimensions is %d, not between 1 and the model's %d", *req.Dimensions, m.Dimensions())
	}
	limit, vocabulary := m.engine.EmbedLimit(), m.engine.Tokenizer().Size()
	for i, in := range req.Input {
		name := fmt.Sprintf("input[%d]", i)
		text := in.Tokens
		if in.Tokens == nil {
			if in.Text == "" {
				return nil, 0, openai.Invalid("input", "invalid_value", "%s is empty; a text needs at least one character", name)
			}
			text = m.engine.EmbedTokens(in.Text, false)
		}
		for _, t := range text {
			if t < 0 || int(t) >= vocabulary {
				return nil, 0, openai.Invalid("input", "invalid_value", "%s has the token %d, not between 0 and %d; token ids are those of this model", name, t, vocabulary-1)
			}
		}
		switch {
		case len(text) == 0:
			return nil, 0, openai.Invalid("input", "invalid_value", "%s has no tokens", name)
		case len(text) > limit:
			return nil, 0, openai.Invalid("input", "context_length_exceeded", "%s has %d tokens, and the model takes %d; split the text", name, len(text), limit)
		}
		if tokens += len(text); tokens > maxEmbedTokens {
			return nil, 0, openai.Invalid("input", "invalid_value", "the texts have more than %d tokens together; send them in several requests", maxEmbedTokens)
		}
		ids = append(ids, text)
	}
	return ids, tokens, nil
}

// shorten keeps the first values of a vector, at unit length.
func shorten(v []float32, n int) []float32 {
	v = slices.Clone(v[:n])
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		by := float32(1 / math.Sqrt(sum))
		for i := range v {
			v[i] *= by
		}
	}
	return v
}

// Rerank orders documents by how well they answer a query. The error is an *openai.Error or the context's own.
func (r *Runtime) Rerank(ctx context.Context, id string, who Identity, req *openai.RerankRequest) (out *openai.RerankResponse, err error) {
	began := time.Now()
	defer func() {
		usage := openai.Usage{}
		if out != nil {
			usage.PromptTokens, usage.TotalTokens = out.Usage.PromptTokens, out.Usage.TotalTokens
		}
		r.direct(ctx, id, who, "rerank", req.Model, began, usage, err)
	}()
	m, err := encoderFor(r.reranker, req.Model, "rerank_model", "rankings")
	if err != nil {
		return nil, err
	}
	switch {
	case req.Query == "":
		return nil, openai.Invalid("query", "missing_required_parameter", "query is missing or empty")
	case len(req.Documents) == 0:
		return nil, openai.Invalid("documents", "missing_required_parameter", "documents is missing or empty; send an array of strings, or of objects with text")
	case len(req.Documents) > maxEmbedInputs:
		return nil, openai.Invalid("documents", "array_above_max_length", "there are %d documents; at most %d go into one request", len(req.Documents), maxEmbedInputs)
	case req.TopN != nil && *req.TopN < 1:
		return nil, openai.Invalid("top_n", "invalid_value", "top_n is %d, not at least 1", *req.TopN)
	}
	if n := len(m.engine.EmbedTokens(req.Query, false)); n > m.engine.EmbedLimit()/2 {
		return nil, openai.Invalid("query", "context_length_exceeded", "the query has %d tokens, more than half of the %d that the model takes; documents need a place too", n, m.engine.EmbedLimit())
	}
	texts := make([]string, len(req.Documents))
	for i, d := range req.Documents {
		texts[i] = d.Text
	}
	ctx, leave, err := r.enterEncoder(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	scores, tokens, err := m.engine.Rerank(ctx, req.Query, texts)
	if err != nil {
		return nil, encoderError(ctx, err)
	}
	out = &openai.RerankResponse{ID: "rerank-" + strings.TrimPrefix(id, "req_"), Object: "list", Model: m.id,
		Usage: openai.EmbeddingUsage{PromptTokens: tokens, TotalTokens: tokens}}
	for i, s := range scores {
		score := float64(s)
		if !req.RawScores {
			score = 1 / (1 + math.Exp(-score))
		}
		result := openai.RerankResult{Index: i, RelevanceScore: score}
		if req.ReturnDocuments {
			result.Document = &req.Documents[i]
		}
		out.Results = append(out.Results, result)
	}
	slices.SortStableFunc(out.Results, func(a, b openai.RerankResult) int { return cmp.Compare(b.RelevanceScore, a.RelevanceScore) })
	if req.TopN != nil {
		out.Results = out.Results[:min(*req.TopN, len(out.Results))]
	}
	return out, nil
}

// encoderFor is the configured model if it is the one that the client names, or the client names none.
func encoderFor(m *encoderModel, name, key, what string) (*encoderModel, error) {
	switch {
	case m == nil:
		return nil, &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Param: "model", Code: "model_not_found",
			Message: fmt.Sprintf("there is no model for %s here; set %s.file in the configuration", what, key)}
	case name != "" && name != m.id:
		return nil, &openai.Error{Status: http.StatusNotFound, Type: openai.TypeInvalidRequest, Param: "model", Code: "model_not_found",
			Message: fmt.Sprintf("the model %.80q does not exist; the one for %s is %q", name, what, m.id)}
	}
	return m, nil
}

// enterEncoder takes a place among the requests in work, for as long as one may take.
func (r *Runtime) enterEncoder(ctx context.Context) (context.Context, func(), error) {
	release, err := r.admit.enter(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Limits.RequestTimeout.D(), errTimeout)
	return ctx, func() { cancel(); release() }, nil
}

func encoderError(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == errTimeout {
		return errTimeout
	}
	return engineError(err)
}

// direct records a request that needs no route.
func (r *Runtime) direct(ctx context.Context, id string, who Identity, endpoint, model string, began time.Time, usage openai.Usage, err error) {
	pipeline.Direct(ctx, &r.pipe, &pipeline.Request{ID: id, Tenant: who.Tenant, Endpoint: endpoint}, model, began, usage, err)
}
