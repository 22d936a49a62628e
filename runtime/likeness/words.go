package likeness

import (
	"slices"
	"strings"
	"unicode"
)

func set(lists ...string) map[string]bool {
	m := map[string]bool{}
	for _, l := range lists {
		for w := range strings.FieldsSeq(l) {
			m[w] = true
		}
	}
	return m
}

// negations turn what is asked into its contrary. Words are folded: without accents, in small letters, don't as dont.
var negations = set(
	`avoid prevent not no never none nor neither cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt shouldnt couldnt hasnt havent
	hadnt mustnt neednt aint without except unless unable nothing nobody nowhere hardly lacking excluding`,
	`nicht kein keine keinen keinem keiner keines nie niemals ohne ausser weder nichts niemand`,
	`pas jamais sans aucun aucune rien sauf ni`,
	`nunca sin ningun ninguna ninguno nada nadie excepto tampoco`,
	`non mai senza nessun nessuno nessuna niente nao sem nenhum nenhuma niet geen nooit zonder inte ingen utan ikke uden`,
)

// strong are words that no cosine makes up for.
var strong = set(`before after above below over under outside inside until since between during against most least first last more less
	minimum maximum lowest highest smallest largest shortest longest cheapest oldest newest`)

// questionWords say what is asked for; "how" and "what" alone say nothing.
var questionWords = map[string]string{"inventor": "who", "author": "who", "writer": "who", "founder": "who", "composer": "who", "painter": "who", "who": "who", "whom": "who", "whose": "who", "when": "when", "why": "why",
	"wer": "who", "wann": "when", "warum": "why", "wieso": "why", "weshalb": "why", "qui": "who", "quand": "when", "pourquoi": "why", "quien": "who", "cuando": "when", "donde": "where", "wo": "where"}

// howWords say what is asked for behind how, what and which.
var howWords = map[string]string{"often": "frequency", "frequently": "frequency", "long": "duration", "far": "distance", "old": "age", "age": "age", "tall": "height",
	"heavy": "weight", "year": "when", "date": "when", "reason": "why", "person": "who", "come": "why", "distance": "distance", "height": "height", "weight": "weight"}

// canonical are other ways to write a word.
var canonical = func() map[string]string {
	m := map[string]string{}
	for _, line := range strings.Split(`km kms kilometer kilometers kilometres kilometre
m meter meters metres metre
cm centimeter centimeters centimetres centimetre
mi mile miles
kg kgs kilo kilos kilograms kilogram
g gram grams
lb lbs pounds pound
oz ounces ounce
l liter liters litres litre
c celsius
f fahrenheit
mins min minutes minute
hrs hr hours hour
secs sec seconds second
days day
weeks week
months month
years yr yrs year
eur euros euro
usd dollars bucks dollar
pct percentage percent
wlan wifi
ok okay
lost lose
built build
eaten ate eat
won win
bought buy
sold sell
sent send
paid pay
made make
taken took take
given gave give
written wrote write
broken broke break
driven drove drive
chosen chose choose
spoken spoke speak
stolen stole steal
frozen froze freeze
grown grew grow
known knew know
shown show
worn wore wear
torn tear
held hold
kept keep
met meet
ran run
came come
became become
begun began begin
drunk drank drink
taught teach
brought bring
caught catch
fought fight
slept sleep
spent spend
lent lend
heard hear
understood understand
flown flew fly
drawn drew draw
thrown threw throw
ridden rode ride
hidden hide
sung sang sing
swum swam swim
constructed construct
invented invent
viruses virus`, "\n") {
		list := strings.Fields(line)
		for _, w := range list {
			if len(w) > 1 { // letters alone may be anything
				m[w] = list[len(list)-1]
			}
		}
	}
	return m
}()

// telling are common words that carry meaning when they are all that differs.
var telling = set(`before after above below over under up down in out on off more most less least few first last inside outside
	for while fewer fewest again between during until since only every each all both into from to with against`)

