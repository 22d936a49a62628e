package groundingguard

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// word is a word of a text: its stem, and what kind it is.
type word struct {
	stem       string
	start, end int
	number     float64
	isNumber   bool
	name       bool // a capital letter inside a sentence
	stop       bool
	negation   bool
	polarity   int8 // of words that have an opposite: 1 and -1
	pair       int8 // which opposites
}

// sentence is a range of words.
type sentence struct {
	words      []word
	start, end int
	negations  int
}

// Check compares each claim of an answer with the passages. Time is the product of their lengths in sentences.
func Check(passages []string, answer string) Report {
	var facts []sentence
	var from []int
	for i, p := range passages {
		for _, s := range sentences(p) {
			facts = append(facts, s)
			from = append(from, i+1)
		}
	}
	r := Report{Score: 1}
	sum := 0.0
	for _, c := range sentences(answer) {
		cited, bad := citations(answer[c.start:c.end], len(passages))
		claim := judge(&c, facts, from, cited)
		if claim.Status == "" {
			continue // nothing is claimed
		}
		if bad {
			claim.Status, claim.Score, claim.Rule = Unsupported, 0, "citation"
		}
		r.Claims = append(r.Claims, claim)
		sum += claim.Score
	}
	if len(r.Claims) > 0 {
		r.Score = sum / float64(len(r.Claims))
	}
	return r
}

// citations reads [1] and [2, 3]; bad says that one names no passage.
func citations(s string, n int) (cited []int, bad bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '[' {
			continue
		}
		j, v, any := i+1, 0, false
		for j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == ',' || s[j] == ' ') {
			if s[j] >= '0' && s[j] <= '9' {
				v, any = min(v*10+int(s[j]-'0'), 1<<20), true
			} else if any {
				cited, v, any = append(cited, v), 0, false
			}
			j++
		}
		if j < len(s) && s[j] == ']' && any {
			cited = append(cited, v)
		}
		i = j - 1
		if i < 0 {
			break
		}
		if j == i+1 && j < len(s) && s[j] != '[' {
			i = j
		}
	}
	for _, c := range cited {
		bad = bad || c < 1 || c > n
	}
	return cited, bad
}

// judge holds one claim against the facts.
func judge(c *sentence, facts []sentence, from []int, cited []int) Claim {
	claim := Claim{Start: c.start, End: c.end}
	content := 0
	for i := range c.words {
		if !c.words[i].stop {
			content++
		}
	}
	if content == 0 {
		return Claim{}
	}
	claim.Status, claim.Rule = Unsupported, "words"
	best, second := -1, -1
	bestShare, secondShare := 0.0, 0.0
	for i := range facts {
		if len(cited) > 0 && !has(cited, from[i]) {
			continue
		}
		share := overlap(c, &facts[i])
		if share > bestShare {
			second, secondShare = best, bestShare
			best, bestShare = i, share
		} else if share > secondShare {
			second, secondShare = i, share
		}
	}
	if best < 0 {
		return claim
	}
	claim.Passage = from[best]
	// A claim may draw on two sentences.
	both := facts[best]
	if second >= 0 && bestShare < 0.9 && secondShare > 0.25 && from[second] == from[best] {
		both.words = append(append([]word(nil), facts[best].words...), facts[second].words...)
		bestShare = overlap(c, &both)
	}
	claim.Score = bestShare
	missing, other := numbers(c, &both)
	switch {
	case missing && other && bestShare >= 0.45:
		claim.Status, claim.Rule, claim.Score = Contradicted, "number", 0
		return claim
	case missing:
		claim.Status, claim.Rule, claim.Score = Unsupported, "number", min(bestShare, 0.4)
		return claim
	}
	if bestShare >= 0.5 {
		flipped := opposite(c, &facts[best])
		if (c.negations%2 != facts[best].negations%2) != flipped {
			claim.Status, claim.Rule, claim.Score = Contradicted, "negation", 0
			return claim
		}
	}
	if name, swapped := names(c, &both, facts); name {
		if swapped && bestShare >= 0.5 {
			claim.Status, claim.Rule, claim.Score = Contradicted, "name", 0
		} else {
			claim.Status, claim.Rule, claim.Score = Unsupported, "name", min(bestShare, 0.4)
		}
		return claim
	}
	if bestShare >= 0.62 {
		claim.Status, claim.Rule = Supported, ""
		claim.Score = min(1, bestShare+0.3)
	}
	return claim
}

// overlap is the share of a claim's telling words that a fact has too; longer words tell more.
func overlap(c, f *sentence) float64 {
	total, shared := 0.0, 0.0
	for i := range c.words {
		w := &c.words[i]
		if w.stop || w.negation {
			continue
		}
		weight := 1.0
		if len(w.stem) > 5 || w.name || w.isNumber {
			weight = 1.4
		}
		total += weight
		for k := range f.words {
			if same(w, &f.words[k]) {
				shared += weight
				break
			}
		}
	}
	if total == 0 {
		return 0
	}
	return shared / total
}

