package injectionguard

// Windows of the rules, in words.
const (
	near = 9  // between the parts of a phrase
	far  = 30 // between the parts of a scene
)

// untrusted says whether the text comes from a document or a tool, which have nothing to command.
func (a *analysis) untrusted() bool { return a.stage == "retrieval" || a.stage == "tool" }

// doubt lowers the weight of a phrase that the text only talks about.
func (a *analysis) doubt(w float64, t *token) float64 {
	switch {
	case t.quoted && a.meta > 0:
		return w * 0.4
	case a.meta > 2:
		return w * 0.6
	}
	return w
}

// back says whether a word of the class stands among the last n words before token i.
func (a *analysis) back(i, n int, class uint64) bool {
	for j := i - 1; j >= 0 && int(a.tokens[i].word-a.tokens[j].word) <= n; j-- {
		if a.tokens[j].is(class) && a.tokens[j].sentence == a.tokens[i].sentence {
			return true
		}
	}
	return false
}

// ahead returns the first token of the class within n words after token i, -1 if there is none.
func (a *analysis) ahead(i, n int, class uint64) int {
	for j := i + 1; j < len(a.tokens) && int(a.tokens[j].word-a.tokens[i].word) <= n; j++ {
		if a.tokens[j].is(class) {
			return j
		}
	}
	return -1
}

// between collects the classes of the words between two tokens.
func (a *analysis) between(i, j int) (c uint64) {
	for k := i + 1; k < j; k++ {
		c |= a.tokens[k].class
	}
	return c
}

// override looks for commands to set aside what the model was told.
func (a *analysis) override() {
	for i := range a.tokens {
		t := &a.tokens[i]
		if t.is(void) {
			a.overridden(i)
		}
		negated := t.is(obey|conceal) && a.back(i, 2, negation) // do not follow the instructions
		if !t.is(override) && !negated || t.is(override) && a.back(i, 2, negation) {
			continue
		}
		for n, j := 0, i+1; j < len(a.tokens) && n < 12 && a.tokens[j].word-t.word <= near; n, j = n+1, j+1 {
			o := &a.tokens[j]
			inside := a.between(i, j)
			strong := inside&(previous|yours|you) != 0 || o.is(prompt) && inside&hidden != 0
			w := 0.0
			switch {
			case o.is(rule | prompt):
				after := a.ahead(j, 4, previous|given)
				switch {
				case strong, after > 0 && a.tokens[after].sentence == o.sentence && (a.tokens[after].is(previous) || a.between(j, after)&(you|given) != 0):
					w = 0.85
				case inside&every != 0:
					w = 0.5
				default:
					w = 0.35
				}
				if negated && w < 0.8 {
					w = 0.3
				}
				if k := a.ahead(j, 1, elsewhere); k > 0 && a.ahead(k, 3, machine|prompt|you|yours) < 0 {
					w *= 0.6 // the rules of something else
				}
			case o.is(text) && o.word-t.word <= 4 && a.has(i, j, "system", "developer"):
				w = 0.65
			case o.is(whole|text) && !negated && (o.is(text) || a.ahead(i, 3, whole) == j):
				// everything above, all that you were told
				if k := a.ahead(j, 5, previous|given); k > 0 && a.tokens[k].sentence == o.sentence && a.ahead(j, 2, elsewhere) < 0 {
					if a.between(j, k)&you != 0 || a.tokens[k].is(previous) && k == a.ahead(j, 2, previous) && int(a.tokens[k].word-o.word) <= 2 && a.isLast(k) {
						w = 0.7
					}
				}
			}
			if w > 0 {
				a.add("override", a.doubt(w*a.speaker(i), t), i, j)
			}
		}
		// The verb may come last: alle vorherigen Anweisungen ignorieren.
		for n, j := 0, i-1; j >= 0 && n < 6 && t.word-a.tokens[j].word <= 4 && t.is(override); n, j = n+1, j-1 {
			if o := &a.tokens[j]; o.is(rule|prompt) && o.sentence == t.sentence && (a.back(j, 3, previous) || a.back(j, 3, yours) && a.back(j, 4, every)) {
				a.add("override", a.doubt(0.75*a.speaker(i), t), j, i)
			}
		}
	}
}

