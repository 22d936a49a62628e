package tokenizer

import (
	"fmt"
	"maps"
	"strings"
)

// madeBPE is a small byte-level vocabulary: the 256 bytes, what the merges make, and special tokens.
func madeBPE(pre string, merges ...string) metadata {
	var tokens []string
	var types []int32
	add := func(kind int32, list ...string) {
		for _, s := range list {
			tokens = append(tokens, s)
			types = append(types, kind)
		}
	}
	for _, r := range byteToRune {
		add(1, string(r))
	}
	for _, m := range merges {
		add(1, strings.ReplaceAll(m, " ", ""))
	}
	add(3, "<|im_start|>", "<|im_end|>")
	add(4, "<tool>")
	return metadata{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
		"tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": merges,
		"tokenizer.ggml.eos_token_id": uint64(len(tokens) - 2),
	}
}

// aMerges doubles runs of a up to 2^n: the worst case for a slow merge loop.
func aMerges(n int) []string {
	var m []string
	for i := range n {
		a := strings.Repeat("a", 1<<i)
		m = append(m, a+" "+a)
	}
	return m
}

// madeSPM is a small SentencePiece vocabulary: unk, bos, eos, the 256 byte tokens and scored pieces.
func madeSPM(pieces ...string) metadata {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{2, 3, 3}
	scores := []float32{0, 0, 0}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
		scores = append(scores, 0)
	}
	for i, p := range pieces {
		tokens = append(tokens, p)
		types = append(types, 1)
		scores = append(scores, -float32(i+1))
	}
	return metadata{
		"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
		"tokenizer.ggml.token_type": types, "tokenizer.ggml.scores": scores,
	}
}

func (m metadata) with(key string, v any) metadata {
	c := maps.Clone(m)
	if v == nil {
		delete(c, key)
	} else {
		c[key] = v
	}
	return c
}

func (m metadata) tokens() []string { return m["tokenizer.ggml.tokens"].([]string) }