func same(a, b *word) bool {
	if a.isNumber || b.isNumber {
		return a.isNumber && b.isNumber && near(a.number, b.number)
	}
	if a.stem == b.stem || a.pair != 0 && a.pair == b.pair {
		return true
	}
	// Forms of one word share their beginning.
	n := min(len(a.stem), len(b.stem))
	return n >= 5 && max(len(a.stem), len(b.stem))-n <= 3 && a.stem[:n-1] == b.stem[:n-1] || synonym(a.stem) != 0 && synonym(a.stem) == synonym(b.stem)
}

func near(a, b float64) bool {
	d := a - b
	if d < 0 {
		d = -d
	}
	return d <= 1e-9*max(a, b, 1)
}

// numbers says whether a number of the claim is missing from the fact, and whether the fact has another in its place.
func numbers(c, f *sentence) (missing, other bool) {
	for i := range c.words {
		w := &c.words[i]
		if !w.isNumber {
			continue
		}
		found := false
		any := false
		for k := range f.words {
			if f.words[k].isNumber {
				any = true
				found = found || near(w.number, f.words[k].number)
			}
		}
		if !found {
			missing = true
			other = other || any
		}
	}
	return
}

// opposite says whether an odd number of the claim's words stand against their opposites.
func opposite(c, f *sentence) bool {
	flips := 0
	for i := range c.words {
		if c.words[i].pair == 0 {
			continue
		}
		for k := range f.words {
			if f.words[k].pair == c.words[i].pair {
				if f.words[k].polarity != c.words[i].polarity {
					flips++
				}
				break
			}
		}
	}
	return flips%2 == 1
}

// names says whether a name of the claim is missing from the best fact, and whether the fact has another.
func names(c, f *sentence, facts []sentence) (missing, swapped bool) {
	for i := range c.words {
		w := &c.words[i]
		if !w.name || w.isNumber {
			continue
		}
		found, other := false, false
		for k := range f.words {
			found = found || same(w, &f.words[k])
			if f.words[k].name && !f.words[k].isNumber {
				also := false
				for m := range c.words {
					also = also || same(&c.words[m], &f.words[k])
				}
				other = other || !also
			}
		}
		if found {
			continue
		}
		elsewhere := false
		for k := range facts {
			for m := range facts[k].words {
				elsewhere = elsewhere || same(w, &facts[k].words[m])
			}
		}
		if !elsewhere || other {
			missing = true
			swapped = swapped || other
		}
	}
	return
}

func has(list []int, v int) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// sentences cuts a text at full stops, question and exclamation marks and line ends, and reads the words.
func sentences(text string) (out []sentence) {
	start := 0
	flush := func(end int) {
		s := read(text, start, end)
		if len(s.words) > 0 {
			out = append(out, s)
		}
		start = end
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\n':
			flush(i)
			start = i + 1
		case c == '.' || c == '!' || c == '?':
			if i+1 < len(text) && text[i+1] != ' ' && text[i+1] != '\n' && text[i+1] != '"' && text[i+1] != ')' {
				continue
			}
			if c == '.' && abbreviation(text, i) {
				continue
			}
			// a citation after the stop belongs to the sentence before it
			end := i + 1
			if end+1 < len(text) && text[end] == ' ' && text[end+1] == '[' {
				for end < len(text) && text[end] != ']' && end-i < 12 {
					end++
				}
				end = min(end+1, len(text))
			}
			flush(end)
			i = end - 1
		}
	}
	flush(len(text))
	return out
}

func abbreviation(text string, i int) bool {
	j := i
	for j > 0 && text[j-1] != ' ' && i-j < 6 {
		j--
	}
	switch text[j:i] {
	case "Dr", "Mr", "Mrs", "Ms", "St", "No", "approx", "e.g", "i.e", "vs", "Inc", "Ltd", "Prof", "U.S":
		return true
	}
	return i-j == 1 && text[j] >= 'A' && text[j] <= 'Z'
}

