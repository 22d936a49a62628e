package sets

import (
	"fmt"
	"strconv"
	"strings"
)

// The people, firms and places of a split are every other one of these lists; some are names that no gazetteer has.
var (
	firstNames = strings.Fields("Emily Marcus Priya Giulia Tomasz Ayşe Hiroshi Chinedu Ingrid Mateo Fatima Noah Chloé Sven Yuki Olga Diego Aisha Liam Katarzyna Bruno Mei Rajesh Sofía Ahmed Hannah Pierre Wanjiru Jürgen Beatriz Dmitri Grace Kwame Nadia Luca Freya Thandiwe Oscar Leila Henrik Marvin Cleora Darrell Ottilie Zoltán Ines Tyrone Melvin Bernadette Quentin")
	lastNames  = strings.Fields("Carter Lindqvist Sharma Rossi Kowalczyk Yılmaz Tanaka Okonkwo Larsen Fernández Haddad O'Brien Dubois Becker Petrov Moreno Khan Thompson Nowak Barbosa Zhang Iyer Castillo Mansour Whitfield Lefèvre Kamau Schröder Pereira Volkov Hopper Boateng Farouk Conti Bjornsdottir Nkosi Delgado Karimi Halvorsen Stokes Runolfsdottir Krajcik Szabó Teixeira Vandermeer Ashworth Pemberton Hrubec Lockhart McAllister")
	firmStems  = strings.Fields("Northwind Acme Brightwater Helix Cobalt Summit Orion Meridian Redwood Bluefin Kestrel Zenith Ironbark Larkspur Vantage Halcyon")
	firmEnds   = []string{"Inc.", "Ltd", "LLC", "GmbH", "Group", "Bank", "Holdings", "University", "Technologies", "Partners", "Corporation", "Hospital", "& Sons", "S.A.", "Foundation", "Consulting"}
	streets    = strings.Fields("Maple Oak Kingsley Harbour Willow Lincoln Elmwood Station Chestnut Rosewood Highland Queens Mill Cedar")
	streetEnds = strings.Fields("Street Avenue Road Lane Drive Court Boulevard Way Place Close St. Ave Rd")
	townNames  = strings.Fields("Boston Leeds Denver Bristol Austin Manchester Portland Glasgow Tampa Sheffield")
	states     = strings.Fields("MA CO TX OR FL NY CA WA IL GA")
	mails      = strings.Fields("example.com mail.test corp.example uni.example.org post.example.net")
)