// filler are words that questions are dressed with.
var filler = set(`ok okay please tell explain know want like need help show describe hi hello hey thanks thank question wonder wondering curious
	way ways best good simple simply easily quick quickly exactly really actually currently possible able let use using do make
	find get give go take happen mean work thing things someone somebody people one possibly anyone idea steps step procedure process
	instruction instructions guide number name named call called list state details needed high command amount following involved mind necessary method properly correctly correct right proper come look looking kindly briefly short just
	recommended recommend advance tell
	nummer anzahl zahl liste nenne geht gibt numero hacer hago hace faire dois quiero voudrais
	bitte erklare erklaren zeig zeige wissen mochte konnen konnte hilfe hallo danke frage genau
	expliquez expliquer explique savoir voudrais aider bonjour merci comment svp
	explica explicar saber quiero puedo puede podria ayuda hola gracias favor`)

// numberWords are numbers in words.
var numberWords = func() map[string]string {
	m := map[string]string{}
	for _, list := range []string{
		`zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty`,
		`null - zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn siebzehn achtzehn neunzehn zwanzig`,
		`zero - deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize - - - vingt`,
		`cero - dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince - - - - veinte`,
		`zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth`,
	} {
		for i, w := range strings.Fields(list) {
			if w != "-" {
				m[w] = itoa(i)
			}
		}
	}
	for i, w := range strings.Fields(`thirty forty fifty sixty seventy eighty ninety hundred`) {
		m[w] = itoa(30 + 10*i)
	}
	m["once"], m["thousand"], m["million"], m["billion"], m["dozen"], m["half"], m["twice"], m["double"], m["triple"] =
		"1x", "1000", "1000000", "1000000000", "12", "0.5", "2x", "2x", "3x"
	delete(m, "second") // of time, too; it stays a word
	delete(m, "once")
	return m
}()

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

// groups are words for the same; "a b c" on one line.
var groups = func() map[string][]int {
	m := map[string][]int{}
	for i, line := range strings.Split(strings.TrimSpace(`
buy purchase order acquire
delete remove erase
change modify edit alter update adjust switch set
activate enable
deactivate disable
responsible charge manage manages run runs head
track status where
reset recover restore
forgot forgotten lost forget
password passcode pwd
begin start commence
end finish stop terminate
cost price expensive charge fee
car automobile vehicle
fix repair solve resolve troubleshoot
error problem issue fault trouble
create generate build set
big large
small little tiny
fast quick rapid
speed velocity fast
send transmit ship deliver
delivery shipping shipment
job position vacancy
doctor physician
movie film
picture photo image
photograph photo
company firm business enterprise
holiday vacation leave
phone telephone mobile cellphone smartphone
address location
where location
email mail e-mail
cancel terminate
subscription membership plan
refund money-back reimbursement repayment
return give-back
install setup
uninstall remove
live reside
write author wrote written
author writer
population inhabitants
country nation
tall height high
long length
old age
far distance
heavy weight weigh
deep depth
hot temperature
city town
money cash
salary pay wage
boss manager supervisor
employee worker staff
child kid children kids
connect link pair
pick choose select
store keep save preserve
copy duplicate backup
allow permit
forbid prohibit ban
required mandatory obligatory
show display
cook prepare bake
boil cook
clean wash
recipe cook
capital seat
purpose aim goal
benefit advantage
drawback disadvantage downside
difference differ distinguish
function feature
symptom sign
treat cure heal
learn study
teach instruct
school college
invoice bill
contract agreement
deadline due
open launch
turn switch
log sign
signin login
register signup enroll
contact reach
support helpdesk
opening hours
hours time
closing close
discovered discover find found
invented invent
founded found established establish
occur happen
sum total add
multiply product
translate translation
summary summarise summarize
average mean
temperature point
limit maximum
cover covered pay include
accept accepted allow allowed
interval often frequently frequency
meaning mean explain stand
sign symptom
maximum highest largest
minimum lowest smallest
need require required necessary needed must
bring allow allowed permit permitted
pay accept payment
support available offer provide
recipe make cook prepare bake
calculate formula compute work-out
see check view look find
approve sign authorise authorize
reduce lower cut decrease
raise increase
replace change swap exchange substitute
tallest highest
biggest largest greatest
fastest quickest
policy rule rules regulation regulations guideline guidelines
expire end
trip travel travelling traveling journey visit
period long duration length
start run launch execute
request ask apply
format style
dosage dose
construct build erect
employee employees staff worker workers people
speed fast quick
limit many allowed maximum
submit hand file
report tell
collect pick
receive get
reserve book
combine merge join
remove out
kick remove eject expel
invite add
add include insert
member user person
reach get travel
downtown centre center
apartment flat
autumn fall
paperwork documents papers
wireless wifi
memory ram
tv television
sick ill unwell
bill bills invoice invoices
meeting conference
export download
renew extend
restart reboot
laptop notebook
lift elevator
petrol gas gasoline
rubbish trash garbage
shop store
loan credit
film movie
bacterium bacteria
unsubscribe stop
garantie garantiezeit gewahrleistung
versand versandkosten lieferung
konto account
andern andere geandert wechseln
kundigen kundige beenden
changer modifier
horaires heures
cambiar cambio modificar
borrar eliminar
supprimer effacer
loschen losche entfernen
offnet offnen auf
`), "\n") {
		for w := range strings.FieldsSeq(line) {
			m[w] = append(m[w], i)
		}
	}
	return m
}()

