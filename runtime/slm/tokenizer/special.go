package tokenizer

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// endTokens are spellings that end a generation whatever the file says of them; the list is llama.cpp's
// (llama-vocab.cpp, special_eog_ids).
var endTokens = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
	"<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
	"<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
	"<｜end▁of▁sentence｜>", "[e~[",
}

// fillTokens are the fill-in-the-middle separators at which llama.cpp stops too: padding, repository name,
// file separator. Each group has one token, the key's or else the first spelling present.
var fillTokens = []struct {
	key       string
	spellings []string
}{
	{"tokenizer.ggml.fim_pad_token_id", []string{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
	{"tokenizer.ggml.fim_rep_token_id", []string{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
	{"tokenizer.ggml.fim_sep_token_id", []string{"<|file_sep|>"}},
}

// markSpecial finds the tokens that end a generation, and corrects types that files get wrong.
func (v *vocab) markSpecial(md Metadata) error {
	v.eog = make([]bool, len(v.tokens))
	for _, f := range fillTokens {
		id := int32(-1)
		if err := v.specialID(md, f.key, &id); err != nil {
			return err
		}
		for _, s := range f.spellings {
			if known, ok := v.ids[s]; ok && id < 0 {
				id = known
				v.attr[id] |= attrControl
			}
		}
		if id >= 0 {
			v.eog[id] = true
		}
	}
	for _, s := range endTokens {
		if id, ok := v.ids[s]; ok {
			v.eog[id] = true
			v.attr[id] |= attrControl
		}
	}
	// Harmony's channel markers carry text the caller must see.
	for _, s := range []string{"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"} {
		if id, ok := v.ids[s]; ok {
			v.attr[id] = attrUserDefined
		}
	}
	for _, key := range []string{"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"} {
		id := int32(-1)
		if err := v.specialID(md, key, &id); err != nil {
			return err
		}
		if id >= 0 {
			v.eog[id] = true
		}
	}
	if v.eos >= 0 {
		v.eog[v.eos] = true
	}
	v.unmarkInnerEnds()
	v.stripAfterPhi3(md)
	return nil
}

// unmarkInnerEnds takes back end tokens that only end a part in vocabularies that have a stronger one.
func (v *vocab) unmarkInnerEnds() {
	ends := func(s string) bool { id, ok := v.ids[s]; return ok && v.eog[id] }
	call := ends("<|call|>") || ends("<|calls|>")
	if id := v.ids["<|end|>"]; ends("<|end|>") && call && (ends("<|return|>") || ends("<|flush|>")) {
		v.eog[id] = false
		v.attr[id] = attrUserDefined
	}
	if id := v.ids["</s>"]; ends("</s>") && ends("<|tool_response>") {
		v.eog[id] = false
		v.attr[id] = attrNormal
	}
}

// stripAfterPhi3: Phi-3's special tokens swallow the white space that follows them, which no GGUF key says;
// llama.cpp goes by the model's name, and so do we.
func (v *vocab) stripAfterPhi3(md Metadata) {
	name, _ := md.String("general.name")
	name = strings.ToLower(name)
	if !strings.Contains(name, "phi-3") && !strings.Contains(name, "phi3") {
		return
	}
	for id := range v.attr {
		if v.attr[id]&(attrControl|attrUserDefined|attrUnknown) != 0 {
			v.attr[id] |= attrStripRight
		}
	}
	for _, s := range []string{"<unk>", "<s>", "<|endoftext|>"} {
		if id, ok := v.ids[s]; ok {
			v.attr[id] &^= attrStripRight
		}
	}
}

// specialTokens cuts a text at the special tokens written in it.
type specialTokens struct {
	v     *vocab
	order []int32 // special ids, longest spelling first: the order in which they claim text
	find  *matcher
}

func newSpecialTokens(v *vocab) specialTokens {
	s := specialTokens{v: v}
	for id, a := range v.attr {
		if a&(attrControl|attrUserDefined|attrUnknown) != 0 {
			s.order = append(s.order, int32(id))
		}
	}
	sort.SliceStable(s.order, func(i, j int) bool {
		return len(v.tokens[s.order[i]]) > len(v.tokens[s.order[j]])
	})
	words := make([]string, len(s.order))
	for i, id := range s.order {
		words[i] = v.tokens[id]
	}
	s.find = newMatcher(words)
	return s
}

// fragment is a stretch of text, or the special token that stood there (id >= 0).
type fragment struct {
	text string
	id   int32
}

// split calls emit for each fragment in order: plain text with id -1, or a special token. Longer tokens
// claim their text before shorter ones, wherever they stand, as in llama.cpp.
func (s specialTokens) split(text string, parse bool, emit func(plain string, id int32)) {
	if text == "" {
		return
	}
	frags := []fragment{{text, -1}}
	for _, i := range s.find.present(text) {
		id := s.order[i]
		a := s.v.attr[id]
		if !parse && a&(attrControl|attrUnknown) != 0 {
			continue
		}
		frags = cut(frags, id, s.v.tokens[id], a&attrStripRight != 0)
	}
	for _, f := range frags {
		emit(f.text, f.id)
	}
}

// cut replaces every occurrence of word in the plain fragments by id.
func cut(frags []fragment, id int32, word string, stripRight bool) []fragment {
	out := frags[:0:0]
	for _, f := range frags {
		if f.id >= 0 {
			out = append(out, f)
			continue
		}
		rest := f.text
		for {
			at := strings.Index(rest, word)
			if at < 0 {
				break
			}
			if at > 0 {
				out = append(out, fragment{rest[:at], -1})
			}
			out = append(out, fragment{"", id})
			rest = rest[at+len(word):]
			if stripRight {
				rest = strings.TrimLeft(rest, " \t\n\v\f\r")
			}
		}
		if rest != "" {
			out = append(out, fragment{rest, -1})
		}
	}
	return out
}

// quoteMark is a noncharacter, which no text that is interchanged may contain (Unicode 23.7).
const quoteMark = "\uFDD0"

// Quote makes text safe to stand in a prompt that is encoded with ParseSpecial: a control token spelled in it
// stays text. It puts a mark inside of the spelling, which Encode takes out again after it has looked for
// special tokens. Text without such spellings is returned as it is.
func (t *Tokenizer) Quote(text string) string {
	for _, i := range t.special.find.present(text) {
		id := t.special.order[i]
		if t.attr[id]&(attrControl|attrUnknown) == 0 {
			continue // user-defined tokens are recognised in any text
		}
		word := t.tokens[id]
		_, n := utf8.DecodeRuneInString(word)
		text = strings.ReplaceAll(text, word, word[:n]+quoteMark+word[n:])
	}
	return text
}
