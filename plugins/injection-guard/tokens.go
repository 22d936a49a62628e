package injectionguard

// token is a word of the lexicon in the text. Other words only count.
type token struct {
	start, end int32 // in the folded text
	class      uint64
	word       int32 // its number among the words
	sentence   int32
	quoted     bool
}

func (t *token) is(class uint64) bool { return t.class&class != 0 }

// maxSpelled is the longest run that is searched for words written together or letter by letter, in letters.
const maxSpelled = 160

// tokenize finds the words of the lexicon.
func (a *analysis) tokenize() {
	b := a.folded.b
	a.tokens = make([]token, 0, len(b)/24+8)
	sentence, quoted := int32(0), false
	var buf [maxWord]byte
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c >= 0xe3 && c <= 0xed && i+3 <= len(b):
			i += a.ideograph(i, sentence, quoted)
			continue
		case !wordAt(b, i):
			switch c {
			case '\n':
				sentence++
				quoted = false
			case '.', '!', '?', ';':
				if i+1 >= len(b) || b[i+1] <= ' ' {
					sentence++
				}
			case '"', '`':
				quoted = !quoted
			case '\'':
				if open := i == 0 || !wordAt(b, i-1); open || i+1 == len(b) || !wordAt(b, i+1) {
					quoted = open && i+1 < len(b) && wordAt(b, i+1)
				}
			}
			i++
			continue
		}
		j := i + 1
		for {
			for j < len(b) && kind[b[j]] == wordByte {
				j++
			}
			if j == len(b) || !goesOn(b, j) {
				break
			}
			j++ // inside a word: don't, pr@mpt
		}
		if j-i == 1 {
			a.apart++
			if end := spelledEnd(b, i); end > 0 {
				a.apart += minApart
				a.spelled(i, end, sentence, quoted)
				i = end
				continue
			}
		}
		a.words++
		if len(phrases[b[i]]) > 0 {
			a.phrase(i)
		}
		if size := j - i; size >= 2 && size <= 4 && isHex(b[j-1]) && isHex(b[j-2]) {
			a.pairs++
		}
		if j-i <= maxWord+4 && lengths[leet[b[i]]]&(^uint32(0)>>(31-min(j-i, 31))) != 0 {
			k := key(buf[:0], b[i:j])
			if len(k) > 0 && lengths[k[0]]&(1<<len(k)) != 0 {
				a.push(i, j, find(k), sentence, quoted)
			}
		}
		if j-i >= 15 && j-i <= maxSpelled {
			a.spelled(i, j, sentence, quoted)
		}
		i = j
	}
}

func (a *analysis) push(i, j int, class uint64, sentence int32, quoted bool) {
	if class == 0 {
		return
	}
	if class&discourse != 0 {
		a.meta++
	}
	if class&rot13 != 0 {
		a.rotated++
	}
	if class&backwards != 0 {
		a.reversed += 1 + (j-i)/5 // a long one is no accident
	}
	a.tokens = append(a.tokens, token{int32(i), int32(j), class, int32(a.words), sentence, quoted})
}

// Kinds of bytes of folded text.
const (
	wordByte = 1 << iota // part of a word
	signByte             // part of a word before a letter: p@ss
)

var kind = func() (t [256]uint8) {
	for c := range 256 {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 && c != 0xe2 {
			t[c] = wordByte
		}
	}
	for _, c := range "@$!|" {
		t[c] = signByte
	}
	return
}()

// wordAt says whether byte i is part of a word. Signs that stand for letters are so before letters only.
func wordAt(b []byte, i int) bool {
	k := kind[b[i]]
	if c := b[i]; (c == '@' || c == '$' || c == '|') && i > 0 && kind[b[i-1]] == wordByte && b[i-1] < 0x80 {
		return true // at the end of one: a.i@
	}
	for j := i + 1; k == signByte && j < len(b) && j < i+4; j++ { // mi$$!on
		if k = kind[b[j]]; k == wordByte && b[j] >= 0x80 {
			return false
		}
	}
	return k == wordByte
}

// goesOn says whether a sign at index j, after a letter, is inside or at the end of a word: don't, pr@mpt, un'i@.
func goesOn(b []byte, j int) bool {
	return b[j] == '\'' && j+1 < len(b) && wordAt(b, j+1) || kind[b[j]] == signByte && wordAt(b, j)
}

// ideograph looks for a word at a character of three bytes, and returns how many bytes it was.
func (a *analysis) ideograph(i int, sentence int32, quoted bool) int {
	b := a.folded.b
	a.words++
	for _, e := range ideographsBy[[2]byte{b[i], b[i+1]}] {
		if len(b)-i >= len(e.word) && string(b[i:i+len(e.word)]) == e.word {
			a.push(i, i+len(e.word), e.class, sentence, quoted)
			return len(e.word)
		}
	}
	return 3
}

// spelledEnd returns where a run of single letters with separators between them ends, 0 if there is none of five.
func spelledEnd(b []byte, i int) int {
	letters, end := 0, 0
	for letters < maxSpelled && i < len(b) && wordAt(b, i) && (i+1 == len(b) || !wordAt(b, i+1)) {
		letters++
		i++
		end = i
		gap := i
		for i < len(b) && i-gap < 3 && (b[i] == ' ' || b[i] == '-' || b[i] == '.' || b[i] == '_' || b[i] == '*' || b[i] == '/') {
			i++
		}
		if i == gap {
			break
		}
	}
	if letters < 5 {
		return 0
	}
	return end
}

// spelled finds words of four letters and more, and short ones after them, in letters that stand together or apart.
func (a *analysis) spelled(i, j int, sentence int32, quoted bool) {
	b := a.folded.b
	var letters [maxSpelled]byte
	var at [maxSpelled]int
	n := 0
	for ; i < j && n < maxSpelled; i++ {
		if k := leet[b[i]]; k != 0 && wordAt(b, i) {
			letters[n], at[n] = k, i
			n++
		}
	}
	after := false
	for k := 0; k < n; {
		found := 0
		for size := min(n-k, maxWord); size >= 3 && (size > 3 || after); size-- {
			if lengths[letters[k]]&(1<<size) == 0 {
				continue
			}
			if class := find(letters[k : k+size]); class != 0 {
				a.words++
				a.push(at[k], at[k+size-1]+1, class, sentence, quoted)
				found = size
				break
			}
		}
		after = found > 0
		k += max(found, 1)
	}
}
