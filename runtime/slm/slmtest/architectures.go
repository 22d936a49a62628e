package slmtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Sizes of the models of Architectures, where one says nothing else.
const (
	ArchVocab   = 96
	archDim     = 64
	archHeads   = 4
	archKV      = 2
	archHead    = 16
	archFFN     = 96
	archContext = 64
)

// Architecture is a tiny model of some architecture with random weights and no vocabulary, to compare logits with.
type Architecture struct {
	Name    string
	arch    string
	layers  int
	meta    map[string]any // without the architecture's name; what is there goes over what all have
	tensors []weights
}

// weights is a tensor: its values lie around mean. A name with blk.N is one of every layer.
type weights struct {
	name   string
	dims   []int
	mean   float64
	spread float64
}

// w is a matrix of cols x rows.
func w(name string, dims ...int) weights {
	return weights{name, dims, 0, 2 / math.Sqrt(float64(dims[0]))}
}

// ones is a vector around one, as norms have it.
func ones(name string, n ...int) weights { return weights{name, n, 1, 0.3} }

// bias is a vector around zero.
func bias(name string, n int) weights { return weights{name, []int{n}, 0, 0.3} }

// merge puts maps together.
func merge(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// decoder is what most decoders have.
var decoder = []weights{
	w("token_embd.weight", archDim, ArchVocab), ones("output_norm.weight", archDim),
	ones("blk.N.attn_norm.weight", archDim), ones("blk.N.ffn_norm.weight", archDim),
	w("blk.N.attn_q.weight", archDim, archHeads*archHead), w("blk.N.attn_k.weight", archDim, archKV*archHead),
	w("blk.N.attn_v.weight", archDim, archKV*archHead), w("blk.N.attn_output.weight", archHeads*archHead, archDim),
	w("blk.N.ffn_gate.weight", archDim, archFFN), w("blk.N.ffn_up.weight", archDim, archFFN), w("blk.N.ffn_down.weight", archFFN, archDim),
}

// encoder is what BERT and its like have.
var encoder = []weights{
	w("token_embd.weight", archDim, ArchVocab), ones("token_embd_norm.weight", archDim), bias("token_embd_norm.bias", archDim),
	w("token_types.weight", archDim, 2),
	w("blk.N.attn_q.weight", archDim, archDim), w("blk.N.attn_k.weight", archDim, archDim), w("blk.N.attn_v.weight", archDim, archDim),
	w("blk.N.attn_output.weight", archDim, archDim), ones("blk.N.attn_output_norm.weight", archDim), bias("blk.N.attn_output_norm.bias", archDim),
	w("blk.N.ffn_up.weight", archDim, archFFN), w("blk.N.ffn_down.weight", archFFN, archDim),
	ones("blk.N.layer_output_norm.weight", archDim), bias("blk.N.layer_output_norm.bias", archDim),
}

func plus(base []weights, more ...weights) []weights { return append(slices.Clone(base), more...) }

// without leaves out the tensors whose names end so.
func without(base []weights, ends ...string) []weights {
	return slices.DeleteFunc(slices.Clone(base), func(t weights) bool {
		return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(t.name, "."+end) })
	})
}

// headNorms are the norms of each head's query and key.
var headNorms = []weights{ones("blk.N.attn_q_norm.weight", archHead), ones("blk.N.attn_k_norm.weight", archHead)}

// postNorms are the norms of results.
var postNorms = []weights{ones("blk.N.post_attention_norm.weight", archDim), ones("blk.N.post_ffw_norm.weight", archDim)}

// attentionBiases are those of queries, keys and values.
var attentionBiases = []weights{bias("blk.N.attn_q.bias", archHeads*archHead), bias("blk.N.attn_k.bias", archKV*archHead), bias("blk.N.attn_v.bias", archKV*archHead)}

// layerNormBiases are those of a decoder with LayerNorm.
var layerNormBiases = []weights{bias("output_norm.bias", archDim), bias("blk.N.attn_norm.bias", archDim), bias("blk.N.ffn_norm.bias", archDim)}

