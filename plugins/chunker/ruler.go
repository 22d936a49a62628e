package chunker

import (
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// ruler measures a text: in Unicode code points, or in tokens. A byte that is not UTF-8 is one code point.
type ruler struct {
	text  string
	bytes []byte // the same bytes, to read several at once
	valid bool   // all of it is UTF-8

	// For tokens: where each may begin a chunk, and the tokens before it, with the text's end as the last. Nil: code points.
	at, sum []int32
}

func newRuler(text string) *ruler {
	b := unsafe.Slice(unsafe.StringData(text), len(text))
	return &ruler{text: text, bytes: b, valid: valid(b)}
}

// valid is utf8.Valid, with words of 8 bytes of ASCII skipped anywhere and not at the start alone, and the most frequent
// characters of two and three bytes read without a call.
func valid(b []byte) bool {
	for i := 0; i < len(b); {
		for len(b)-i >= 32 && (load(b, i)|load(b, i+8)|load(b, i+16)|load(b, i+24))&0x8080808080808080 == 0 {
			i += 32
		}
		for len(b)-i >= 8 {
			if high := load(b, i) & 0x8080808080808080; high != 0 {
				i += bits.TrailingZeros64(high) / 8
				break
			}
			i += 8
		}
		c := b[i:]
		switch {
		case len(c) == 0 || c[0] < utf8.RuneSelf:
			i++
		case len(c) >= 2 && c[0] >= 0xc2 && c[0] <= 0xdf && c[1]&0xc0 == 0x80:
			i += 2
		case len(c) >= 3 && c[0] >= 0xe1 && c[0] <= 0xec && c[1]&0xc0 == 0x80 && c[2]&0xc0 == 0x80:
			i += 3
		default:
			r, n := utf8.DecodeRune(c)
			if r == utf8.RuneError && n == 1 {
				return false
			}
			i += n
		}
	}
	return true
}

// tokens makes r measure in tokens of these lengths in bytes. One of length 0 shares the bytes of the one before. Chunks
// begin where tokens do that begin with a character.
func (r *ruler) tokens(lengths []int) error {
	at, n := 0, int32(0)
	for i, l := range lengths {
		if l < 0 || l > len(r.text)-at {
			return errors.New("chunker: token " + strconv.Itoa(i) + " of " + strconv.Itoa(l) + " bytes does not lie within the text")
		}
		if l > 0 && (len(r.at) == 0 || r.starts(at)) {
			r.at, r.sum = append(r.at, int32(at)), append(r.sum, n)
		}
		at += l
		n++
	}
	if at != len(r.text) {
		return errors.New("chunker: the tokens have " + strconv.Itoa(at) + " bytes, the text has " + strconv.Itoa(len(r.text)))
	}
	r.at, r.sum = append(r.at, int32(at)), append(r.sum, n)
	return nil
}

// starts says that a character starts at i.
func (r *ruler) starts(i int) bool {
	if r.valid {
		return utf8.RuneStart(r.text[i])
	}
	for j := max(0, i-utf8.UTFMax+1); j < i; j++ {
		if _, w := utf8.DecodeRuneInString(r.text[j:]); j+w > i && w > 1 {
			return false
		}
	}
	return true
}

// unit returns which token begins at i or, within one, which one that is.
func (r *ruler) unit(i int) int {
	n, ok := slices.BinarySearch(r.at, int32(i))
	if !ok {
		n--
	}
	return n
}

// snap returns the last offset up to i where a chunk may begin.
func (r *ruler) snap(i int) int {
	if r.at == nil {
		return i
	}
	return int(r.at[r.unit(i)])
}

// forward returns the offset n after i, at most end, and how many there were. Where n is positive it goes at least one
// step, which may be longer than n: tokens that share a character are not parted.
func (r *ruler) forward(i, end, n int) (offset, count int) {
	if r.at != nil {
		from, to := r.unit(i), r.unit(end)
		if from >= to || n <= 0 {
			return i, 0
		}
		k, ok := slices.BinarySearch(r.sum[from:to+1], r.sum[from]+int32(min(n, 1<<30)))
		if !ok {
			k--
		}
		k = max(k, 1)
		return int(r.at[from+k]), int(r.sum[from+k] - r.sum[from])
	}
	if !r.valid {
		return forward(r.text, i, end, n)
	}
	b := r.bytes
	for n-count >= 32 && end-i >= 32 {
		count += 32 - follows(load(b, i), load(b, i+8), load(b, i+16), load(b, i+24))
		i += 32
	}
	for n-count >= 8 && end-i >= 8 {
		count += leads(load(b, i))
		i += 8
	}
	for ; i < end; i++ {
		if utf8.RuneStart(b[i]) {
			if count >= n {
				break
			}
			count++
		}
	}
	return i, count
}

// leads is the number of bytes of a word that begin a character.
func leads(w uint64) int {
	return 8 - bits.OnesCount64(w>>7&^(w>>6)&0x0101010101010101)
}

// follows is the number of bytes of four words that do not begin a character.
func follows(a, b, c, d uint64) int {
	const ones = 0x0101010101010101
	n := a>>7&^(a>>6)&ones + b>>7&^(b>>6)&ones + c>>7&^(c>>6)&ones + d>>7&^(d>>6)&ones
	return int(n * ones >> 56)
}

// back returns the offset n before i, not before floor, and how many there were.
func (r *ruler) back(i, n, floor int) (offset, count int) {
	if r.at != nil {
		to, from := r.unit(i), r.unit(floor)
		if int(r.at[from]) < floor {
			from++
		}
		if from >= to {
			return i, 0
		}
		k, _ := slices.BinarySearch(r.sum[from:to+1], r.sum[to]-int32(min(n, 1<<30)))
		return int(r.at[from+k]), int(r.sum[to] - r.sum[from+k])
	}
	if r.valid {
		for n-count >= 8 && i-floor >= 8 {
			count += leads(load(r.bytes, i-8))
			i -= 8
		}
		for count < n && i > floor {
			if i--; utf8.RuneStart(r.bytes[i]) {
				count++
			}
		}
		return i, count
	}
	for count < n && i > floor {
		if r.text[i-1] < utf8.RuneSelf {
			i--
		} else {
			_, w := utf8.DecodeLastRuneInString(r.text[floor:i])
			i -= w
		}
		count++
	}
	return i, count
}

// count is the length of text[i:j]; what is more than most need not be counted.
func (r *ruler) count(i, j, most int) int {
	if r.at != nil {
		return int(r.sum[r.unit(j)] - r.sum[r.unit(i)])
	}
	_, n := r.forward(i, j, most+1)
	return n
}

// lastByte returns the last offset of c in [from, to), -1 for none.
func (r *ruler) lastByte(c byte, from, to int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for to-from >= 8 {
		x := load(r.bytes, to-8) ^ ones*uint64(c)
		if (x-ones)&^x&highs != 0 {
			break
		}
		to -= 8
	}
	for to--; to >= from; to-- {
		if r.bytes[to] == c {
			return to
		}
	}
	return -1
}
