// Package tokenizer turns text into the token ids a model was trained on, and back.
//
// It reads the vocabulary from a GGUF's metadata through the small Metadata interface and implements
// SentencePiece-style merging ("llama"), byte-level BPE ("gpt2") and WordPiece ("bert"). The measure of
// correctness is equality with llama.cpp on the same file. It knows nothing of tensors, prompts or sampling.
//
// Start with New and (*Tokenizer).Encode in this file; spm.go, bpe.go and wordpiece.go hold the
// algorithms, pretokenizer.go the word splitting of BPE, special.go the special tokens, decode.go the way back.
package tokenizer

import (
	"errors"
	"fmt"
	"strings"
)

// Metadata is what New needs of a model file: typed reads of GGUF keys. A getter returns false where the
// key is absent or has another type. Uint widens every unsigned and non-negative integer type.
type Metadata interface {
	String(key string) (string, bool)
	Uint(key string) (uint64, bool)
	Bool(key string) (bool, bool)
	Strings(key string) ([]string, bool)
	Floats(key string) ([]float32, bool)
	Ints(key string) ([]int32, bool)
}

// ErrUnsupported is wrapped by New's error for a tokenizer or pre-tokenizer this package does not implement.
var ErrUnsupported = errors.New("unsupported tokenizer")

// Options say how Encode treats special tokens.
type Options struct {
	// AddSpecial adds what the model expects around a text (BOS, EOS), as the file's add_*_token keys say.
	AddSpecial bool
	// ParseSpecial recognises control tokens such as <|im_end|> written out in the text. Leave it off for
	// text from outside: a user could otherwise forge the end of his own turn. Where such text is part of a
	// prompt that is parsed, pass it through Quote first.
	ParseSpecial bool
}

// Tokenizer is immutable and safe for concurrent use.
type Tokenizer struct {
	vocab
	model algorithm
}

// algorithm appends the ids of one stretch of plain text. first is true at the start of the text and after
// a special token, where SentencePiece vocabularies want a space in front.
type algorithm interface {
	encode(dst []int32, text string, first bool) []int32
}

// New reads the tokenizer from metadata. It refuses vocabularies that are not usable (arrays of different
// length, duplicate tokens, special ids out of range, ...) with an error naming the key, and unsupported
// kinds with an error wrapping ErrUnsupported.
func New(md Metadata) (*Tokenizer, error) {
	kind, ok := md.String("tokenizer.ggml.model")
	if !ok {
		return nil, errors.New("tokenizer: the file has no key tokenizer.ggml.model; it carries no vocabulary to encode text with")
	}
	t := &Tokenizer{}
	var err error
	switch kind {
	case "llama":
		err = t.vocab.load(md, spmDefaults)
		if err == nil {
			t.model, err = newSPM(&t.vocab)
		}
	case "gpt2":
		var pre pretokenizer
		if pre, err = pretokenizerFor(md); err != nil {
			break
		}
		if err = t.vocab.load(md, bpeDefaults(pre)); err == nil {
			t.model, err = newBPE(&t.vocab, md, pre)
		}
	case "bert":
		if err = t.vocab.load(md, wordpieceDefaults); err == nil {
			t.model, err = newWordpiece(&t.vocab, md)
		}
	default:
		err = fmt.Errorf("%w: tokenizer.ggml.model is %q; supported are llama (SentencePiece), gpt2 (byte-level BPE) and bert (WordPiece)", ErrUnsupported, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

// Encode returns the ids of text. It accepts any bytes: in a byte-level BPE vocabulary each invalid UTF-8
// byte is encoded as U+FFFD, in a SentencePiece vocabulary as itself. It never fails and takes time linear
// in the text, up to a logarithm.
func (t *Tokenizer) Encode(text string, o Options) []int32 {
	ids := make([]int32, 0, len(text)/3+4)
	if o.AddSpecial && t.addBOS {
		ids = append(ids, t.bos)
	}
	first := true
	t.special.split(text, o.ParseSpecial, func(plain string, id int32) {
		if id >= 0 {
			ids = append(ids, id)
			first = true
			return
		}
		if o.ParseSpecial {
			if plain = strings.ReplaceAll(plain, quoteMark, ""); plain == "" {
				return
			}
		}
		ids = t.model.encode(ids, plain, first)
		first = false
	})
	if o.AddSpecial && t.addEOS {
		ids = append(ids, t.end)
	}
	return ids
}

// EncodePair returns the ids of two texts with what the file's keys put between and around them, as llama.cpp joins a
// query and a document for a classifier. Special tokens spelled in the texts stay text.
func (t *Tokenizer) EncodePair(first, second string) []int32 {
	var ids []int32
	add := func(on bool, id int32) {
		if on && id >= 0 {
			ids = append(ids, id)
		}
	}
	add(t.pair.bos, t.bos)
	ids = append(ids, t.Encode(first, Options{})...)
	add(t.pair.eos, t.eos)
	add(t.pair.separator, t.separator)
	ids = append(ids, t.Encode(second, Options{})...)
	add(t.pair.eos, t.eos)
	return ids
}

// Decode returns the text of ids as one whole text: control tokens are left out, the space that a
// SentencePiece vocabulary puts in front of a text is taken off again, and invalid UTF-8 becomes U+FFFD.
func (t *Tokenizer) Decode(ids []int32) string {
	d := t.NewDecoder()
	d.trimSpace = t.addSpacePrefix
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// Size is the number of tokens; ids are in [0, Size).
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Piece is the vocabulary's own spelling of a token ("▁the", "Ġthe", "<|im_end|>"), "" out of range.
func (t *Tokenizer) Piece(id int32) string {
	if !t.valid(id) {
		return ""
	}
	return t.tokens[id]
}

// TokenBytes returns the raw bytes that a token stands for, which need not be whole characters. For a
// control token it is the token's spelling, although Decode leaves it out. The caller must not change it.
// It is nil out of range.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if !t.valid(id) {
		return nil
	}
	return t.raw[t.rawEnd[id]:t.rawEnd[id+1]:t.rawEnd[id+1]]
}

// BOS is the beginning-of-sequence token; false if the model has none.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS is the end-of-sequence token; false if the model has none.
func (t *Tokenizer) EOS() (int32, bool) { return t.eos, t.eos >= 0 }

// AddsBOS says whether Encode with AddSpecial puts BOS in front. A chat template that writes BOS itself
// needs AddSpecial off, or BOS comes twice.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS }

// IsEOG says whether id ends a generation: EOS, end of turn, end of message, and tokens known by their
// spelling to mean that.
func (t *Tokenizer) IsEOG(id int32) bool { return t.valid(id) && t.eog[id] }

// IsControl says whether id is a control token, which Decode leaves out.
func (t *Tokenizer) IsControl(id int32) bool {
	return t.valid(id) && t.attr[id]&(attrControl|attrUnknown) != 0
}

// ID finds a token by its vocabulary spelling.
func (t *Tokenizer) ID(piece string) (int32, bool) {
	id, ok := t.ids[piece]
	return id, ok
}