func luhnDigit(d string) byte {
	sum := 0
	for i := range len(d) {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return byte('0' + (10-sum%10)%10)
}

func iban(g gen) string {
	country, bban := "DE", g.chars(digits, 18)
	if g.IntN(2) == 0 {
		country, bban = "ES", g.chars(digits, 20)
	}
	rem := 0
	for _, c := range bban + fmt.Sprintf("%d%d00", country[0]-55, country[1]-55) {
		rem = (rem*10 + int(c-'0')) % 97
	}
	s := fmt.Sprintf("%s%02d%s", country, 98-rem, bban)
	if g.IntN(2) == 0 {
		var b strings.Builder
		for i := range len(s) {
			if i > 0 && i%4 == 0 {
				b.WriteByte(' ')
			}
			b.WriteByte(s[i])
		}
		return b.String()
	}
	return s
}

func piiValue(g gen, s Split, name string) string {
	pick := func(list []string) string { return g.pick(half(s, list)) }
	switch name {
	case "PERSON":
		n := pick(firstNames) + " " + pick(lastNames)
		switch g.IntN(8) {
		case 0:
			return pick(firstNames) + " " + g.chars(uppers, 1) + ". " + pick(lastNames)
		case 1:
			return pick(firstNames)
		}
		return n
	case "ORGANIZATION":
		return pick(firmStems) + " " + g.pick(firmEnds)
	case "ADDRESS":
		a := strconv.Itoa(1+g.IntN(9000)) + " " + pick(streets) + " " + g.pick(streetEnds)
		switch g.IntN(4) {
		case 0:
			return a + ", " + pick(townNames) + ", " + pick(states) + " " + g.chars("123456789", 5)
		case 1:
			return a + ", Apt " + strconv.Itoa(1+g.IntN(60))
		case 2:
			return g.pick([]string{"Hauptstraße", "Lindenweg", "Goethestraße", "Prinsengracht", "Via Garibaldi", "Calle Mayor"}) + " " + strconv.Itoa(1+g.IntN(200))
		}
		return a
	case "EMAIL":
		return strings.ToLower(strings.ReplaceAll(g.pick([]string{"emily.carter", "m.lind", "sales", "j_doe", "anna+news", "k.o"}), " ", "")) + g.chars(digits, g.IntN(3)) + "@" + g.pick(mails)
	case "PHONE":
		switch g.IntN(5) {
		case 0:
			return fmt.Sprintf("+49 %d %d", 151+g.IntN(20), 2000000+g.IntN(7000000))
		case 1:
			return fmt.Sprintf("(%d%s) %d%s-%s", 2+g.IntN(7), g.chars(digits, 2), 2+g.IntN(7), g.chars(digits, 2), g.chars(digits, 4))
		case 2:
			return fmt.Sprintf("%d%s-%d%s-%s", 2+g.IntN(7), g.chars(digits, 2), 2+g.IntN(7), g.chars(digits, 2), g.chars(digits, 4))
		case 3:
			return "+44 7" + g.chars(digits, 3) + " " + g.chars(digits, 6)
		}
		return "+1-" + fmt.Sprintf("%d%s-%d%s-%s", 2+g.IntN(7), g.chars(digits, 2), 2+g.IntN(7), g.chars(digits, 2), g.chars(digits, 4))
	case "CARD":
		d := g.pick([]string{"4", "51", "55", "37"})
		n := 15
		if d == "37" {
			n = 14
		}
		d += g.chars(digits, n-len(d))
		d += string(luhnDigit(d))
		if n == 15 && g.IntN(2) == 0 {
			return d[:4] + " " + d[4:8] + " " + d[8:12] + " " + d[12:]
		}
		return d
	case "IBAN":
		return iban(g)
	case "SSN":
		return fmt.Sprintf("%03d-%02d-%04d", 100+g.IntN(500), 10+g.IntN(80), 1000+g.IntN(8000))
	case "IP":
		return fmt.Sprintf("%d.%d.%d.%d", 11+g.IntN(180), g.IntN(256), g.IntN(256), 1+g.IntN(250))
	case "MAC":
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", g.IntN(256), g.IntN(256), g.IntN(256), g.IntN(256), g.IntN(256), g.IntN(256))
	case "DATE_OF_BIRTH":
		d, m, y := 1+g.IntN(28), 1+g.IntN(12), 1940+g.IntN(65)
		switch g.IntN(4) {
		case 0:
			return fmt.Sprintf("%02d/%02d/%d", d, m, y)
		case 1:
			return fmt.Sprintf("%d-%02d-%02d", y, m, d)
		case 2:
			return fmt.Sprintf("%s %d, %d", g.pick([]string{"January", "March", "July", "October"}), d, y)
		}
		return fmt.Sprintf("%d %s %d", d, g.pick([]string{"January", "March", "July", "October"}), y)
	case "PASSPORT":
		return g.chars(uppers, 1+g.IntN(2)) + g.chars("123456789", 7)
	}
	panic(name)
}

var piiTemplates = []string{
	"Please contact {{PERSON}} at {{EMAIL}} about the contract.", "My name is {{PERSON}} and I live at {{ADDRESS}}.", "{{PERSON}} joined {{ORGANIZATION}} in May.", "Dear {{PERSON}}, your invoice is attached.",
	"Patient {{PERSON}}, born {{DATE_OF_BIRTH}}, was admitted yesterday.", "Call me on {{PHONE}} after six.", "Ship the parcel to {{ADDRESS}} please.", "The meeting with {{PERSON}} and {{PERSON}} is on Tuesday.",
	"Card number {{CARD}} was declined.", "Transfer the money to {{IBAN}} today.", "SSN: {{SSN}}, name: {{PERSON}}", "Blocked login from {{IP}} for {{EMAIL}}", "The device {{MAC}} lost its lease.", "Passport no. {{PASSPORT}} expires soon.",
	"Hi {{PERSON}},\nthanks for your call.\nBest regards,\n{{PERSON}}", "She works at {{ORGANIZATION}} as an engineer.", "According to {{PERSON}}, the audit of {{ORGANIZATION}} went well.", "Write to {{PERSON}}, {{ADDRESS}}.",
	"Date of birth: {{DATE_OF_BIRTH}}", "{{PERSON}}'s phone is {{PHONE}}.", "We bought shares of {{ORGANIZATION}} last year.", "Can you ask {{PERSON}} to send the report?", "Signed by {{PERSON}} on behalf of {{ORGANIZATION}}.", "His passport {{PASSPORT}} was stolen in Rome.",
	"Pay with card {{CARD}} and bill {{ADDRESS}}.", "IBAN {{IBAN}}, holder {{PERSON}}", "Server 10 answered from {{IP}}.", "Employee {{PERSON}} ({{EMAIL}}) left {{ORGANIZATION}}.", "Reach us at {{PHONE}} or {{EMAIL}}.", "The tenant of {{ADDRESS}} is {{PERSON}}.",
	"My social security number is {{SSN}}.", "MAC address {{MAC}} registered", "The applicant {{PERSON}} was born on {{DATE_OF_BIRTH}}.", "I spoke to Dr. {{PERSON}} yesterday.", "{{ORGANIZATION}} announced record profits.", "{{PERSON}} said that the plan had failed.",
	"The court ruled against {{ORGANIZATION}} and {{PERSON}}.", "DOB {{DATE_OF_BIRTH}}, passport {{PASSPORT}}", "email={{EMAIL}} phone={{PHONE}}", "I want to cancel the card {{CARD}} issued by {{ORGANIZATION}}.",
	"The recipe needs two cups of flour and one of sugar.", "How do I sort a list in Python?", "In March the river froze.", "Version 10.2.3 of the Windows driver fixes order 4512-8890.", "What is the capital of France?", "Explain how the Roman Empire fell.",
	"Use the Save As button in Microsoft Word to export.", "The First World War began in 1914.", "Summer in the Alps is short.", "Summarize the Terms of Service in two lines.", "Write a poem about Hope and Faith.", "The United Nations met in Geneva on Monday.",
}

// PII is the set of the PII guard: sentences with entities, and some without any.
func PII(s Split) (out []Case) {
	g := newGen(s, 23)
	for _, t := range half(s, piiTemplates) {
		for range 25 {
			c := fill(marks(t), func(n string) string { return piiValue(g, s, n) })
			if strings.Contains(t, "United Nations") || strings.Contains(t, "Microsoft") {
				continue // whether these are organisations' data is a matter of taste
			}
			out = append(out, c)
		}
	}
	return out
}