func sameGroup(a, b string) bool {
	return a == b || slices.ContainsFunc(groups[a], func(g int) bool { return slices.Contains(groups[b], g) })
}

// alias are names of the same.
var alias = map[string]string{
	"uk": "britain", "usa": "america", "us": "america", "nyc": "york", "uae": "emirates", "holland": "netherlands", "ny": "york", "js": "javascript",
	"ts": "typescript", "golang": "go", "k8s": "kubernetes", "postgres": "postgresql", "pg": "postgresql", "la": "angeles", "sf": "francisco", "eu": "europe",
	"kingdom": "britain", "states": "america", "tv": "television", "pc": "computer", "ai": "intelligence",
	"canadian": "canada", "australian": "australia", "american": "america", "mexican": "mexico", "brazilian": "brazil", "indian": "india", "swiss": "switzerland",
	"austrian": "austria", "belgian": "belgium", "irish": "ireland", "scottish": "scotland", "british": "britain", "egyptian": "egypt", "kenyan": "kenya",
	"nigerian": "nigeria", "chilean": "chile", "colombian": "colombia", "peruvian": "peru", "cuban": "cuba", "israeli": "israel", "iranian": "iran", "iraqi": "iraq",
	"european": "europe", "african": "africa", "asian": "asia", "californian": "california", "texan": "texas", "ceo": "executive", "wlan": "wifi",
}

// closed are words of which a question means one and no other of its class.
var closed = func() map[string]string {
	m := map[string]string{}
	for class, list := range classes {
		for w := range strings.FieldsSeq(list) {
			m[w] = class
		}
	}
	return m
}()

// properClass are the classes whose members are names however they are written.
var properClass = map[string]bool{"place": true, "person": true, "brand": true, "planet": true, "language": true, "tech": true}

