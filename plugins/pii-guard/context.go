package piiguard

// What the words before a number say about it.
type topic uint8

const (
	noTopic topic = iota
	phoneTopic
	cardTopic
	ssnTopic
	ipTopic
	macTopic
	versionTopic // of software, or of a part of a document
	countTopic   // a number of something: an order, an invoice, a part
	idTopic      // a national number
	birthTopic   // a date of birth
	passportTopic
)

// Bounds of the search for a topic, in characters and in bytes of the original text.
const (
	maxContext    = 40
	maxContextRaw = 120
)

// topic returns what the nearest telling word before index i is about.
func (s *scanner) topic(i int) topic {
	from := s.offset(i)
	for j, end := i, -1; ; j-- {
		inside := j > 0 && i-j < maxContext && from-s.offset(j-1) <= maxContextRaw
		letter := inside && (class[s.b[j-1]]&isLetter != 0 || s.b[j-1] == letterMark)
		switch {
		case letter && end < 0:
			end = j
		case !letter && end >= 0:
			if t := wordTopic(s.b[j:end]); t != noTopic {
				return t
			}
			end = -1
		}
		if !inside {
			return noTopic
		}
	}
}

// wordTopic knows the telling words; foreign letters are letterMark, as in folded text.
func wordTopic(word string) topic {
	var buf [16]byte
	if len(word) > len(buf) || len(word) < 1 {
		return noTopic
	}
	for i := range len(word) {
		c := word[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	switch string(buf[:len(word)]) {
	case "phone", "phones", "tel", "telephone", "mobile", "mob", "cell", "cellphone", "call", "calling", "fax", "whatsapp",
		"sms", "text", "dial", "ring", "reach", "contact", "hotline", "voicemail", "callback", "landline", "signal", "telegram",
		"telefon", "telefonnummer", "handy", "handynummer", "mobil", "mobilnummer", "rufnummer", "anrufen", "fon", "durchwahl",
		"t\x80l\x80phone", "t\x80l", "portable", "appelez", "joindre", "tel\x80fono", "telefono", "m\x80vil", "movil", "celular",
		"ll\x80mame", "llamar", "cellulare", "chiamare", "telefone", "telem\x80vel", "ligue", "telefoon", "mobiel", "bellen", "ph":
		return phoneTopic
	case "card", "cards", "visa", "mastercard", "amex", "maestro", "discover", "diners", "jcb", "unionpay", "credit", "debit",
		"pan", "cc", "kreditkarte", "kartennummer", "karte", "carte", "tarjeta", "carta", "cart\x80o", "kaart", "creditcard":
		return cardTopic
	case "ssn", "ssns", "social", "itin":
		return ssnTopic
	case "ip", "ips", "ipv", "address", "addresses", "host", "hosts", "server", "dns", "ping", "addr", "client", "gateway", "remote",
		"subnet", "router", "resolver", "nameserver", "adresse", "login", "connection":
		return ipTopic
	case "mac", "ethernet", "hwaddr", "bssid", "hardware":
		return macTopic
	case "version", "versions", "v", "ver", "release", "releases", "firmware", "build", "section", "sections", "chapter", "clause",
		"table", "figure", "fig", "appendix", "paragraph", "step", "kernel", "driver", "upgrade", "upgraded", "update", "updated",
		"abschnitt", "kapitel", "assemblyversion", "fileversion":
		return versionTopic
	case "order", "orders", "invoice", "ticket", "account", "ref", "reference", "serial", "isbn", "issn", "tracking", "case", "part",
		"sku", "item", "product", "model", "po", "rfc", "patent", "doi", "batch", "lot", "gtin", "ean", "upc", "asin", "timestamp",
		"bestellung", "bestellnummer", "rechnung", "auftrag", "commande", "facture", "pedido", "factura", "ordine", "fattura",
		"article", "artikel", "artikelnummer", "confirmation", "transaction", "job", "port", "pid", "bytes", "population", "commit",
		"issue", "bug", "error", "imei", "hash", "checksum", "parcel", "shipment", "flight":
		return countTopic
	case "born", "birth", "dob", "birthday", "birthdate", "geboren", "geburtsdatum", "geburtstag", "geb", "naissance", "n\x80", "n\x80e", "nacimiento", "nacido", "nacida",
		"nascita", "nato", "nata", "nascimento", "nascido", "geboortedatum", "f\x80dd", "urodzenia", "dateofbirth":
		return birthTopic
	case "passport", "passports", "reisepass", "passnummer", "passeport", "pasaporte", "passaporto", "passaporte", "paspoort", "drivers", "driving", "f\x80hrerschein", "permis":
		return passportTopic
	case "dni", "nie", "nif", "cpf", "nino", "bsn", "pesel", "aadhaar", "aadhar", "sin", "steuer", "steuerid", "identifikationsnummer",
		"idnr", "nir", "insee", "insurance", "burgerservicenummer", "sofinummer", "personnummer", "codice", "fiscale", "uidai", "national",
		"fiscal", "tax", "tin", "nas":
		return idTopic
	}
	return noTopic
}
