package tokenizer

import (
	"fmt"
	"strings"
)

const escapedSpace = "\u2581" // ▁, SentencePiece's visible space

var spmDefaults = defaults{
	bos: 1, eos: 2, unk: 0,
	addBOS: true, addSpacePrefix: true,
	unescape: func(dst []byte, piece string) []byte {
		return append(dst, strings.ReplaceAll(piece, escapedSpace, " ")...)
	},
}

// spm merges neighbouring characters into the token with the highest score, again and again (SentencePiece's
// BPE model, Kudo and Richardson 2018). What is no token in the end is spelled in byte tokens.
type spm struct {
	v        *vocab
	longest  int // bytes of the longest token: no longer pair need be looked up
	byteToID [256]int32
}

func newSPM(v *vocab) (*spm, error) {
	if v.scores == nil {
		return nil, fmt.Errorf("tokenizer.ggml.scores is missing; a llama vocabulary cannot be used without it")
	}
	s := &spm{v: v}
	for _, t := range v.tokens {
		s.longest = max(s.longest, len(t))
	}
	for b := range s.byteToID {
		id, ok := v.ids[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id, ok = v.ids[string([]byte{byte(b)})]
		}
		if !ok {
			id = v.unk
		}
		if id < 0 {
			return nil, fmt.Errorf("the vocabulary has no byte token <0x%02X>, and no tokenizer.ggml.unknown_token_id to stand for it", b)
		}
		s.byteToID[b] = id
	}
	return s, nil
}

func (s *spm) encode(dst []int32, text string, first bool) []int32 {
	if first && s.v.addSpacePrefix {
		text = " " + text
	}
	text = strings.ReplaceAll(text, " ", escapedSpace)
	symbols := splitCharacters(text)
	var work queue
	add := func(left, right int32) {
		if left < 0 || right < 0 {
			return
		}
		at, n := symbols[left].at, symbols[left].n+symbols[right].n
		if int(n) > s.longest {
			return
		}
		if id, ok := s.v.ids[text[at:at+n]]; ok {
			work.push(candidate{priority: s.v.scores[id], left: left, right: right, size: n})
		}
	}
	for i := 1; i < len(symbols); i++ {
		add(int32(i-1), int32(i))
	}
	for c, ok := work.pop(); ok; c, ok = work.pop() {
		l, r := &symbols[c.left], &symbols[c.right]
		if l.n == 0 || r.n == 0 || l.n+r.n != c.size {
			continue
		}
		join(symbols, c.left)
		add(l.prev, c.left)
		add(c.left, l.next)
	}
	for i := int32(0); i >= 0 && len(symbols) > 0; i = symbols[i].next {
		sym := text[symbols[i].at : symbols[i].at+symbols[i].n]
		if id, ok := s.v.ids[sym]; ok {
			dst = append(dst, id)
			continue
		}
		for j := 0; j < len(sym); j++ {
			dst = append(dst, s.byteToID[sym[j]])
		}
	}
	return dst
}

// splitCharacters makes a symbol of each character, taking a character's length from its first byte alone:
// so do SentencePiece and llama.cpp, also where the bytes are no UTF-8.
func splitCharacters(text string) []symbol {
	symbols := make([]symbol, 0, len(text))
	for at := 0; at < len(text); {
		n := 1
		switch c := text[at]; {
		case c >= 0xF0:
			n = 4
		case c >= 0xE0:
			n = 3
		case c >= 0xC0:
			n = 2
		}
		n = min(n, len(text)-at)
		i := int32(len(symbols))
		symbols = append(symbols, symbol{prev: i - 1, next: i + 1, at: int32(at), n: int32(n)})
		at += n
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	return symbols
}