// outputBiases are those of the matrices after attention and gate.
var outputBiases = []weights{bias("blk.N.attn_output.bias", archDim), bias("blk.N.ffn_up.bias", archFFN), bias("blk.N.ffn_down.bias", archDim)}

// mixture is a decoder with four experts.
var mixture = plus(without(decoder, "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"), w("blk.N.ffn_gate_inp.weight", archDim, 4),
	w("blk.N.ffn_gate_exps.weight", archDim, archFFN, 4), w("blk.N.ffn_up_exps.weight", archDim, archFFN, 4), w("blk.N.ffn_down_exps.weight", archFFN, archDim, 4))

// wideDecoder has heads that are together half as wide as the embedding.
var wideDecoder = plus(without(decoder, "attn_q.weight", "attn_output.weight"), w("blk.N.attn_q.weight", archDim, 2*archHead), w("blk.N.attn_output.weight", 2*archHead, archDim))

var wide = map[string]any{"attention.head_count": uint32(2)}

// lfm2 has attention in its second layer of three, and convolutions in the others.
func lfm2() []weights {
	out := plus(without(decoder, "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"), ones("token_embd_norm.weight", archDim))
	out = slices.DeleteFunc(out, func(t weights) bool { return t.name == "output_norm.weight" })
	for _, t := range plus(decoder, headNorms...) {
		if strings.Contains(t.name, ".attn_") && !strings.HasSuffix(t.name, "attn_norm.weight") {
			t.name = strings.Replace(t.name, "N", "1", 1)
			out = append(out, t)
		}
	}
	for _, l := range []string{"blk.0.", "blk.2."} {
		out = append(out, w(l+"shortconv.in_proj.weight", archDim, 3*archDim), w(l+"shortconv.out_proj.weight", archDim, archDim), w(l+"shortconv.conv.weight", 3, archDim))
	}
	return out
}

var granite = map[string]any{"logit_scale": float32(4), "residual_scale": float32(0.3), "embedding_scale": float32(6), "attention.scale": float32(0.1)}

// bertBiases are those of BERT's matrices.
var bertBiases = []weights{bias("blk.N.attn_q.bias", archDim), bias("blk.N.attn_k.bias", archDim), bias("blk.N.attn_v.bias", archDim),
	bias("blk.N.attn_output.bias", archDim), bias("blk.N.ffn_up.bias", archFFN), bias("blk.N.ffn_down.bias", archDim)}

var bertHeads = map[string]any{"attention.head_count_kv": uint32(archHeads), "attention.causal": false, "pooling_type": uint32(1)}

