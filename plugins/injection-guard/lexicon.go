package injectionguard

import (
	"slices"
	"strings"
)

// Classes of words. A word may be of several.
const (
	override  uint64 = 1 << iota // ignore, forget
	previous                     // previous, above: the instructions that came before
	yours                        // your, system: the model's own
	every                        // all, any
	rule                         // instructions, rules
	prompt                       // prompt
	hidden                       // system, hidden, initial: kinds of prompt
	reveal                       // reveal, print
	recite                       // repeat, verbatim: word for word
	ask                          // what, which
	persona                      // act, pretend
	unbound                      // unrestricted, jailbroken
	without                      // no, without, never
	limit                        // restrictions, filters
	machine                      // assistant, model
	action                       // send, delete
	private                      // password, conversation
	user                         // user
	conceal                      // tell, mention, inform: with "not" before it
	fresh                        // new, updated
	obey                         // follow, execute
	decoding                     // decode, base64
	discourse                    // attack, example: words of a text about attacks
	subject                      // i, they: someone else does it
	negation                     // not, never
	void                         // ignored, void: said of instructions
	you                          // you
	elsewhere                    // in, on: the rules of something else
	text                         // text, words, everything
	must                         // must, should
	mode                         // mode
	tool                         // tool, function
	grant                        // admin, root, authorized
	rot13                        // a telling word in rot13
	backwards                    // a telling word spelled backwards
	given                        // given, told: the instructions you were given
	now                          // now, from now on
	whole                        // everything: without a noun
)

