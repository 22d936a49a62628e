package groundingguard

import (
	"unicode"
	"unicode/utf8"
)

// word is a word of a text: its stem, and what kind it is.
type word struct {
	stem       string
	start, end int
	number     float64
	isNumber   bool
	name       bool // a capital letter inside a sentence
	stop       bool
	negation   bool
	polarity   int8 // of words that have an opposite: 1 and -1
	pair       int8 // which opposites
}

// sentence is a range of words.
type sentence struct {
	words      []word
	start, end int
	negations  int
}

// sentences cuts a text at full stops, question and exclamation marks and line ends, and reads the words.
func sentences(text string) (out []sentence) {
	start := 0
	flush := func(end int) {
		s := read(text, start, end)
		if len(s.words) > 0 {
			out = append(out, s)
		}
		start = end
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\n':
			flush(i)
			start = i + 1
		case c == '.' || c == '!' || c == '?':
			if i+1 < len(text) && text[i+1] != ' ' && text[i+1] != '\n' && text[i+1] != '"' && text[i+1] != ')' {
				continue
			}
			if c == '.' && abbreviation(text, i) {
				continue
			}
			// a citation after the stop belongs to the sentence before it
			end := i + 1
			if end+1 < len(text) && text[end] == ' ' && text[end+1] == '[' {
				for end < len(text) && text[end] != ']' && end-i < 12 {
					end++
				}
				end = min(end+1, len(text))
			}
			flush(end)
			i = end - 1
		}
	}
	flush(len(text))
	return out
}

func abbreviation(text string, i int) bool {
	j := i
	for j > 0 && text[j-1] != ' ' && i-j < 6 {
		j--
	}
	switch text[j:i] {
	case "Dr", "Mr", "Mrs", "Ms", "St", "No", "approx", "e.g", "i.e", "vs", "Inc", "Ltd", "Prof", "U.S":
		return true
	}
	return i-j == 1 && text[j] >= 'A' && text[j] <= 'Z'
}

// read reads the words of a sentence.
func read(text string, start, end int) sentence {
	s := sentence{start: start, end: end}
	for s.start < end && text[s.start] <= ' ' {
		s.start++
	}
	i := start
	for i < end {
		r, n := utf8.DecodeRuneInString(text[i:end])
		if r == '[' { // citations are no words
			j := i + 1
			for j < end && (text[j] >= '0' && text[j] <= '9' || text[j] == ',' || text[j] == ' ') {
				j++
			}
			if j < end && text[j] == ']' && j > i+1 {
				i = j + 1
				continue
			}
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			i += n
			continue
		}
		j := i
		digit := r >= '0' && r <= '9'
		for j < end {
			r, n := utf8.DecodeRuneInString(text[j:end])
			if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’' || digit && (r == '.' || r == ',') && j+1 < end && text[j+1] >= '0' && text[j+1] <= '9' {
				if digit && unicode.IsLetter(r) {
					break // 5kg
				}
				j += n
				continue
			}
			break
		}
		w := word{start: i, end: j, name: unicode.IsUpper(r) && len(s.words) > 0}
		raw := lower(text[i:j])
		w.number, w.isNumber = number(raw)
		w.negation = isNegation(raw)
		if w.negation {
			s.negations++
		}
		w.stop = w.negation || stopWords[raw]
		w.stem = stem(raw)
		w.pair, w.polarity = polarity(w.stem, raw)
		if w.stop {
			w.name = false
		}
		if w.isNumber && len(s.words) > 0 { // 3 million
			if f := scale(lower(next(text, j, end))); f > 1 {
				w.number *= f
			}
		}
		if scale(raw) > 1 {
			w.stop = true
		}
		if len(s.words) == 0 && w.isNumber {
			if f := scale(lower(next(text, j, end))); f > 1 {
				w.number *= f
			}
		}
		s.words = append(s.words, w)
		i = j
	}
	return s
}

func next(text string, i, end int) string {
	for i < end && text[i] == ' ' {
		i++
	}
	j := i
	for j < end && (text[j]|0x20 >= 'a' && text[j]|0x20 <= 'z') {
		j++
	}
	return text[i:j]
}

func scale(w string) float64 {
	switch w {
	case "hundred":
		return 100
	case "thousand":
		return 1e3
	case "million", "mio":
		return 1e6
	case "billion":
		return 1e9
	case "trillion":
		return 1e12
	}
	return 1
}

func lower(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r == '’' {
			r = '\''
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	return string(b)
}