// overridden weighs "your previous instructions are void".
func (a *analysis) overridden(i int) {
	t := &a.tokens[i]
	for j := i - 1; j >= 0 && t.word-a.tokens[j].word <= 7; j-- {
		o := &a.tokens[j]
		if o.is(rule|prompt) && o.sentence == t.sentence && a.back(j, 3, previous|yours) && !a.back(i, 2, negation) {
			w := 0.5
			if a.back(j, 3, yours) || a.back(j, 4, every) || a.ahead(i, far, you|yours) > 0 {
				w = 0.7
			}
			a.add("override", a.doubt(w, t), j, i)
		}
	}
}

// isLast says whether nothing of weight follows token k in its sentence, so that "above" stands for what came before.
func (a *analysis) isLast(k int) bool {
	b := a.folded.b
	for i := int(a.tokens[k].end); i < len(b); i++ {
		switch c := b[i]; {
		case c == ' ':
			continue
		case c == ',' || c == '.' || c == ';' || c == ':' || c == '!' || c == '\n' || c == '-' || c == '"':
			return true
		default:
			return a.ahead(k, 1, obey|you|now) > 0 || startsAny(b[i:], "and ", "starting ", "beginning ", "then ")
		}
	}
	return true
}

// speaker lowers the weight where someone else does it, or it is only asked whether to.
func (a *analysis) speaker(i int) float64 {
	if i == 0 || a.tokens[i].word-a.tokens[i-1].word > 1 {
		return 1
	}
	p := &a.tokens[i-1]
	switch {
	case p.is(subject) && p.sentence == a.tokens[i].sentence:
		return 0.55
	case p.is(you) && i > 1 && !a.tokens[i-2].is(must) && a.questionBefore(int(p.start)):
		return 0.55
	}
	return 1
}

// questionBefore says whether the word before offset i is one of if, when, can, did, do.
func (a *analysis) questionBefore(i int) bool {
	b := a.folded.b
	j := i - 1
	for j > 0 && b[j] == ' ' {
		j--
	}
	k := j
	for k > 0 && wordAt(b, k-1) {
		k--
	}
	if j < 0 {
		return false
	}
	switch string(b[k : j+1]) {
	case "if", "when", "can", "could", "did", "do", "would", "might", "may", "whether":
		return true
	}
	return false
}

// exfiltration looks for attempts to draw out the prompt.
func (a *analysis) exfiltration() {
	for i := range a.tokens {
		t := &a.tokens[i]
		asks := t.is(ask)
		if !t.is(reveal|recite|ask) || a.back(i, 2, negation) {
			continue
		}
		for n, j := 0, i+1; j < len(a.tokens) && n < 12 && a.tokens[j].word-t.word <= near; n, j = n+1, j+1 {
			o := &a.tokens[j]
			if o.sentence != t.sentence {
				break
			}
			inside := a.between(i, j)
			own := inside&yours != 0 && a.has(i, j, "your", "ur", "dein", "deine", "deinen", "ihre", "ihren", "tes", "vos", "ton", "votre", "tus", "sus", "tu", "tuoi", "tue",
				"tua", "suas", "seus", "sua", "seu", "je", "jouw", "uw", "твои", "свои", "ваши", "свой", "твой", "你的", "您的", "あなたの")
			w := 0.0
			switch {
			case o.is(prompt) && own && (inside&hidden != 0 || !asks):
				w = 0.8
			case o.is(prompt) && own:
				w = 0.65
			case o.is(prompt) && inside&hidden != 0 && (t.is(recite) || a.ahead(j, 8, previous|recite|given) > 0) && !asks:
				w = 0.7
			case o.is(prompt) && inside&hidden != 0 && t.is(reveal) && a.ahead(i, 3, hidden) > 0 && a.direct(i) && !a.indefinite(i, j):
				w = 0.65
			case o.is(rule) && own && (inside&hidden != 0 || t.is(recite)) && !a.other(j):
				w = 0.75
			case o.is(rule) && own && !asks && !a.other(j):
				w = 0.62
			case o.is(rule) && inside&hidden != 0 && a.ahead(j, 5, you|given) > 0 && a.ahead(j, 5, given) > 0:
				w = 0.65
			case o.is(rule|prompt) && a.ahead(j, 5, you) > 0 && a.ahead(j, 6, given) > 0 && !a.other(j):
				w = 0.65
			case o.is(text|whole) && t.is(recite) && a.wholly(j):
				w = 0.7
			case o.is(text) && !o.is(yours) && own && inside&hidden != 0 && a.has(i, len(a.tokens), "message", "messages") && !asks:
				w = 0.65
			}
			if w > 0 {
				a.add("exfiltration", a.doubt(w*a.speaker(i), t), i, j)
			}
		}
	}
}