// Architectures lists the models.
func Architectures() []Architecture {
	windows := map[string]any{"attention.sliding_window": uint32(8)}
	yarn := map[string]any{"rope.scaling.type": "yarn", "rope.scaling.factor": float32(4), "rope.scaling.original_context_length": uint32(16), "rope.freq_base": float32(1000)}
	linear := map[string]any{"rope.scaling.type": "linear", "rope.scaling.factor": float32(4)}
	bert := plus(plus(encoder, bertBiases...), w("position_embd.weight", archDim, archContext))
	return []Architecture{
		{Name: "llama", arch: "llama", tensors: plus(decoder, ones("rope_freqs.weight", archHead/2), w("output.weight", archDim, ArchVocab))},
		{Name: "llama-linear", arch: "llama", meta: linear, tensors: decoder},
		{Name: "llama-yarn", arch: "llama", meta: yarn, tensors: decoder},
		{Name: "qwen2-yarn", arch: "qwen2", meta: yarn, tensors: plus(decoder, attentionBiases...)},
		{Name: "qwen3", arch: "qwen3", tensors: plus(decoder, headNorms...)},
		{Name: "gemma2", arch: "gemma2", layers: 4, meta: windows, tensors: plus(decoder, postNorms...)},
		{Name: "phi3-longrope", arch: "phi3", meta: map[string]any{"rope.scaling.type": "longrope", "rope.scaling.attn_factor": float32(1.2), "rope.scaling.original_context_length": uint32(16),
			"attention.head_count_kv": uint32(archHeads)},
			tensors: plus(without(decoder, "attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight", "ffn_up.weight"), w("blk.N.attn_qkv.weight", archDim, 3*archDim), w("blk.N.ffn_up.weight", archDim, 2*archFFN),
				ones("rope_factors_long.weight", archHead/2), ones("rope_factors_short.weight", archHead/2))},
		{Name: "llama-moe", arch: "llama", meta: map[string]any{"expert_count": uint32(4), "expert_used_count": uint32(2)}, tensors: mixture},
		{Name: "qwen3moe", arch: "qwen3moe", meta: map[string]any{"expert_count": uint32(4), "expert_used_count": uint32(2), "expert_feed_forward_length": uint32(archFFN)},
			tensors: plus(mixture, headNorms...)},
		{Name: "gemma", arch: "gemma", tensors: decoder},
		{Name: "gemma2-46", arch: "gemma2", layers: 46, meta: merge(windows, wide), tensors: plus(wideDecoder, postNorms...)},
		{Name: "gemma3", arch: "gemma3", layers: 7, meta: merge(windows, linear, map[string]any{"rope.freq_base": float32(100000)}), tensors: plus(plus(decoder, postNorms...), headNorms...)},
		{Name: "gemma3-62", arch: "gemma3", layers: 62, meta: merge(wide, map[string]any{"final_logit_softcapping": float32(20)}), tensors: plus(plus(wideDecoder, postNorms...), headNorms...)},
		{Name: "lfm2", arch: "lfm2", layers: 3, meta: map[string]any{"attention.head_count_kv": []int32{0, archKV, 0}, "shortconv.l_cache": uint32(3)}, tensors: lfm2()},
		{Name: "smollm3", arch: "smollm3", layers: 4, tensors: decoder},
		{Name: "granite", arch: "granite", meta: granite, tensors: decoder},
		{Name: "granite-nope", arch: "granite", meta: merge(granite, map[string]any{"rope.scaling.finetuned": false}), tensors: decoder},
		{Name: "stablelm", arch: "stablelm", meta: map[string]any{"rope.dimension_count": uint32(8)}, tensors: plus(plus(decoder, layerNormBiases...), w("output.weight", archDim, ArchVocab))},
		{Name: "stablelm-parallel", arch: "stablelm", tensors: plus(plus(without(decoder, "ffn_norm.weight"), layerNormBiases[:2]...), w("output.weight", archDim, ArchVocab),
			ones("blk.N.attn_q_norm.weight", archHead, archHeads), ones("blk.N.attn_k_norm.weight", archHead, archKV))},
		{Name: "starcoder2", arch: "starcoder2", tensors: plus(plus(plus(without(decoder, "ffn_gate.weight"), layerNormBiases...), attentionBiases...), outputBiases...)},
		{Name: "gpt2", arch: "gpt2", meta: map[string]any{"attention.head_count_kv": uint32(archHeads)},
			tensors: plus(plus(plus(without(decoder, "attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight"), layerNormBiases...), outputBiases...),
				w("position_embd.weight", archDim, archContext), w("blk.N.attn_qkv.weight", archDim, 3*archDim), bias("blk.N.attn_qkv.bias", 3*archDim))},
		{Name: "bert-mean", arch: "bert", meta: bertHeads, tensors: bert},
		{Name: "bert-cls", arch: "bert", meta: merge(bertHeads, map[string]any{"pooling_type": uint32(2)}), tensors: bert},
		{Name: "bert-rank", arch: "bert", meta: merge(bertHeads, map[string]any{"pooling_type": uint32(4)}),
			tensors: plus(bert, w("cls.weight", archDim, archDim), bias("cls.bias", archDim), w("cls.output.weight", archDim, 1), bias("cls.output.bias", 1))},
		{Name: "nomic-bert", arch: "nomic-bert", meta: merge(bertHeads, map[string]any{"rope.freq_base": float32(1000)}),
			tensors: plus(encoder, w("blk.N.ffn_gate.weight", archDim, archFFN))},
		{Name: "qwen3-last", arch: "qwen3", meta: map[string]any{"pooling_type": uint32(3)}, tensors: plus(decoder, headNorms...)},
		{Name: "qwen3-rank", arch: "qwen3", meta: map[string]any{"pooling_type": uint32(4), "classifier.output_labels": []string{"yes", "no"}},
			tensors: plus(plus(decoder, headNorms...), w("cls.output.weight", archDim, 2))},
	}
}

