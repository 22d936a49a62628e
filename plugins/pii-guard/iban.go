package piiguard

// ibanLengths gives the length of the account number of each country (SWIFT IBAN registry).
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27" +
	"GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20" +
	"MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29" +
	"VA22VG24XK20YE30"

// ibanLength is indexed by the two letters, from AA on.
var ibanLength = func() (t [26 * 26]uint8) {
	for i := 0; i < len(ibanLengths); i += 4 {
		e := ibanLengths[i : i+4]
		t[int(e[0]-'A')*26+int(e[1]-'A')] = (e[2]-'0')*10 + e[3] - '0'
	}
	return
}()

// iban looks for an international bank account number (ISO 13616): country, two check digits by ISO 7064 mod 97-10, and
// as many letters and digits as the country has, with single spaces or hyphens anywhere between.
func (s *scanner) iban(i int) {
	country := int(s.b[i]|0x20-'a')*26 + int(s.b[i+1]|0x20-'a')
	want := int(ibanLength[country])
	if want == 0 {
		return
	}
	var head [4]byte
	remainder, count, j := 0, 0, i
	for {
		c := s.at(j)
		if class[c]&(isDigit|isLetter) == 0 {
			return
		}
		if count < 4 {
			head[count] = c
		} else {
			remainder = mod97(remainder, c)
		}
		count++
		j++
		if count == want {
			break
		}
		if c := s.at(j); c == ' ' || c == '-' {
			j++
		}
	}
	if !s.ends(j) {
		return
	}
	for _, c := range head {
		remainder = mod97(remainder, c)
	}
	if remainder == 1 {
		s.add(i, j, IBAN, "iban.mod97", 0.99)
	}
}

// mod97 appends a digit, or a letter's two, to a number of which the remainder is known.
func mod97(remainder int, c byte) int {
	if c <= '9' {
		return (remainder*10 + int(c-'0')) % 97
	}
	return (remainder*100 + int(c|0x20-'a') + 10) % 97
}