// read reads the words of a sentence.
func read(text string, start, end int) sentence {
	s := sentence{start: start, end: end}
	for s.start < end && text[s.start] <= ' ' {
		s.start++
	}
	i := start
	for i < end {
		r, n := utf8.DecodeRuneInString(text[i:end])
		if r == '[' { // citations are no words
			j := i + 1
			for j < end && (text[j] >= '0' && text[j] <= '9' || text[j] == ',' || text[j] == ' ') {
				j++
			}
			if j < end && text[j] == ']' && j > i+1 {
				i = j + 1
				continue
			}
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			i += n
			continue
		}
		j := i
		digit := r >= '0' && r <= '9'
		for j < end {
			r, n := utf8.DecodeRuneInString(text[j:end])
			if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’' || digit && (r == '.' || r == ',') && j+1 < end && text[j+1] >= '0' && text[j+1] <= '9' {
				if digit && unicode.IsLetter(r) {
					break // 5kg
				}
				j += n
				continue
			}
			break
		}
		w := word{start: i, end: j, name: unicode.IsUpper(r) && len(s.words) > 0}
		raw := lower(text[i:j])
		w.number, w.isNumber = number(raw)
		w.negation = isNegation(raw)
		if w.negation {
			s.negations++
		}
		w.stop = w.negation || stopWords[raw]
		w.stem = stem(raw)
		w.pair, w.polarity = polarity(w.stem, raw)
		if w.stop {
			w.name = false
		}
		if w.isNumber && len(s.words) > 0 { // 3 million
			if f := scale(lower(next(text, j, end))); f > 1 {
				w.number *= f
			}
		}
		if scale(raw) > 1 {
			w.stop = true
		}
		if len(s.words) == 0 && w.isNumber {
			if f := scale(lower(next(text, j, end))); f > 1 {
				w.number *= f
			}
		}
		s.words = append(s.words, w)
		i = j
	}
	return s
}

func next(text string, i, end int) string {
	for i < end && text[i] == ' ' {
		i++
	}
	j := i
	for j < end && (text[j]|0x20 >= 'a' && text[j]|0x20 <= 'z') {
		j++
	}
	return text[i:j]
}

func scale(w string) float64 {
	switch w {
	case "hundred":
		return 100
	case "thousand":
		return 1e3
	case "million", "mio":
		return 1e6
	case "billion":
		return 1e9
	case "trillion":
		return 1e12
	}
	return 1
}