var classes = map[string]string{
	"month":   `january february march april june july august september october november december januar februar marz juni juli oktober dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre`,
	"weekday": `monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves viernes sabado domingo`,
	"day":     `today tomorrow yesterday tonight heute morgen gestern`,
	"season":  `spring summer autumn fall winter`,
	"period":  `second minute hour day week month quarter year decade century morning afternoon evening night noon midnight`,
	"colour":  `red green blue yellow black white orange purple pink brown grey gray silver gold rot grun blau gelb schwarz weiss`,
	"unit":    `metre meter metres meters kilometre kilometer kilometres kilometers mile miles foot feet inch inches yard yards gram grams kilogram kilograms pound pounds ounce ounces litre liter litres liters gallon gallons celsius fahrenheit kelvin watt watts volt volts byte bytes kilobyte megabyte gigabyte terabyte kg km cm mm mb gb tb`,
	"money":   `dollar dollars euro euros pound yen yuan franc francs rupee rupees peso pesos krona krone bitcoin usd eur gbp jpy chf`,
	"compass": `north south east west northern southern eastern western`,
	"side":    `left right front rear top bottom upper lower`,
	"kin":     `mother father sister brother son daughter aunt uncle wife husband grandmother grandfather cousin nephew niece`,
	"animal":  `dog cat horse cow pig sheep goat rabbit hamster parrot chicken duck goose lion tiger elephant whale shark bee ant spider snake frog wolf bear fox puppy kitten`,
	"food":    `rice pasta bread cake soup salad pizza beef pork chicken fish lamb turkey salmon tuna potato potatoes tomato tomatoes onion onions carrot carrots egg eggs milk cheese butter yogurt apple apples banana bananas cherry cherries coffee tea beer wine beans lentils quinoa`,
	"metal":   `iron steel copper zinc tin lead silver gold aluminium aluminum nickel titanium platinum mercury hydrogen helium oxygen nitrogen carbon sodium potassium calcium`,
	"planet":  `venus mars jupiter saturn uranus neptune pluto earth moon sun`,
	"place": `london paris berlin madrid rome vienna brussels amsterdam lisbon dublin athens warsaw prague budapest copenhagen stockholm oslo helsinki moscow kyiv
		istanbul cairo lagos nairobi johannesburg mumbai delhi bangalore beijing shanghai tokyo osaka seoul singapore bangkok jakarta manila sydney melbourne auckland
		toronto montreal vancouver chicago boston seattle houston dallas miami denver atlanta philadelphia phoenix angeles francisco york washington detroit
		munich hamburg cologne frankfurt stuttgart dresden leipzig zurich geneva bern basel milan naples venice turin florence pisa barcelona valencia seville lyon
		marseille nice bordeaux toulouse lille strasbourg porto krakow gdansk manchester liverpool birmingham leeds glasgow edinburgh cardiff belfast bristol
		france germany spain italy portugal austria switzerland belgium netherlands luxembourg ireland england scotland wales britain denmark sweden norway finland iceland
		poland czechia slovakia hungary romania bulgaria greece turkey serbia croatia slovenia estonia latvia lithuania ukraine russia belarus georgia armenia
		china japan korea india pakistan bangladesh nepal vietnam thailand malaysia indonesia philippines taiwan mongolia iran iraq israel jordan lebanon syria
		egypt morocco algeria tunisia libya nigeria ghana kenya ethiopia tanzania uganda rwanda zambia zimbabwe senegal congo angola namibia botswana mozambique
		canada america mexico brazil argentina chile peru colombia venezuela ecuador bolivia uruguay paraguay cuba jamaica panama guatemala honduras australia
		texas california florida nevada oregon ohio michigan alaska hawaii europe asia africa antarctica nile amazon danube rhine thames everest kilimanjaro`,
	"language": `english german french spanish italian portuguese dutch swedish danish norwegian finnish polish czech hungarian greek turkish russian ukrainian arabic hebrew
		hindi chinese mandarin japanese korean vietnamese thai latin deutsch englisch franzosisch spanisch`,
	"tech": `python java javascript typescript rust golang ruby php perl swift kotlin scala haskell excel word powerpoint outlook teams slack zoom windows linux macos ubuntu debian
		android ios iphone ipad chrome firefox safari edge docker kubernetes mysql postgresql sqlite mongodb redis oracle git svn mercurial react angular vue django flask
		gmail whatsapp telegram signal facebook instagram twitter linkedin youtube netflix spotify`,
	"brand": `apple google microsoft amazon meta tesla toyota honda ford bmw audi mercedes volkswagen samsung sony nokia huawei intel amd nvidia ibm dell lenovo hp adobe
		visa mastercard paypal dhl ups fedex ikea nike adidas`,
	"person": `anna maria peter paul john james michael david thomas robert william mary linda sarah laura julia emma sophie alice bob carol eve frank george henry
		einstein newton darwin curie galileo tesla edison mozart beethoven bach shakespeare goethe hemingway tolstoy picasso monet rembrandt napoleon lincoln`,
	"gender": `men women man woman boys girls boy girl male female`,
	"size":   `small medium large`,
}

