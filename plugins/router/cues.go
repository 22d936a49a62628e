package router

import "strings"

// A cue is a word, or the beginning of one, that tells something wherever it stands: a task, how deep to go, a field of
// knowledge, a language. Words are found by their hashes while the text is read once, so that neither the number of
// cues nor that of languages costs time.

// Levels of what a request asks of a model, by the words that say it.
const (
	plain  = 1 + iota // one fact, one label, a greeting
	making            // a text, an explanation, a small program
	deep              // several things weighed, a proof, a design, a search for a cause
)

// levelCues are beginnings of words that tell the level. A cue that ends in a space must be the whole word.
var levelCues = map[uint32]string{
	plain: `who |when |where |which |define |definition|spell |spelling|hello |hi |hey |thanks |thank you|how many|how much|how old|how long |how far|how tall|yes or|true or|classif|categori|
		label |sentiment|extract|translat|convert|look up|tell me the|stand for|stands for|synonym|antonym|plural of|capital of|meaning of|name of|was ist|wer |wann |wo |wie viel|wieviel |
		wie heißt|klassifi|übersetz|hallo |danke |qu'est|qui |quand |où |combien |bonjour |merci |quién |cuándo |dónde |cuánto|cuántos |hola |gracias |traduc|traduis|traduire|quando |dove |quanti |quanto |quem |onde |hoeveel |wanneer |wie is`,
	making: `summar|tl;dr|tldr |recap |condense|write |draft |compose |rewrite |rephras|paraphras|reword|explain |describe |outline |generate |implement|proofread|email |e-mail |letter |paragraph|
		bullet|essay |why |how do|how does|how can|how should|how to|prepare |create |suggest |tips |ideas |zusammenfass|fasse |fass |schreib|verfass|entwirf |formulier|erklär|warum |résum|rédig|écri|expliqu|
		pourquoi|resum|escrib|redact|explic|riassum|scriv|spieg|schrijf |leg uit|escrev|explique |describ|beschreib|décri|説明|解释|解釋|書い|要約|总结|介绍|紹介|напиш|объясн|опиши |кратко |설명|작성|요약`,
	deep: `analy|compar|contrast|evaluat|assess|critique |critically|weigh |trade-off|tradeoff|pros and|prove |proof |derive |debug|root cause|diagnos|architect|design |redesign|optimi|refactor|strateg|
		forecast|scenario|simulat|implication|interact|reconcil|justif|step by|in depth|in-depth|thorough|comprehensive|long-term|roadmap|negotiat|investigat|differential|argue |counterargument|synthesi|
		prioriti|migrat|troubleshoot|concurren|race condition|bottleneck|end to|end-to-end|would happen|stress test|stress-test|model the|conflict|restructur|hypothes|sensitivity|constraint|assumption|
		alternativ|recommend|risks |failure mode|failure modes|objection|interplay|second-order|vergleich|bewert|beurteil|untersuch|begründ|beweis|évalu|démontr|evalú|demuestr|valut|confront|anali|
		entwickle |conçois |diseña |justifi|abwäg|wäge |szenari|escenari|scénari|risiken |riesgos |risques |rischi |arbitrage|compromis|progett|dimostr|avali|分析|比較|比较|評価|评估|证明|証明|设计|設計|方案|сравни|проанализ|докаж|оцени |разработа|분석|비교|평가`,
}

// How long the answer should be, whatever its subject.
const (
	briefCues  = `briefly |in one|one word|one line|a word|a sentence|shortly |just the|only the|kurz |brièvement |brevemente |en breve|in breve`
	detailCues = `detail|ausführlich|détaill|detallad|dettagli|exhaustive|extensive|full |complete |rigorous`
)