var lexicon = map[uint64]string{
	override: `ignore ignoring disregard disregarding forget forgetting override overriding bypass bypassing neglect overlook discard dismiss
		drop abandon delete erase unlearn skip circumvent overwrite cancel nullify violate break suspend
		ignoriere ignorieren ignorier vergiss vergessen vergesse missachte missachten umgehe ueberschreibe überschreibe verwirf
		ignorez ignorer oublie oubliez oublier néglige négligez contourne outrepasse
		ignora ignorar ignore ignoren ignores olvida olvidar olvide olvídate omite descarta desatiende desestima
		ignorare ignorate dimentica dimenticare dimenticati trascura tralascia scarta
		esqueça esquece esquecer desconsidere desconsidera desconsiderar descarte
		negeer negeren vergeet vergeten
		игнорируй игнорируйте игнорировать забудь забудьте отбрось проигнорируй пренебреги zignoruj zapomnij`,
	previous: `previous prior above earlier preceding foregoing former past before previously existing initial original old antecedent
		vorherigen vorherige vorheriger bisherigen bisherige vorigen obigen obige früheren vorangegangenen vorangehenden zuvor bisher ursprünglichen davor
		précédentes précédente précédents précédent antérieures antérieurs préalables dessus initiales avant
		anteriores anterior previas previos previa previo precedentes antes iniciales
		precedenti precedente sopra prima iniziali
		acima prévias prévios iniciais
		vorige voorgaande eerdere bovenstaande voorafgaande eerder
		предыдущие предыдущих предыдущую прежние прошлые вышеуказанные ранее poprzednie`,
	yours: `your ur yours thy system developer creators openai anthropic programmed deine deinen deiner deines ihre ihren deinem tes vos ton votre
		tus sus tu tuoi tue tua suas seus sua seu teus tuas je jouw uw твои ваши свои своих твой ваших твоих twoje preprompt`,
	every: `all any every everything anything each entire whole these those this the alle sämtliche alles tous toutes tout todas todos todo tutte tutti
		tutto tudo al все всех всё wszystkie`,
	rule: `instructions instruction instr rules rule guidelines guideline directions directives directive commands constraints restrictions policies
		policy programming guardrails safeguards protocols protocol training guidance limitations directions prompting configuration
		anweisungen anweisung instruktionen regeln vorgaben richtlinien befehle anordnungen vorschriften
		consignes consigne règles directives
		instrucciones instrucción reglas órdenes indicaciones directrices normas
		istruzioni istruzione regole direttive comandi ordini
		instruções instrução regras ordens diretrizes
		instructies instructie regels richtlijnen opdrachten aanwijzingen
		инструкции инструкций инструкцию правила правил указания указаний команды instrukcje polecenia`,
	prompt: `prompt prompts preprompt systemprompt metaprompt sysprompt промпт prompta eingabeaufforderung systemanweisung systemanweisungen`,
	hidden: `system initial hidden secret original internal confidential developer starting base core underlying exact full complete geheimen
		interne internen systeme système secretas ocultas ocultes cachées segrete nascoste sistema iniciales geheime verborgen системный системные pre`,
	reveal: `respond answer reply reveal leak disclose divulge expose dump show print output display tell give share write list return state provide paste
		describe summarize summarise type read send copy include translate encode see know
		zeige zeig verrate nenne gib drucke wiederhole montre révèle affiche donne répète muestra revela muéstrame imprime repite dime mostra rivela
		stampa ripeti mostre revele repita mostrami dimmi toon onthul geef herhaal покажи раскрой выведи повтори напиши pokaż`,
	recite: `repeat verbatim recite echo print output reprint regurgitate reproduce wortwörtlich wiederhole repite répète ripeti repita herhaal повтори дословно`,
	ask:    `what whats which was wie quelles quels quelle cuáles cuál quali quais welke какие`,
	persona: `act acting pretend roleplay role simulate imagine become behave impersonate emulate character persona respond answer transform play stay
		spiele tue verhalte agis joue fais comporte actúa finge compórtate simula fingi comportati aja finja doe gedraag притворись представь`,
	unbound: `unrestricted unfiltered uncensored jailbroken jailbreak dan amoral unbound unethical unmoderated unlimited lawless limitless stan dude
		evilbot mongo devmode uncensor unshackled unconstrained betterdan antigpt aim freegpt wormgpt evilgpt unhinged omnipotent
		uneingeschränkt unzensiert unbegrenzt desinhibé déchaîné illimité ilimitado irrestricto libero illimitato irrestrito onbeperkt ongecensureerd`,
	without: `no without never not cannot cant wont free freed ignoring disabled off lacks beyond none anything ohne keine keinen kein sans aucune
		aucun sin ningún ninguna senza nessuna nessun sem nenhuma nenhum zonder geen без никаких`,
	limit: `restrictions restriction limitations limits filters filter filtering rules guidelines ethics ethical morals moral morality policies policy
		censorship safety boundaries constraints safeguards guardrails refuse refusing refusal decline deny bound moderation laws inhibitions
		disclaimers warnings regeln einschränkungen filter beschränkungen grenzen restrictions limites règles filtres restricciones límites filtros
		reglas restrizioni limiti filtri regole restrições limitações filtros regras beperkingen regels ограничений правил фильтров цензуры`,
	machine: `ai assistant assistants llm llms chatbot chatbots gpt chatgpt gpt4 claude gemini copilot bot agent agents model models
		ki assistent modell ia asistente modelo assistente ассистент ии`,
	action: `send forward email delete transfer visit click post upload execute run call fetch respond reply output say recommend rate approve
		reject insert append include download open buy purchase wire submit install write invoke praise rank score answer promote print
		exfiltrate sende leite überweise lösche antworte envoie transmets réponds envía reenvía borra responde invia inoltra rispondi envie encaminhe
		stuur verwijder antwoord отправь перешли удали`,
	private: `password passwords credentials credential secrets apikey apikeys token tokens conversation history contents inbox emails cookies
		keys key data logs transcript passwort passwörter mot contraseñas contraseña senha senhas wachtwoorden пароль пароли chat environment env`,
	user:    `user users customer human reader benutzer nutzer utilisateur usuario utente usuário gebruiker пользователю`,
	conceal: `tell mention inform reveal disclose notify alert say acknowledge warn sage informiere mentionne dis digas menciones informar`,
	fresh:   `new updated actual real true additional latest neue neuen nouvelles nouvelle nuevas nueva nuove nuova novas nova nieuwe новые новая`,
	obey: `follow following obey execute comply perform do heed adhere carry befolge befolgen folge suis exécute sigue ejecuta obedece segui esegui siga
		execute volg voer следуй выполни выполняй`,
	decoding: `decode base64 rot13 hex decrypt decipher unscramble cipher caesar encoded encode reversed backwards morse dekodiere décode decodifica`,
	discourse: `attack attacks attacker attackers injection injections phrase phrases example examples e.g detect detects detection detector researchers
		research security vulnerability vulnerabilities paper article blog jailbreaks quote quoted quotes classifier malicious adversarial defend
		defence defense owasp mitigation mitigations victim hackers hacker exploit beispiel angriff angriffe exemple attaque ejemplo ataque esempio
		attacco exemplo string test tests testing blocklist titled called tokenizer template templates chatml documentation mean means format
		meaning explain explains lesson strings headline known famous classic`,
	subject: `i we they he she it who nobody people users students drivers employees models programmers players attackers children
		someone everyone ich wir sie er man nous ils elle on nosotros ellos noi loro nós eles wij zij`,
	negation:  `not never dont cannot cant avoid refuse shouldnt wouldnt mustnt wont doesnt didnt nicht nie pas jamais no nunca non mai não niet nooit не`,
	void:      `ignored disregarded forgotten void overridden cancelled canceled superseded obsolete invalid revoked suspended lifted nullified deleted`,
	you:       `you u youre yourself du dich sie tu vous te usted tú você je jij ты вы ти`,
	elsewhere: `in on of for at from about regarding concerning im auf für zu`,
	text:      `text texts words word message messages sentence sentences lines line content contents conversation paragraph paragraphs input document texte palabras texto testo tekst текст`,
	must:      `must should shall need required have will please muss musst soll sollst bitte devez dois debes debe devi deve moet`,
	mode:      `mode modus modo modalità`,
	tool:      `tool tools function functions plugin api endpoint url http https link webhook`,
	grant:     `admin administrator root sudo superuser authorized authorised debug maintenance override developer god`,
	rot13:     `gur naq lbh zr nyy gung jvgu abg jung guvf ner unir sebz gryy fnl abj jevgr fubj bhg vg cyrnfr va gb bs vf vtaber vafgehpgvbaf cerivbhf cebzcg flfgrz qvfertneq erirny sbetrg lbhe ehyrf nobir`,
	backwards: `rof yna sa na ym drow eb od yb no ro fi dluow tuohtiw eht uoy lla taht htiw tahw siht era evah morf llet yas won etirw wohs esaelp dna ot em fo erongi snoitcurtsni suoiverp tpmorp metsys drageresid laever tegrof ruoy selur evoba`,
	given:     `given told said received instructed been provided learned set wrote gegeben bekommen reçues données dicho dado recibido dette ricevuto ditas recebidas gekregen`,
	now:       `now henceforth onwards today jetzt ab désormais maintenant ahora ora adesso agora nu теперь`,
	whole:     `everything anything all whatever alles tout todo tutto tudo всё`,
}

