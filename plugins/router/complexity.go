package router

// Levels of what a request asks of a model, by the words that say it.
const (
	simple  = 1 + iota // one fact, one label, a greeting
	middle             // a text, an explanation, a small program
	complex            // several things weighed, a proof, a design, a search for a cause
)

// levelStems are beginnings of words that tell the level, as in stems.
var levelStems = map[int][]string{
	simple: {"what is ", "what's ", "whats ", "who ", "when ", "where ", "which ", "define ", "definition", "spell", "hello", "hi ", "hey ", "thanks", "thank ",
		"is ", "are ", "does ", "do ", "can ", "how many", "how much", "how old", "how long", "how far", "name ", "yes or no", "true or false", "classif", "categori", "label ",
		"sentiment", "extract", "translate", "convert", "find ", "look up", "tell me", "list ", "stand for",
		"was ist", "wer ", "wann ", "wo ", "wie viel", "klassifi", "übersetz", "hallo ", "danke ", "qu'est", "qui ", "quand ", "où ", "combien", "bonjour", "merci",
		"qué ", "quién", "cuándo", "dónde", "cuánto", "hola ", "gracias", "traduc"},
	middle: {"summar", "tl;dr", "tldr", "recap", "condense", "write ", "draft", "compose", "rewrite", "rephrase", "paraphras", "reword", "explain", "describ", "outline", "generate",
		"implement", "proofread", "edit ", "email ", "letter", "paragraph", "bullet", "essay", "why ", "how do ", "how does ", "how can ", "how should", "how to ", "prepare", "create ", "suggest", "turn this", "fix ", "add ",
		"zusammenfass", "fasse ", "schreib", "verfass", "entwirf", "formulier", "erklär", "warum ", "résum", "rédig", "écri", "expliqu", "pourquoi", "resum", "escrib", "redact", "explic", "riassum", "scriv"},
	complex: {"analy", "compar", "contrast", "evaluat", "assess", "critique", "critically", "weigh ", "trade-off", "tradeoff", "pros and cons", "prove ", "proof", "derive", "debug", "root cause",
		"diagnos", "architect", "design ", "redesign", "optimi", "refactor", "strateg", "forecast", "scenario", "simulat", "implication", "interact", "reconcil", "justif", "step by step", "step-by-step",
		"in depth", "in-depth", "thorough", "comprehensive", "multi-", "long-term", "roadmap", "negotiat", "investigat", "differential", "argue", "counterargument", "synthesi", "prioriti", "migrat", "troubleshoot",
		"concurren", "race condition", "bottleneck", "end to end", "end-to-end", "what would happen", "stress-test", "stress test", "model the", "conflict", "restructur",
		"vergleich", "bewert", "beurteil", "untersuch", "begründ", "beweis", "évalu", "démontr", "evalú", "demuestr", "valut", "confront"},
}

// brief and deep say how long an answer should be, whatever its subject.
var (
	briefStems = []string{"briefly", "in one sentence", "one word", "in a word", "shortly", "kurz ", "brièvement", "brevemente"}
	deepStems  = []string{"detail", "ausführlich", "détaill", "detallad"}
)

// domains are fields of knowledge, by words that hardly stand in others.
var domains = map[string][]string{
	"code": {"code", "function", "python", "javascript", "typescript", "golang", "java ", "rust ", "sql ", "regex", "api ", "apis ", "compil", "script", "bug ", "stack trace", "exception", "unit test", "database", "query",
		"queries", "kubernetes", "docker", "git ", "html", "css ", "json", "yaml", "algorithm", "class ", "variable", "loop", "array", "thread", "microservice", "backend", "frontend", "server", "deploy", "repository", "commit", "linux", "bash ", "http", "endpoint", "schema", "cache", "recurs", "pointer"},
	"finance": {"invoice", "interest rate", "loan", "mortgage", "stock", "share price", "dividend", "portfolio", "budget", "tax ", "taxes", "taxable", "vat ", "revenue", "profit", "cash flow", "balance sheet", "ebitda", "bond ", "bonds ",
		"inflation", "exchange rate", "bank ", "account", "depreciat", "hedg", "credit", "debit", "payment", "payroll", "pension", "invest", "fund ", "funds ", "capital", "equity", "currency", "price", "refund", "expense", "quarterly", "fiscal", "ledger", "roi "},
	"legal": {"contract", "clause", "liabil", "lawsuit", "court", "plaintiff", "defendant", "statute", "gdpr", "tenant", "landlord", "lease", "patent", "copyright", "trademark", "attorney", "lawyer", "legal", "law ", "laws ", "indemn", "jurisdiction",
		"nda ", "non-disclosure", "terms of service", "complian", "regulat", "licen", "negligen", "testament", "will and", "inherit", "arbitrat", "evidence", "breach", "warrant", "consent", "employment agreement", "severance"},
	"health": {"patient", "symptom", "diagnos", "dose", "dosage", "medicin", "medication", "drug", "tablet", "vaccin", "blood", "heart", "fever", "pain ", "headache", "allerg", "diabet", "insulin", "surgery", "doctor", "nurse", "hospital", "clinic",
		"therap", "treatment", "disease", "infection", "antibiotic", "cancer", "pregnan", "diet", "vitamin", "mg ", "x-ray", "mri ", "rash", "asthma", "hypertension", "cholesterol", "cough", "virus"},
}

