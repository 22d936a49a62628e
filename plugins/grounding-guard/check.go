package groundingguard

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
