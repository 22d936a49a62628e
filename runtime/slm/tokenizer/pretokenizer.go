package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// A splitter cuts text into the words that byte-pair encoding works on and calls emit for each, in order.
// Together they are the whole text.
type splitter func(text string, emit func(word string))

// pretokenizer is what a name in tokenizer.ggml.pre stands for: a word splitter and a few switches that
// llama.cpp ties to the name.
type pretokenizer struct {
	split        splitter
	ignoreMerges bool // a word that is a token is taken whole
	addBOS       bool
	noBOS        bool // no default BOS
}

// The patterns are llama.cpp's (llama-vocab.cpp, llm_tokenizer_bpe), which are those of the models'
// tokenizer.json. A list of stages is applied in turn, each to the pieces that the one before left.
var pretokenizers = func() map[string]pretokenizer {
	var (
		gpt2      = stages(matchGPT2)
		digitGPT2 = stages(runs(oneNumber), matchGPT2)
		llama3    = stages(modern{contractions: true, digits: 3}.match)
		qwen2     = stages(modern{contractions: true, digits: 1}.match)
		deepseek3 = stages(runs(upToThreeNumbers), runs(cjkOrKana), runs(matchDeepSeek3))
		sentence  = runs(matchUnpunctuated)
	)
	byNames := []struct {
		names string
		pre   pretokenizer
	}{
		{"default", pretokenizer{split: stages(runs(matchAll(isPunctOrMath)), matchGPT2, runs(matchAll(isNumber)), runs(threeDigits))}},
		{"gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert exaone4 mpt olmo jais trillion granite-docling", pretokenizer{split: gpt2}},
		{"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", pretokenizer{split: digitGPT2}},
		{"falcon", pretokenizer{split: stages(runs(matchAll(isPunctOrMathOrTick)), matchGPT2, runs(threeDigits))}},
		{"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", pretokenizer{split: llama3, ignoreMerges: true, addBOS: true}},
		{"dbrx smaug-bpe", pretokenizer{split: llama3}},
		{"glm4 chatglm-bpe", pretokenizer{split: llama3, noBOS: true}},
		{"qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", pretokenizer{split: qwen2}},
		{"qwen35", pretokenizer{split: stages(modern{contractions: true, digits: 1, marks: true}.match)}},
		{"ufakzeka", pretokenizer{split: stages(modern{digits: 1}.match)}},
		{"minicpm5", pretokenizer{split: stages(runs(upToThreeNumbers), modern{contractions: true, digits: 1 << 30}.match), ignoreMerges: true}},
		{"tekken", pretokenizer{split: stages(modern{cased: true, digits: 1, slash: true}.match), ignoreMerges: true, addBOS: true}},
		{"gpt-4o llama4 kanana2 talkie minimax-m2", pretokenizer{split: stages(modern{cased: true, contractions: true, digits: 3, slash: true}.match)}},
		{"deepseek-llm", pretokenizer{split: stages(runs(oneNewline), runs(spaced(isDeepSeekLetter)), runs(spaced(isDeepSeekPunct)), trailingSpace, runs(matchAll(isDeepSeekCJK)), runs(matchAll(isNumber)))}},
		{"deepseek-coder", pretokenizer{split: stages(runs(oneNewline), runs(spaced(isLetter)), runs(spaced(isPunct)), runs(matchAll(isDeepSeekCJK)), runs(oneNumber))}},
		{"deepseek-v3 hunyuan-dense joyai-llm hy_v4", pretokenizer{split: deepseek3}},
		{"poro-chat bloom gpt3-finnish", pretokenizer{split: stages(sentence)}},
		{"viking", pretokenizer{split: stages(sentence, runs(oneNumber))}},
	}
	m := map[string]pretokenizer{}
	for _, b := range byNames {
		for name := range strings.FieldsSeq(b.names) {
			m[name] = b.pre
		}
	}
	return m
}()

func pretokenizerFor(md Metadata) (pretokenizer, error) {
	name, ok := md.String("tokenizer.ggml.pre")
	if !ok || name == "" {
		name = "default" // files older than the key, as llama.cpp reads them
	}
	pre, ok := pretokenizers[name]
	if !ok {
		return pre, fmt.Errorf("%w: tokenizer.ggml.pre is %q; supported are %s", ErrUnsupported, name, strings.Join(Pretokenizers(), ", "))
	}
	return pre, nil
}

// Pretokenizers lists the supported values of tokenizer.ggml.pre, sorted.
func Pretokenizers() []string {
	names := make([]string, 0, len(pretokenizers))
	for name := range pretokenizers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A stage returns the length in bytes of the first piece of a non-empty text, always at least one character.
type stage func(text string) int

// A matcher function returns the length of a match at the very beginning of text, 0 for none.
type match func(text string) int

// stages runs each stage over the pieces of the one before.
func stages(list ...stage) splitter {
	split := func(text string, emit func(string)) { emit(text) }
	for i := len(list) - 1; i >= 0; i-- {
		st, next := list[i], split
		split = func(text string, emit func(string)) {
			for text != "" {
				n := st(text)
				next(text[:n], emit)
				text = text[n:]
			}
		}
	}
	return split
}

// runs makes a stage of a match: a piece is one match, or all the text up to the next one. m must be quick to
// say no (a bounded look), or the search for the next match would be quadratic.
func runs(m match) stage {
	return func(text string) int {
		if n := m(text); n > 0 {
			return n
		}
		at := 0
		for at < len(text) {
			_, n := decode(text[at:])
			at += n
			if at < len(text) && m(text[at:]) > 0 {
				break
			}
		}
		return at
	}
}
