// Package sets makes the labelled texts that the guards are measured on. Every set is a function of a split's name: the
// templates and values of Heldout are other ones than those of Tune, and were fixed before any rule was tuned. Nothing
// here is copied from a public data set; keys and numbers are random and belong to nobody.
//
// Start reading at [Case].
package sets

import (
	"math/rand/v2"
	"strings"
)

// Split names a part of a set.
type Split uint64

// The splits. Rules and weights are made from Tune only.
const (
	Tune    Split = 1
	Heldout Split = 2
)

// Label is a range of a text that is something.
type Label struct {
	Start  int    `json:"start"`
	End    int    `json:"end"`
	Entity string `json:"entity"`
}

// Case is a text with everything that is to be found in it.
type Case struct {
	Text   string  `json:"text"`
	Class  string  `json:"class,omitempty"` // of a whole text: direct, indirect, benign ...
	Stage  string  `json:"stage,omitempty"`
	Labels []Label `json:"labels,omitempty"`
}

type gen struct{ *rand.Rand }

func newGen(s Split, salt uint64) gen { return gen{rand.New(rand.NewPCG(uint64(s)*7919, salt))} }

func (g gen) pick(list []string) string { return list[g.IntN(len(list))] }

func (g gen) chars(set string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(set[g.IntN(len(set))])
	}
	return b.String()
}

// half returns the part of a list that belongs to a split: no template is in both.
func half(s Split, list []string) (out []string) {
	for i, t := range list {
		if i%2 == int(s-1) {
			out = append(out, t)
		}
	}
	return out
}

// fill replaces each {ENTITY} of a template by make's value and labels it. Values of entities in lower case are filler
// and not labelled.
func fill(template string, value func(name string) string) Case {
	var c Case
	var b strings.Builder
	for {
		i := strings.IndexByte(template, '\x01')
		if i < 0 {
			b.WriteString(template)
			break
		}
		j := i + 1 + strings.IndexByte(template[i+1:], '\x01')
		b.WriteString(template[:i])
		name := template[i+1 : j]
		v := value(name)
		if strings.ToUpper(name) == name {
			c.Labels = append(c.Labels, Label{b.Len(), b.Len() + len(v), name})
		}
		b.WriteString(v)
		template = template[j+1:]
	}
	c.Text = b.String()
	return c
}

// marks turns the readable {{NAME}} of a template into fill's form.
func marks(t string) string {
	return strings.NewReplacer("{{", "\x01", "}}", "\x01").Replace(t)
}
