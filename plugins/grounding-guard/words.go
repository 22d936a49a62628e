package groundingguard

import (
	"strconv"
)

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