// domainCues are fields of knowledge, by words that hardly stand in others.
var domainCues = map[string]string{
	"code": `code |codes |coding |function |functions |python|javascript|typescript|golang |java |rust |sql |sqlite |mysql |postgres|redis |mongodb |kafka |regex|api |apis |compil|script |scripts |bug |bugs |stack trace|exception|
		unit test|unit tests|database|datenbank|query |queries |kubernetes|docker|git |github |gitlab |html |css |json |yaml |xml |algorithm|algorithmus |variable |loop |array |thread |threads |mutex |deadlock|microservic|backend |frontend |server |servers |
		deploy|repository|commit |commits |linux |bash |shell |http |https |endpoint|schema |cache |caching |recurs|pointer |node |nodejs |react |django |flask |npm |pip |vim |nginx |async |refactor|latency|
		programming|programm|funktion |fonction |función |código |latenz|cli |sdk |oauth |jwt |tls |ssh |tcp |udp |ip |dns |cpu |gpu |ram |lambda |monolith|serverless |webhook|parser |parse |boolean |integer |string |strings |class |classes |software |app |null |undefined |commit |cron |makefile |dockerfile |excel formula`,
	"finance": `invoice|interest rate|interest rates|interest |loan |loans |mortgage|stock |stocks |share price|shares |dividend|portfolio|budget|tax |taxes |taxable |taxation |vat |revenue|profit|cash flow|cash flows |cash |balance sheet|ebitda |bond |bonds |inflation|
		exchange rate|bank |banks |banking |depreciat|amortiz|hedg|credit |debit |payment|payroll |pension|invest|fund |funds |etf |etfs |capital gains|equity |currency |currencies |price |prices |pricing |refund |expense|quarterly |fiscal |ledger|roi |npv |irr |
		steuer|rechnung|zinsen|zins |kredit|aktie|bilanz|konto |sparen |haushalt |finanz|financ|impôt|facture|prêt |virement|factura|impuesto|préstamo|dividendo|hipoteca|mutuo |tasse |imposta|accounting|accountant|audit|auditor|wacc |margin |margins |lease or|leasing |savings |salary |dollars |euros |eur |usd |iban |apr |cagr |valuation|acqui|lender|borrower|covenant`,
	"legal": `contract |contracts |contractual|clause|liabil|lawsuit|court |courts |plaintiff|defendant|statute|gdpr |dsgvo |rgpd |tenant |landlord|lease |patent |patents |copyright|trademark|attorney|lawyer|legal|law |laws |indemn|jurisdiction|
		nda |non-disclosure|terms of|complian|regulat|licens|licenc|negligen|testament|inherit|arbitrat|breach|warrant|consent |severance |vertrag|klausel|gericht |gesetz|recht |kündig|haftung|mietrecht|klage |anwalt|contrat |loi |tribunal |juridique|
		avocat|bail |contrato|ley |demanda |juez |abogado|contratto|legge |avvocato|eredit|tort |jury |judge |judges |bylaws |shareholders |litigat|settle |criminal |crime |verdict|appeal|notar|whistleblower |antitrust |evict|custody |divorce|probate |witness |sue |sued |illegal |lawful|unlawful|constitution|parliament |ai act|impressum `,
	"health": `patient|symptom|diagnos|dose |doses |dosage|medicin|medication|drug |drugs |tablet|vaccin|blood|heart |fever|pain |headache|migraine|allerg|diabet|insulin|surgery|surgical |doctor |nurse|hospital|clinic|therap|treatment |disease|
		infection|antibiotic|cancer|pregnan|diet |vitamin|mg |x-ray |mri |rash |asthma |hypertension |cholesterol|cough|virus |viral |krank|arzt |ärztin |schmerz|fieber |medikament|blut|impf|santé |médecin |maladie|douleur|fièvre |médicament|salud |médico |dolor |
		enfermedad|fiebre |salute |medico |febbre |malattia|ibuprofen|paracetamol|aspirin |metformin|statin|sleep |nutrition|calorie|exercise |kidney|liver |lung |lungs |immune|clinical|physio|dentist|mental health|anxiety|depression|ecg |ekg |icu |bmi |physician|pediatric|anatom|tumor|tumour|stroke |flu |bones |protein |hospice|dementia`,
}

// domainNames fixes the order: a tie goes to the first.
var domainNames = []string{"code", "finance", "legal", "health"}

// sensitiveCues are of things that people keep to themselves.
const sensitiveCues = `password|passwort|confidential|vertraulich|secret |secrets |geheim|private key|api key|social security|passport|iban |credit card|salary |salaries |gehalt|diagnos|patient|medical record|medical records|
	hiv |pregnan|criminal record|attorney-client|privileged |layoff|merger|acquisition|home address|date of|classified |trade secret|whistleblow|mot de|confidentiel|contraseña|confidencial|riservat|kreditkarte|carte bancaire|tarjeta de`

// tasks are the kinds of request that have a budget of their own.
var tasks = []string{classify, extract, summarise, analyse, draft}

