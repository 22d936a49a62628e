package tokenizer

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits on what a vocabulary may claim. Real ones stay far below: 262 144 tokens, the longest of some
// hundred bytes.
const (
	maxTokens     = 4 << 20
	maxTokenBytes = 8 << 10
)

// attr is what a token is, after GGUF's tokenizer.ggml.token_type.
type attr uint8

const (
	attrNormal attr = 1 << iota
	attrUnknown
	attrControl
	attrUserDefined
	attrByte
	attrUnused
	attrStripRight // swallows the white space after it in the text
)

// vocab is the part of a tokenizer that does not depend on the algorithm.
type vocab struct {
	tokens []string         // by id
	ids    map[string]int32 // the other way round
	scores []float32        // nil without tokenizer.ggml.scores
	attr   []attr
	eog    []bool

	raw    []byte   // the bytes of all tokens, one after the other
	rawEnd []uint32 // token i is raw[rawEnd[i]:rawEnd[i+1]]

	bos, eos, unk  int32 // -1: none
	addBOS, addEOS bool
	separator, end int32 // -1: none; end is what addEOS adds
	pair           struct{ bos, eos, separator bool }
	addSpacePrefix bool
	special        specialTokens
	unescape       func(dst []byte, piece string) []byte
}

// defaults are what an algorithm assumes where the file is silent.
type defaults struct {
	bos, eos, unk  int32
	addBOS, addEOS bool
	pairs          bool // two texts have a separator between them
	addSpacePrefix bool
	// unescape appends the bytes that a normal token's spelling stands for.
	unescape func(dst []byte, piece string) []byte
}

func (v *vocab) valid(id int32) bool { return id >= 0 && int(id) < len(v.tokens) }

func (v *vocab) load(md Metadata, d defaults) error {
	v.unescape = d.unescape
	if err := v.loadTokens(md); err != nil {
		return err
	}
	if err := v.loadTypes(md); err != nil {
		return err
	}
	if err := v.loadSpecialIDs(md, d); err != nil {
		return err
	}
	if err := v.markSpecial(md); err != nil {
		return err
	}
	v.special = newSpecialTokens(v)
	v.layOut()
	return nil
}

func (v *vocab) loadTokens(md Metadata) error {
	tokens, ok := md.Strings("tokenizer.ggml.tokens")
	if !ok || len(tokens) == 0 {
		return fmt.Errorf("tokenizer.ggml.tokens is missing, empty or not an array of strings")
	}
	if len(tokens) > maxTokens {
		return fmt.Errorf("tokenizer.ggml.tokens has %d tokens; at most %d are accepted", len(tokens), maxTokens)
	}
	v.tokens = make([]string, len(tokens))
	v.ids = make(map[string]int32, len(tokens))
	for i, tok := range tokens {
		switch {
		case len(tok) > maxTokenBytes:
			return fmt.Errorf("tokenizer.ggml.tokens[%d] has %d bytes; at most %d are accepted", i, len(tok), maxTokenBytes)
		case !utf8.ValidString(tok):
			return fmt.Errorf("tokenizer.ggml.tokens[%d] is not valid UTF-8: %.40q", i, tok)
		case tok == "":
			tok = fmt.Sprintf("[EMPTY_%d]", i) // as llama.cpp: it keeps its id and matches no text
		}
		if first, dup := v.ids[tok]; dup {
			return fmt.Errorf("tokenizer.ggml.tokens[%d] repeats token %d, %.40q", i, first, tok)
		}
		v.tokens[i] = tok
		v.ids[tok] = int32(i)
	}
	return nil
}

// loadTypes reads the arrays that run parallel to the tokens.
func (v *vocab) loadTypes(md Metadata) error {
	if scores, ok := md.Floats("tokenizer.ggml.scores"); ok {
		if len(scores) != len(v.tokens) {
			return fmt.Errorf("tokenizer.ggml.scores has %d entries for %d tokens", len(scores), len(v.tokens))
		}
		for i, s := range scores {
			if math.IsNaN(float64(s)) {
				return fmt.Errorf("tokenizer.ggml.scores[%d] is not a number", i)
			}
		}
		v.scores = scores
	}
	v.attr = make([]attr, len(v.tokens))
	types, ok := md.Ints("tokenizer.ggml.token_type")
	if ok && len(types) != len(v.tokens) {
		return fmt.Errorf("tokenizer.ggml.token_type has %d entries for %d tokens", len(types), len(v.tokens))
	}
	// The numbers are sentencepiece's ModelProto.SentencePiece.Type.
	byType := [...]attr{1: attrNormal, 2: attrUnknown, 3: attrControl, 4: attrUserDefined, 5: attrUnused, 6: attrByte}
	for i := range v.attr {
		v.attr[i] = attrNormal
		if !ok {
			continue
		}
		v.attr[i] = 0
		if k := types[i]; k > 0 && int(k) < len(byType) {
			v.attr[i] = byType[k]
		}
	}
	return nil
}

