package piiguard

import "strings"

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
	if s.topicOf != i+1 {
		s.topicOf, s.topicIs = i+1, s.topicBefore(i)
	}
	return s.topicIs
}

func (s *scanner) topicBefore(i int) topic {
	b := s.b
	least := max(0, i-maxContext)
	if s.pos != nil {
		for from := s.offset(i); least < i && from-s.offset(least) > maxContextRaw; {
			least++
		}
	}
	b = b[:i]
	for j := i; j > least; {
		j--
		c := uint32(lettered[b[j]])
		if c == 0 {
			continue
		}
		end := j + 1
		h := uint32(2166136261)
		for c != 0 {
			h = (h ^ c) * 16777619
			if j--; j < least {
				break
			}
			c = uint32(lettered[b[j]])
		}
		if end-j-1 > 23 {
			continue
		}
		for k := h >> (32 - 10); topics.hash[k] != 0; k = (k + 1) % topicSlots {
			if topics.hash[k] == h {
				return topics.topic[k]
			}
		}
	}
	return noTopic
}

// inWord has the letters of ASCII, and the mark of foreign ones.
var inWord = func() (t [256]bool) {
	for c := range 256 {
		t[c] = class[c]&isLetter != 0 || c == letterMark
	}
	return
}()

// telling are the words that tell a topic; foreign letters are letterMark, as in folded text.
var telling = map[topic]string{
	phoneTopic:    "phone phones tel telephone mobile mob cell cellphone call calling fax whatsapp sms text dial ring reach contact hotline voicemail callback landline signal telegram telefon telefonnummer handy handynummer mobil mobilnummer rufnummer anrufen fon durchwahl t\x80l\x80phone t\x80l portable appelez joindre tel\x80fono telefono m\x80vil movil celular ll\x80mame llamar cellulare chiamare telefone telem\x80vel ligue telefoon mobiel bellen ph",
	cardTopic:     "card cards visa mastercard amex maestro discover diners jcb unionpay credit debit pan cc kreditkarte kartennummer karte carte tarjeta carta cart\x80o kaart creditcard",
	ssnTopic:      "ssn ssns social itin",
	ipTopic:       "ip ips ipv address addresses host hosts server dns ping addr client gateway remote subnet router resolver nameserver adresse login connection",
	macTopic:      "mac ethernet hwaddr bssid hardware",
	versionTopic:  "version versions v ver release releases firmware build section sections chapter clause table figure fig appendix paragraph step kernel driver upgrade upgraded update updated abschnitt kapitel assemblyversion fileversion",
	countTopic:    "order orders invoice ticket account ref reference serial isbn issn tracking case part sku item product model po rfc patent doi batch lot gtin ean upc asin timestamp bestellung bestellnummer rechnung auftrag commande facture pedido factura ordine fattura article artikel artikelnummer confirmation transaction job port pid bytes population commit issue bug error imei hash checksum parcel shipment flight",
	birthTopic:    "born birth dob birthday birthdate geboren geburtsdatum geburtstag geb naissance n\x80 n\x80e nacimiento nacido nacida nascita nato nata nascimento nascido geboortedatum f\x80dd urodzenia dateofbirth",
	passportTopic: "passport passports reisepass passnummer passeport pasaporte passaporto passaporte paspoort drivers driving f\x80hrerschein permis",
	idTopic:       "dni nie nif cpf nino bsn pesel aadhaar aadhar sin steuer steuerid identifikationsnummer idnr nir insee insurance burgerservicenummer sofinummer personnummer codice fiscale uidai national fiscal tax tin nas",
}

// lettered has the small letter of each of ASCII, and the mark of foreign ones; 0 for what is in no word.
var lettered = func() (t [256]byte) {
	for c := range 256 {
		if inWord[c] {
			t[c] = lowered[c]
		}
	}
	return
}()

const topicSlots = 1 << 10

// topics finds the telling words by the hash of their letters from the last to the first.
var topics = func() (t struct {
	hash  [topicSlots]uint32
	topic [topicSlots]topic
}) {
	for about, words := range telling {
		for w := range strings.FieldsSeq(words) {
			h := uint32(2166136261)
			for i := len(w) - 1; i >= 0; i-- {
				h = (h ^ uint32(w[i])) * 16777619
			}
			k := h >> (32 - 10)
			for t.hash[k] != 0 {
				k = (k + 1) % topicSlots
			}
			t.hash[k], t.topic[k] = h, about
		}
	}
	return
}()
