package terms

import "strings"

// unaccented maps lower-case letters to what remains without their accents.
var unaccented = func() map[rune]string {
	m := map[rune]string{'ß': "ss", 'æ': "ae", 'œ': "oe", 'þ': "th", 'ĳ': "ij", 'ﬁ': "fi", 'ﬂ': "fl", 'ﬀ': "ff", 'ﬃ': "ffi", 'ﬄ': "ffl"}
	for plain, letters := range map[string]string{
		"a": "àáâãäåāăąǎạảấầẩẫậắằẳẵặ", "c": "çćĉċč", "d": "ďđð", "e": "èéêëēĕėęěẹẻẽếềểễệ", "g": "ĝğġģǧ", "h": "ĥħ",
		"i": "ìíîïĩīĭįıǐịỉ", "j": "ĵ", "k": "ķ", "l": "ĺļľŀł", "n": "ñńņňŉ", "o": "òóôõöøōŏőǒơọỏốồổỗộớờởỡợ", "r": "ŕŗř",
		"s": "śŝşšșſ", "t": "ţťŧț", "u": "ùúûüũūŭůűųǔưụủứừửữự", "w": "ŵẁẃẅ", "y": "ýÿŷỳỵỷỹ", "z": "źżž",
		"α": "ά", "ε": "έ", "η": "ή", "ι": "ίϊΐ", "ο": "ό", "υ": "ύϋΰ", "ω": "ώ", "σ": "ς",
		"е": "ё", "и": "й", "і": "ї", "ا": "أإآٱ", "ه": "ة", "ي": "ى",
	} {
		for _, r := range letters {
			m[r] = plain
		}
	}
	return m
}()

// common holds words, folded, that nearly every text of their language has: articles, pronouns, auxiliaries,
// prepositions, conjunctions, question words.
var common = func() map[string]bool {
	m := map[string]bool{}
	for _, list := range []string{
		// English
		`a about above after again against all also am an and any are aren't as at be because been before being below between both but by
		can can't cannot could couldn't did didn't do does doesn't doing don't down during each either else ever every few for from
		further get gets had hadn't has hasn't have haven't having he her here hers herself him himself his how however i if in into
		is isn't it its itself just let may me might more most must my myself neither no nor not of off on once one only or other
		ought our ours out over own per please rather same shall she should shouldn't so some such than that the their theirs them
		themselves then there these they this those though through thus to too under until up upon us very was wasn't we were
		weren't what when where whether which while who whom whose why will with within without won't would wouldn't yet you your
		yours yourself tell give say says`,
		// German
		`aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da damit dann das dass dein
		deine dem den denn der des dessen die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer
		eines er es etwas euch euer fur gegen gibt habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren
		ihrer im in ins ist ja jede jeder jedes jene jetzt kann kannst kein keine keinem keinen keiner konnen konnte man mein meine
		mich mir mit muss mussen nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind
		so soll sollen sollte sondern sonst uber um und uns unser unsere unter viel vom von vor wann war waren warum was wegen weil
		welche welcher welches wenn wer werden werde wie wieder will wir wird wo wurde wurden zu zum zur zwischen`,
		// French
		`afin ai alors au aucun aussi autre aux avant avec avoir car ce cela celle celui ces cet cette ceux chaque chez comme comment
		dans de des depuis donc dont du elle elles en encore entre est et etaient etait ete etre eu fait font il ils je la le les leur
		leurs lors lorsque lui ma mais meme mes moi mon ne nos notre nous ou par parce pas pendant peu peut plus pour pourquoi qu quand
		que quel quelle quelles quels qui quoi sa sans se ses si son sont sous sur ta te tes toi ton tous tout toute toutes tres tu un
		une vos votre vous`,
		// Spanish, Portuguese, Italian
		`al algo ante antes aquel como con contra cual cuando cuanto del desde donde dos durante el ella ellas ellos entre era eran es
		esa ese eso esta estas este esto estos fue fueron ha han hasta hay la las lo los mas me mi mientras muy nada ni no nos nosotros
		o os otra otro para pero poco por porque pues que quien se sea ser si sido sin sobre son su sus tal tambien tanto te tiene todo
		todos tu un una uno unos y ya yo ao aos aquele aquela com da das dela dele do dos e ela elas ele eles em essa esse foi isso isto
		ja mais mas mesmo meu minha na nas nem nos num numa nao onde ou pela pelo pelos quando quem sao sem seu seus sua suas tem uma
		voce vos agli ai al alla alle anche che chi ci cio come con cosa cui da dal dalla degli dei del della delle dello di dove ed
		gli ha hanno i il in io la le lei loro lui ma mi nei nel nella noi non ogni per perche piu pero qual quale quando quanto quella
		quelle quello questa queste questi questo se sei si sia sono sta su sua sue sugli sui sul sulla suo tra un una uno vi voi`,
		// Dutch, Swedish, Danish, Norwegian
		`aan als bij dat de deze die dit door een en er geen had heb hebben heeft het hoe hun ik is je kan maar me meer met mijn naar niet
		nog nu of om onder ons ook op over te tegen tot uit van veel voor waar wat wel werd wie wij worden wordt zal ze zich zij zijn zo
		att av blev da deras det den dem detta du efter ej eller en ett fran for ha hade han har hon hur i inte jag kan med men mig min
		mot nar och om pa sa sig sin ska som till under upp ut var vi vid vilken af at blive bliver der dig ej ham hans hvad hvem hver
		hvor ikke jeg kun mange noget nu ogsa og skal skulle til vil vore`,
		// Russian, Polish
		`а без более был была были было быть в вам вас весь во вот все всего всех вы где да даже для до его ее если есть еще же за здесь и
		из или им их к как какая какой ко когда кто ли либо мне может мы на над надо не него нее нет ни них но ну о об однако он она они
		оно от очень по под при с со так также такой там те тем то того тоже той только том ты у уже хотя чего чеи чем что чтобы чье эта
		эти это этот я aby ale bardzo bez bo byc byl byla bylo co czy dla do gdy gdzie go i ich jak jako jego jej jest jeszcze juz kiedy
		kto ktora ktore ktory lub ma mnie moze na nad nie nim niz o od on ona oni oraz po pod przez przy sa sie ta tak tam te tego tej
		ten to tu tylko w we wie z za ze zeby`,
	} {
		for _, w := range strings.Fields(list) {
			var b [2 * maxTerm]byte
			n := 0
			for _, r := range w {
				if r != '\'' {
					n += fold(b[n:], r)
				}
			}
			m[string(b[:n])] = true
		}
	}
	return m
}()