func (v *vocab) loadSpecialIDs(md Metadata, d defaults) error {
	inRange := func(id int32) int32 {
		if v.valid(id) {
			return id
		}
		return -1
	}
	v.bos, v.eos, v.unk, v.separator = inRange(d.bos), inRange(d.eos), inRange(d.unk), -1
	if d.pairs {
		v.separator = inRange(defaultSeparator)
	}
	for _, k := range []struct {
		key string
		id  *int32
	}{
		{"tokenizer.ggml.bos_token_id", &v.bos},
		{"tokenizer.ggml.eos_token_id", &v.eos},
		{"tokenizer.ggml.unknown_token_id", &v.unk},
		{"tokenizer.ggml.seperator_token_id", &v.separator}, // the key's own spelling
	} {
		if err := v.specialID(md, k.key, k.id); err != nil {
			return err
		}
	}
	v.addBOS, v.addEOS, v.addSpacePrefix, v.pair.separator = d.addBOS, d.addEOS, d.addSpacePrefix, d.pairs
	for _, k := range []struct {
		key string
		on  *bool
	}{
		{"tokenizer.ggml.add_bos_token", &v.addBOS},
		{"tokenizer.ggml.add_eos_token", &v.addEOS},
		{"tokenizer.ggml.add_sep_token", &v.pair.separator},
		{"tokenizer.ggml.add_space_prefix", &v.addSpacePrefix},
	} {
		if b, ok := md.Bool(k.key); ok {
			*k.on = b
		}
	}
	v.end = v.eos
	v.pair.bos, v.pair.eos = v.addBOS, v.addEOS
	if d.pairs {
		return nil // see newWordpiece
	}
	if v.addBOS && v.bos < 0 {
		return fmt.Errorf("tokenizer.ggml.add_bos_token is true but there is no tokenizer.ggml.bos_token_id")
	}
	if v.addEOS && v.eos < 0 {
		return fmt.Errorf("tokenizer.ggml.add_eos_token is true but there is no tokenizer.ggml.eos_token_id")
	}
	return nil
}

// specialID reads an id into *id; an absent key, or -1 stored in 32 bits, leaves it as it is.
func (v *vocab) specialID(md Metadata, key string, id *int32) error {
	n, ok := md.Uint(key)
	if !ok || n == math.MaxUint32 {
		return nil
	}
	if n >= uint64(len(v.tokens)) {
		return fmt.Errorf("%s is %d, outside the vocabulary of %d tokens", key, n, len(v.tokens))
	}
	*id = int32(n)
	return nil
}

// layOut computes the bytes of every token once, so that decoding and log probabilities only slice.
func (v *vocab) layOut() {
	v.rawEnd = make([]uint32, len(v.tokens)+1)
	total := 0
	for _, t := range v.tokens {
		total += len(t)
	}
	v.raw = make([]byte, 0, total)
	for i, piece := range v.tokens {
		switch a := v.attr[i]; {
		case a&(attrControl|attrUnknown|attrUserDefined) != 0:
			v.raw = append(v.raw, piece...)
		case a&attrByte != 0:
			if b, ok := byteToken(piece); ok {
				v.raw = append(v.raw, b)
			} else {
				v.raw = append(v.raw, piece...)
			}
		default:
			v.raw = v.unescape(v.raw, piece)
		}
		v.rawEnd[i+1] = uint32(len(v.raw))
	}
}

// byteToken reads the spelling of a byte token, "<0x0A>".
func byteToken(piece string) (byte, bool) {
	if len(piece) != 6 || !strings.HasPrefix(piece, "<0x") || piece[5] != '>' {
		return 0, false
	}
	var b byte
	for _, c := range []byte(piece[3:5]) {
		switch {
		case c >= '0' && c <= '9':
			b = b<<4 | (c - '0')
		case c >= 'A' && c <= 'F':
			b = b<<4 | (c - 'A' + 10)
		default:
			return 0, false
		}
	}
	return b, true
}