// Embeds says whether the model is for embeddings or ranking.
func (a *Architecture) Embeds() bool { _, ok := a.meta["pooling_type"]; return ok }

// Prompt is the tokens to compare with.
func (a *Architecture) Prompt() []int32 {
	out := make([]int32, 24)
	for i := range out {
		out[i] = int32((i*i*7 + i*31 + 5) % ArchVocab)
	}
	return out
}

// Write writes the model as GGUF, always the same.
func (a *Architecture) Write(to io.Writer) error {
	return a.write(to, func(b *gguf.Builder) { b.Set("tokenizer.ggml.model", "no_vocab") })
}

// WriteWithWords writes the model with a small WordPiece vocabulary.
func (a *Architecture) WriteWithWords(to io.Writer) error {
	tokens := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
	for c := 'a'; c <= 'z'; c++ {
		tokens = append(tokens, "▁"+string(c), string(c))
	}
	for _, word := range strings.Fields("the a of and to in is it on by fox dog cat bird fish tree river house quick brown lazy red green blue small large runs jumps sleeps sings one two three four five") {
		if piece := "▁" + word; !slices.Contains(tokens, piece) {
			tokens = append(tokens, piece)
		}
	}
	for len(tokens) < ArchVocab {
		tokens = append(tokens, fmt.Sprintf("[unused%d]", len(tokens)))
	}
	types := make([]int32, len(tokens))
	for i, t := range tokens {
		if types[i] = 1; strings.HasPrefix(t, "[") {
			types[i] = 3
		}
	}
	return a.write(to, func(b *gguf.Builder) {
		b.Set("tokenizer.ggml.model", "bert")
		b.Set("tokenizer.ggml.tokens", tokens[:ArchVocab])
		b.Set("tokenizer.ggml.token_type", types[:ArchVocab])
		b.Set("tokenizer.ggml.unknown_token_id", uint32(1))
		b.Set("tokenizer.ggml.bos_token_id", uint32(2))
		b.Set("tokenizer.ggml.seperator_token_id", uint32(3))
	})
}

func (a *Architecture) write(to io.Writer, vocabulary func(*gguf.Builder)) error {
	layers := max(a.layers, 2)
	b := &gguf.Builder{}
	b.Set("general.architecture", a.arch)
	meta := merge(map[string]any{"block_count": uint32(layers), "embedding_length": uint32(archDim), "attention.head_count": uint32(archHeads),
		"attention.head_count_kv": uint32(archKV), "attention.key_length": uint32(archHead), "attention.value_length": uint32(archHead),
		"feed_forward_length": uint32(archFFN), "context_length": uint32(archContext), "vocab_size": uint32(ArchVocab),
		"attention.layer_norm_rms_epsilon": float32(1e-5), "attention.layer_norm_epsilon": float32(1e-5)}, a.meta)
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		b.Set(a.arch+"."+key, meta[key])
	}
	vocabulary(b)
	b.Set("tokenizer.ggml.token_type_count", uint32(2))
	for _, t := range a.tensors {
		if !strings.HasPrefix(t.name, "blk.N.") {
			t.add(b, t.name)
			continue
		}
		for l := range layers {
			t.add(b, strings.Replace(t.name, "N", fmt.Sprint(l), 1))
		}
	}
	_, err := b.WriteTo(to)
	return err
}

func (t *weights) add(b *gguf.Builder, name string) {
	seed := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(name) {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	r := rand.New(rand.NewPCG(seed, 1))
	n := 1
	for _, d := range t.dims {
		n *= d
	}
	data := make([]byte, 0, n*4)
	for range n {
		uniform := float64(r.Uint64()>>11)/(1<<52) - 1
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(t.mean+t.spread*uniform)))
	}
	b.Add(name, kernel.F32, t.dims, data)
}

// ArchRows are the tokens of the prompt whose logits are compared.
var ArchRows = []int{7, 23}
