package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// byteToRune is GPT-2's alphabet: every byte as a printable character, so that any text is a string of them
// (openai/gpt-2, encoder.py, bytes_to_unicode). runeToByte is its inverse.
var byteToRune, runeToByte = func() (to [256]rune, from map[rune]byte) {
	from = make(map[rune]byte, 256)
	shifted := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = shifted
			shifted++
		}
		to[b], from[r] = r, byte(b)
	}
	return to, from
}()

func bpeDefaults(pre pretokenizer) defaults {
	d := defaults{bos: 11, eos: 11, unk: -1, addBOS: pre.addBOS, unescape: unescapeBytes}
	if pre.noBOS {
		d.bos = -1
	}
	return d
}

func unescapeBytes(dst []byte, piece string) []byte {
	for _, r := range piece {
		if b, ok := runeToByte[r]; ok {
			dst = append(dst, b)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// bpe is byte-level byte-pair encoding (Radford et al. 2019): the text is cut into words, and in each word
// the neighbours that were merged earliest in training are merged first.
//
// A symbol is a string that the merges speak of. Ids below the vocabulary's size are tokens; a file may
// also name strings that are no tokens, which get ids above it and fall apart into their bytes in the end.
type bpe struct {
	v            *vocab
	split        splitter
	ignoreMerges bool
	merges       map[uint64]merge // by left<<32 | right
	extra        []string         // symbols that are no tokens, from id len(v.tokens) on
	byteSymbol   [256]int32
	byteText     [256]string
}

type merge struct{ rank, id int32 }

func newBPE(v *vocab, md Metadata, pre pretokenizer) (*bpe, error) {
	b := &bpe{v: v, split: pre.split, ignoreMerges: pre.ignoreMerges}
	lines, ok := md.Strings("tokenizer.ggml.merges")
	if !ok {
		return nil, fmt.Errorf("tokenizer.ggml.merges is missing or not an array of strings; a gpt2 vocabulary cannot be used without it")
	}
	if len(lines) > maxTokens {
		return nil, fmt.Errorf("tokenizer.ggml.merges has %d entries; at most %d are accepted", len(lines), maxTokens)
	}
	others := map[string]int32{}
	intern := func(s string) int32 {
		if id, ok := v.ids[s]; ok {
			return id
		}
		id, ok := others[s]
		if !ok {
			id = int32(len(v.tokens) + len(b.extra))
			others[s] = id
			b.extra = append(b.extra, s)
		}
		return id
	}
	for i, r := range byteToRune {
		b.byteText[i] = string(r)
		b.byteSymbol[i] = intern(b.byteText[i])
	}
	if err := b.checkBytes(); err != nil {
		return nil, err
	}
	b.merges = make(map[uint64]merge, len(lines))
	joined := make([]byte, 0, 256)
	for rank, line := range lines {
		// A merge's left side may itself begin with a space in files that do not escape it.
		sp := -1
		if len(line) > 1 {
			sp = 1 + strings.IndexByte(line[1:], ' ')
		}
		if sp < 1 || sp == len(line)-1 || len(line) > 2*maxTokenBytes || !utf8.ValidString(line) {
			return nil, fmt.Errorf("tokenizer.ggml.merges[%d] is not two symbols with a space between: %.40q", rank, line)
		}
		left, right := line[:sp], line[sp+1:]
		key := pairKey(intern(left), intern(right))
		if _, dup := b.merges[key]; dup {
			continue // the first, stronger one stands
		}
		joined = append(append(joined[:0], left...), right...)
		id, ok := v.ids[string(joined)]
		if !ok {
			id = intern(string(joined))
		}
		b.merges[key] = merge{int32(rank), id}
	}
	return b, nil
}

// checkBytes refuses a vocabulary that cannot spell plain ASCII: its tokens are not byte-level at all. Bytes
// that no training text had may be missing, as in SmolLM's; they are encoded as the unknown token or dropped.
func (b *bpe) checkBytes() error {
	for c := '\n'; c <= '~'; c++ {
		if (c == '\n' || c >= ' ') && int(b.byteSymbol[c]) >= len(b.v.tokens) && b.v.unk < 0 {
			return fmt.Errorf("the vocabulary has no token for the byte %q (spelled %q); it is no byte-level BPE vocabulary", c, b.byteText[c])
		}
	}
	return nil
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

func (b *bpe) encode(dst []int32, text string, _ bool) []int32 {
	text = replaceInvalid(text)
	w := word{symbols: make([]symbol, 0, 64), key: make([]byte, 0, 64)}
	b.split(text, func(piece string) {
		dst = b.encodeWord(dst, piece, &w)
	})
	return dst
}

// replaceInvalid writes U+FFFD for every byte that is no UTF-8. (strings.ToValidUTF8 writes one for a run.)
func replaceInvalid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var s strings.Builder
	for _, r := range text {
		s.WriteRune(r)
	}
	return s.String()
}

// word is scratch space, reused from word to word.
type word struct {
	symbols []symbol
	work    queue
	key     []byte
}

// smallWord is the length up to which searching all pairs for the best beats keeping a heap.
const smallWord = 24

func (b *bpe) encodeWord(dst []int32, text string, w *word) []int32 {
	if b.ignoreMerges {
		w.key = w.key[:0]
		for i := 0; i < len(text); i++ {
			w.key = append(w.key, b.byteText[text[i]]...)
		}
		if id, ok := b.v.ids[string(w.key)]; ok {
			return append(dst, id)
		}
	}
	w.symbols = w.symbols[:0]
	for i := 0; i < len(text); i++ {
		w.symbols = append(w.symbols, symbol{prev: int32(i - 1), next: int32(i + 1), n: 1, id: b.byteSymbol[text[i]]})
	}
	w.symbols[len(text)-1].next = -1
	if len(text) <= smallWord {
		b.mergeSmall(w.symbols)
	} else {
		b.mergeLarge(w)
	}
	for i := int32(0); i >= 0; i = w.symbols[i].next {
		dst = b.appendSymbol(dst, w.symbols[i].id)
	}
	return dst
}

func (b *bpe) mergeSmall(symbols []symbol) {
	for {
		best, at := merge{rank: -1}, int32(-1)
		for i := int32(0); symbols[i].next >= 0; i = symbols[i].next {
			m, ok := b.merges[pairKey(symbols[i].id, symbols[symbols[i].next].id)]
			if ok && (at < 0 || m.rank < best.rank) {
				best, at = m, i
			}
		}
		if at < 0 {
			return
		}
		join(symbols, at)
		symbols[at].id = best.id
	}
}

func (b *bpe) mergeLarge(w *word) {
	symbols := w.symbols
	w.work.reset()
	add := func(left, right int32) {
		if left < 0 || right < 0 {
			return
		}
		if m, ok := b.merges[pairKey(symbols[left].id, symbols[right].id)]; ok {
			w.work.push(candidate{
				priority: -float32(m.rank), left: left, right: right,
				size: symbols[left].n + symbols[right].n, id: m.id,
			})
		}
	}
	for i := 1; i < len(symbols); i++ {
		add(int32(i-1), int32(i))
	}
	for c, ok := w.work.pop(); ok; c, ok = w.work.pop() {
		l, r := &symbols[c.left], &symbols[c.right]
		// Neighbours only grow, so an unchanged size means an unchanged pair.
		if l.n == 0 || r.n == 0 || l.n+r.n != c.size {
			continue
		}
		join(symbols, c.left)
		l.id = c.id
		add(l.prev, c.left)
		add(c.left, l.next)
	}
}

func (b *bpe) appendSymbol(dst []int32, id int32) []int32 {
	if int(id) < len(b.v.tokens) {
		return append(dst, id)
	}
	for _, r := range b.extra[int(id)-len(b.v.tokens)] {
		if tok, ok := b.v.ids[string(r)]; ok {
			dst = append(dst, tok)
		} else if b.v.unk >= 0 {
			dst = append(dst, b.v.unk)
		}
	}
	return dst
}
