package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
)

// Plan is what a model will be and take, from the headers of its files.
type Plan struct {
	Info Info
	// What it takes when it is loaded, in bytes: the files of weights and adapters, which are mapped and must stay in
	// memory to be fast; the cache of keys and values; the buffers of the largest step and the vocabulary's tables.
	Weights, KV, Work int64
}

// Inspect plans a model as Open would load it with the same options, and checks that it can be loaded: the architecture,
// the tensors, and whether adapters are for this model. It reads headers only.
func Inspect(path string, o Options) (Plan, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return Plan{}, err
	}
	defer f.Close()
	embedding, ok := f.Tensor("token_embd.weight")
	if !ok {
		return Plan{}, fmt.Errorf("%w: the tensor token_embd.weight is missing", gguf.ErrFormat)
	}
	o.fill()
	m, err := model.Load(f, embedding.Rows(), o.MaxContext)
	if err != nil {
		return Plan{}, err
	}
	kv, err := m.NewKV(o.KVType)
	if err != nil {
		return Plan{}, err
	}
	e := &Engine{file: f, model: m, context: min(m.Context, o.MaxContext), kv: kv}
	_, e.own = f.String("tokenizer.chat_template")
	p := Plan{Info: e.info(o.Threads), Weights: f.Size(), KV: o.MaxKVBytes / kv.PageBytes() * kv.PageBytes(), Work: workBytes(m)}
	if m.Encoder() {
		p.KV = 0 // it passes texts whole
	}
	if o.Draft != "" && !o.NoSpeculation {
		weights, cache, work, err := draftPlan(o.Draft, o, p.KV/kv.BytesPerToken())
		if err != nil {
			return Plan{}, err
		}
		p.Weights, p.KV, p.Work = p.Weights+weights, p.KV+cache, p.Work+work
	}
	for name, path := range o.Adapters {
		n, err := checkAdapter(m, path)
		if err != nil {
			return Plan{}, fmt.Errorf("adapter %s: %w", name, err)
		}
		p.Weights += n
	}
	return p, nil
}

// checkAdapter returns the size of an adapter's file.
func checkAdapter(m *model.Model, path string) (int64, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = m.LoadAdapter(f)
	return f.Size(), err
}

// tableBytes is about what a token takes in the tables of a tokenizer, beside its text in the file.
const tableBytes = 200

// workBytes is what a step of the most rows takes, with logits for the most requests at once: those that are computed
// and each request's own.
func workBytes(m *model.Model) int64 {
	row := 3*m.Dim + 2*m.Heads*m.HeadDim + 2*m.KVHeads*m.HeadDim + 2*m.FFN // activations
	row += (m.ExpertsUsed + 1) * m.Dim                                     // experts' results
	row += (m.Dim + m.FFN) / 2                                             // quantized ones
	units := (model.MaxRows/8 + maxRunning) * m.KVHeads * 2 * model.PageTokens * m.HeadDim
	logits := 2 * maxRunning * m.Vocab
	return int64(kernel.F32.BlockBytes())*(int64(model.MaxRows)*int64(row)+int64(units)+int64(logits)) + tableBytes*int64(m.Vocab)
}

// FileDigest is the SHA-256 of a model file, as Engine.Digest has it.
func FileDigest(path string) (string, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digestOf(f), nil
}

func digestOf(f *gguf.File) string {
	sum := sha256.New()
	f.WriteTo(sum) // a hash takes all
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}
