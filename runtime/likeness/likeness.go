// Package likeness says whether two questions ask the same thing, beyond what the cosine of their embeddings tells:
// "flights to Rome on 3 May" and "flights to Pisa on 4 May" lie close together for any embedding and want different
// answers. Numbers, negations, opposites, names and language must agree, and the words in which the questions differ must
// have a counterpart on the other side.
//
// It knows nothing of caches and models. Start reading at [Read] and [Question.Differs].
package likeness

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/terms"
)

// Question is what is compared of a text.
type Question struct {
	numbers  []string          // sorted
	negated  int               // number of negations
	words    []word            // that carry content, in order, without repetitions
	turns    []string          // common words that turn the sense: before, on, most
	targets  []string          // places, units and languages behind "to"
	bound    map[string]string // what is counted, by its number
	asks     string            // who, when, why; empty: not said, or how
	all      map[string]bool
	dressed  []word   // words, and those that questions are dressed with
	order    []string // all words, as far as frames are compared
	origin   string   // what stands behind "from"
	goal     string   // what stands behind the last "to"
	names    []string // folded
	related  []relation
	named    []namedAt
	language string // of the texts that are told apart; empty: not sure
}

type word struct{ text, stem string }

// Read takes a text apart.
func Read(text string) *Question {
	text = strings.ReplaceAll(text, "%", " percent ")
	q := &Question{all: map[string]bool{}, bound: map[string]string{}, language: languageOf(text)}
	seen := map[string]bool{}
	first := true // in its sentence
	before := ""
	end := 0
	terms.Scan(text, func(t *terms.Term) bool {
		raw := text[t.Start:t.End]
		if t.Start > end && strings.ContainsAny(text[end:t.Start], ".!?:\n") {
			first = true
		}
		w, stem := string(t.Word), string(t.Stem)
		if c := canonical[w]; c != "" {
			w, stem = c, c
		}
		q.all[w], q.all[stem] = true, true
		if len(q.order) < maxOrder {
			q.order = append(q.order, w)
		}
		if q.origin == "" && !t.Common && (before == "from" || before == "the" && len(q.order) > 2 && q.order[len(q.order)-3] == "from") {
			q.origin = w
		}
		if (before == "to" || before == "the" && len(q.order) > 2 && q.order[len(q.order)-3] == "to") && !t.Common {
			q.goal = w
		}
		if !t.Common && len(q.dressed) < maxOrder {
			q.dressed = append(q.dressed, word{w, stem})
		}
		q.ask(w, before)
		if closed[w] != "" {
			if before == "to" || before == "into" {
				q.targets = append(q.targets, w)
			}
			if n := len(q.numbers); n > 0 && q.bound[q.numbers[n-1]] == "" && (isNumber(before) || numberWords[before] != "") {
				q.bound[q.numbers[n-1]] = w
			}
		}
		if w == "from" && (q.all["stop"] || q.all["keep"] || q.all["prevent"]) && !q.all["avoid"] {
			q.negated++
		}
		if n := len(q.numbers); (w == "am" || w == "pm") && n > 0 && isNumber(before) {
			q.numbers[n-1] += w
		}
		switch {
		case negations[w]:
			q.negated++
		case isNumber(w) || numberWords[w] != "":
			q.number(text, t.Start, t.End, w, before)
		case telling[w]:
			q.turns = append(q.turns, w)
			if strong[w] && !seen[stem] {
				seen[stem] = true
				q.words = append(q.words, word{w, stem})
			}
		case t.Common && !(allUpper(raw) && utf8.RuneCountInString(raw) > 1):
		case filler[w] || filler[stem]:
		default:
			if isName(raw, first || q.language == "de", w) { // German nouns have capitals
				q.names = append(q.names, w)
			}
			if !seen[stem] {
				seen[stem] = true
				q.words = append(q.words, word{w, stem})
			}
		}
		first, before, end = false, w, t.End
		return true
	})
	slices.Sort(q.numbers)
	q.particles()
	q.relations()
	if q.asks == "" && slices.ContainsFunc(q.order, func(w string) bool { return priceWords[w] }) {
		q.asks = "price"
	}
	return q
}