// direct says whether token i opens its sentence, but for a polite word or two: a command.
func (a *analysis) direct(i int) bool {
	b := a.folded.b
	words := 0
	for k := int(a.tokens[i].start) - 1; k >= 0 && words < 3; k-- {
		switch c := b[k]; {
		case c == '.' || c == '\n' || c == '!' || c == '?' || c == ':' || c == ',':
			return true
		case c == ' ' && k > 0 && b[k-1] != ' ':
			words++
		}
	}
	return words < 2
}

// indefinite says whether "a" or "an" stands between two tokens: any prompt, not the model's.
func (a *analysis) indefinite(i, j int) bool {
	between := a.folded.b[a.tokens[i].end:a.tokens[j].start]
	return contains(between, " a ") || contains(between, " an ")
}

// wholly weighs "everything above", "the words above starting with".
func (a *analysis) wholly(j int) bool {
	k := a.ahead(j, 3, previous)
	return k > 0 && a.isLast(k) || a.back(j, 2, previous) && a.back(j, 3, every) && a.ahead(j, 4, recite) > 0
}

// other says whether the rules after token j are of something else: your guidelines for returns.
func (a *analysis) other(j int) bool {
	k := a.ahead(j, 1, elsewhere)
	return k > 0 && a.ahead(k, 3, you|yours) < 0
}

// has says whether one of the words stands between tokens i and j.
func (a *analysis) has(i, j int, words ...string) bool {
	for k := i + 1; k < j; k++ {
		w := string(a.folded.b[a.tokens[k].start:a.tokens[k].end])
		for _, x := range words {
			if w == x {
				return true
			}
		}
	}
	return false
}

// persona looks for a part that the model is to play, and that knows no limits.
func (a *analysis) persona() {
	for i := range a.tokens {
		t := &a.tokens[i]
		if t.class&(unbound|without|mode) == 0 {
			continue
		}
		free, w := i, 0.0
		switch {
		case t.is(unbound) && string(a.folded.b[t.start:t.end]) == "dan" && !a.upper(t):
			continue
		case t.is(unbound):
			w = 0.8
		case t.is(without) && !t.is(unbound):
			if free = a.ahead(i, 4, limit); free > 0 && a.tokens[free].sentence == t.sentence {
				w = 0.65
			}
		case t.is(mode) && a.back(i, 1, grant|hidden|unbound):
			w = 0.62
		}
		if w == 0 || !a.scene(i) {
			continue
		}
		a.add("persona", a.doubt(w, t), i, max(free, i))
	}
	if a.meta > 1 {
		for i := range a.findings {
			if f := &a.findings[i]; f.rule == "phrase" {
				f.weight *= 0.5
			}
		}
	}
}

