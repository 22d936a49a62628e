package injectionguard

// pad is what an analysis writes on. It is used again, since to get memory is dear in a guest.
type pad struct {
	folded   []byte
	list     [256]word
	n        int
	features [4 * maxSegment]uint16 // of the sentence that is read
	tokens   []token
	recent   recent
}

// word is a word of the folded text, or a mark between words that means something.
type word struct {
	start, end int32
	hash       uint32 // of the letters, signs that stand for letters taken for them (FNV-1a); of a mark, what ends there
	stem       uint32 // of the first letters
	letters    int32  // how many; 0: a mark; -1: a Chinese, Japanese or Korean character
}

// What ends at a mark.
const (
	endsNothing = iota
	endsSegment // of the model: also before a quote or a bracket
	endsBoth    // and the sentence that the rules look at
)

// read lists the words and marks from index i on, up to a full list, and returns where it stopped.
func (p *pad) read(b []byte, i int) int {
	p.n = 0
	for i < len(b) && p.n < len(p.list) {
		if i = p.split(b, i); i == len(b) || p.n == len(p.list) {
			break
		}
		if kind[b[i]] != wordByte && !wordAt(b, i) {
			i++
			continue
		}
		p.list[p.n] = disguised(b, i)
		i = int(p.list[p.n].end)
		p.n++
	}
	return i
}

// disguised reads a word with signs in it: don't, pr@mpt, $ystem.
func disguised(b []byte, i int) word {
	h, stem, dropped := uint32(seedWord^uint32(leet[b[i]]))*16777619, uint32(0), 0
	j := i + 1
	for ; j < len(b) && (kind[b[j]] == wordByte || goesOn(b, j)); j++ {
		if j-i == stemBytes {
			stem = h
		}
		if b[j] == '\'' {
			dropped++
		} else {
			h = (h ^ uint32(leet[b[j]])) * 16777619
		}
	}
	if j-i <= stemBytes {
		stem = h
	}
	return word{start: int32(i), end: int32(j), hash: h, stem: stem, letters: int32(max(j-i-dropped, 1))}
}

// split lists what needs no closer look, and returns where it stopped: at the end, with a full list, or before what may be
// a word with signs in it. It makes no calls: what is in use across one is kept in memory in a guest, and a call costs as
// much as two dozen instructions.
func (p *pad) split(text []byte, from int) int {
	i, end := uint(from), uint(len(text))
	b, list, n := text[:end], &p.list, uint(p.n)
	for i < end && n < uint(len(list)) {
		c := b[i]
		k := uint32(letters[c])
		if k == 0 {
			m := mark[c]
			if m == 0 {
				i++
				continue
			}
			next := byte('\n')
			if i+1 < end {
				next = b[i+1]
			}
			ends := uint32(endsNothing)
			switch {
			case m == signMark || c == '!' && kind[next] != 0:
				p.n = int(n)
				return int(i)
			case c == '\n' || m == endMark && next <= ' ':
				ends = endsBoth
			case m == endMark && (next == '"' || next == ')'):
				ends = endsSegment
			case m == endMark:
				i++
				continue
			}
			list[n] = word{start: int32(i), end: int32(i + 1), hash: ends}
			n++
			i++
			continue
		}
		if c >= 0xe3 && c <= 0xed && i+3 <= end {
			h := (((seedWord^uint32(c))*16777619^uint32(b[i+1]))*16777619 ^ uint32(b[i+2])) * 16777619
			list[n] = word{start: int32(i), end: int32(i + 3), hash: h, stem: h, letters: -1}
			n++
			i += 3
			continue
		}
		h := (seedWord ^ k) * 16777619
		j := i + 1
		for j < end && j < i+stemBytes {
			if k = uint32(letters[b[j]]); k == 0 {
				break
			}
			h = (h ^ k) * 16777619
			j++
		}
		stem := h
		if k != 0 {
			for j < end {
				if k = uint32(letters[b[j]]); k == 0 {
					break
				}
				h = (h ^ k) * 16777619
				j++
			}
		}
		if j < end && joint[b[j]] != 0 {
			if d := b[j]; d != '\'' && d != '!' || j+1 < end && kind[b[j+1]] != 0 {
				p.n = int(n)
				return int(i)
			}
		}
		list[n] = word{start: int32(i), end: int32(j), hash: h, stem: stem, letters: int32(j - i)}
		n++
		i = j
	}
	p.n = int(n)
	return int(i)
}

// letters has what stands for a byte of a word, 0 for others.
var letters = func() (t [256]uint8) {
	for c := range 256 {
		if kind[c] == wordByte {
			t[c] = leet[c]
		}
	}
	return
}()
