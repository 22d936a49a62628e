package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func bertVocabulary(tokens ...string) metadata {
	all := append([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}, tokens...)
	types := make([]int32, len(all))
	for i := range types {
		types[i] = 1
	}
	types[0], types[1], types[2], types[3] = 3, 3, 3, 3
	return metadata{"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": all, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.unknown_token_id": uint64(1), "tokenizer.ggml.cls_token_id": uint64(2), "tokenizer.ggml.seperator_token_id": uint64(3)}
}

func TestWordpiece_CutsWordsAndSpellsThem(t *testing.T) {
	tokens := []string{"▁un", "▁want", "want", "able", "▁!", "▁cafe", "▁我", "▁想", "▁a", "b", "▁i"}
	tok, err := New(bertVocabulary(tokens...))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"the longest token wins":        {"unwantable", []string{"▁un", "want", "able"}},
		"a word that cannot be spelled": {"unwantzz want", []string{"[UNK]", "▁want"}},
		"case and accents go":           {"CAFÉ café", []string{"▁cafe", "▁cafe"}},
		"a combining accent goes":       {"cafe\u0301", []string{"▁cafe"}},
		"punctuation stands alone":      {"want!!able", []string{"▁want", "▁!", "▁!", "[UNK]"}},
		"so does a Chinese character":   {"我想", []string{"▁我", "▁想"}},
		"controls are left out":         {"a\x00\u200bb", []string{"▁a", "b"}},
		"broken UTF-8 is left out":      {"a\xff\xc3b", []string{"▁a", "b"}},
		"white space of any kind":       {"\u3000a\u00a0\n\ta ", []string{"▁a", "▁a"}},
		"a dotted capital i":            {"İ", []string{"▁i"}},
		"nothing":                       {" ", nil},
	} {
		var got []string
		for _, id := range tok.Encode(tc.text, Options{}) {
			got = append(got, tok.Piece(id))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q gives %q, want %q", name, tc.text, got, tc.want)
		}
	}
	if got := tok.Encode("[SEP] a", Options{AddSpecial: true, ParseSpecial: true}); !slices.Equal(got, []int32{2, 3, 12, 3}) {
		t.Errorf("with special tokens %v", got)
	}
	if got := tok.Decode(tok.Encode("unwantable want!", Options{AddSpecial: true})); got != "unwantable want !" {
		t.Errorf("decoded %q", got)
	}
}

func TestWordpiece_KeepsCaseWhereTheFileSaysSo(t *testing.T) {
	md := bertVocabulary("▁É", "▁e")
	md["tokenizer.ggml.normalizer.lowercase"] = false
	tok, err := New(md)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("É e E", Options{}); !slices.Equal(got, []int32{4, 5, 1}) {
		t.Errorf("%v", got)
	}
}

func TestWordpiece_RefusesAVocabularyWithoutItsSpecialTokens(t *testing.T) {
	md := bertVocabulary()
	delete(md, "tokenizer.ggml.cls_token_id")
	if _, err := New(md); err == nil || !strings.Contains(err.Error(), "bos_token_id") {
		t.Errorf("%v", err)
	}
}

// TestWordpiece_TakesLongWords: a word of a megabyte is one of many tokens, or of none, and neither takes long.
func TestWordpiece_TakesLongWords(t *testing.T) {
	tok, err := New(bertVocabulary("▁a", "a", strings.Repeat("a", 100)))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode(strings.Repeat("a", 1<<20), Options{}); len(got) < 1<<20/100 {
		t.Errorf("%d tokens", len(got))
	}
	if got := tok.Encode(strings.Repeat("a", 1<<20)+"z", Options{}); !slices.Equal(got, []int32{1}) {
		t.Errorf("%d tokens", len(got))
	}
}