// sameMember says whether two members of a class are the same in another form.
func sameMember(a, b string) bool {
	return a == b || alias[a] != "" && alias[a] == alias[b] || alias[a] == b && b != "" || alias[b] == a && a != "" ||
		strings.TrimSuffix(a, "s") == strings.TrimSuffix(b, "s") || a == "grey" && b == "gray" || a == "gray" && b == "grey" || a == "fall" && b == "autumn" || a == "autumn" && b == "fall"
}

// opposites are pairs of which a question means one.
var opposites = func() map[string][]string {
	m := map[string][]string{}
	for pair := range strings.FieldsSeq(`
		increase/decrease increase/reduce increase/lower raise/lower raise/reduce grow/shrink rise/fall up/down on/off in/out into/from to/from before/after above/below over/under inside/outside
		more/less more/fewer most/fewest for/while most/least many/few first/last highest/lowest largest/smallest biggest/smallest longest/shortest tallest/shortest
		oldest/youngest oldest/newest newest/oldest fastest/slowest best/worst cheapest/expensive nearest/farthest warmest/coldest hottest/coldest maximum/minimum max/min
		buy/sell purchase/sell open/close opened/closed start/stop begin/end start/end start/finish enable/disable install/uninstall install/remove allow/forbid allow/block permit/deny
		accept/reject accept/decline approve/reject approve/deny include/exclude import/export upload/download encrypt/decrypt compress/extract compress/decompress lock/unlock mute/unmute
		connect/disconnect log/logout login/logout signin/signout subscribe/unsubscribe activate/deactivate add/remove add/delete add/subtract create/delete create/remove
		multiply/divide send/receive lend/borrow push/pull win/lose gain/lose pass/fail save/spend save/delete show/hide freeze/thaw freeze/boil heat/cool
		enable/off activate/off disable/on deactivate/on arrive/depart arrival/departure arrivals/departures enter/leave enter/exit entrance/exit check-in/check-out checkin/checkout hire/fire
		legal/illegal possible/impossible safe/unsafe safe/dangerous healthy/unhealthy valid/invalid visible/invisible public/private internal/external required/optional mandatory/optional
		hot/cold warm/cold cheap/expensive high/low long/short big/small large/small fast/slow old/new young/old early/late early/late hard/soft hard/easy difficult/easy light/dark light/heavy
		strong/weak rich/poor full/empty wet/dry dirty/clean positive/negative male/female men/women man/woman left/right front/back
		advantages/disadvantages advantage/disadvantage benefits/drawbacks benefits/risks benefit/risk benefits/disadvantages pros/cons causes/effects cause/effect cause/treatment causes/treatment symptoms/treatment symptoms/causes symptom/cause
		employer/employee buyer/seller teacher/student landlord/tenant lender/borrower upgrade/downgrade promote/demote input/output incoming/outgoing inbound/outbound gross/net
		day/night morning/evening morning/afternoon sunrise/sunset summer/winter monthly/yearly monthly/annual weekly/daily daily/monthly credit/debit asset/liability revenue/cost profit/loss
		shrink/stretch always/sometimes always/rarely with/against single/multiple manual/automatic manually/automatically wireless/wired online/offline synchronous/asynchronous
		won/lost earn/spend indoors/outdoors indoor/outdoor outdoors/indoors upstairs/downstairs full/new inhale/exhale debtor/creditor guest/host prior/subsequent
		domestic/international temporary/permanent refund/charge expand/collapse attach/detach mount/unmount deposit/withdraw merge/split ascending/descending odd/even
		read/write client/server horizontal/vertical raw/cooked fresh/frozen
		offnen/schliessen kaufen/verkaufen ein/aus vor/nach starten/stoppen hinzufugen/loschen aktivieren/deaktivieren erhohen/senken installieren/deinstallieren
		acheter/vendre ouvrir/fermer avant/apres activer/desactiver augmenter/diminuer comprar/vender abrir/cerrar antes/despues activar/desactivar`) {
		a, b, _ := strings.Cut(pair, "/")
		m[a], m[b] = append(m[a], b), append(m[b], a)
	}
	return m
}()

