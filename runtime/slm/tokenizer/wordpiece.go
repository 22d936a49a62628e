package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wordpieceDefaults are BERT's. The space in front of a word is part of its spelling in GGUF, and taken off again where
// a text is decoded.
var wordpieceDefaults = defaults{
	bos: 101, eos: -1, unk: 100,
	addBOS: true, pairs: true, addSpacePrefix: true,
	unescape: spmDefaults.unescape,
}

// defaultSeparator is the id of [SEP] where the file does not name it.
const defaultSeparator = 102

// wordpiece spells each word with the longest tokens that fit, from left to right; a word that cannot be spelled so is
// one unknown token (Schuster and Nakajima 2012). Words are cut as BERT's basic tokenizer does: at white space, around
// punctuation and around Chinese characters.
type wordpiece struct {
	v            *vocab
	sorted       []int32 // ids by their spelling's bytes
	lowercase    bool
	stripAccents bool
}

func newWordpiece(v *vocab, md Metadata) (*wordpiece, error) {
	w := &wordpiece{v: v, lowercase: true}
	if b, ok := md.Bool("tokenizer.ggml.normalizer.lowercase"); ok {
		w.lowercase = b
	}
	w.stripAccents = w.lowercase
	if b, ok := md.Bool("tokenizer.ggml.normalizer.strip_accents"); ok {
		w.stripAccents = b
	}
	if v.bos < 0 {
		if err := v.specialID(md, "tokenizer.ggml.cls_token_id", &v.bos); err != nil {
			return nil, err
		}
	}
	if v.eos < 0 {
		v.eos = v.separator
	}
	if v.bos < 0 || v.separator < 0 || v.unk < 0 {
		return nil, fmt.Errorf("a bert vocabulary needs tokenizer.ggml.bos_token_id (or cls_token_id), seperator_token_id and unknown_token_id; this one of %d tokens lacks one", len(v.tokens))
	}
	v.addBOS, v.addEOS = true, true // whatever the file says, as llama.cpp, and the separator at the end
	v.end = v.separator
	w.sorted = make([]int32, len(v.tokens))
	for i := range w.sorted {
		w.sorted[i] = int32(i)
	}
	slices.SortFunc(w.sorted, func(a, b int32) int { return strings.Compare(v.tokens[a], v.tokens[b]) })
	return w, nil
}

func (w *wordpiece) encode(dst []int32, text string, _ bool) []int32 {
	word := []byte(escapedSpace)
	flush := func() {
		if len(word) > len(escapedSpace) {
			dst = w.spell(dst, word)
			word = word[:len(escapedSpace)]
		}
	}
	for _, r := range text {
		if r >= utf8.RuneSelf && w.stripAccents {
			r = base(r)
		}
		switch {
		case unicode.IsSpace(r):
			flush()
			continue
		case r == 0, r == utf8.RuneError, unicode.Is(unicode.C, r), w.stripAccents && unicode.IsMark(r):
			continue
		}
		alone := unicode.IsPunct(r) || r < 0x7F && unicode.IsSymbol(r) || isChinese(r)
		if alone {
			flush()
		}
		if w.lowercase {
			r = unicode.ToLower(r)
		}
		if word = utf8.AppendRune(word, r); alone {
			flush()
		}
	}
	flush()
	return dst
}

// base is the first character of the canonical decomposition. llama.cpp drops the rest of it, marks or not.
func base(r rune) rune {
	if !norm.NFD.IsNormalString(string(r)) {
		r, _ = utf8.DecodeRuneInString(norm.NFD.String(string(r)))
	}
	return r
}

// spell appends the tokens of a word that begins with the visible space.
func (w *wordpiece) spell(dst []int32, word []byte) []int32 {
	start := len(dst)
	for at := 0; at < len(word); {
		id, n := w.longest(word[at:])
		if n == 0 {
			return append(dst[:start], w.v.unk)
		}
		dst, at = append(dst, id), at+n
	}
	return dst
}

// longest is the longest token that text begins with, and its length; 0 if there is none. It narrows the sorted tokens
// down a byte at a time.
func (w *wordpiece) longest(text []byte) (id int32, size int) {
	left := w.sorted
	for n, c := range text {
		at := func(i int) int { // the byte of token i at n, before all others where the token ends
			if s := w.v.tokens[left[i]]; n < len(s) {
				return int(s[n])
			}
			return -1
		}
		from := lowerBound(len(left), func(i int) bool { return at(i) >= int(c) })
		to := lowerBound(len(left), func(i int) bool { return at(i) > int(c) })
		if left = left[from:to]; len(left) == 0 {
			break
		}
		if len(w.v.tokens[left[0]]) == n+1 {
			id, size = left[0], n+1
		}
	}
	return id, size
}

// lowerBound is the first of n for which is says yes, which goes on for all after it.
func lowerBound(n int, is func(int) bool) int {
	low := 0
	for low < n {
		if mid := (low + n) / 2; is(mid) {
			n = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// isChinese is BERT's notion of a Chinese character, with the bounds that Hugging Face's tokenizers have.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}