// sensitive words are of things that people keep to themselves.
var sensitive = []string{"password", "passwort", "confidential", "vertraulich", "secret", "geheim", "private key", "api key", "social security", "passport", "iban", "credit card", "salary", "gehalt", "diagnos", "patient",
	"medical record", "hiv", "pregnan", "criminal record", "attorney-client", "privileged", "layoff", "merger", "acquisition", "home address", "date of birth", "classified", "trade secret", "whistleblow", "mot de passe", "confidentiel", "contraseña", "confidencial"}

// cue is a stem with what it stands for.
type cue struct {
	text string
	kind int8 // of cueKinds
	of   int8 // level, or index of the domain
}

const (
	ofLevel = iota
	ofBrief
	ofDeep
	ofDomain
	ofSensitive
)

var domainNames = []string{"code", "finance", "legal", "health"}

// cues indexes all stems by their first byte.
var cues = func() (index [256][]cue) {
	add := func(list []string, kind, of int8) {
		for _, s := range list {
			index[s[0]] = append(index[s[0]], cue{s, kind, of})
		}
	}
	for _, level := range []int{complex, middle, simple} {
		add(levelStems[level], ofLevel, int8(level))
	}
	add(briefStems, ofBrief, 0)
	add(deepStems, ofDeep, 0)
	for i, d := range domainNames {
		add(domains[d], ofDomain, int8(i))
	}
	add(sensitive, ofSensitive, 0)
	return index
}()

// signs are the cues that stand in a text.
type signs struct {
	levels      [complex + 1]int
	brief, deep bool
	domains     [4]int
	sensitive   bool
}

// signsOf reads the cues of a text in lower case.
func signsOf(lower string, s *signs) {
	start := true // a word begins here
	for i := 0; i < len(lower); {
		c := lower[i]
		if start && i+1 < len(lower) {
			for _, q := range cues[c] {
				if q.text[1] == lower[i+1] && startsWith(lower[i:], q.text) {
					switch q.kind {
					case ofLevel:
						s.levels[q.of]++
					case ofBrief:
						s.brief = true
					case ofDeep:
						s.deep = true
					case ofDomain:
						s.domains[q.of]++
					case ofSensitive:
						s.sensitive = true
					}
				}
			}
		}
		if n := skipASCIIWord(lower, i); n > i {
			i, start = n, false
			continue
		}
		start = c < 0x80 // a letter beyond ASCII goes on with its word
		i++
	}
}

// domain is the field with the most words, empty for none.
func (s *signs) domain() string {
	best, name := 0, ""
	for i, n := range s.domains {
		if n > best {
			best, name = n, domainNames[i]
		}
	}
	return name
}

// base rates what is asked for by its words, from 0 to 1.
func (s *signs) base(chars int) float64 {
	c := 0.3
	switch {
	case s.levels[complex] > 0:
		c = 0.72 + 0.06*float64(min(s.levels[complex]-1, 3))
	case s.levels[middle] > 0:
		c = 0.46 + 0.04*float64(min(s.levels[middle]-1, 2))
	case s.levels[simple] > 0 || chars < 40:
		c = 0.15
	}
	if s.brief {
		c -= 0.12
	}
	if s.deep {
		c += 0.1
	}
	return c
}