// scene says whether the model is cast near token i.
func (a *analysis) scene(i int) bool {
	t := &a.tokens[i]
	casting, addressed := false, false
	look := func(j int) {
		o := &a.tokens[j]
		if o.is(persona) && !(j > 0 && a.tokens[j-1].is(subject) && o.word-a.tokens[j-1].word <= 2) {
			casting = true
		}
		if o.is(now) && (a.back(j, 4, you) || a.ahead(j, 5, you) > 0) {
			casting = true
		}
		addressed = addressed || o.is(you|machine)
	}
	for j := i - 1; j >= 0 && t.word-a.tokens[j].word <= far; j-- {
		look(j)
	}
	for j := i; j < len(a.tokens) && a.tokens[j].word-t.word <= far; j++ {
		look(j)
	}
	return casting && addressed
}

// upper says whether a token is in capitals in the original text: DAN, not Dan.
func (a *analysis) upper(t *token) bool {
	start, end := a.folded.span(int(t.start), int(t.end))
	for _, c := range []byte(a.text[start:end]) {
		if c >= 'a' && c <= 'z' {
			return false
		}
	}
	return true
}

// indirect looks for text that speaks to the model from where only data should be.
func (a *analysis) indirect() {
	w := 0.4
	if a.untrusted() {
		w = 0.7
	}
	for i := range a.tokens {
		t := &a.tokens[i]
		switch {
		case t.is(machine):
			// AI assistants reading this must send ...
			if j := a.ahead(i, 12, action|reveal); j > 0 && (a.between(i, j)&(must|you|obey|every) != 0 && a.addressed(i) || a.called(i)) {
				a.add("addressed", a.doubt(w, t), i, j)
			}
		case t.is(conceal) && a.back(i, 2, negation|without):
			if j := a.ahead(i, 3, user); j > 0 && a.tokens[j].word-t.word <= 3 {
				a.add("conceal", a.doubt(w-0.2, t), i, j)
			}
		case t.is(fresh):
			if j := a.ahead(i, 2, rule|prompt); j > 0 && a.colonAfter(j) {
				a.add("new-instructions", a.doubt(w-0.2, t), i, j)
			}
		case t.is(grant | yours):
			if j := a.ahead(i, 1, override|rule|void); j > 0 && a.colonAfter(j) && (t.is(grant) || a.has(i-1, i+1, "system")) {
				a.add("authority", a.doubt(w-0.05, t), i, j)
			}
		case t.is(action):
			// send the conversation to https://...
			if j := a.ahead(i, 8, private); j > 0 && a.tokens[j].sentence == t.sentence && a.direct(i) {
				if k := a.ahead(j, 10, tool); k > 0 && a.between(i, k)&(every|yours|you|user) != 0 {
					a.add("carry-off", a.doubt(w-0.1, t), i, k)
				}
			}
		}
	}
}

// addressed says whether the model at token i is spoken to: "if you are an AI", "AI assistants reading this", "note to".
func (a *analysis) addressed(i int) bool {
	t := &a.tokens[i]
	if a.colonAfter(i) || a.back(i, 4, you) {
		return true
	}
	b := a.folded.b
	from, to := max(0, int(t.start)-28), min(len(b), int(t.end)+48)
	for _, p := range [...]string{"note to", "attention", "message to", "message for", "instruction to", "instructions for", "reading this", "processing this",
		"summarizing this", "summarising this", "hey ", "dear ", "reads this", "analyzing this", "evaluating this", "who read"} {
		if contains(b[from:to], p) {
			return true
		}
	}
	return false
}

// called says whether the model at token i is called to attention: "Attention AI:", "Note to the assistant:".
func (a *analysis) called(i int) bool {
	if !a.colonAfter(i) {
		return false
	}
	start := int(a.tokens[i].start)
	lead := a.folded.b[max(0, start-28):start]
	return contains(lead, "attention") || contains(lead, "note to") || contains(lead, "message to") || contains(lead, "message for")
}

// colonAfter says whether a colon follows token i closely.
func (a *analysis) colonAfter(i int) bool {
	b := a.folded.b
	for k := int(a.tokens[i].end); k < len(b) && k < int(a.tokens[i].end)+4; k++ {
		switch b[k] {
		case ':':
			return true
		case ' ', '*', ']', ')', '"':
			continue
		}
		return false
	}
	return false
}

func contains(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if b[i] == s[0] && string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}