// particles puts "turn ... off" and its like in one word: what they mean stands in the second part.
func (q *Question) particles() {
	for i, w := range q.order {
		if !switching[w] {
			continue
		}
		for _, p := range q.order[i+1 : min(i+6, len(q.order))] {
			verb := map[string]string{"on": "enable", "off": "disable"}[p]
			if verb == "" {
				continue
			}
			for _, list := range [][]word{q.words, q.dressed} {
				for k := range list {
					if list[k].text == w {
						list[k] = word{verb, verb}
					}
				}
			}
			q.all[verb] = true
			break
		}
	}
}

// relation is two words with one between that says which is which: A to B, A than B.
type relation struct{ left, by, right string }

// relating are the words between.
var relating = set(`to into from than over before after against under above below nach als vor vers que`)

// relations finds what stands on either side of relating words, and the order of names.
func (q *Question) relations() {
	plain := func(w string) bool { return !telling[w] && !relating[w] && !articles[w] }
	for i, w := range q.order {
		if !relating[w] || i == 0 || i == len(q.order)-1 {
			continue
		}
		left, right := "", ""
		for j := i - 1; j >= max(i-3, 0) && left == ""; j-- {
			if plain(q.order[j]) {
				left = q.order[j]
			}
		}
		for j := i + 1; j < min(i+4, len(q.order)) && right == ""; j++ {
			if plain(q.order[j]) {
				right = q.order[j]
			}
		}
		if left != "" && right != "" {
			q.related = append(q.related, relation{left, w, right})
		}
	}
	for i, w := range q.order {
		if slices.Contains(q.names, w) || closed[w] != "" {
			joined := i > 1 && joining[q.order[i-1]]
			q.named = append(q.named, namedAt{w, joined})
		}
	}
}

// namedAt is a name in its place, and whether a joining word stands before it: in "A and B" the order says nothing.
type namedAt struct {
	name   string
	joined bool
}

var (
	articles   = set(`the a an my your our his her their its this that der die das ein eine le la les un une el los las`)
	joining    = set(`and or vs versus und oder et ou y o`)
	switching  = set(`turn turned turning turns switch switched switching power powered shut`)
	priceWords = set(`price prices cost costs expensive fee fees kostet kosten preis coute coutent prix cuesta cuestan precio costa prezzo`)
)

// turned says that o has two of q's words the other way round about the same word between, or two names in another order
// where the order can matter.
func (q *Question) turned(o *Question) bool {
	for _, r := range q.related {
		for _, s := range o.related {
			if r.by == s.by && r.left == s.right && r.right == s.left {
				return true
			}
		}
	}
	for i, a := range q.named {
		for _, b := range q.named[i+1:] {
			if a.name == b.name || b.joined {
				continue
			}
			x := slices.IndexFunc(o.named, func(n namedAt) bool { return n.name == a.name })
			y := slices.IndexFunc(o.named, func(n namedAt) bool { return n.name == b.name })
			if x >= 0 && y >= 0 && y < x && !o.named[x].joined && sameKind(a.name, b.name) {
				return true
			}
		}
	}
	return false
}

// sameKind says whether two names could stand in each other's place.
func sameKind(a, b string) bool {
	x, y := closed[a], closed[b]
	who := map[string]bool{"person": true, "place": true}
	return x == y || x == "" && who[y] || y == "" && who[x]
}

// number enters a number in one form: "1,000", "1000" and "one thousand" each as far as one word goes.
func (q *Question) number(text string, start, end int, w, before string) {
	if n := numberWords[w]; n != "" {
		if w == "one" && before != "" && !telling[before] { // "which one", "this one"
			return
		}
		w = n
	}
	// A decimal or a group of digits belongs to what stands before it.
	if n := len(q.numbers); n > 0 && start > 1 && end <= len(text) {
		c := text[start-1]
		if (c == '.' || c == ',' || c == ':' || c == '/') && start >= 2 && text[start-2] >= '0' && text[start-2] <= '9' {
			glue := string(c)
			if c == ',' && len(w) == 3 {
				glue = ""
			}
			q.numbers[n-1] += glue + w
			return
		}
	}
	if start > 0 && text[start-1] == '-' && (start == 1 || text[start-2] == ' ') {
		w = "-" + w
	}
	q.numbers = append(q.numbers, w)
}

