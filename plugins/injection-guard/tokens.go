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

// scan reads the words of the text, a list at a time: it finds those of the lexicon, and sums up what the model's weights
// say of each sentence. collect, if not nil, gets each sentence's features instead, for the training.
func (a *analysis) scan(w *weights, collect func(start, end int, features []uint16)) {
	b := a.folded.b
	p := a.pad
	p.recent.next(maxWindow)
	a.best = window{z: -100, bias: w.bias}
	r := reading{lone: -8}
	var m sentence
	for i := 0; i < len(b); {
		i = p.read(b, i)
		a.recognise(&r)
		for k := 0; k < p.n; {
			if k = p.sentence(&m, len(b), k); !m.ended {
				continue
			}
			if collect != nil {
				collect(m.from, m.to, p.features[:m.n])
			} else {
				a.best.add(p.weigh(w, m.n), w.scale, m.from, m.to)
			}
			m = sentence{from: m.to}
			p.recent.next(1)
		}
	}
	if m.count > 0 {
		if collect != nil {
			collect(m.from, len(b), p.features[:m.n])
		} else {
			a.best.add(p.weigh(w, m.n), w.scale, m.from, len(b))
		}
	}
}

// reading is how far the lexicon's words were read.
type reading struct {
	sentence int32
	quoted   bool
	lone     int // where the last word of one letter ends
	resume   int // words before here were taken for parts of others
	run      int // of words that end in two hexadecimal digits
}

// recognise looks the listed words up.
func (a *analysis) recognise(r *reading) {
	b, p := a.folded.b, a.pad
	for k := 0; k < p.n; k++ {
		var class uint64
		if cap(a.tokens)-len(a.tokens) < p.n-k {
			a.tokens = append(make([]token, 0, 2*cap(a.tokens)+len(p.list)), a.tokens...)
		}
		if k, class = a.known(r, k); k == p.n {
			return
		}
		w := &p.list[k]
		i, j := int(w.start), int(w.end)
		switch {
		case class == phraseStart:
			a.phrase(i)
		case class != 0:
			if class&phraseStart != 0 {
				a.phrase(i)
			}
			a.push(i, j, class&^phraseStart, r.sentence, r.quoted)
		case w.letters == 0: // a quote
			if open := i == 0 || !wordAt(b, i-1); open || i+1 == len(b) || !wordAt(b, i+1) {
				r.quoted = open && i+1 < len(b) && wordAt(b, i+1)
			}
		case w.letters < 0:
			r.resume = i + a.ideograph(i, r.sentence, r.quoted)
		case j-i == 1:
			if i-r.lone <= 3 {
				a.apart++
			}
			r.lone = j
			if end := spelledEnd(b, i); end > 0 {
				a.apart += minApart
				a.spelled(i, end, r.sentence, r.quoted)
				r.resume = end
				continue
			}
			a.words++
			r.run = 0
			if class := find(w.hash) &^ phraseStart; class != 0 {
				a.push(i, j, class, r.sentence, r.quoted)
			}
		default: // long
			a.words++
			r.run = 0
			if w.letters <= maxWord {
				if class := find(w.hash) &^ phraseStart; class != 0 {
					a.push(i, j, class, r.sentence, r.quoted)
				}
			}
			if j-i <= maxSpelled {
				a.spelled(i, j, r.sentence, r.quoted)
			}
		}
	}
}

// counted are the classes of words that push counts.
const counted = discourse | rot13 | backwards | phraseStart

// known notes the words of the lexicon from the k-th listed on. It stops at one that needs a closer look, and returns its
// class if it is in the lexicon. It makes no calls, see split; there must be room for all tokens.
func (a *analysis) known(r *reading, k int) (int, uint64) {
	b, list := a.folded.b, a.pad.list[:a.pad.n]
	tokens := a.tokens[:cap(a.tokens)]
	n := len(a.tokens)
	resume, run, words := int32(r.resume), r.run, a.words
	sentence, quoted, seen := r.sentence, r.quoted, a.seen
	class := uint64(0)
	for ; k < len(list); k++ {
		w := &list[k]
		c := b[w.start]
		if w.letters == 0 {
			switch c {
			case '\n':
				sentence++
				quoted = false
				continue
			case '"', '`':
				quoted = !quoted
				continue
			case '\'':
			default:
				if w.hash == endsBoth {
					sentence++
				}
				continue
			}
			break
		}
		if w.start < resume {
			continue
		}
		if w.letters < 0 {
			if ideographStarts[c]>>(b[w.start+1]&63)&1 != 0 {
				break
			}
			words++
			continue
		}
		size := w.end - w.start
		if size == 1 || size >= 15 {
			break
		}
		words++
		if size <= 4 && encoding[b[w.end-1]]&encoding[b[w.end-2]]&hexKind != 0 {
			run++
			a.pairs = max(a.pairs, run)
		} else {
			run = 0
		}
		h := w.hash
		i := h >> slotShift
		for slots.hash[i&(slotCount-1)] != h && slots.hash[i&(slotCount-1)] != 0 {
			i++
		}
		if class = slots.class[i&(slotCount-1)]; class == 0 {
			continue
		}
		if class&counted != 0 || n >= len(tokens) {
			break
		}
		seen |= class
		tokens[n] = token{w.start, w.end, class, int32(words), sentence, quoted}
		n++
		class = 0
	}
	a.tokens = tokens[:n]
	r.run, a.words = run, words
	r.sentence, r.quoted, a.seen = sentence, quoted, seen
	return k, class
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

// mark has the signs between words that may mean something, joint those that may be inside of one.
var mark, joint = func() (m, j [256]uint8) {
	for _, c := range "\n\"`'" {
		m[c] = 1
	}
	for _, c := range ".!?;" {
		m[c] = endMark
	}
	for _, c := range "@$|" {
		m[c] = signMark
	}
	for _, c := range "'@$!|" {
		j[c] = 1
	}
	return
}()

// Kinds of marks beside quotes and ends of lines.
const (
	endMark  = 2 // a sentence may end with it
	signMark = 3 // a letter may be meant
)

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
					if c := find(h) &^ phraseStart; c != 0 {
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