// prefixes turn a word into its contrary.
var prefixes = []string{"un", "in", "im", "il", "ir", "dis", "non", "de", "mis", "anti"}

// opposite says whether two words are contraries.
func opposite(a, b word) bool {
	for _, o := range opposites[a.text] {
		if o == b.text || strip(o) == strip(b.text) {
			return true
		}
	}
	for _, o := range opposites[strip(a.text)] {
		if strip(o) == strip(b.text) {
			return true
		}
	}
	x, y := a.text, b.text
	if len(x) > len(y) {
		x, y = y, x
	}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(y, p); ok && len(rest) >= 4 && rest == x {
			return true
		}
	}
	return false
}

// strip takes the common endings of English off.
func strip(w string) string {
	for _, end := range []string{"ing", "ed", "es", "s", "e"} {
		if s, ok := strings.CutSuffix(w, end); ok && len(s) >= 3 {
			if n := len(s); end == "ing" && n > 3 && s[n-1] == s[n-2] {
				s = s[:n-1]
			}
			return strings.TrimSuffix(s, "e")
		}
	}
	return w
}

// languageWords are frequent words that tell languages of the Latin script apart.
var languageWords = func() map[string][]string {
	m := map[string][]string{}
	for lang, list := range map[string]string{
		"en": `the and of is are what this that with for you how in please it was my to can do does where when why who which`,
		"de": `der die das und ist nicht ein eine wie was mit auf für den dem zu bitte ich von im wird sind kann wo wann warum wer welche`,
		"fr": `le la les et est des une un du pour que qui dans avec ce cette quel quelle sur vous je par aux comment où quand pourquoi`,
		"es": `el la los las y es una un del para que en con por qué cómo este esta lo se mi cuál dónde cuándo quién puedo`,
		"it": `il lo la gli e è una un del per che in con di questo questa come cosa sono della dove quando perché chi`,
		"pt": `o a os as e é uma um do da para que em com por não como este esta você onde quando quem posso qual`,
		"nl": `de het een en is van niet wat met voor op dat zijn hoe ik deze naar waar wanneer waarom wie welke`,
	} {
		for w := range strings.FieldsSeq(list) {
			m[w] = append(m[w], lang)
		}
	}
	return m
}()

// languageOf tells the language of a question by its script, and for the Latin script by frequent words.
func languageOf(text string) string {
	votes := map[string]int{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		for _, r := range w {
			if s := scriptOf(r); s != "" {
				votes[s] += 2
			}
			break
		}
		for _, lang := range languageWords[w] {
			votes[lang]++
		}
	}
	best, second, lang := 1, 0, ""
	for l, n := range votes {
		switch {
		case n > best:
			best, second, lang = n, best, l
		case n > second:
			second = n
		}
	}
	if best < second+2 {
		return ""
	}
	return lang
}

func scriptOf(r rune) string {
	for _, s := range []struct {
		name  string
		table *unicode.RangeTable
	}{{"ja", unicode.Hiragana}, {"ja", unicode.Katakana}, {"ko", unicode.Hangul}, {"zh", unicode.Han}, {"ru", unicode.Cyrillic}, {"el", unicode.Greek},
		{"ar", unicode.Arabic}, {"he", unicode.Hebrew}, {"hi", unicode.Devanagari}, {"th", unicode.Thai}} {
		if unicode.Is(s.table, r) {
			return s.name
		}
	}
	return ""
}