// ask notes what is asked for, where the first question word says so.
func (q *Question) ask(w, before string) {
	kind := questionWords[w]
	switch before {
	case "how", "what", "which":
		if k := howWords[w]; k != "" {
			kind = k
		}
	case "many": // units, in the form that they are read as
		switch w {
		case "kilometre", "mile", "metre":
			kind = "distance"
		case "minute", "hour":
			kind = "duration"
		}
	case "wie":
		kind = map[string]string{"lange": "duration", "alt": "age", "weit": "distance", "oft": "frequency", "schwer": "weight"}[w]
	case "de", "cuanto":
		if (w == "temps" || w == "tiempo" || w == "tarda") && (q.all["combien"] || q.all["cuanto"]) {
			kind = "duration"
		}
	}
	if k := howWords[w]; k != "" && before == "the" && measures[w] {
		kind = k
	}
	if kind != "" && q.asks == "" {
		q.asks = kind
	}
}

// measures are nouns that say what is asked for.
var measures = set(`distance height weight age`)

func isNumber(w string) bool { return w[0] >= '0' && w[0] <= '9' }

func allUpper(s string) bool { return strings.ToUpper(s) == s && strings.ToLower(s) != s }

// isName says whether a word is written as a name: a capital inside its sentence, several capitals, or a capital at the
// start on a word that sentences do not usually start with.
func isName(raw string, first bool, w string) bool {
	r, n := utf8.DecodeRuneInString(raw)
	if !unicode.IsUpper(r) {
		return strings.ContainsFunc(raw, unicode.IsUpper) || closed[w] != "" && properClass[closed[w]]
	}
	if strings.ContainsFunc(raw[n:], unicode.IsUpper) || strings.ContainsAny(raw, "0123456789") {
		return true
	}
	return !first
}

// Differs says in what two questions cannot mean the same; empty if in nothing that can be told.
func (q *Question) Differs(o *Question) string {
	switch {
	case !slices.Equal(q.numbers, o.numbers):
		return "numbers"
	case q.negated%2 != o.negated%2:
		return "negation"
	case q.language != "" && o.language != "" && q.language != o.language:
		return "language"
	}
	if q.namesMissing(o) || o.namesMissing(q) {
		return "names"
	}
	if q.asks != "" && o.asks != "" && q.asks != o.asks {
		return "question"
	}
	if len(q.targets) > 0 && len(o.targets) > 0 && !slices.ContainsFunc(q.targets, func(t string) bool { return slices.Contains(o.targets, t) }) {
		return "direction"
	}
	if q.origin != "" && q.origin == o.goal && q.origin != o.origin || q.turned(o) {
		return "direction"
	}
	for n, of := range q.bound {
		if other := o.bound[n]; other != "" && other != of && closed[other] == closed[of] && !sameMember(of, other) {
			return "numbers"
		}
	}
	for _, w := range q.turns {
		for _, v := range opposites[w] {
			if !o.all[w] && o.all[v] && !q.all[v] {
				return "opposites"
			}
		}
	}
	for _, w := range q.missing(o) {
		for _, v := range o.missing(q) {
			if closed[w.text] != "" && closed[w.text] == closed[v.text] && !sameMember(w.text, v.text) {
				return "names"
			}
		}
		for _, v := range o.words {
			if opposite(w, v) && !q.has(v) {
				return "opposites"
			}
		}
	}
	return ""
}

// namesMissing says whether a name of q stands nowhere in o.
func (q *Question) namesMissing(o *Question) bool {
	for _, n := range q.names {
		if o.all[n] || o.all[alias[n]] {
			continue
		}
		if slices.ContainsFunc(o.words, func(w word) bool {
			return alias[w.text] != "" && alias[w.text] == n || sameMember(n, w.text) || misspelt(n, w.text)
		}) {
			continue
		}
		if len(o.names) == 0 && closed[n] == "" && !strings.ContainsFunc(n, unicode.IsDigit) && synonym(n, o) {
			continue // written with a capital for no reason, as German nouns are
		}
		return true
	}
	return false
}

