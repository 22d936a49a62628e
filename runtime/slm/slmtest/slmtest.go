// Package slmtest makes small model files with random weights, for tests and for trying the appliance where no model is
// at hand. They say nothing sensible, and always the same for the same seed.
package slmtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Shape is the size of a model.
type Shape struct {
	Architecture           string // llama or qwen2
	Layers, Dim, Heads, KV int
	FFN, Context           int
	Template               string // chat template; empty: none
	Seed                   uint64
	Untied                 bool // an output matrix of its own: without it a random model says the same token again and again
}

// Tiny is a model that answers in a millisecond.
var Tiny = Shape{Architecture: "llama", Layers: 2, Dim: 64, Heads: 4, KV: 2, FFN: 128, Context: 2048, Seed: 1}

// Varied is a tiny model whose answers vary.
var Varied = func() Shape { s := Tiny; s.Untied = true; return s }()

// words are pieces beside the bytes and letters, so that texts take few tokens.
var words = []string{"▁the", "▁a", "▁once", "▁upon", "▁time", "▁and", "▁to", "▁was", "▁Once", "▁in", "▁of", "he", "th", "an", "in", "er", "on"}

// Vocabulary is a small SentencePiece vocabulary with every byte.
func Vocabulary() (tokens []string, scores []float32, types []int32) {
	add := func(piece string, score float32, kind int32) {
		tokens, scores, types = append(tokens, piece), append(scores, score), append(types, kind)
	}
	add("<unk>", 0, 2)
	add("<s>", 0, 3)
	add("</s>", 0, 3)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), 0, 6)
	}
	for c := byte(33); c < 127; c++ {
		add(string(rune(c)), -100, 1)
	}
	add("▁", -100, 1)
	for i, w := range words {
		// A word is reached by merging its beginnings, so they must be there too.
		r := []rune(w)
		for n := 2; n <= len(r); n++ {
			piece, known := string(r[:n]), false
			for _, t := range tokens {
				known = known || t == piece
			}
			if !known {
				add(piece, float32(-1-i)/float32(n), 1)
			}
		}
	}
	return tokens, scores, types
}

// Write writes the model as GGUF.
func (s Shape) Write(w io.Writer) error {
	b := &gguf.Builder{}
	arch := s.Architecture
	b.Set("general.architecture", arch)
	b.Set("general.name", "random "+arch)
	for key, v := range map[string]int{"block_count": s.Layers, "embedding_length": s.Dim, "attention.head_count": s.Heads,
		"attention.head_count_kv": s.KV, "feed_forward_length": s.FFN, "context_length": s.Context} {
		b.Set(arch+"."+key, uint32(v))
	}
	b.Set(arch+".attention.layer_norm_rms_epsilon", float32(1e-5))
	tokens, scores, types := Vocabulary()
	b.Set("tokenizer.ggml.model", "llama")
	b.Set("tokenizer.ggml.tokens", tokens)
	b.Set("tokenizer.ggml.scores", scores)
	b.Set("tokenizer.ggml.token_type", types)
	b.Set("tokenizer.ggml.bos_token_id", uint32(1))
	b.Set("tokenizer.ggml.eos_token_id", uint32(2))
	if s.Template != "" {
		b.Set("tokenizer.chat_template", s.Template)
	}
	r := rand.New(rand.NewPCG(s.Seed, 0))
	tensor := func(name string, deviation float64, dims ...int) {
		n := 1
		for _, d := range dims {
			n *= d
		}
		data := make([]byte, n*4)
		for i := range n {
			v := float32(1)
			if deviation > 0 {
				v = float32(r.NormFloat64() * deviation)
			}
			binary.LittleEndian.PutUint32(data[i*4:], math.Float32bits(v))
		}
		b.Add(name, kernel.F32, dims, data)
	}
	head := s.Dim / s.Heads
	tensor("token_embd.weight", 1, s.Dim, len(tokens))
	tensor("output_norm.weight", 0, s.Dim)
	if s.Untied {
		tensor("output.weight", 0.3, s.Dim, len(tokens))
	}
	for i := range s.Layers {
		name := func(t string) string { return fmt.Sprintf("blk.%d.%s.weight", i, t) }
		tensor(name("attn_norm"), 0, s.Dim)
		tensor(name("ffn_norm"), 0, s.Dim)
		tensor(name("attn_q"), 0.1, s.Dim, s.Heads*head)
		tensor(name("attn_k"), 0.1, s.Dim, s.KV*head)
		tensor(name("attn_v"), 0.1, s.Dim, s.KV*head)
		tensor(name("attn_output"), 0.1, s.Heads*head, s.Dim)
		tensor(name("ffn_gate"), 0.1, s.Dim, s.FFN)
		tensor(name("ffn_up"), 0.1, s.Dim, s.FFN)
		tensor(name("ffn_down"), 0.1, s.FFN, s.Dim)
	}
	_, err := b.WriteTo(w)
	return err
}

// WriteAdapter writes a LoRA adapter for the model, with random pairs for all matrices of its layers.
func (s Shape) WriteAdapter(w io.Writer, seed uint64) error {
	const rank = 4
	b := &gguf.Builder{}
	b.Set("general.type", "adapter")
	b.Set("general.architecture", s.Architecture)
	b.Set("adapter.type", "lora")
	b.Set("adapter.lora.alpha", float32(2*rank))
	r := rand.New(rand.NewPCG(seed, 7))
	half := func(name string, cols, rows int) {
		data := make([]byte, 4*cols*rows)
		for i := range cols * rows {
			binary.LittleEndian.PutUint32(data[i*4:], math.Float32bits(float32(r.NormFloat64()*0.5)))
		}
		b.Add(name, kernel.F32, []int{cols, rows}, data)
	}
	kv := s.Dim / s.Heads * s.KV
	for i := range s.Layers {
		for _, m := range []struct {
			name    string
			in, out int
		}{{"attn_q", s.Dim, s.Dim}, {"attn_k", s.Dim, kv}, {"attn_v", s.Dim, kv}, {"attn_output", s.Dim, s.Dim},
			{"ffn_gate", s.Dim, s.FFN}, {"ffn_up", s.Dim, s.FFN}, {"ffn_down", s.FFN, s.Dim}} {
			name := fmt.Sprintf("blk.%d.%s.weight", i, m.name)
			half(name+".lora_a", m.in, rank)
			half(name+".lora_b", rank, m.out)
		}
	}
	_, err := b.WriteTo(w)
	return err
}
