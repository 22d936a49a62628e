package main

import (
	"fmt"
	"strings"
)

// sentences are what people write to an assistant at work; prompts are put together from them.
var sentences = []string{
	"Our warehouse ships orders on weekdays before noon, and the courier collects them at three.",
	"The customer says that the blue kettle arrived with a dented lid and asks what to do.",
	"Last month we sold fewer bicycles than in May, although the weather was good.",
	"The meeting about the new office moved to Thursday because two colleagues are on holiday.",
	"In the manual it says that the filter should be changed every six months.",
	"Several readers wrote that the article about tides was clear and well illustrated.",
	"The pump makes a noise when it starts, and it stops after about ten minutes.",
	"Please write a short and friendly answer that explains how returns work.",
	"We would like to know which of the two suppliers delivered on time more often.",
	"The garden needs little water in autumn, but the young trees should be watched.",
	"A visitor asked whether the museum is open on the first Monday of the month.",
	"The report compares three kinds of insulation by price, weight and durability.",
}

// prompt is a request's text of about size bytes; no two of a run are equal.
func prompt(i, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Note %d. ", i)
	for k := i; b.Len() < size; k++ {
		b.WriteString(sentences[(k*5)%len(sentences)])
		b.WriteByte(' ')
	}
	return b.String()[:size]
}
