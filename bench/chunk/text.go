package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// makeText makes a text of size bytes, nearly: Markdown with headings, paragraphs of sentences of common lengths, lists,
// and now and then a word with accents, as manuals have them.
func makeText(size int) string {
	rng := rand.New(rand.NewPCG(20260101, 3))
	syllables := strings.Fields("al an ar ba be bo ca ce co da de di do e en er es fa fe ga ge go ha he hi i in ing is it ka la le li lo ma me mi mo na ne no o on or pa pe po ra re ri ro sa se si so ta te ti to u un ur va ve vi wa we wi za ü é")
	words := make([]string, 5000)
	for i := range words {
		for range 1 + rng.IntN(4) {
			words[i] += syllables[rng.IntN(len(syllables))]
		}
	}
	var b strings.Builder
	b.Grow(size + 1024)
	sentence := func() {
		n := 5 + rng.IntN(18)
		for i := range n {
			w := words[rng.IntN(len(words))]
			if i == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			}
			b.WriteString(w)
			if i < n-1 {
				if rng.IntN(12) == 0 {
					b.WriteByte(',')
				}
				b.WriteByte(' ')
			}
		}
		b.WriteString(". ")
	}
	for n := 0; b.Len() < size; n++ {
		if n%8 == 0 {
			fmt.Fprintf(&b, "%s %s %d\n\n", strings.Repeat("#", 1+rng.IntN(3)), words[rng.IntN(len(words))], n)
		}
		if n%11 == 0 {
			for range 3 + rng.IntN(5) {
				b.WriteString("- ")
				sentence()
				b.WriteByte('\n')
			}
		} else {
			for range 2 + rng.IntN(6) {
				sentence()
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	return b.String()
}