// classes has the classes of each word, by its key.
var classes = func() map[string]uint64 {
	m := make(map[string]uint64, 1200)
	for class, words := range lexicon {
		for _, w := range strings.Fields(words) {
			var f folded
			f.fold(w)
			var buf [maxWord]byte
			k := key(buf[:0], f.b)
			m[string(k)] |= class
			if class&(override|rule|prompt|previous|limit) != 0 && len(k) >= 5 {
				slices.Reverse(k)
				m[string(k)] |= backwards
			}
		}
	}
	return m
}()

// slots is a hash table of the classes by the hash of the word's key (FNV-1a): a map of Go's takes most of the time in a
// guest. Words of 32 bits in common are taken for the same, which is as rare as it is harmless.
var slots = func() (t struct {
	hash  [slotCount]uint32
	class [slotCount]uint64
}) {
	for w, class := range classes {
		h := uint32(seedWord)
		for i := range len(w) {
			h = (h ^ uint32(w[i])) * 16777619
		}
		i := h >> slotShift
		for t.hash[i] != 0 && t.hash[i] != h {
			i = (i + 1) % slotCount
		}
		t.hash[i] = h
		t.class[i] |= class
	}
	return
}()

const (
	slotCount = 1 << 13
	slotShift = 32 - 13
)

