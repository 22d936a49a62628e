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

// scan reads the words of the text once: it finds those of the lexicon, and sums up what the model's weights say of each
// sentence. collect, if not nil, gets each sentence's features instead, for the training. A function call costs a guest as
// much as a dozen instructions, so what happens to every byte and word is written out here.
func (a *analysis) scan(w *weights, collect func(start, end int, features []uint16)) {
	b := a.folded.b
	a.tokens = make([]token, 0, len(b)/24+8)
	a.best = window{z: -100, bias: w.bias}
	var features []uint16
	seen := a.recent
	seen.next(maxWindow)
	var weight sum // of the present sentence
	from, count := 0, 0
	last, last2 := uint32(0), uint32(0)

	sentence, quoted := int32(0), false
	lone := -8  // where the last word of one letter ends
	resume := 0 // words before here were taken for parts of others
	run := 0    // of words that end in two hexadecimal digits
	for i := 0; i < len(b); {
		c := b[i]
		if kind[c] != wordByte && (kind[c] == 0 || !wordAt(b, i)) {
			if mark[c] == 0 {
				i++
				continue
			}
			ends := false
			switch c {
			case '\n':
				sentence++
				quoted, ends = false, true
			case '.', '!', '?', ';':
				if i+1 >= len(b) || b[i+1] <= ' ' {
					sentence++
					ends = true
				} else {
					ends = b[i+1] == '"' || b[i+1] == ')'
				}
			case '"', '`':
				quoted = !quoted
			case '\'':
				if open := i == 0 || !wordAt(b, i-1); open || i+1 == len(b) || !wordAt(b, i+1) {
					quoted = open && i+1 < len(b) && wordAt(b, i+1)
				}
			}
			i++
			if ends && count > 0 {
				if collect != nil {
					collect(from, i, features)
					features = features[:0]
				} else {
					a.best.add(weight, w.scale, from, i)
				}
				seen.next(1)
				weight, from, count, last, last2 = sum{}, i, 0, 0, 0
			} else if ends {
				from = i
			}
			continue
		}
		j := i
		h, stem := uint32(seedWord), uint32(0)
		if c >= 0xe3 && c <= 0xed && i+3 <= len(b) { // a Chinese, Japanese or Korean character is a word
			if i >= resume {
				resume = i + a.ideograph(i, sentence, quoted)
			}
			j = i + 3
			if c == 0xe3 && b[i+1] == 0x80 && b[i+2] == 0x82 { // an ideographic full stop
				i = j
				if count > 0 {
					if collect != nil {
						collect(from, i, features)
						features = features[:0]
					} else {
						a.best.add(weight, w.scale, from, i)
					}
				}
				seen.next(1)
				weight, from, count, last, last2 = sum{}, i, 0, 0, 0
				continue
			}
			h = (((h^uint32(c))*16777619^uint32(b[i+1]))*16777619 ^ uint32(b[i+2])) * 16777619
			stem = h
		} else {
			h = (h ^ uint32(leet[c])) * 16777619
			dropped := 0
			for j = i + 1; ; {
				for j < len(b) && kind[b[j]] == wordByte {
					if j-i == stemBytes {
						stem = h
					}
					h = (h ^ uint32(leet[b[j]])) * 16777619
					j++
				}
				if j == len(b) || joint[b[j]] == 0 || !goesOn(b, j) {
					break
				}
				if j-i == stemBytes {
					stem = h
				}
				if b[j] == '\'' { // inside a word: don't, pr@mpt
					dropped++
				} else {
					h = (h ^ uint32(leet[b[j]])) * 16777619
				}
				j++
			}
			if j-i <= stemBytes {
				stem = h
			}
			if i >= resume {
				size := j - i
				if size == 1 {
					if i-lone <= 3 {
						a.apart++
					}
					lone = j
					if end := spelledEnd(b, i); end > 0 {
						a.apart += minApart
						a.spelled(i, end, sentence, quoted)
						resume = end
					}
				}
				if i >= resume {
					a.words++
					if i+1 < len(b) && phraseStarts[c]>>(b[i+1]&31)&1 != 0 {
						a.phrase(i)
					}
					if size >= 2 && size <= 4 && isHex(b[j-1]) && isHex(b[j-2]) {
						if run++; run > a.pairs {
							a.pairs = run
						}
					} else {
						run = 0
					}
					if n := size - dropped; n <= maxWord && lengths[leet[c]]>>n&1 != 0 {
						if class := find(h); class != 0 {
							a.push(i, j, class, sentence, quoted)
						}
					}
					if size >= 15 && size <= maxSpelled {
						a.spelled(i, j, sentence, quoted)
					}
				}
			}
		}
		pair := (last^seedPair)*16777619 ^ stem
		if last == 0 {
			pair = stem*31 ^ seedFirst
		}
		if collect == nil {
			seen.count(&weight, bucket(h), w)
			seen.count(&weight, bucket(pair), w)
			if stem != h {
				seen.count(&weight, bucket(stem^seedStem), w)
			}
			if last2 != 0 {
				seen.count(&weight, bucket((last2^seedSkip)*16777619^stem*5), w)
			}
		} else {
			features = append(features, uint16(bucket(h)), uint16(bucket(pair)))
			if stem != h {
				features = append(features, uint16(bucket(stem^seedStem)))
			}
			if last2 != 0 {
				features = append(features, uint16(bucket((last2^seedSkip)*16777619^stem*5)))
			}
		}
		last2, last = last, stem
		i = j
		if count++; count == maxSegment || i >= len(b) {
			if collect != nil {
				collect(from, i, features)
				features = features[:0]
			} else {
				a.best.add(weight, w.scale, from, i)
			}
			seen.next(1)
			weight, from, count, last, last2 = sum{}, i, 0, 0, 0
		}
	}
	if count > 0 {
		if collect != nil {
			collect(from, len(b), features)
		} else {
			a.best.add(weight, w.scale, from, len(b))
		}
	}
}

func (a *analysis) push(i, j int, class uint64, sentence int32, quoted bool) {
	a.seen |= class
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

// mark has the signs between words that mean something, joint those that may be inside of one.
var mark, joint = func() (m, j [256]uint8) {
	for _, c := range "\n.!?;\"`'" {
		m[c] = 1
	}
	for _, c := range "'@$!|" {
		j[c] = 1
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
		if k := leet[b[i]]; k != 0 && (kind[b[i]] == wordByte || wordAt(b, i)) {
			letters[n], at[n] = k, i
			n++
		}
	}
	after := false
	for k := 0; k < n; {
		found, class := 0, uint64(0)
		if k+2 < n && prefixes[prefix(letters[k:k+3])] {
			fits, h := lengths[letters[k]], uint32(seedWord)
			for size := 1; size <= maxWord && k+size <= n; size++ {
				h = (h ^ uint32(letters[k+size-1])) * 16777619
				if fits>>size&1 != 0 && (size > 3 || size == 3 && after) {
					if c := find(h); c != 0 {
						found, class = size, c // the longest
					}
				}
			}
		}
		if found > 0 {
			a.words++
			a.push(at[k], at[k+found-1]+1, class, sentence, quoted)
		}
		after = found > 0
		k += max(found, 1)
	}
}