// taskCues name a task, in English, German, French, Spanish, Italian, Portuguese, Chinese, Japanese and Korean. The first
// in a text counts.
var taskCues = map[string]string{
	classify: `classif|categori|sentiment |label |klassifi|kategori|einordne|étiquet|etiquet|clasific|分類|分类|분류`,
	extract:  `extract |extraction |extracting |extrah|extrai|extrae|find all|list all|pull out|pick out|auslesen |entnimm |relève |estrai |抽出|提取|추출`,
	summarise: `summar|tl;dr|tldr |recap |condense |zusammenfass|zusammengefasst|fasse |fass |kurzfassung|résum|resum|synthétis|riassum|riassunt|sintetiza|要約|まと|总结|總結|摘要|
		概括|요약`,
	analyse: `analys|analyz|analyt|compare |evaluat|assess|explain why|reason |prove |debug |vergleich|bewert|beurteil|untersuch|begründ|anali|compar|évalu|evalú|explique pourquoi|confront|valut|分析|比較|比较|분석|비교`,
	draft:   `write |draft |drafts |drafting |compose |essay |schreib|verfass|entwirf |formulier|rédig|écri|escrib|redact|scriv|escrev|書い|撰写|起草|작성`,
}

// stopWords are frequent short words that tell languages of the Latin script apart.
var stopWords = map[string]string{
	"en": "the and of is are what this that with for you how in please it was my to",
	"de": "der die das und ist nicht ein eine wie was mit auf für den dem zu bitte ich von im des wird sind",
	"fr": "le la les et est des une un du pour que qui dans avec ce cette quel quelle sur vous je par aux",
	"es": "el la los las y es una un del para que en con por qué cómo este esta lo se mi favor cuál",
	"it": "il lo la gli e è una un del per che in con di questo questa come cosa sono della nel",
	"pt": "o a os as e é uma um do da para que em com por não como este esta você são",
	"nl": "de het een en is van niet wat met voor op dat zijn hoe ik deze naar",
}

// languages fixes the order, so that a tie goes to the same one every time.
var languages = []string{"en", "de", "fr", "es", "it", "pt", "nl"}

// What a cue stands for, in bits: the task and the level by number, the rest one bit each.
const (
	cueTask      = 7 // 1 to 5: index into tasks, plus 1
	cueLevel     = 3 << 3
	cueBrief     = 1 << 5
	cueDetail    = 1 << 6
	cueSensitive = 1 << 7
	cueDomain    = 1 << 8  // the first of 4
	cueLanguage  = 1 << 12 // the first of 7
)

// cueTable maps hashes to what they stand for, by open addressing. Its filter says of most words that they are no cue.
type cueTable struct {
	filter [256]uint32
	keys   [4096]uint32
	values [4096]uint32
}

func (t *cueTable) put(h, value uint32) {
	t.filter[h>>24] |= 1 << (h >> 19 & 31)
	i := h & 4095
	for t.keys[i] != 0 && t.keys[i] != h {
		i = (i + 1) & 4095
	}
	t.keys[i] = h
	if old := t.values[i]; old&cueTask != 0 {
		value &^= cueTask
		t.values[i] = old | value
	} else {
		t.values[i] |= value
	}
}

func (t *cueTable) get(h uint32) uint32 {
	for i := h & 4095; t.keys[i] != 0; i = (i + 1) & 4095 {
		if t.keys[i] == h {
			return t.values[i]
		}
	}
	return 0
}

// beginnings are cues that words begin with, wholes are whole words.
var beginnings, wholes = func() (b, w *cueTable) {
	b, w = new(cueTable), new(cueTable)
	add := func(list string, value uint32) {
		for cue := range strings.SplitSeq(list, "|") {
			cue = strings.TrimLeft(cue, " \n\t")
			if cue == "" {
				continue
			}
			if word, whole := strings.CutSuffix(cue, " "); whole {
				w.put(hashCue(word), value)
			} else {
				b.put(hashCue(cue), value)
			}
		}
	}
	for i, task := range tasks {
		add(taskCues[task], uint32(i+1))
	}
	for _, level := range []uint32{plain, making, deep} {
		add(levelCues[level], level<<3)
	}
	add(briefCues, cueBrief)
	add(detailCues, cueDetail)
	add(sensitiveCues, cueSensitive)
	for i, d := range domainNames {
		add(domainCues[d], cueDomain<<i)
	}
	for i, lang := range languages {
		for word := range strings.FieldsSeq(stopWords[lang]) {
			w.put(hashCue(word), cueLanguage<<i)
		}
	}
	return b, w
}()

// hashCue hashes a cue as the reading does: one space between two words whatever stands there, a Chinese, Japanese or
// Korean character a word of its own.
func hashCue(s string) uint32 {
	h := uint32(hashSeed)
	gap := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x80 && byteKind[c] != kindWord {
			gap = true
			continue
		}
		if gap || i > 0 && c >= firstIdeograph && c <= lastIdeograph {
			h = (h ^ ' ') * hashPrime
		}
		gap = false
		h = (h ^ uint32(c)) * hashPrime
	}
	return h
}
