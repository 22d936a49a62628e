package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// passage is a text of the corpus.
type passage struct {
	name, text string
}

// question asks for one passage. Kind is lexical (its words are the passage's) or paraphrased (other forms, other words,
// a slip of the pen).
type question struct {
	kind, text, answer string
}

// fact is something that is said of every machine: as a statement, asked in its own words, and asked in others. %s is
// the machine, %d a number.
type fact struct {
	statement, lexical, paraphrased string
}

var facts = []fact{
	{"The bearings of the %s are greased every %d operating hours with lithium grease.", "How often are the bearings of the %s greased?", "What is the greasing interval for %s bearing assemblies?"},
	{"Replace the air filter of the %s after %d days, or earlier in dusty surroundings.", "When do I replace the air filter of the %s?", "filter replacement schedule, %s, dust"},
	{"The warranty of the %s ends %d months after delivery and covers parts and labour.", "How long is the warranty of the %s?", "Is my %s still under guarantee, warranties for labour included?"},
	{"Installing the %s takes two trained fitters about %d minutes.", "How long does installing the %s take?", "installation time of %s for a trained fitter"},
	{"The noise level of the %s is %d decibels at a distance of one metre.", "What is the noise level of the %s?", "How noisy is the %s at one meter?"},
	{"When the pressure in the %s falls below %d millibar, the pump switches off by itself.", "At what pressure does the pump of the %s switch off?", "%s automatic pump switch-off, pressures too low"},
	{"The %s weighs %d kilograms without its stand and is lifted by the two rings on top.", "How many kilograms does the %s weigh?", "What is the weight of a %s and how do I lift it?"},
	{"The control panel of the %s shows fault code F%d when a door contact is open.", "Which fault code does the control panel of the %s show for an open door contact?", "%s door contacts fault codes on panel"},
	{"The %s may be stored for up to %d weeks in a dry room, with its battery taken out.", "How long may the %s be stored?", "storing %s, battery removal, storage duration"},
	{"Spare belts for the %s are ordered under number %d and shipped within a day.", "Under which number are spare belts for the %s ordered?", "order numbers of spare belt, %s"},
	{"The %s draws %d watts in standby and ten times that under full load.", "How many watts does the %s draw in standby?", "stand-by consumption of %s in watt"},
	{"Inspect the welds of the %s every %d cycles; cracks are reported to the safety officer.", "How often are the welds of the %s inspected?", "weld inspections for %s and reporting of cracks"},
	{"Calibration of the %s is valid for %d days and is done with the reference weight.", "How long is the calibration of the %s valid?", "When must the %s be recalibrated, calibrating validity?"},
	{"The cooling water of the %s must not exceed %d degrees at the inlet.", "How many degrees may the cooling water of the %s have at the inlet?", "maximum coolant water temperature at %s inlets"},
}

var fillers = []string{
	"Work on live parts is left to electricians.", "Wear gloves and eye protection.", "The figures hold for the standard version.",
	"Keep this sheet with the machine.", "Ask the service desk when in doubt.", "Other settings are found in the appendix.",
	"Disposal follows the rules of the place of use.", "The sheet was last revised in spring.", "Report damage to the carrier at once.",
	"Only original parts may be used.", "Clean the surface with a damp cloth.", "A second person must be present.",
}

const (
	machines   = 160
	perKind    = 150
	corpusSeed = 20260101
)

// makeCorpus makes the passages, one for every fact of every machine, and questions of both kinds.
func makeCorpus() (passages []passage, questions []question) {
	rng := rand.New(rand.NewPCG(corpusSeed, 7))
	names := machineNames(rng)
	for m, name := range names {
		for f, fact := range facts {
			var parts []string
			parts = append(parts, fmt.Sprintf(fact.statement, name, 10+rng.IntN(990)))
			for range 2 + rng.IntN(3) {
				parts = append(parts, fillers[rng.IntN(len(fillers))])
			}
			// What the passage is about does not always come first.
			rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			passages = append(passages, passage{fmt.Sprintf("m%03d-%02d", m, f), strings.Join(parts, " ")})
		}
	}
	order := rng.Perm(len(passages))
	for i := range 2 * perKind {
		at := order[i]
		m, f := at/len(facts), at%len(facts)
		q := question{kind: "lexical", answer: passages[at].name, text: fmt.Sprintf(facts[f].lexical, names[m])}
		if i >= perKind {
			q.kind, q.text = "paraphrased", fmt.Sprintf(facts[f].paraphrased, slip(rng, names[m]))
		}
		questions = append(questions, q)
	}
	return passages, questions
}

// machineNames makes names of which several share a word or a number, as a maker's do.
func machineNames(rng *rand.Rand) []string {
	syllables := strings.Fields("ka ro mel ter vin dor sal bre gon lu pex tar mi nor zel qua hem fir os dun")
	seen := map[string]bool{}
	var words []string
	for len(words) < machines/4 {
		w := syllables[rng.IntN(len(syllables))] + syllables[rng.IntN(len(syllables))] + syllables[rng.IntN(len(syllables))]
		if !seen[w] {
			seen[w] = true
			words = append(words, strings.ToUpper(w[:1])+w[1:])
		}
	}
	var out []string
	for _, w := range words {
		for range 4 {
			out = append(out, fmt.Sprintf("%s %d", w, 100*(1+rng.IntN(9))+len(out)%100))
		}
	}
	return out
}

// slip is a name as people write it in a hurry: half of the time with two letters exchanged, one left out, or one doubled.
func slip(rng *rand.Rand, name string) string {
	word, number, _ := strings.Cut(name, " ")
	i := 1 + rng.IntN(len(word)-2)
	switch rng.IntN(6) {
	case 0:
		word = word[:i] + word[i+1:i+2] + word[i:i+1] + word[i+2:]
	case 1:
		word = word[:i] + word[i+1:]
	case 2:
		word = word[:i] + word[i:i+1] + word[i:]
	}
	return word + " " + number
}
