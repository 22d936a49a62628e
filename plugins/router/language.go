package router

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

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

var wordLanguages = func() map[string][]int {
	m := map[string][]int{}
	for i, lang := range languages {
		for w := range strings.FieldsSeq(stopWords[lang]) {
			m[w] = append(m[w], i)
		}
	}
	return m
}()

// languageOf guesses the language of a text in lower case by its script, and for the Latin script by stop words.
// Empty: not sure.
func languageOf(lower string) string {
	var kana, han, hangul, cyrillic, greek, arabic, hebrew, devanagari, thai, latin int
	scores := make([]int, len(languages))
	word := -1 // where the word began
	for i := 0; i < len(lower); {
		if n := skipASCIIWord(lower, i); n > i {
			if word < 0 {
				word = i
			}
			latin += n - i
			i = n
			continue
		}
		r, n := utf8.DecodeRuneInString(lower[i:])
		if r >= 0x80 && unicode.IsLetter(r) {
			if word < 0 {
				word = i
			}
		} else if word >= 0 {
			vote(scores, lower[word:i])
			word = -1
		}
		i += n
		if r < 0x80 {
			continue
		}
		switch {
		case r < 0x250:
			latin++
		case r >= 0x370 && r < 0x400:
			greek++
		case r >= 0x400 && r < 0x530:
			cyrillic++
		case r >= 0x590 && r < 0x600:
			hebrew++
		case r >= 0x600 && r < 0x780:
			arabic++
		case r >= 0x900 && r < 0x980:
			devanagari++
		case r >= 0xe00 && r < 0xe80:
			thai++
		case r >= 0x3040 && r < 0x3100:
			kana++
		case r >= 0x3400 && r < 0xa000:
			han++
		case r >= 0xac00 && r < 0xd7b0:
			hangul++
		}
	}
	if word >= 0 {
		vote(scores, lower[word:])
	}
	// A character of these scripts weighs about two Latin letters.
	most, lang := latin/2, ""
	for _, s := range []struct {
		n    int
		lang string
	}{{kana + min(han, 8*kana), "ja"}, {han, "zh"}, {hangul, "ko"}, {cyrillic, "ru"}, {greek, "el"}, {arabic, "ar"}, {hebrew, "he"}, {devanagari, "hi"}, {thai, "th"}} {
		if s.n > most {
			most, lang = s.n, s.lang
		}
	}
	if lang != "" {
		return lang
	}
	best, second := -1, 0
	for i, n := range scores {
		switch {
		case best < 0 || n > scores[best]:
			if best >= 0 {
				second = scores[best]
			}
			best = i
		case n > second:
			second = n
		}
	}
	if scores[best] < 2 || scores[best] == second {
		return ""
	}
	return languages[best]
}

func vote(scores []int, word string) {
	if len(word) > 8 {
		return
	}
	for _, i := range wordLanguages[word] {
		scores[i]++
	}
}