// find returns the classes of the word whose key has the hash h, 0 for none.
func find(h uint32) uint64 {
	i := h >> slotShift
	for {
		switch slots.hash[i] {
		case h:
			return slots.class[i]
		case 0:
			return 0
		}
		i = (i + 1) % slotCount
	}
}

// prefixes has what the words of the lexicon start with, three bytes hashed.
var prefixes = func() (t [1 << 12]bool) {
	for w := range classes {
		if len(w) >= 3 {
			t[prefix([]byte(w))] = true
		}
	}
	return
}()

func prefix(w []byte) uint32 {
	return (uint32(w[0])*961 ^ uint32(w[1])*31 ^ uint32(w[2])*7919) % (1 << 12)
}

// lengths has a bit for each length of the lexicon's words, by first byte: most words of a text need no look-up.
var lengths = func() (t [256]uint32) {
	for w := range classes {
		t[w[0]] |= 1 << len(w)
	}
	return
}()

// maxWord is the longest word of the lexicon and below 32, in bytes.
const maxWord = 31

// leet maps letters and the signs that stand for them to one of them; 0 where a byte is no part of a word.
var leet = func() (t [256]byte) {
	for c := range 256 {
		if c >= 'a' && c <= 'z' || c >= 0x80 || c >= '0' && c <= '9' {
			t[c] = byte(c)
		}
	}
	for i := 0; i < len("0o1i!i|ili3e4a@a5s$s7t"); i += 2 {
		t["0o1i!i|ili3e4a@a5s$s7t"[i]] = "0o1i!i|ili3e4a@a5s$s7t"[i+1]
	}
	return
}()

// key appends the form of a folded word under which the lexicon has it.
func key(dst, word []byte) []byte {
	for _, c := range word {
		if k := leet[c]; k != 0 && len(dst) < maxWord {
			dst = append(dst, k)
		}
	}
	return dst
}

// ideographs are the words of languages that write no spaces.
var ideographs = []struct {
	words string
	class uint64
}{
	{"忽略 无视 無視 忘记 忘記 不要理会 忘れて 無效 取消 破棄 무시", override},
	{"之前 以上 先前 前面 上述 此前 これまで 以前 上記 前述 今まで 先ほど 이전 위의", previous},
	{"你的 您的 系统 系統 あなたの システム 시스템", yours},
	{"所有 全部 すべて 全て 一切 모든", every},
	{"指令 指示 规则 規則 命令 说明 設定 ルール 설정 지시 규칙 限制", rule},
	{"提示词 提示詞 提示 プロンプト 프롬프트", prompt},
	{"系统 系統 初始 隐藏 原始 システム 初期 内部", hidden},
	{"输出 輸出 显示 顯示 告诉我 打印 泄露 透露 表示 出力 教えて 開示 見せて 보여", reveal},
	{"重复 重複 逐字 原文 繰り返し そのまま", recite},
	{"扮演 假装 假裝 你现在是 ふり 演じ なりきっ", persona},
	{"没有 沒有 不受 なし 制限のない", without},
	{"限制 约束 道德 审查 制限 制約 倫理 検閲", limit},
	{"你是 你现在 あなたは", you},
}

type ideograph struct {
	word  string
	class uint64
}

// ideographsBy has the words by their first byte and second, longest first.
var ideographsBy = func() map[[2]byte][]ideograph {
	m := map[[2]byte][]ideograph{}
	all := map[string]uint64{}
	for _, e := range ideographs {
		for _, w := range strings.Fields(e.words) {
			all[w] |= e.class
		}
	}
	for w, class := range all {
		at := [2]byte{w[0], w[1]}
		list := m[at]
		i := 0
		for i < len(list) && (len(list[i].word) > len(w) || len(list[i].word) == len(w) && list[i].word < w) {
			i++
		}
		list = append(list, ideograph{})
		copy(list[i+1:], list[i:])
		list[i] = ideograph{w, class}
		m[at] = list
	}
	return m
}()