func lower(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r == '’' {
			r = '\''
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	return string(b)
}

var numberWords = map[string]float64{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
	"thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
	"half": 0.5, "twice": 2, "dozen": 12}

// number reads 1,234.5 and number words. Commas before three digits part thousands.
func number(w string) (float64, bool) {
	if v, ok := numberWords[w]; ok && w != "one" {
		return v, true
	}
	if w == "" || w[0] < '0' || w[0] > '9' {
		return 0, false
	}
	b := make([]byte, 0, len(w))
	for i := range len(w) {
		switch c := w[i]; {
		case c >= '0' && c <= '9' || c == '.':
			b = append(b, c)
		case c == ',':
			if len(w)-i != 4 && !(len(w)-i > 4 && (len(w)-i)%4 == 0) {
				b = append(b, '.')
			}
		default:
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

func isNegation(w string) bool {
	switch w {
	case "not", "no", "never", "none", "cannot", "without", "neither", "nor", "nobody", "nothing", "nicht", "kein", "keine", "nie", "ne", "pas", "jamais", "non", "nunca", "niet", "geen", "não", "не":
		return true
	}
	return len(w) > 3 && w[len(w)-3:] == "n't"
}

var stopWords = func() map[string]bool {
	m := map[string]bool{}
	start := 0
	const list = "the a an of to in on at by for with from as is are was were be been being it its this that these those and or but if then than so such which who whom whose what when where how why there here he she they them his her their our we you your i my me us do does did has have had can could will would shall should may might must also very just about into over under after before between during through per each any some all both more most other only own same too up down out off again further once because while until although however according based provided context document passage says states der die das ein eine und oder ist sind war im in den von zu mit auf für le la les un une des et est dans pour par sur el los las una y es en de del por con para il lo gli e di che "
	for i := range len(list) {
		if list[i] == ' ' {
			if i > start {
				m[list[start:i]] = true
			}
			start = i + 1
		}
	}
	return m
}()

// stem cuts the endings of English words, roughly.
func stem(w string) string {
	if len(w) > 2 && w[len(w)-2:] == "'s" {
		w = w[:len(w)-2]
	}
	for _, e := range [...]string{"ations", "ation", "ings", "ing", "edly", "ies", "ied", "ers", "ed", "es", "er", "ly", "s"} {
		if n := len(w) - len(e); n >= 3 && w[n:] == e {
			w = w[:n]
			break
		}
	}
	if n := len(w); n > 3 && (w[n-1] == 'e' || w[n-1] == 'y' || w[n-1] == 'i') {
		w = w[:n-1]
	}
	if n := len(w); n > 3 && w[n-1] == w[n-2] {
		w = w[:n-1]
	}
	return w
}

// opposites are pairs of words; a claim with the one contradicts a fact with the other.
var opposites = func() map[string]int8 {
	m := map[string]int8{}
	for i, p := range [...][2]string{{"increase", "decrease"}, {"increased", "declined"}, {"rose", "fell"}, {"rise", "fall"}, {"rising", "falling"}, {"grew", "shrank"}, {"higher", "lower"}, {"more", "fewer"}, {"more", "less"}, {"above", "below"}, {"before", "after"},
		{"first", "last"}, {"largest", "smallest"}, {"open", "closed"}, {"opens", "closes"}, {"allowed", "forbidden"}, {"allow", "forbid"}, {"permitted", "prohibited"}, {"allowed", "prohibited"}, {"accept", "reject"}, {"accepted", "rejected"}, {"approved", "rejected"}, {"approve", "deny"}, {"win", "lose"}, {"won", "lost"},
		{"true", "false"}, {"always", "never"}, {"possible", "impossible"}, {"safe", "dangerous"}, {"safe", "unsafe"}, {"legal", "illegal"}, {"free", "paid"}, {"success", "failure"}, {"succeeded", "failed"}, {"passed", "failed"}, {"start", "end"}, {"starts", "ends"}, {"began", "ended"}, {"hot", "cold"}, {"left", "right"}, {"north", "south"}, {"east", "west"}, {"northern", "southern"}, {"eastern", "western"},
		{"up", "down"}, {"long", "short"}, {"longer", "shorter"}, {"early", "late"}, {"earlier", "later"}, {"old", "new"}, {"oldest", "youngest"}, {"older", "younger"}, {"public", "private"}, {"mandatory", "optional"}, {"required", "optional"}, {"included", "excluded"}, {"includes", "excludes"}, {"buy", "sell"}, {"bought", "sold"}, {"male", "female"}, {"profit", "loss"}, {"gain", "loss"}, {"gained", "lost"}, {"positive", "negative"}, {"maximum", "minimum"}, {"least", "most"},
		{"enabled", "disabled"}, {"enable", "disable"}, {"active", "inactive"}, {"valid", "invalid"}, {"stable", "unstable"}, {"agree", "disagree"}, {"faster", "slower"}, {"fast", "slow"}, {"strong", "weak"}, {"rich", "poor"}, {"present", "absent"}, {"arrive", "depart"}, {"arrives", "departs"}, {"import", "export"}, {"imports", "exports"}, {"even", "odd"}, {"alive", "dead"}, {"guilty", "innocent"}, {"single", "married"}, {"indoor", "outdoor"}, {"indoors", "outdoors"}, {"day", "night"}, {"expensive", "cheap"}, {"refundable", "nonrefundable"}, {"reusable", "disposable"}, {"vegetarian", "carnivorous"}, {"herbivore", "carnivore"}} {
		for k, w := range p {
			v := int8(i + 1)
			if i > 120 {
				break
			}
			if k == 1 {
				v = -v
			}
			if _, ok := m[w]; !ok {
				m[w] = v
			} else if m[p[1-k]] == 0 {
				m[p[1-k]] = -m[w]
			}
		}
	}
	return m
}()

func polarity(stemmed, raw string) (pair, sign int8) {
	v := opposites[raw]
	if v == 0 {
		v = opposites[stemmed]
	}
	switch {
	case v > 0:
		return v, 1
	case v < 0:
		return -v, -1
	}
	return 0, 0
}

var synonyms = func() map[string]int {
	m := map[string]int{}
	for i, g := range [...][]string{{"founded", "established", "created", "started", "set"}, {"buy", "purchase", "acquire", "acquired", "bought", "purchased"}, {"locate", "located", "situated", "lies"}, {"big", "large", "huge"}, {"employee", "staff", "worker", "people"}, {"begin", "start", "commence", "began", "started"},
		{"end", "finish", "conclude"}, {"cost", "price", "costs"}, {"made", "built", "constructed", "produced"}, {"die", "died", "death"}, {"car", "vehicle", "automobile"}, {"firm", "company", "business"}, {"hold", "contain", "holds", "contains"}, {"earn", "revenue", "income"}, {"say", "state", "said", "stated"}, {"need", "require", "required", "needs"}, {"show", "found", "shows"}, {"release", "launch", "launched", "released"}, {"child", "children", "kids"}, {"return", "refund", "returned"},
		{"author", "wrote", "written", "writer"}, {"capital", "seat"}, {"weigh", "weighs", "weight"}, {"measure", "measures", "height", "tall", "high"}, {"lead", "led", "headed", "leads"}, {"customer", "client"}, {"doctor", "physician"}, {"film", "movie"}, {"own", "owned", "owns"}, {"yearly", "annual", "annually", "year"}} {
		for _, w := range g {
			m[stem(w)] = i + 1
		}
	}
	return m
}()

func synonym(s string) int { return synonyms[s] }
