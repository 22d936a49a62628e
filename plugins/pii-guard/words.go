package piiguard

import "strings"

// What the gazetteer knows of a word.
const (
	isGiven uint16 = 1 << iota
	isWeakGiven
	isSurname
	isWeakSurname
	isCity
	isStreetAfter
	isStreetBefore
	isOrgAfter
	isOrgKnown
	isNoName
	isTitle
	isCue      // a name follows: name, dear, regards
	isParticle // de, van, bin
	isVerb     // what people do: said, lives
	isAt       // works at, employed by
	isPlain    // seen
)

// gazetteer is a hash table of folded words: a map takes most of the time and memory in a guest.
var gazetteer = func() *table {
	t := &table{}
	plain := strings.NewReplacer("á", "a", "à", "a", "â", "a", "ã", "a", "ä", "a", "å", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e", "í", "i", "ì", "i", "ı", "i", "ñ", "n", "ń", "n", "ó", "o", "ò", "o", "ô", "o", "õ", "o", "ö", "o", "ø", "o", "ú", "u", "ü", "u", "ß", "ss", "ł", "l", "ś", "s", "š", "s", "ş", "s", "ș", "s", "č", "c", "ć", "c", "ž", "z", "ý", "y", "ř", "r", "ě", "e", "ğ", "g", "ą", "a", "ę", "e", "ż", "z", "ź", "z")
	for _, l := range []struct {
		words string
		class uint16
	}{
		{givenNames, isGiven}, {weakGiven, isWeakGiven}, {surnames, isSurname}, {weakSurname, isWeakSurname}, {cities, isCity},
		{streetAfter, isStreetAfter}, {streetBefore, isStreetBefore}, {orgAfter, isOrgAfter}, {orgKnown, isOrgKnown}, {notNames, isNoName},
		{"mr mrs ms miss mx dr prof professor sir madam herr frau monsieur madame mademoiselle mme mlle signor signora signore señor señora sr sra srta senhor senhora sig dott pan pani hr fr rev capt lt sgt col gen doctor nurse officer agent detective judge senator congressman representative ambassador", isTitle},
		{"name named dear hi hello hey regards sincerely cheers signed attn attention contact called patient employee customer client mentor manager nurse colleague friend wife husband son daughter brother sister mother father uncle aunt boss neighbor neighbour witness tenant owner author supervisor applicant borrower beneficiary student teacher recipient sender holder liebe lieber hallo bonjour cher chère hola estimado estimada ciao caro cara fullname firstname lastname surname username heiße heisse appelle llamo chiamo by im i'm am", isCue},
		{"de del della di da dos das van von der den bin ibn al el la le ter ten zu zur af y e do du st mac mc ben abu", isParticle},
		{"said says told lives lived works worked wrote called asked bought sent signed born was is has will joined moved visited met and who whose", isVerb},
		{"at for by from with company employer firm organization organisation vendor supplier bei chez", isAt},
	} {
		for w := range strings.FieldsSeq(l.words) {
			f, _ := fold(w, false)
			t.put(f, l.class)
			if f != w { // and without its accents
				t.put(plain.Replace(w), l.class)
			}
		}
	}
	return t
}()

const tableSize = 1 << 14

// table finds words by their hash (FNV-1a). Of words with the same 32 bits the last known wins, which is as rare as it is
// harmless.
type table struct {
	hash  [tableSize]uint32 // 0: free
	class [tableSize]uint16
}

func (t *table) put(w string, class uint16) {
	if len(w) > 31 || len(w) == 0 {
		return
	}
	h := uint32(2166136261)
	for i := range len(w) {
		h = (h ^ uint32(w[i])) * 16777619
	}
	i := h >> (32 - 14)
	for t.hash[i] != 0 && t.hash[i] != h {
		i = (i + 1) % tableSize
	}
	t.hash[i] = h
	t.class[i] |= class
}

// look returns what is known of a folded word in any case.
func look(word string) uint16 {
	if len(word) > 31 || len(word) == 0 {
		return 0
	}
	h := uint32(2166136261)
	for i := range len(word) {
		h = (h ^ uint32(lowered[word[i]])) * 16777619
	}
	for i := h >> (32 - 14); ; i = (i + 1) % tableSize {
		switch gazetteer.hash[i] {
		case h:
			return gazetteer.class[i]
		case 0:
			return 0
		}
	}
}

// lowered has the small letter of each capital of ASCII, and every other byte as it is.
var lowered = func() (t [256]byte) {
	for c := range 256 {
		t[c] = byte(c)
		if c >= 'A' && c <= 'Z' {
			t[c] |= 0x20
		}
	}
	return
}()

// streetLengths has a bit for each length of the words that start a street's name, by first byte: most words of prose
// need no look-up.
var streetLengths = func() (t [256]uint32) {
	for w := range strings.FieldsSeq(streetBefore) {
		f, _ := fold(w, false)
		t[f[0]] |= 1 << len(f)
	}
	return
}()