func synonym(w string, o *Question) bool {
	return slices.ContainsFunc(o.words, func(v word) bool { return sameGroup(w, v.text) })
}

// has says whether a word stands in the question, in any form.
func (q *Question) has(w word) bool { return q.all[w.text] || q.all[w.stem] }

// missing are the words of q that o has in no form.
func (q *Question) missing(o *Question) []word {
	var out []word
	for _, w := range q.words {
		if !o.has(w) && !slices.ContainsFunc(o.words, func(v word) bool {
			return sameGroup(w.text, v.text) || sameGroup(w.stem, v.stem) || misspelt(w.text, v.text)
		}) {
			out = append(out, w)
		}
	}
	return out
}

// swap is how close the one word is that stands in the place of another, 1 where more or fewer words differ. Words that questions
// are dressed with count here: "mute calls" is not "mute notifications".
func (q *Question) swap(o *Question, near func(a, b string) float64) float64 {
	for _, lists := range [][2][]word{{q.undressed(o), o.undressed(q)}, {q.missing(o), o.missing(q)}} {
		if a, b := lists[0], lists[1]; len(a) == 1 && len(b) == 1 {
			return near(a[0].text, b[0].text)
		}
	}
	return 1
}

// undressed are the words of q, with those that questions are dressed with, that o has in no form.
func (q *Question) undressed(o *Question) []word {
	var out []word
	for _, w := range q.dressed {
		if !o.has(w) && !slices.ContainsFunc(o.words, func(v word) bool { return sameGroup(w.text, v.text) || misspelt(w.text, v.text) }) {
			out = append(out, w)
		}
	}
	return out
}

// maxOrder bounds the words of which a frame is made.
const maxOrder = 64

// placed says whether one of two questions has a word of place, time or rank that the other lacks: those that are put in other words
// may have it, but not for sure.
func (q *Question) placed(o *Question) bool {
	return slices.ContainsFunc(q.turns, func(w string) bool { return placing[w] && !o.all[w] })
}

// placing are words that hardly any paraphrase brings in or leaves out.
var placing = set(`before after outside inside until since against first last least upstairs downstairs`)

// frame is how much of the longer question stands in the other one in the same order, from 0 to 1. Questions that are one but for
// a few words were written to be the same or to be different; those with other frames were written by different people.
func (q *Question) frame(o *Question) float64 {
	a, b := q.order, o.order
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	var rows [2][maxOrder + 1]int
	for i := range a {
		last, next := &rows[i%2], &rows[(i+1)%2]
		for j := range b {
			if a[i] == b[j] {
				next[j+1] = last[j] + 1
			} else {
				next[j+1] = max(next[j], last[j+1])
			}
		}
	}
	return float64(rows[len(a)%2][len(b)]) / float64(max(len(a), len(b)))
}

// Alignment is how much of what the questions say has a counterpart on the other side, from 0 to 1. near, if not nil, tells
// how close two words are in meaning, from -1 to 1; without it only words that are written alike count.
func (q *Question) Alignment(o *Question, near func(a, b string) float64) float64 {
	total := len(q.words) + len(o.words)
	if total == 0 {
		return 1
	}
	return 1 - (q.unmatched(o, near)+o.unmatched(q, near))/float64(total)
}

func (q *Question) unmatched(o *Question, near func(a, b string) float64) float64 {
	sum := 0.0
	for _, w := range q.missing(o) {
		best := 0.0
		if near != nil && !strong[w.text] {
			for _, v := range o.words {
				best = max(best, near(w.text, v.text))
			}
		}
		sum += 1 - min(best, 1)
	}
	return sum
}

// misspelt says whether two long words are one edit apart.
func misspelt(a, b string) bool {
	if len(a) < 6 || len(b) < 6 || closed[a] != "" || closed[b] != "" {
		return false
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || a[0] != b[0] {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return a[min(i+1, len(a)):] == b[min(i+1, len(b)):] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return a[i:] == b[i+1:]
}
